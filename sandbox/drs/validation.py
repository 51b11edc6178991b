"""Checks a value against a botocore shape, as the service does: type, required, min, max, pattern, enum, lengths.

botocore's client checks types, required members and minima only, and a client may switch that off; the service checks
everything. Members that the model does not know are ignored, as AWS ignores them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from botocore.model import ListShape, MapShape, Shape, StructureShape

from sandbox.drs.errors import DrsError

JsonValue: TypeAlias = Any  # what json.loads returns; its type is checked at run time

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint of the model that the value at `name` fails to satisfy."""

    name: str
    message: str


def require_valid(shape: Shape | None, value: object) -> None:
    """Let a request pass that satisfies `shape` (None: an operation without input).

    Raises:
        DrsError: ValidationException naming every field that is wrong.
    """
    found = list(violations(shape, value)) if shape is not None else []
    if not found:
        return
    details = "; ".join(f"Value at '{item.name}' failed to satisfy constraint: {item.message}" for item in found)
    plural = "s" if len(found) > 1 else ""
    raise DrsError(
        "ValidationException",
        f"{len(found)} validation error{plural} detected: {details}",
        reason="fieldValidationFailed",
        fieldList=[{"name": item.name, "message": item.message} for item in found],
    )


def violations(shape: Shape, value: object, name: str = "") -> Iterator[Violation]:
    """Yield every constraint of `shape` that `value` fails, with the path of the field, e.g. `filters.hardwareId`."""
    expected = _PYTHON_TYPES[shape.type_name]
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        yield Violation(name, f"Member must be of type {shape.type_name}")
        return
    yield from _own_violations(shape, value, name)
    yield from _nested_violations(shape, value, name)


def _own_violations(shape: Shape, value: JsonValue, name: str) -> Iterator[Violation]:
    limits = shape.metadata
    sized = shape.type_name in {"list", "map", "string"}
    amount, what = (len(value), "length") if sized else (value, "value")
    if "min" in limits and amount < limits["min"]:
        yield Violation(name, f"Member must have {what} greater than or equal to {limits['min']}")
    if "max" in limits and amount > limits["max"]:
        yield Violation(name, f"Member must have {what} less than or equal to {limits['max']}")
    if "enum" in limits and value not in limits["enum"]:
        yield Violation(name, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if "pattern" in limits and not _compiled(limits["pattern"]).fullmatch(value):
        yield Violation(name, f"Member must satisfy regular expression pattern: {limits['pattern']}")


def _nested_violations(shape: Shape, value: JsonValue, name: str) -> Iterator[Violation]:
    if isinstance(shape, StructureShape):
        yield from _structure_violations(shape, value, name)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value):
            yield from violations(shape.member, item, f"{name}.{index}")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from violations(shape.key, key, f"{name}.key")
            yield from violations(shape.value, item, f"{name}.{key}")


def _structure_violations(shape: StructureShape, value: dict[str, object], name: str) -> Iterator[Violation]:
    prefix = f"{name}." if name else ""
    for required in shape.required_members:
        if value.get(required) is None:
            yield Violation(f"{prefix}{required}", "Member must not be null")
    for member, member_shape in shape.members.items():
        if value.get(member) is not None:
            yield from violations(member_shape, value[member], f"{prefix}{member}")


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)

"""Which request is which operation, and what its parameters are, as botocore's model says."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from botocore.model import OperationModel, Shape, StructureShape

from sandbox.drs.errors import DrsError
from sandbox.drs.service_model import service_model

Params = dict[str, Any]


@lru_cache(maxsize=1)
def _routes() -> tuple[tuple[str, re.Pattern[str], OperationModel], ...]:
    operations = [service_model().operation_model(name) for name in service_model().operation_names]
    return tuple(
        (operation.http["method"], _path_pattern(operation.http["requestUri"]), operation) for operation in operations
    )


def _path_pattern(request_uri: str) -> re.Pattern[str]:
    # An ARN holds slashes, and MiniStack hands over the decoded path: a label takes the rest of the path.
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", request_uri))


@lru_cache(maxsize=4096)
def route(method: str, path: str) -> tuple[OperationModel, dict[str, str]]:
    """Return the operation that `method` and the decoded `path` name, and the labels in the path.

    Raises:
        DrsError: ValidationException (unknownOperation) where the model has no such operation.
    """
    for verb, pattern, operation in _routes():
        found = pattern.fullmatch(path) if verb == method else None
        if found:
            return operation, found.groupdict()
    raise DrsError(
        "ValidationException", f"Unknown operation: {method} {path.split('/')[1][:64]}", reason="unknownOperation"
    )


def parameters(
    operation: OperationModel, labels: Mapping[str, str], query: Mapping[str, Sequence[str]], body: bytes
) -> Params:
    """Return the parameters of a request from where the model puts them: path, query string or JSON body.

    Raises:
        DrsError: ValidationException (cannotParse) where the body is not a JSON object.
    """
    shape = operation.input_shape
    members = shape.members if isinstance(shape, StructureShape) else {}
    params: Params = _json_object(body)
    for name, member in members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if location:
            params.pop(name, None)
        if location == "uri":
            params[name] = labels[wire_name]
        elif location == "querystring" and wire_name in query:
            params[name] = _query_value(member, query[wire_name])
    return params


def _json_object(body: bytes) -> Params:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise DrsError("ValidationException", "The request body is not valid JSON", reason="cannotParse") from error
    if not isinstance(parsed, dict):
        raise DrsError("ValidationException", "The request body is not a JSON object", reason="cannotParse")
    return parsed


def _query_value(shape: Shape, values: Sequence[str]) -> object:
    if shape.type_name == "list":
        return list(values)
    if shape.type_name in {"integer", "long"} and re.fullmatch(r"-?\d{1,18}", values[-1]):
        return int(values[-1])
    return values[-1]

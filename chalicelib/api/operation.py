"""What an operation is: one entry of a table that REST, direct invocation and the OpenAPI document are made from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar, get_origin

from chalice import Blueprint, IAMAuthorizer, Response
from pydantic import ConfigDict, ValidationError

from ..domain.records import Record
from ..errors import DrsActiveRegionsError, InvalidRequest
from ..observability import identify, logger, observed
from .answers import error_body

LARGEST_BODY = 256 * 1024  # bytes; far below API Gateway's 10 MB: the largest request names 1,000 scopes
LARGEST_ANSWER = 4_000_000  # bytes; Lambda answers 6 MB, and API Gateway's proxy event escapes quotes
SECRETS = {"externalId"}

Model = TypeVar("Model", bound=Record)


class Request(Record):
    """What an operation is asked with; an unknown field is refused."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Request):
    """An operation that needs nothing."""


class RunsIn(StrEnum):
    """Which function does the work of an operation."""

    ITSELF = "itself"
    ACCOUNT_PROBE = "account-probe"  # enters customer accounts
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class Operation:
    """One operation of the product.

    Attributes:
        name: its name for direct invocation, and its OpenAPI operationId.
        request: model of path, query and body together.
        response: model of the answer.
        run: does it; gets the request and who asks.
        summary: one line for the OpenAPI document.
        method: HTTP method; None where there is no route.
        path: route, with `{parameters}` named as the request's fields are outside.
        status: HTTP status of success.
        changes: whether it changes anything, or causes work.
        runs_in: which function does its work.
        open: whether it needs no authorisation: then API Gateway answers it by itself (.chalice/resources.yaml), and
            the API function has no route for it, which a stranger could wake it by.
    """

    name: str
    request: type[Request]
    response: type[Record]
    run: Callable[[Any, str], Record]
    summary: str
    method: str | None = None
    path: str | None = None
    status: HTTPStatus = HTTPStatus.OK
    changes: bool = False
    runs_in: RunsIn = RunsIn.ITSELF
    open: bool = False

    @property
    def audited(self) -> bool:
        """Whether who asked for it is put on record: it changes something, or a customer's account is entered."""
        return self.changes or self.runs_in is RunsIn.ACCOUNT_PROBE

    @property
    def only_reads(self) -> bool:
        """Whether reading the product's own tables is all that it takes."""
        return not self.changes and self.runs_in is RunsIn.ITSELF

    def answer(self, values: dict[str, Any], caller: str) -> dict[str, Any]:
        """Carry the operation out and return its answer, as JSON.

        Raises:
            InvalidRequest: where `values` do not fit the request's model.
            DrsActiveRegionsError: what stands in the way.
        """
        request = parsed(self.request, values)
        if self.audited:
            told = {name: "***" if name in SECRETS else value for name, value in values.items()}
            logger.info("audit", operation=self.name, caller=caller, request=told)
        return self.run(request, caller).model_dump(mode="json", by_alias=True)


def parsed(model: type[Model], values: dict[str, Any]) -> Model:
    """Return the request that `values`, by the names that fields have outside, describe.

    Raises:
        InvalidRequest: naming each field that does not fit.
    """
    try:
        return model.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _invalid(error) from None


def routes(operations: Iterable[Operation], import_name: str) -> Blueprint:
    """Return a blueprint with a view for each of `operations` that has a route and needs authorisation."""
    blueprint = Blueprint(import_name)
    for operation in operations:
        if operation.method and operation.path and not operation.open:
            view = _view(operation, blueprint)
            blueprint.route(
                operation.path, methods=[operation.method], name=operation.name, authorizer=IAMAuthorizer()
            )(view)
    return blueprint


def _view(operation: Operation, blueprint: Blueprint) -> Callable[..., Response]:
    """Return the view of `operation`: parse, delegate, answer."""

    @observed
    def view(**path: str) -> Response:
        request = blueprint.current_request
        identify(getattr(request.lambda_context, "aws_request_id", None))
        caller = str((request.context.get("identity") or {}).get("userArn") or "unknown")
        try:
            values = {**_query(operation, request), **_body(operation, request), **path}
            return Response(body=operation.answer(values, caller), status_code=int(operation.status))
        except DrsActiveRegionsError as error:
            body, status = error_body(error)
            logger.info("refused", operation=operation.name, status=status, reason=body["message"])
            return Response(body=body, status_code=status)

    view.__name__ = operation.name
    return view


def _query(operation: Operation, request: Any) -> dict[str, Any]:
    """Return the query's parameters: a list where the model wants one.

    Raises:
        InvalidRequest: where one that is no list is given twice.
    """
    parameters = request.query_params
    values: dict[str, Any] = {}
    for name in parameters or ():
        given = parameters.getlist(name)
        if _takes_list(operation.request, name):
            values[name] = given
        elif len(given) == 1:
            values[name] = given[0]
        else:
            raise InvalidRequest(f"{name}: given {len(given)} times")
    return values


def _takes_list(model: type[Record], name: str) -> bool:
    field = next((field for field in model.model_fields.values() if field.alias == name), None)
    return field is not None and get_origin(field.annotation) is list


def _body(operation: Operation, request: Any) -> dict[str, Any]:
    """Return the body's members.

    Raises:
        InvalidRequest: where it is no JSON object, too large, or names a path parameter.
    """
    if operation.method not in ("POST", "PUT"):
        return {}
    raw = request.raw_body
    if len(raw) > LARGEST_BODY:
        raise InvalidRequest(f"body: {len(raw)} bytes; {LARGEST_BODY} are allowed")
    if not raw.strip():
        return {}
    try:
        body = request.json_body
    except Exception as error:  # noqa: BLE001  Chalice's own error, and ValueError for bad encodings
        raise InvalidRequest(f"body: not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("body: a JSON object is needed")
    for name in body:
        if f"{{{name}}}" in (operation.path or ""):
            raise InvalidRequest(f"{name}: is given by the path")
    return body


def _invalid(error: ValidationError) -> InvalidRequest:
    """Return the error that names each field that does not fit; values are left out, some are secret."""
    details = [
        {"field": ".".join(map(str, fault["loc"])) or "body", "problem": fault["msg"]}
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return InvalidRequest("; ".join(f"{one['field']}: {one['problem']}" for one in details), details)

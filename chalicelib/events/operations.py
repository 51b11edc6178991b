"""Direct invocation: `{"operation": ..., ...}`. Same table, models and errors as REST.

`operations` does everything; `operations-read`, a function without a permission to write, answers questions only.
"""

from collections.abc import Mapping
from typing import Any

from chalice import Blueprint

from ..api.answers import ErrorBody, error_body
from ..api.operation import Operation
from ..api.table import OPERATIONS, QUESTIONS
from ..errors import DrsActiveRegionsError
from ..observability import logger, observed

CALLER = "direct invocation"
"""Lambda does not tell a function who invokes it; CloudTrail does, under the request ID of the log line."""

blueprint = Blueprint(__name__)


@blueprint.lambda_function(name="operations")
@observed
def operations(event: Any, _: Any) -> dict[str, Any]:
    """Carry out the operation that `event` names; errors are answers, as over REST."""
    return _carried_out(event, OPERATIONS, "")


@blueprint.lambda_function(name="operations_read")
@observed
def operations_read(event: Any, _: Any) -> dict[str, Any]:
    """Answer the question that `event` names; what changes anything is none."""
    return _carried_out(event, QUESTIONS, "; what changes anything is asked of the function operations")


def _carried_out(event: Any, known: Mapping[str, Operation], hint: str) -> dict[str, Any]:
    named = event.get("operation") if isinstance(event, dict) else None
    operation = known.get(named) if isinstance(named, str) else None
    if operation is None:
        names = sorted(known)
        message = f"unknown operation {named!r}; known are: {', '.join(names)}{hint}"
        return ErrorBody(error="UNKNOWN_OPERATION", message=message, details=names).model_dump(by_alias=True)
    try:
        return operation.answer({name: value for name, value in event.items() if name != "operation"}, CALLER)
    except DrsActiveRegionsError as error:
        body, status = error_body(error)
        logger.info("refused", operation=named, status=status, reason=body["message"])
        return body

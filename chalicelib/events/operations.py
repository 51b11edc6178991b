"""Direct invocation: `{"operation": ..., ...}`. Same table, models and errors as REST."""

from typing import Any

from chalice import Blueprint

from ..api.answers import ErrorBody, error_body
from ..api.table import OPERATIONS
from ..errors import DrsActiveRegionsError
from ..observability import logger, observed

CALLER = "direct invocation"

blueprint = Blueprint(__name__)


@blueprint.lambda_function(name="operations")
@observed
def operations(event: Any, _: Any) -> dict[str, Any]:
    """Carry out the operation that `event` names; errors are answers, as over REST."""
    named = event.get("operation") if isinstance(event, dict) else None
    operation = OPERATIONS.get(named) if isinstance(named, str) else None
    if operation is None:
        known = sorted(OPERATIONS)
        message = f"unknown operation {named!r}; known are: {', '.join(known)}"
        return ErrorBody(error="UNKNOWN_OPERATION", message=message, details=known).model_dump(by_alias=True)
    try:
        return operation.answer({name: value for name, value in event.items() if name != "operation"}, CALLER)
    except DrsActiveRegionsError as error:
        body, status = error_body(error)
        logger.info("refused", operation=named, status=status, reason=body["message"])
        return body

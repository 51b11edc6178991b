"""Errors on their way out: one place that maps them to codes and HTTP statuses."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from chalice import Response
from pydantic import ValidationError

from ..errors import AlreadyExists, DrsActiveRegionsError, InvalidRequest, NotFound, TableUnavailable
from ..observability import logger, observed

STATUS: dict[type[DrsActiveRegionsError], tuple[str, int]] = {
    InvalidRequest: ("INVALID_REQUEST", 400),
    NotFound: ("NOT_FOUND", 404),
    AlreadyExists: ("ALREADY_EXISTS", 409),
    TableUnavailable: ("TABLE_UNAVAILABLE", 503),
}


def error_body(error: Exception) -> tuple[dict[str, Any], int]:
    """Return the error body `{"error": CODE, "message": ..., "details": ...}` and the HTTP status of `error`.

    Raises:
        Exception: `error` itself, where it is none that a caller can do something about.
    """
    if isinstance(error, ValidationError):
        details = [
            {"field": ".".join(map(str, fault["loc"])) or "(body)", "problem": fault["msg"]}
            for fault in error.errors(include_url=False, include_input=False)
        ]
        message = "; ".join(f"{detail['field']}: {detail['problem']}" for detail in details)
        return {"error": "INVALID_REQUEST", "message": message, "details": details}, 400
    if isinstance(error, DrsActiveRegionsError) and type(error) in STATUS:
        code, status = STATUS[type(error)]
        return {"error": code, "message": str(error), "details": None}, status
    raise error


def answered(view: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the domain's errors, raised by a view, into answers."""

    @wraps(view)
    @observed
    def run(*arguments: Any, **named: Any) -> Any:
        try:
            return view(*arguments, **named)
        except (DrsActiveRegionsError, ValidationError) as error:
            body, status = error_body(error)
            logger.info("refused", status=status, **{"reason": body["message"]})
            return Response(body=body, status_code=status)

    return run

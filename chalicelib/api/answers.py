"""Errors on their way out: one place that maps them to codes and HTTP statuses."""

from typing import Any

from ..domain.records import Record
from ..errors import (
    AlreadyExists,
    DrsActiveRegionsError,
    InvalidRequest,
    NotFound,
    TableUnavailable,
)

STATUS: dict[type[DrsActiveRegionsError], tuple[str, int]] = {
    InvalidRequest: ("INVALID_REQUEST", 400),
    NotFound: ("NOT_FOUND", 404),
    AlreadyExists: ("ALREADY_EXISTS", 409),
    TableUnavailable: ("TABLE_UNAVAILABLE", 503),
}


class ErrorBody(Record):
    """The body of every answer that is an error.

    Attributes:
        error: its code.
        message: what is wrong, and with what.
        details: by field, where fields do not fit.
    """

    error: str
    message: str
    details: list[dict[str, str]] | list[str] | None = None


def error_body(error: DrsActiveRegionsError) -> tuple[dict[str, Any], int]:
    """Return the error body and the HTTP status of `error`.

    Raises:
        DrsActiveRegionsError: `error` itself, where it is none that a caller can do something about.
    """
    if type(error) not in STATUS:
        raise error
    code, status = STATUS[type(error)]
    details = error.details if isinstance(error, InvalidRequest) else None
    return ErrorBody(error=code, message=str(error), details=details).model_dump(by_alias=True), status

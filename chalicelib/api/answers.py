"""Errors on their way out: one place that maps them to codes and HTTP statuses."""

from typing import Any

from ..domain.records import Record
from ..domain.texts import message_text
from ..errors import (
    AlreadyExists,
    DrsActiveRegionsError,
    InvalidRequest,
    NotFound,
    TableUnavailable,
)

MOST_DETAILS = 20

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
        details: by field, where fields do not fit; the first 20, and how many more.
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
    details = _bounded(error.details) if isinstance(error, InvalidRequest) and error.details else None
    return ErrorBody(error=code, message=message_text(str(error)), details=details).model_dump(by_alias=True), status


def _bounded(details: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the first 20 of `details`, and how many more there are: a request of 1,000 scopes can have 2,000."""
    shown = [{name: message_text(text) for name, text in one.items()} for one in details[:MOST_DETAILS]]
    left_out = len(details) - len(shown)
    return [*shown, {"field": "...", "problem": f"{left_out} more"}] if left_out else shown

"""Invokes the functions that do for the API what it may not do itself: enter customer accounts, mend tables."""

import json
from typing import Any

from ..errors import DrsActiveRegionsError, InvalidRequest, NotFound, TableUnavailable
from .sessions import hub_client

ERRORS: dict[str, type[DrsActiveRegionsError]] = {
    "INVALID_REQUEST": InvalidRequest,
    "NOT_FOUND": NotFound,
    "TABLE_UNAVAILABLE": TableUnavailable,
}


class FunctionClient:
    """Asks one function and waits for its answer."""

    def __init__(self, function_name: str) -> None:
        self._function_name = function_name

    def ask(self, **event: Any) -> dict[str, Any]:
        """Return the function's answer to `event`.

        Raises:
            InvalidRequest, NotFound, TableUnavailable: as the function found.
            DrsActiveRegionsError: where the function failed.
        """
        answer = hub_client("lambda").invoke(FunctionName=self._function_name, Payload=json.dumps(event).encode())
        body: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise DrsActiveRegionsError(f"{self._function_name} failed: {body.get('errorMessage')}")
        if "error" in body:
            raise ERRORS.get(body["error"], DrsActiveRegionsError)(body["message"])
        return body

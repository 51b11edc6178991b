"""Invokes the account-probe function: the API itself may enter no customer account."""

import json
from typing import Any

from ..errors import DrsActiveRegionsError, InvalidRequest, NotFound, TableUnavailable
from .sessions import hub_client

ERRORS: dict[str, type[DrsActiveRegionsError]] = {
    "INVALID_REQUEST": InvalidRequest,
    "NOT_FOUND": NotFound,
    "TABLE_UNAVAILABLE": TableUnavailable,
}


class ProbeClient:
    """Asks the account-probe function and waits for its answer."""

    def __init__(self, function_name: str) -> None:
        self._function_name = function_name

    def ask(self, probe: str, **parameters: str) -> dict[str, Any]:
        """Return the answer to `probe`.

        Raises:
            InvalidRequest, NotFound: as the probe found.
            DrsActiveRegionsError: where the function failed.
        """
        payload = json.dumps({"probe": probe, **parameters}).encode()
        answer = hub_client("lambda").invoke(FunctionName=self._function_name, Payload=payload)
        body: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise DrsActiveRegionsError(f"{self._function_name} failed: {body.get('errorMessage')}")
        if "error" in body:
            raise ERRORS.get(body["error"], DrsActiveRegionsError)(body["message"])
        return body

"""Errors of DRS and their wire form, as botocore's model describes them."""

import json
from dataclasses import dataclass, field
from functools import lru_cache

from botocore.model import StructureShape

from sandbox.drs.service_model import service_model

# An unmodelled code gets the status with which AWS services usually send it.
_UNMODELLED_STATUS = {
    "UnrecognizedClientException": 403,
    "InvalidSignatureException": 403,
    "ExpiredTokenException": 403,
    "AccessDenied": 403,
    "RequestTimeout": 408,
    "ServiceUnavailable": 503,
}
_JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it goes over the wire."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(_JSON_HEADERS))


class DrsError(Exception):
    """A refusal that the caller sees: a code of the model (or of AWS at large), a message, and modelled members."""

    def __init__(self, code: str, message: str, *, status: int | None = None, **members: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members

    def reply(self) -> Reply:
        """Return the wire form: status and places of the members from the model, code in `x-amzn-errortype`."""
        shape = _modelled().get(self.code)
        known = shape.members if shape else {}
        values = {"message": self.message, "code": self.code, **self.members}
        headers = {"x-amzn-errortype": self.code, **_JSON_HEADERS}
        body: dict[str, object] = {"message": self.message}
        for name, member in known.items():
            value = values.get(name)
            if value is None:
                continue
            if member.serialization.get("location") == "header":
                headers[member.serialization["name"]] = str(value)
            else:
                body[name] = value
        return Reply(self._http_status(shape), json.dumps(body).encode(), headers)

    def _http_status(self, shape: StructureShape | None) -> int:
        if self.status:
            return self.status
        if shape is not None:
            return int(shape.metadata["error"]["httpStatusCode"])
        return _UNMODELLED_STATUS.get(self.code, 400)


@lru_cache(maxsize=1)
def _modelled() -> dict[str, StructureShape]:
    shapes = service_model().error_shapes
    return {shape.name: shape for shape in shapes if isinstance(shape, StructureShape)}


def uninitialised(code: str = "UninitializedAccountException") -> DrsError:
    return DrsError(code, "Account not initialized")


def not_opted_in() -> DrsError:
    """What a region answers that the account has not enabled (AWS documentation on opt-in regions)."""
    return DrsError("UnrecognizedClientException", "The security token included in the request is invalid.")


def not_found(kind: str, ident: str) -> DrsError:
    return DrsError(
        "ResourceNotFoundException", f"{kind} with ID {ident} does not exist", resourceId=ident, resourceType=kind
    )


def invalid_field(name: str, message: str) -> DrsError:
    return DrsError(
        "ValidationException", message, reason="fieldValidationFailed", fieldList=[{"name": name, "message": message}]
    )

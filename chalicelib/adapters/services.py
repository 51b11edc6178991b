"""Errors of customer accounts' services, translated by code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from ..errors import (
    AccessDenied,
    NotOptedIn,
    QuotaExceeded,
    Refused,
    ResourceNotFound,
    ServiceError,
    Throttled,
    Uninitialized,
    Unreachable,
    UnreadableAnswer,
)

THROTTLING_CODES = (
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
)
EXPIRED_CODES = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_BY_CODE: dict[str, type[ServiceError]] = {
    **dict.fromkeys(THROTTLING_CODES, Throttled),
    **dict.fromkeys(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"), AccessDenied),
    # What a region that the account has not enabled answers to otherwise good credentials (AWS, opt-in regions)
    **dict.fromkeys(
        ("UnrecognizedClientException", "InvalidClientTokenId", "AuthFailure", "OptInRequired"), NotOptedIn
    ),
    "UninitializedAccountException": Uninitialized,
    # Not in the model; what DRS answers in regions where it is not used (Steampipe's aws_drs_source_server ignores it)
    "BadRequestException": Uninitialized,
    "ResourceNotFoundException": ResourceNotFound,
    "ValidationException": Refused,
    "ConflictException": Refused,
    "ServiceQuotaExceededException": QuotaExceeded,
}


@contextmanager
def translated(subject: str) -> Iterator[None]:
    """Raise every error of AWS inside as a `ServiceError` that names `subject`.

    Raises:
        ServiceError: the kind that the service's error code stands for.
    """
    try:
        yield
    except ClientError as error:
        detail = error.response.get("Error", {})
        code = str(detail.get("Code", "Unknown"))
        kind = _BY_CODE.get(code, ServiceError)
        if error.operation_name == "AssumeRole" and kind is NotOptedIn:
            kind = ServiceError  # the hub's own credentials are at fault, not the region
        message = f"{subject}: {error.operation_name}: {code}: {detail.get('Message', '')}"
        raise kind(message, code, _retry_after(error)) from error
    except (HTTPClientError, NoConnection) as error:  # time-outs, broken and refused connections
        raise Unreachable(f"{subject}: {error}", type(error).__name__) from error
    except BotoCoreError as error:
        raise ServiceError(f"{subject}: {error}", type(error).__name__) from error
    except ResponseParserError as error:
        raise UnreadableAnswer(f"{subject}: {error}", type(error).__name__) from error


@contextmanager
def readable(subject: str) -> Iterator[None]:
    """Raise what comes of an answer that has not its modelled shape as `UnreadableAnswer`.

    botocore's parsers raise plain errors there, e.g. a ValueError for a timestamp that is none, and so does taking a
    member that is missing. Nothing but a call and the taking apart of its answer belongs inside.

    Raises:
        UnreadableAnswer: the answer cannot be read.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        message = f"{subject}: the answer cannot be read: {type(error).__name__}: {error}"
        raise UnreadableAnswer(message, type(error).__name__) from error


def _retry_after(error: ClientError) -> int | None:
    """Return `retryAfterSeconds`, which DRS sends as the header Retry-After (botocore model)."""
    modelled: Any = error.response.get("retryAfterSeconds")
    return int(modelled) if modelled is not None else retry_after_header(error.response)


def retry_after_header(answer: Any) -> int | None:
    """Return the seconds that the header Retry-After of a parsed answer asks for, or None."""
    header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return int(header) if header.isdecimal() else None

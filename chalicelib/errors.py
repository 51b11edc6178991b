"""What can go wrong, in the field's words. Adapters translate AWS's errors into these, by code.

DrsActiveRegionsError
├── SettingError            a setting is missing or malformed
├── InvalidRequest          what was asked does not fit: names the field            (HTTP 400)
├── NotFound                an unknown account, server, run                         (HTTP 404)
├── AlreadyExists           what is to be created is there                          (HTTP 409)
├── LeaseLost               a newer epoch has begun: stop, and write nothing
├── RowChanged              a row is not what the update was made from any more
├── TableUnavailable        a table could not be read, or an item is busy
└── ServiceError            a customer account's service did not do what was asked
    ├── Throttled           asked too often, `retry_after_seconds` where the service says it
    ├── AccessDenied        a role cannot be assumed, or lacks a permission
    ├── Uninitialized       DRS is not set up in the account and region
    ├── NotOptedIn          the account has not enabled the region
    ├── ResourceNotFound    the service does not know the resource
    ├── Refused             the service refuses the request as it stands
    ├── UnreadableAnswer    the service's answer cannot be read
    ├── EmptyListing        nothing is listed where servers are known: not believed yet
    ├── Unreachable         no answer came: it timed out, or the connection broke
    ├── OutOfTime           not asked: the invocation is about to end
    └── QuotaExceeded       a service quota stands in the way
"""


class DrsActiveRegionsError(Exception):
    """The base of every error of this product."""


class SettingError(DrsActiveRegionsError):
    """A setting is missing or malformed; the message names it."""


class InvalidRequest(DrsActiveRegionsError):
    """What was asked does not fit; the message names the field.

    Attributes:
        details: each field that does not fit, and why; None where the message says it all.
    """

    def __init__(self, message: str, details: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.details = details


class NotFound(DrsActiveRegionsError):
    """There is no such account, server or run."""


class AlreadyExists(DrsActiveRegionsError):
    """What is to be created is there already."""


class LeaseLost(DrsActiveRegionsError):
    """A newer epoch of the same work has begun; nothing was written."""


class RowChanged(DrsActiveRegionsError):
    """A row is not what an update was made from any more; nothing of its transaction was written."""


class TableUnavailable(DrsActiveRegionsError):
    """A table could not be read, or an item could not be written for a while."""


class ServiceError(DrsActiveRegionsError):
    """A service of a customer account answered with an error.

    Attributes:
        code: the service's error code.
        retry_after_seconds: when to try again, where the service says it.
    """

    def __init__(self, message: str, code: str = "Unknown", retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class Throttled(ServiceError):
    """The service was asked too often."""


class AccessDenied(ServiceError):
    """A role cannot be assumed, or lacks a permission."""


class Uninitialized(ServiceError):
    """DRS is not set up in the account and region."""


class NotOptedIn(ServiceError):
    """The account has not enabled the region."""


class ResourceNotFound(ServiceError):
    """The service does not know the resource."""


class Refused(ServiceError):
    """The service refuses the request as it stands."""


class UnreadableAnswer(ServiceError):
    """The service answered something that cannot be read."""


class EmptyListing(ServiceError):
    """The service lists nothing where servers are known; another scan has to find that too before it is believed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "EMPTY_LISTING")


class OutOfTime(ServiceError):
    """The service was not asked, because the invocation is about to end; the rest is done by the next one."""

    CODE = "OUT_OF_TIME"

    def __init__(self, message: str) -> None:
        super().__init__(message, self.CODE)


class Unreachable(ServiceError):
    """No answer came in time, or the connection broke; the call may have taken effect."""


class QuotaExceeded(ServiceError):
    """A service quota stands in the way."""

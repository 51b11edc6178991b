"""How a scope answered, judged by what met a run that changes it."""

from collections.abc import Collection

from ..domain.regions import ScopeState
from ..errors import AccessDenied, OutOfTime, ServiceError, Throttled

NOT_TRIED = "NOT_TRIED"


def not_tried(why: str) -> ServiceError:
    """Return the error of what was left to the next run, because of what met the others before it."""
    return ServiceError(f"not tried: {why}", NOT_TRIED)


def state_after(errors: Collection[ServiceError], done: int) -> ScopeState:
    """Return the state of a scope in which `done` changes were made and `errors` met the others.

    What meets one server, a refusal say, says nothing about the scope. Being slowed down or denied does; so does a
    service that fails and lets nothing pass.
    """
    if any(isinstance(error, Throttled) for error in errors):
        return ScopeState.THROTTLED
    if any(isinstance(error, AccessDenied) for error in errors) and not done:
        return ScopeState.ACCESS_DENIED
    broken = any(type(error) is ServiceError and error.code != NOT_TRIED for error in errors)
    return ScopeState.ERROR if broken and not done else ScopeState.AVAILABLE


def wait_asked_for(errors: Collection[ServiceError]) -> int:
    """Return the longest wait, in seconds, that a service asked for; 0: none did."""
    return max((error.retry_after_seconds or 0 for error in errors), default=0)


def out_of_time(errors: Collection[ServiceError]) -> bool:
    """Return whether the rest is to be done at once, by a new message."""
    return any(isinstance(error, OutOfTime) for error in errors)

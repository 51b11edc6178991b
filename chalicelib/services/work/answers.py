"""How a scope answered, judged by the errors of a run that changes it."""

from collections.abc import Collection

from ...domain.regions import ScopeState
from ...domain.server_changes import NOT_STORED
from ...domain.work import WorkMessage
from ...errors import (
    AccessDenied,
    NotOptedIn,
    OutOfTime,
    ServiceError,
    Throttled,
    Uninitialized,
    Unreachable,
    UnreadableAnswer,
)

NOT_TRIED = "NOT_TRIED"
MOST_CONTINUATIONS = 12  # Lambda stops a function that invokes itself through SQS about 16 times in a row


def not_tried(why: str) -> ServiceError:
    """Return the error of what was left to the next run, because of what met the others before it."""
    return ServiceError(f"not tried: {why}", NOT_TRIED)


def state_after(errors: Collection[ServiceError], done: int) -> ScopeState:
    """Return the state of a scope in which `done` changes were made and `errors` met the others.

    What meets one server, a refusal say, says nothing about the scope. Being slowed down does, and so does a service
    that keeps calls hanging or that lets nothing pass.
    """
    if any(isinstance(error, Throttled) for error in errors):
        return ScopeState.THROTTLED
    if any(isinstance(error, Unreachable) for error in errors) and any(error.code == NOT_TRIED for error in errors):
        return ScopeState.ERROR
    if done:
        return ScopeState.AVAILABLE
    if any(isinstance(error, AccessDenied) for error in errors):
        return ScopeState.ACCESS_DENIED
    return ScopeState.ERROR if any(_of_the_scope(error) for error in errors) else ScopeState.AVAILABLE


def _of_the_scope(error: ServiceError) -> bool:
    """Return whether `error` speaks of the whole scope where no call passes."""
    if isinstance(error, (Unreachable, UnreadableAnswer, NotOptedIn, Uninitialized, OutOfTime)):
        return True
    return type(error) is ServiceError and error.code not in (NOT_TRIED, NOT_STORED)


def wait_asked_for(errors: Collection[ServiceError]) -> int:
    """Return the longest wait, in seconds, that a service asked for; 0: none did."""
    return max((error.retry_after_seconds or 0 for error in errors), default=0)


def may_continue(errors: Collection[ServiceError], done: int, message: WorkMessage) -> bool:
    """Return whether the rest is to be done at once, by a new message: time ran out, and the run got somewhere.

    A run that got nowhere has failed. One that was continued too often waits for its next tick.
    """
    out_of_time = any(isinstance(error, OutOfTime) for error in errors)
    return out_of_time and done > 0 and message.continued < MOST_CONTINUATIONS

"""Calls that change one thing each, and when to stop making them.

What meets one server costs that server. What will meet the next one as well ends the run: a service that slows us down,
that does not answer, or that has refused every call so far.
"""

from collections.abc import Callable, Collection
from threading import Lock
from typing import Generic, TypeVar

from ...concurrency import executor
from ...errors import (
    NotOptedIn,
    OutOfTime,
    QuotaExceeded,
    Refused,
    ResourceNotFound,
    ServiceError,
    Throttled,
    Uninitialized,
    Unreachable,
)
from .answers import not_tried

MOST_WITHOUT_ANSWER = 8  # calls in a row that fail, from the first on, until the scope is given up for this run
MOST_UNREACHABLE = 2  # calls that may hang once the service has answered; each can take minutes
ABOUT_ONE = (Refused, ResourceNotFound, QuotaExceeded)  # the service answered: it says something of one server
ABOUT_ALL = (Throttled, NotOptedIn, Uninitialized)

Thing = TypeVar("Thing")


class ChangeCalls(Generic[Thing]):
    """Makes calls one after another until the service has answered one, then several at once.

    Args:
        call: makes one call; returns why it failed, or None.
        out_of_time: whether no further call may be begun.
        at_once: how many calls are made at the same time.
        patience: how many calls in a row may fail, from the first on, until the rest is not tried.
    """

    def __init__(
        self,
        call: Callable[[Thing], ServiceError | None],
        out_of_time: Callable[[], bool],
        at_once: int,
        patience: int = MOST_WITHOUT_ANSWER,
    ) -> None:
        self._call = call
        self._out_of_time = out_of_time
        self._at_once = at_once
        self._patience = patience
        self._lock = Lock()
        self._answered = False
        self._failed = 0
        self._unreachable = 0
        self.stopped: ServiceError | None = None

    def map(self, things: Collection[Thing]) -> list[ServiceError | None]:
        """Return how the call for each of `things` ended, in their order."""
        left, ends = list(things), []
        while left and not self._answered:
            ends.append(self._attempt(left.pop(0)))
        if not left:
            return ends
        with executor(self._at_once) as pool:
            return [*ends, *pool.map(self._attempt, left)]

    def _attempt(self, thing: Thing) -> ServiceError | None:
        if self.stopped is None and self._out_of_time():
            self.stopped = OutOfTime("no time left in this run")
        if self.stopped is not None:
            return self.stopped if isinstance(self.stopped, OutOfTime) else not_tried(str(self.stopped))
        error = self._call(thing)
        with self._lock:
            self._judge(error)
        return error

    def _judge(self, error: ServiceError | None) -> None:
        """Stop where `error` will meet the next call as well.

        A denial is only taken for the whole scope where nothing else was answered: policies may protect one server.
        Expired credentials are dropped by the session, and the next call has new ones.
        """
        if error is None or isinstance(error, ABOUT_ONE):
            self._answered, self._unreachable = True, 0
            return
        self._failed += 1
        self._unreachable += isinstance(error, Unreachable)
        hangs = self._unreachable >= (MOST_UNREACHABLE if self._answered else 1)
        refuses = not self._answered and self._failed >= self._patience
        if isinstance(error, ABOUT_ALL) or hangs or refuses:
            self.stopped = self.stopped or error

"""What a worker says when it ends. The runner makes result, due time and continuation of it."""

from collections.abc import Collection
from typing import Any, NamedTuple

from ...domain.regions import ScopeState
from ...domain.results import Problem
from ...errors import ServiceError


class Due(NamedTuple):
    """When work is due again by itself.

    Attributes:
        at: epoch seconds; None: only when it is requested.
        probe: whether that will be a look at an idle scope.
    """

    at: int | None
    probe: bool = False


NEVER = Due(None)


class Report(NamedTuple):
    """What became of a piece of work.

    Attributes:
        counts: what was seen and done, by name.
        problems: servers and origins that could not be served.
        changes: dry run: what would be done.
        message: why there was nothing to do, or what the scope says of itself.
        errors: what met the calls that change something: tells the state, how long to wait, whether to go on.
        done: how many changes were made.
        state: how the scope answered; None: judged by `errors` and `done`.
        failures: runs in a row that failed; None: judged by the state.
        due: when the work is due again; None: on its schedule, or later where it keeps failing.
        unfinished: whether the worker ran out of time: the result is not stored, and a new message goes on at once.
        goes_on: whether the result counts, and a deferred part begins at once, by a new message.
        summed: names of counts that add up with those of the invocation before, where this one goes on with what that
            put off.
        tags_version: version of the scan record up to which every tag is in place.
        target_epoch: epoch of the target's scan record that staging work was judged by.
    """

    counts: dict[str, int] = {}
    problems: Collection[Problem] = ()
    changes: Collection[dict[str, Any]] = ()
    message: str | None = None
    errors: Collection[ServiceError] = ()
    done: int = 0
    state: ScopeState | None = None
    failures: int | None = None
    due: Due | None = None
    unfinished: bool = False
    goes_on: bool = False
    summed: tuple[str, ...] = ()
    tags_version: int | None = None
    target_epoch: int | None = None


class Skip(Exception):
    """Raised by the runner, the context or a worker where there is nothing to do; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def report(self) -> Report:
        """Return the report of work that was not to be done."""
        return Report(message=self.reason, state=ScopeState.AVAILABLE, failures=0, due=NEVER)

"""Doing the same for many: what fails for one costs the others nothing, and is raised once they are done."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from ..concurrency import executor

AT_ONCE = 8

In = TypeVar("In", bound=Hashable)
Out = TypeVar("Out")


class Attempts(NamedTuple, Generic[In, Out]):
    """What became of each value: its result, or why there is none."""

    results: dict[In, Out]
    failures: list[Exception]

    def raise_first(self) -> None:
        """Raise the first failure, where there is one, with a note of how many others there are."""
        raise_first(self.failures)


def attempt_each(action: Callable[[In], Out], values: Iterable[In], at_once: int = AT_ONCE) -> Attempts[In, Out]:
    """Call `action` with every one of `values`, `at_once` at a time, whatever happens to the others.

    Args:
        action: what to do.
        values: each is tried once, duplicates included.
        at_once: how many threads; 1: one after another, in this thread.
    """
    given = list(values)
    tried: list[tuple[Out | None, Exception | None]]
    if at_once == 1 or len(given) < 2:
        tried = [_attempt(action, value) for value in given]
    else:
        with executor(at_once) as pool:
            tried = list(pool.map(lambda value: _attempt(action, value), given))
    ended = list(zip(given, tried, strict=True))
    results = {value: out for value, (out, failure) in ended if failure is None}
    return Attempts(results, [failure for _, (_, failure) in ended if failure])  # type: ignore[arg-type]


def raise_first(failures: list[Exception]) -> None:
    """Raise the first of `failures`, where there is one, with a note of how many others there are."""
    if not failures:
        return
    if len(failures) > 1:
        failures[0].add_note(f"and {len(failures) - 1} more failed, the last with: {failures[-1]!r}")
    raise failures[0]


def _attempt(action: Callable[[In], Out], value: In) -> tuple[Out | None, Exception | None]:
    try:
        return action(value), None
    except Exception as failure:  # noqa: BLE001  handed to the caller, who raises it when the others are done
        return None, failure

"""Steps of an acceptance run, and what came of each."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

Ask = Callable[[str], bool]
"""Asks whether a step may be done; the text says what it writes or costs."""


class Outcome(StrEnum):
    """What came of a step."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


class NotTriedError(Exception):
    """The step cannot be tried; the message says why. Nothing is known of what it would have shown."""


class FailedError(Exception):
    """The step was tried and showed that something is wrong; the message says what."""


class Step(NamedTuple):
    """One step.

    Attributes:
        name: what it is called.
        do: does it, and returns what was seen.
        asks: what it writes or costs, as a question; empty: it only reads, and nobody is asked.
    """

    name: str
    do: Callable[[], str]
    asks: str = ""


class Verdict(NamedTuple):
    """What came of a step, and what was seen or why not."""

    step: str
    outcome: Outcome
    told: str


def verdicts(steps: Iterable[Step], ask: Ask) -> Iterator[Verdict]:
    """Do every step in order, whatever became of those before; yield the verdict of each as it is known."""
    for step in steps:
        yield _verdict(step, ask)


def _verdict(step: Step, ask: Ask) -> Verdict:
    try:
        if step.asks and not ask(step.asks):
            return Verdict(step.name, Outcome.NOT_TRIED, "was not agreed to")
        return Verdict(step.name, Outcome.OK, step.do())
    except NotTriedError as reason:
        return Verdict(step.name, Outcome.NOT_TRIED, str(reason))
    except FailedError as reason:
        return Verdict(step.name, Outcome.FAILED, str(reason))
    except Exception as error:  # noqa: BLE001  whatever a step trips over is its finding; the next ones are tried
        return Verdict(step.name, Outcome.FAILED, f"{type(error).__name__}: {error}")


def exit_status(found: Iterable[Verdict]) -> int:
    """Return 1 where a step failed, else 0: what was not tried says nothing."""
    return int(any(verdict.outcome is Outcome.FAILED for verdict in found))

"""Asking for work: the items want it first, then the messages go out, so that what stops half-way comes due again."""

from collections.abc import Iterable

from ..domain.work import WorkId, WorkMessage
from .attempts import attempt_each
from .ports import Queue, WorkStates


def ask_for(
    works: Iterable[WorkId],
    work_states: WorkStates,
    queue: Queue,
    due_again: int,
    status_version: int | None = None,
) -> dict[WorkId, int]:
    """Want each of `works` once more and wake its worker. Safe to repeat: that is one more run.

    Args:
        works: what is wanted.
        work_states: the work items.
        queue: the work queues.
        due_again: epoch seconds at which work whose message was lost comes due again.
        status_version: version of the region's status row that the work was planned from, where there is one.

    Returns:
        By work, the value that its item's `done` reaches once this request is settled.

    Raises:
        Exception: what met the first item that could not be written; the others were asked for.
    """
    asked = attempt_each(lambda work: work_states.ask(work, due_again), works)
    queue.send(WorkMessage.about(work, status_version) for work in asked.results)
    asked.raise_first()
    return asked.results

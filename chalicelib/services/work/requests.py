"""Requests for work: the items want it first, then messages go out, so that what stops half-way comes due again."""

from collections.abc import Iterable

from ...domain.work import WorkId, WorkMessage
from ..attempts import attempt_each
from ..ports import Clock, Queue, WorkStates


class WorkRequests:
    """Requests work on behalf of whoever finds that it is needed.

    Args:
        redeliver_after: seconds after which work whose message was lost comes due again.
    """

    def __init__(self, work_states: WorkStates, queue: Queue, clock: Clock, redeliver_after: int) -> None:
        self._work_states = work_states
        self._queue = queue
        self._clock = clock
        self._redeliver_after = redeliver_after

    def due_again(self) -> int:
        """Return the epoch second at which work that is requested now comes due again should its message be lost."""
        return int(self._clock()) + self._redeliver_after

    def request_work(self, work_ids: Iterable[WorkId], status_version: int | None = None) -> dict[WorkId, int]:
        """Want each piece of work once more and wake its worker. Safe to repeat: that is one more run.

        Args:
            work_ids: what is wanted.
            status_version: version of the region's status row that the work was planned from, where there is one.

        Returns:
            By work, the value that its item's `done` reaches once this request is settled.

        Raises:
            Exception: what met the first item that could not be written; the others were requested.
        """
        again = self.due_again()
        requested = attempt_each(lambda work: self._work_states.request(work, again), work_ids)
        self._queue.send(WorkMessage.about(work, status_version) for work in requested.results)
        requested.raise_first()
        return requested.results

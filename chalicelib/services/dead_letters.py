"""Dead letters: looking at them, and redriving them once what stood in the way is gone.

Safe to repeat: work is asked for before its letter is deleted, and asking twice is one more run.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..domain.dead_letters import DeadLetter, DeadLetterQueue, Received, work_of
from ..observability import logger
from .attempts import raise_first
from .ports import Clock, DeadLetters
from .reconciliation import Reconciler, Reconciliation
from .work.requests import WorkRequests


class Redriven(NamedTuple):
    """What became of the letters of a queue.

    Attributes:
        redriven: letters whose work was asked for again, or whose loss was made good.
        discarded: letters that can never be worked off, deleted on request.
        left: letters that can never be worked off and stay.
        more: whether letters may be left that were not looked at: time or the limit ran out.
        reconciliation: what was mended, where stream failures were redriven.
    """

    redriven: list[DeadLetter]
    discarded: list[DeadLetter]
    left: list[DeadLetter]
    more: bool
    reconciliation: Reconciliation | None = None


class DeadLetterService:
    """Tells and redrives dead letters.

    Args:
        seconds: how long one call goes on taking letters.
    """

    def __init__(
        self,
        letters: DeadLetters,
        reconciler: Reconciler,
        requests: WorkRequests,
        clock: Clock,
        seconds: int,
    ) -> None:
        self._letters = letters
        self._reconciler = reconciler
        self._requests = requests
        self._clock = clock
        self._seconds = seconds

    def list(self, queue: DeadLetterQueue, limit: int) -> list[DeadLetter]:
        """Return up to `limit` letters of `queue`, and put them back."""
        received = list(self._take(queue, limit))
        self._letters.put_back(queue, received)
        return [one.letter for one in received]

    def redrive(self, queue: DeadLetterQueue, limit: int, *, discard: bool = False) -> Redriven:
        """Have up to `limit` letters of `queue` made good, and delete them.

        Work is asked for again. For stream failures the tables are reconciled: the letters name places in the stream,
        whose records may be gone. They are deleted whether or not that comes to its end within its time: the answer
        says where it goes on, and the resync reaches the rest by itself. A schedule's tick is not played again: what
        was due then is due now.

        Args:
            queue: which letters.
            limit: how many.
            discard: whether to delete letters that can never be worked off; else they stay.

        Raises:
            Exception: what met the first letter whose work could not be asked for: it stays; the others are done with.
        """
        good: list[Received] = []
        bad: list[Received] = []
        failures: list[Exception] = []
        received = list(self._take(queue, limit))
        mended = self._reconciler.reconcile() if queue is DeadLetterQueue.STREAM and received else None
        for one in received:
            try:
                (good if queue is not DeadLetterQueue.WORK or self._asked_again(one) else bad).append(one)
            except Exception as failure:  # noqa: BLE001  raised once the other letters are done with
                self._letters.put_back(queue, [one])
                failures.append(failure)
        for one in [*good, *(bad if discard else [])]:
            self._letters.delete(queue, one)
            logger.info("dead letter deleted", queue=queue, letter=one.letter.item())
        if not discard:
            self._letters.put_back(queue, bad)
        raise_first(failures)
        told = [one.letter for one in bad]
        return Redriven(
            redriven=[one.letter for one in good],
            discarded=told if discard else [],
            left=[] if discard else told,
            more=len(received) == limit or self._letters.waiting(queue) > 0,
            reconciliation=mended,
        )

    def _asked_again(self, received: Received) -> bool:
        """Ask for the work of a letter; False where it names none."""
        work = work_of(received.body)
        if work is None:
            return False
        self._requests.request_work([work])
        return True

    def _take(self, queue: DeadLetterQueue, limit: int) -> Iterator[Received]:
        """Yield up to `limit` letters, until none comes or time runs out."""
        until = self._clock() + self._seconds
        taken = 0
        while taken < limit and self._clock() < until:
            some = self._letters.receive(queue, limit - taken)
            if not some:
                return
            taken += len(some)
            yield from some

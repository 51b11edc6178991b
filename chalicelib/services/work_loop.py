"""One piece of work from its message to its end, whatever its kind."""

from collections.abc import Callable

from ..domain import circuit
from ..domain.leases import Lease, Outcome, Taken
from ..domain.work import WorkMessage
from ..errors import LeaseLost
from ..observability import count_calls, logger, milliseconds
from .ports import Clock, Queue, WorkStates

Worker = Callable[[Taken, WorkMessage], Outcome]

LONGEST_SWEEP = 8  # times the redelivery time: how far work that always breaks off is put off


class WorkLoop:
    """Takes the lease, has the work done, gives the lease back (docs/architecture.md, "Work").

    Args:
        redeliver_after: seconds after which work whose message was lost comes due again.
    """

    def __init__(self, work_states: WorkStates, queue: Queue, clock: Clock, redeliver_after: int) -> None:
        self._work_states = work_states
        self._queue = queue
        self._clock = clock
        self._redeliver_after = redeliver_after

    def handle(self, message: WorkMessage, worker: Worker, lease_seconds: int) -> Outcome | None:
        """Do the work of `message`; None where nothing was wanted, or somebody else is at it.

        Raises:
            Exception: whatever the worker raised, after the lease was given back: the message is to be retried.
        """
        started = self._clock()
        taken = self._work_states.take(message.work, int(started), int(started) + lease_seconds)
        if taken is None:
            logger.debug("nothing to do", work=message.work.key)
            return None
        try:
            outcome = worker(taken, message)
            more = self._give_back(taken.lease, outcome)
        except LeaseLost as lost:
            logger.warning("superseded, nothing more is written", work=message.work.key, reason=str(lost))
            return None
        except Exception as error:
            self._work_states.fail(taken.lease, f"{type(error).__name__}: {error}", self._again(taken.failures + 1))
            raise
        if more:
            self._queue.send([message.continuing(outcome.unfinished or outcome.goes_on)])
        self._report(message, outcome, self._clock() - started)
        return outcome

    def _give_back(self, lease: Lease, outcome: Outcome) -> bool:
        """Give the lease back; return whether a message has to be sent: more was wanted, put off, or time ran out."""
        if not outcome.unfinished:
            more = self._work_states.finish(lease, outcome, self._again())
            if outcome.goes_on and not more:
                self._work_states.ask(lease.work, self._again())
            return more or outcome.goes_on
        self._work_states.release(lease, self._again())
        logger.info("out of time, goes on in a new message", work=lease.work.key)
        return True

    def _again(self, failures: int = 0) -> int:
        """Return when the work comes due again should its message be lost; later where it breaks off every time."""
        longest = LONGEST_SWEEP * self._redeliver_after
        return int(self._clock()) + circuit.wait(failures, self._redeliver_after, longest)

    @staticmethod
    def _report(message: WorkMessage, outcome: Outcome, seconds: float) -> None:
        result = outcome.result
        calls = sum(result.calls.values())
        logger.info(
            f"{message.work.key}: {result.state}, {calls} API calls",
            counts=result.counts,
            calls=result.calls,
            problems=[problem.item() for problem in result.problems[:10]],
            reason=result.message,
        )
        count_calls(result.calls)
        milliseconds(f"{message.kind.capitalize()}Duration", seconds * 1000)

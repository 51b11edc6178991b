"""One piece of work from its message to its end, whatever its kind."""

from collections.abc import Callable

from ..domain import circuit
from ..domain.leases import Lease, Outcome, Taken
from ..domain.work import WorkMessage
from ..errors import LeaseLost
from ..observability import count, count_calls, logger, milliseconds
from .ports import Clock, Queue, WorkStates
from .scan_failures import ScanFailures

Worker = Callable[[Taken, WorkMessage], Outcome]

LONGEST_SWEEP = 8  # times the redelivery time: how far work that always breaks off is put off
DIED = "the last worker ended without giving its work back: out of memory or time, or its process was killed"


class WorkLoop:
    """Takes the lease, has the work done, gives the lease back (docs/architecture.md, "Work").

    Args:
        redeliver_after: seconds after which work whose message was lost comes due again.
    """

    def __init__(
        self, work_states: WorkStates, queue: Queue, scan_failures: ScanFailures, clock: Clock, redeliver_after: int
    ) -> None:
        self._work_states = work_states
        self._queue = queue
        self._scan_failures = scan_failures
        self._clock = clock
        self._redeliver_after = redeliver_after

    def handle(self, message: WorkMessage, worker: Worker, lease_seconds: int, *, alone: bool = True) -> Outcome | None:
        """Do the work of `message`; None where nothing was wanted, somebody else is at it, or it is not begun now.

        Args:
            message: the message.
            worker: does the work.
            lease_seconds: how long the lease is to be held.
            alone: whether nothing else of the invocation is left to be done. Work that broke off, or whose worker died,
                the last time is begun in this case only, and has itself woken once more in the other.

        Raises:
            Exception: whatever the worker raised, after the lease was given back: the message is to be retried.
        """
        started = self._clock()
        taken = self._work_states.take(message.work, int(started), int(started) + lease_seconds)
        if taken is None:
            logger.debug("nothing to do", work=message.work.key)
            return None
        try:
            if not self._may_begin(taken, message, alone):
                return None
            outcome = worker(taken, message)
            more = self._give_back(taken.lease, outcome, message)
        except LeaseLost as lost:
            logger.warning("superseded, nothing more is written", work=message.work.key, reason=str(lost))
            return None
        except Exception as error:
            again = self._again(taken.failures + 1)
            self._scan_failures.record(taken.lease, f"the scan broke off unexpectedly: {type(error).__name__}", again)
            self._work_states.fail(taken.lease, f"{type(error).__name__}: {error}", again)
            raise
        if more:
            self._queue.send([message.continuing(outcome.unfinished or outcome.goes_on)])
        self._report(message, outcome, self._clock() - started)
        return outcome

    def give_up(self, message: WorkMessage, reason: str) -> bool:
        """Put the work of a message off that was received too often; False where it is done, or somebody is at it."""
        now = int(self._clock())
        taken = self._work_states.take(message.work, now, now + self._redeliver_after)
        if taken is None:
            return False
        try:
            self._put_off(taken.lease, reason)
        except LeaseLost:
            return False
        return True

    def _may_begin(self, taken: Taken, message: WorkMessage, alone: bool) -> bool:
        """Return whether the work is to be done now: not where its workers keep dying, or it endangers others."""
        lease = taken.lease
        if taken.died:
            logger.error("the worker before this one died", work=lease.work.key, failures=taken.failures)
            count("DeadWorkers")
            if circuit.is_open(taken.failures):
                self._put_off(lease, DIED)
                return False
            self._scan_failures.record(lease, DIED, int(self._clock()))
            self._work_states.note_error(lease, DIED)
        if alone or not taken.failures:
            return True
        self._work_states.release(lease, self._due_after(message))
        if message.may_be_followed:
            self._queue.send([message.again(alone=True)])
        return False

    def _put_off(self, lease: Lease, reason: str) -> None:
        until = self._again(lease.failures)
        self._scan_failures.record(lease, reason, until)
        self._work_states.put_off(lease, reason, until)

    def _give_back(self, lease: Lease, outcome: Outcome, message: WorkMessage) -> bool:
        """Give the lease back; return whether a message has to be sent: more was wanted, put off, or time ran out.

        After too many messages in a row none is: the work is due at once, and the next tick begins a new row.
        """
        again = self._due_after(message)
        if not outcome.unfinished:
            more = self._work_states.finish(lease, outcome, again)
            if outcome.goes_on and not more:
                self._work_states.ask(lease.work, again)
            more = more or outcome.goes_on
        else:
            self._work_states.release(lease, again)
            logger.info("out of time, goes on in a new message", work=lease.work.key)
            more = True
        if more and not message.may_be_followed:
            logger.warning("goes on when it comes due: too many messages in a row", work=lease.work.key)
            return False
        return more

    def _due_after(self, message: WorkMessage) -> int:
        """Return when the work comes due that goes on after `message`: at once where no further message is sent."""
        return self._again() if message.may_be_followed else int(self._clock())

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

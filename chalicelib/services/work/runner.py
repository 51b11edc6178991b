"""One piece of work from its message to its end, whatever its kind: lease, guards, result, due time, continuation."""

from typing import Protocol

from ...domain import circuit
from ...domain.kinds import KINDS
from ...domain.leases import Lease, LeasedWork, Outcome, due_again, failures_after
from ...domain.results import WorkResult
from ...domain.work import Cadence, WorkMessage
from ...errors import LeaseLost
from ...observability import count, count_calls, logger, milliseconds
from ..active_region_filter import ActiveRegionFilter
from .answers import may_continue, state_after, wait_asked_for
from .context import WorkContext, WorkPorts
from .report import NEVER, Due, Report, Skip


class Worker(Protocol):
    """Does one kind of work, one scope at a time."""

    def sync(self, work: WorkContext) -> Report:
        """Do the work, and say what became of it."""
        ...


class FailureRecords(Protocol):
    """Records work that ended without a result."""

    def record(self, lease: Lease, message: str, next_try_at: int) -> None:
        """Record that the work of `lease` failed, why, and the epoch second at which it is tried again."""
        ...


LONGEST_RETRY = 8  # times the redelivery time: the longest delay of work that breaks off every time
DIED = "the last worker ended without giving its work back: out of memory or time, or its process was killed"


class WorkRunner:
    """Takes the lease, has the work done, gives the lease back (docs/architecture.md, "Work").

    Args:
        ports: the engine's ports.
        region_filter: which regions are active: work that follows scans is done in these only.
        failures: records work that ended without a result.
        cadence: how often work comes due.
        redeliver_after: seconds after which work whose message was lost comes due again.
    """

    def __init__(
        self,
        ports: WorkPorts,
        region_filter: ActiveRegionFilter,
        failures: FailureRecords,
        cadence: Cadence,
        redeliver_after: int,
    ) -> None:
        self._ports = ports
        self._work_states = ports.work_states
        self._queue = ports.queue
        self._clock = ports.clock
        self._filter = region_filter
        self._failures = failures
        self._cadence = cadence
        self._redeliver_after = redeliver_after

    def handle(self, message: WorkMessage, worker: Worker, lease_seconds: int, *, alone: bool = True) -> Outcome | None:
        """Do the work of `message`; None where nothing was done.

        That is so where nothing is wanted, another worker holds the lease or took it over, or the work is deferred.

        Args:
            message: the message.
            worker: does the work.
            lease_seconds: how long the lease is to be held.
            alone: whether nothing else of the invocation is left to be done. Work whose last worker raised or died
                starts only then; otherwise its lease is released, and a message that is marked `alone` is sent.

        Raises:
            Exception: whatever the worker raised, once the lease is given back: the message is to be retried.
        """
        started = self._clock()
        taken = self._work_states.take(message.work, int(started), int(started) + lease_seconds)
        if taken is None:
            logger.debug("nothing to do", work=message.work.key)
            return None
        try:
            if not self._begin_or_defer(taken, message, alone):
                return None
            outcome = self._outcome(worker, taken, message)
            more = self._give_back(taken.lease, outcome, message)
        except LeaseLost as lost:
            logger.warning("superseded, nothing more is written", work=message.work.key, reason=str(lost))
            return None
        except Exception as error:
            again = self._again(taken.failures + 1)
            self._failures.record(taken.lease, f"the scan broke off unexpectedly: {type(error).__name__}", again)
            self._work_states.fail(taken.lease, f"{type(error).__name__}: {error}", again)
            raise
        if more:
            self._queue.send([message.continuing(unfinished=outcome.unfinished or outcome.goes_on)])
        self._report(message, outcome, self._clock() - started)
        return outcome

    def give_up(self, message: WorkMessage, reason: str) -> bool:
        """Postpone the work of a message that SQS delivered too often.

        Returns False where the work is done, or another worker holds its lease.
        """
        now = int(self._clock())
        taken = self._work_states.take(message.work, now, now + self._redeliver_after)
        if taken is None:
            return False
        try:
            self._put_off(taken.lease, reason)
        except LeaseLost:
            return False
        return True

    def _outcome(self, worker: Worker, leased: LeasedWork, message: WorkMessage) -> Outcome:
        """Return what became of the work, and when it is due again."""
        ports, snapshot = self._ports, self._ports.calls.snapshot()
        work = WorkContext(leased, message, ports, self._cadence)
        try:
            self._require_active_region(message)
            report = worker.sync(work)
        except Skip as skip:
            report = skip.report()
        state = report.state or state_after(report.errors, report.done)
        failures = report.failures
        if failures is None:
            failures = 0 if work.dry_run else failures_after(state, leased.result)
        result = WorkResult(
            finished_at=work.now,
            epoch=work.epoch,
            state=state,
            message=report.message,
            calls=ports.calls.calls_since(snapshot),
            counts=report.counts,
            tags_version=report.tags_version,
            target_epoch=report.target_epoch,
            failures=failures,
        ).reporting(report.problems, report.changes)
        due = report.due or self._due(work, result, report)
        continues = not work.dry_run and may_continue(report.errors, report.done, message)
        return Outcome(
            _joined(result, report, leased, message),
            due.at,
            due.probe,
            unfinished=report.unfinished or continues,
            goes_on=report.goes_on,
        )

    def _require_active_region(self, message: WorkMessage) -> None:
        """Skip work that follows scans where its region is not active any more: the message may be old."""
        version = message.status_version
        if KINDS[message.kind].scans or version is None:
            return
        if not self._filter.is_active(message.region, version):
            raise Skip("the region is not active")

    def _due(self, work: WorkContext, result: WorkResult, report: Report) -> Due:
        """Return when the work is due again: a dry run never by itself, a scope that keeps failing later."""
        if work.dry_run:
            return NEVER
        longest = self._cadence.seconds(KINDS[work.lease.work.kind].longest_wait)
        wait = wait_asked_for(report.errors)
        return Due(due_again(result.failures, work.lease, work.seconds, self._cadence, longest, wait))

    def _begin_or_defer(self, taken: LeasedWork, message: WorkMessage, alone: bool) -> bool:
        """Return whether the work starts now; otherwise the lease has been given back.

        It is deferred where its workers keep dying, or where it would endanger the other work of the invocation.
        """
        lease = taken.lease
        if taken.died:
            logger.error("the worker before this one died", work=lease.work.key, failures=taken.failures)
            count("DeadWorkers")
            if circuit.is_open(taken.failures):
                self._put_off(lease, DIED)
                return False
            self._failures.record(lease, DIED, int(self._clock()))
            self._work_states.note_error(lease, DIED)
        if alone or not taken.failures:
            return True
        self._work_states.release(lease, self._due_after(message))
        if message.may_be_followed:
            self._queue.send([message.again(alone=True)])
        return False

    def _put_off(self, lease: Lease, reason: str) -> None:
        until = self._again(lease.failures)
        self._failures.record(lease, reason, until)
        self._work_states.put_off(lease, reason, until)

    def _give_back(self, lease: Lease, outcome: Outcome, message: WorkMessage) -> bool:
        """Give the lease back; return whether a message has to be sent: more was wanted, put off, or time ran out.

        After too many messages in a row no further one is sent: the work is due now, and the next tick starts anew.
        """
        again = self._due_after(message)
        if not outcome.unfinished:
            more = self._work_states.finish(lease, outcome, again)
            if outcome.goes_on and not more:
                self._work_states.request(lease.work, again)
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
        longest = LONGEST_RETRY * self._redeliver_after
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


def _joined(result: WorkResult, report: Report, leased: LeasedWork, message: WorkMessage) -> WorkResult:
    """Return the result with what the invocation before found, where this one goes on with what that put off."""
    before = leased.result
    if not report.summed or not message.continued or before is None or before.epoch != result.epoch - 1:
        return result
    sums = {name: before.counts.get(name, 0) + result.counts.get(name, 0) for name in report.summed}
    calls = {name: before.calls.get(name, 0) + result.calls.get(name, 0) for name in {*before.calls, *result.calls}}
    return result.model_copy(update={"counts": {**result.counts, **sums}, "calls": dict(sorted(calls.items()))})

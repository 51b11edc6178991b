"""Planning: which work is done now (R1, R4 to R6).

A schedule's tick plans what is due, from an index by due time: its cost grows with what is due, never with accounts x
regions. A sync on request plans the active scopes, or those that are named. Where nothing was ever synced, or
filtering is off, every scope is planned.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import uuid4

from ...domain.accounts import Account
from ...domain.follow_up import follow_ups
from ...domain.kinds import KINDS, SCAN
from ...domain.leases import DueWork
from ...domain.results import Run, RunMode
from ...domain.scopes import Scope
from ...domain.work import Cadence, WorkId, WorkKind, WorkMessage, slack
from ...errors import InvalidRequest
from ...observability import count, logger, percent
from ..active_region_filter import ActiveRegionFilter, Decision
from ..attempts import attempt_each, raise_first
from ..fleet import Fleet
from ..ports import Accounts, Clock, DrsRegions, Queue, Runs, WorkStates
from .requests import WorkRequests

In = TypeVar("In", WorkId, DueWork)


class SyncRequest(NamedTuple):
    """A sync that somebody asks for.

    Attributes:
        kind: what to sync.
        scopes: which scopes; None: the active ones.
        dry_run: whether only to say what would be done (tags and staging).
        retry_refused: staging: whether to try again what was refused or removed.
        requested_by: who asks.
        run_id: the run's ID where it was given out before; None: a new one.
    """

    kind: WorkKind
    scopes: list[Scope] | None = None
    dry_run: bool = False
    retry_refused: bool = False
    requested_by: str = "operator"
    run_id: str | None = None


class Plan(NamedTuple):
    """What was chosen, how, how many of it are looks at idle scopes, and what met items that could not be written."""

    mode: RunMode
    asked: dict[WorkId, int]
    probes: int = 0
    failures: list[Exception] = []


class PlannerPorts(NamedTuple):
    """What planning needs of the outside world."""

    accounts: Accounts
    work_states: WorkStates
    queue: Queue
    runs: Runs
    drs_regions: DrsRegions
    clock: Clock


class Planner:
    """Plans runs: asks for work, sends its messages, stores the run."""

    def __init__(
        self,
        region_filter: ActiveRegionFilter,
        fleet: Fleet,
        ports: PlannerPorts,
        requests: WorkRequests,
        *,
        cadence: Cadence,
        run_retention_days: int,
    ) -> None:
        self._filter = region_filter
        self._fleet = fleet
        self._accounts = ports.accounts
        self._work_states = ports.work_states
        self._queue = ports.queue
        self._runs = ports.runs
        self._drs_regions = ports.drs_regions
        self._clock = ports.clock
        self._requests = requests
        self._cadence = cadence
        self._run_retention = timedelta(days=run_retention_days)

    def tick(self, kind: WorkKind) -> Run:
        """Plan what is due of `kind`, for a schedule. A run with nothing planned is not stored.

        Raises:
            Exception: what met the first item that could not be written; everything else was planned.
        """
        decision = self._filter.decide()
        plan = self._plan_due(kind, decision) if decision.filtered else self._plan_everything(kind, decision)
        return self._start(kind, plan, decision, "schedule")

    def sync(self, request: SyncRequest) -> Run:
        """Plan a sync that somebody asks for.

        Raises:
            NotFound: where a named scope's account is not registered.
            InvalidRequest: where a named scope cannot have such work.
        """
        if request.dry_run and not KINDS[request.kind].dry_run:
            raise InvalidRequest("dryRun: an inventory sync only reads customer accounts; there is nothing to try out")
        decision = self._filter.decide()
        if request.scopes is not None:
            plan = self._ask(RunMode.NAMED, self._named(request), request)
        elif decision.filtered:
            plan = self._ask(RunMode.ACTIVE, self._active(request.kind, decision), request)
        else:
            plan = self._plan_everything(request.kind, decision, request)
        return self._start(
            request.kind, plan, decision, request.requested_by, dry_run=request.dry_run, run_id=request.run_id
        )

    def new_run_id(self, kind: WorkKind) -> str:
        """Return an ID for a run of `kind` that begins now."""
        return f"{datetime.fromtimestamp(self._clock(), UTC):%Y%m%dT%H%M%SZ}-{kind}-{uuid4().hex[:8]}"

    def _plan_due(self, kind: WorkKind, decision: Decision) -> Plan:
        now = int(self._clock())
        due = list(self._work_states.due(kind, now + slack(self._cadence.interval(kind))))
        active = set(decision.regions)
        chosen = [work for work in due if KINDS[kind].scans or work.work.scope.region in active]
        idle = sorted(set(due) - set(chosen))
        retired = attempt_each(self._work_states.retire, idle)
        chosen += [work for work, out in retired.results.items() if not out]  # still wanted: to be settled
        claimed, failures = self._claim(chosen)
        probes = sum(work.probe for work in claimed)
        asked = {work.work: wanted for work, wanted in claimed.items()}
        return Plan(RunMode.DUE, asked, probes, [*retired.failures, *failures])

    def _claim(self, works: list[DueWork]) -> tuple[dict[DueWork, int], list[Exception]]:
        """Want those of `works` once more that no other planner has claimed meanwhile."""
        now, again = int(self._clock()), self._requests.due_again()
        return self._each(lambda work: self._work_states.claim(work, now, again), works)

    def _plan_everything(self, kind: WorkKind, decision: Decision, request: SyncRequest | None = None) -> Plan:
        """Plan every scope; where nothing was ever synced, every scope's scan as well: scans fill the status table."""
        mode = RunMode.FALLBACK if decision.fallback else RunMode.ALL
        if request:
            _, asked, _, failures = self._ask(mode, self._every(kind), request)
        else:
            asked, failures = self._ask_what_is_idle(kind)
            due, overdue_failures = self._claim(list(self._work_states.due(kind, int(self._clock()))))
            # what is due although every scope was asked for: work of accounts that do not take part any more
            asked |= {work.work: wanted for work, wanted in due.items()}
            failures = [*failures, *overdue_failures]
        if decision.fallback and not KINDS[kind].scans:
            scans, scan_failures = self._ask_what_is_idle(SCAN)
            asked, failures = asked | scans, [*failures, *scan_failures]
        return Plan(mode, asked, failures=failures)

    def _ask_what_is_idle(self, kind: WorkKind) -> tuple[dict[WorkId, int], list[Exception]]:
        """Ask for the work of every scope, but for what waits already: ticks do not pile up while workers are busy."""
        now, again = int(self._clock()), self._requests.due_again()
        return self._each(lambda work: self._work_states.request_unless_waiting(work, now, again), self._every(kind))

    @staticmethod
    def _each(ask: Callable[[In], int | None], works: Iterable[In]) -> tuple[dict[In, int], list[Exception]]:
        """Return what `ask` answered for each of `works`, None left out, and what met the others."""
        tried = attempt_each(ask, works)
        return {work: wanted for work, wanted in tried.results.items() if wanted is not None}, tried.failures

    def _ask(self, mode: RunMode, works: Iterable[WorkId], request: SyncRequest) -> Plan:
        again = self._requests.due_again()
        wanted = [WorkId(work.kind, work.scope, request.dry_run) for work in works]
        refused = request.retry_refused and KINDS[request.kind].retries_refused
        asked = attempt_each(lambda work: self._work_states.request(work, again, retry_refused=refused), wanted)
        return Plan(mode, asked.results, failures=asked.failures)

    def _named(self, request: SyncRequest) -> list[WorkId]:
        accounts: dict[str, Account] = {}
        for scope in request.scopes or []:
            account = accounts.get(scope.account_id) or self._fleet.account_or_raise(scope.account_id)
            if scope.region not in self._drs_regions(account.partition):
                raise InvalidRequest(f"scopes: '{scope.region}' is not a DRS region of partition {account.partition}")
            if not account.has_drs:
                raise InvalidRequest(f"scopes: {account.kind} account {account.account_id} has no {request.kind} work")
            accounts[scope.account_id] = account
        return [WorkId(request.kind, scope) for scope in dict.fromkeys(request.scopes or [])]

    def _active(self, kind: WorkKind, decision: Decision) -> list[WorkId]:
        """Return the work of every active scope, from the scan records of the active regions."""
        active = self._fleet.active_scans(decision.regions)
        if KINDS[kind].scans:
            return [WorkId(kind, scan.scope) for scan in active]
        targets = self._fleet.targets(active) if KINDS[kind].targets_only else {}
        following = {work for scan in active for work in follow_ups(scan, targets.get(scan.account_id, ()))}
        return sorted(work for work in following if work.kind is kind)

    def _every(self, kind: WorkKind) -> list[WorkId]:
        """Return the work of every scope of every account: accounts x regions, for fallback and kill switch only."""
        accounts = [account for account in self._accounts.read_all() if account.is_active and account.has_drs]
        if KINDS[kind].targets_only:
            targets = {target for account in accounts for target in self._accounts.targets_of(account.account_id)}
            accounts = [account for account in accounts if account.account_id in targets]
        return [
            WorkId(kind, Scope(account.account_id, region))
            for account in accounts
            for region in self._drs_regions(account.partition)
        ]

    def _start(
        self,
        kind: WorkKind,
        plan: Plan,
        decision: Decision,
        requested_by: str,
        *,
        dry_run: bool = False,
        run_id: str | None = None,
    ) -> Run:
        """Send the messages of what was planned, store the run and report it; then raise what went wrong before.

        The items want the work before a message is sent: what stops half-way comes due again by itself. An item that
        could not be written keeps its due time: the schedule's retry, or its next tick, plans it.
        """
        messages = [WorkMessage.about(work, _status_version(work, decision)) for work in plan.asked]
        sent = attempt_each(self._queue.send, [tuple(messages)])
        now = datetime.fromtimestamp(self._clock(), UTC)
        run = Run(
            run_id=run_id or self.new_run_id(kind),
            kind=kind,
            mode=plan.mode,
            dry_run=dry_run,
            requested_by=requested_by,
            created_at=now,
            regions_used=sorted({work.scope.region for work in plan.asked}),
            regions_skipped=decision.skipped,
            planned_scopes=len(plan.asked),
            probes=plan.probes,
            total_scopes=max(decision.total_scopes, len({work.scope for work in plan.asked})),
            expires_at=int((now + self._run_retention).timestamp()),
        )
        if plan.asked:
            self._runs.store(run, plan.asked)
        self._report(run)
        raise_first([*plan.failures, *sent.failures])
        return run

    @staticmethod
    def _report(run: Run) -> None:
        skipped = max(0, run.total_scopes - run.planned_scopes)
        reduction = 100 * skipped / run.total_scopes if run.total_scopes else 0.0
        logger.info(
            f"{run.kind}: planned {run.planned_scopes} of {run.total_scopes} scopes, {reduction:.1f} % fewer",
            run=run.run_id,
            mode=run.mode,
            probes=run.probes,
        )
        percent("APICallReduction", reduction)
        count("ScopesPlanned", run.planned_scopes)
        count("ProbesPlanned", run.probes)


def _status_version(work: WorkId, decision: Decision) -> int | None:
    """Return the version of the region's row that the work was planned from; None where it was not filtered by it."""
    status = decision.statuses.get(work.scope.region)
    return status.version if status and decision.filtered and status.active else None

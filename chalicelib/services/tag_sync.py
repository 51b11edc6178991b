"""Tag sync of one scope: EC2's tags onto the DRS servers (R2).

Works from the inventory: where nothing changed since the last complete run, one item is read and DRS is not called.
Reads the rows, plans (`domain/tag_plan.py`), and applies the plan in batches.
Safe to repeat: setting a tag again is harmless, and what this product is about to write is noted first (`intent`), so
that a worker that dies between DRS and the inventory leaves no tag without an owner.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from ..domain import circuit, tags
from ..domain.accounts import Account
from ..domain.leases import Lease, Outcome, Taken, due_again, failures_after
from ..domain.records import iso
from ..domain.regions import ScanRecord, ScopeState
from ..domain.results import Problem, WorkResult
from ..domain.scopes import Scope
from ..domain.server_changes import not_stored
from ..domain.servers import ServerRow, content_hash
from ..domain.tag_plan import ServerTags, plan_tags
from ..domain.texts import fitting, json_bytes
from ..domain.work import Cadence, WorkMessage
from ..domain.writes import UpdateServer, Write
from ..errors import AccessDenied, NotOptedIn, OutOfTime, Refused, ResourceNotFound, RowChanged, ServiceError, Throttled
from .active_region_filter import ActiveRegionFilter
from .answers import not_tried, out_of_time, state_after, wait_asked_for
from .ports import Accounts, CallCount, Clock, DrsChanges, Inventory, Scans, Telemetries, WorkStates, Writer

SERVERS_AT_ONCE = 50  # one write-ahead note for so many
INTENT_BYTES = 100_000  # of that note: keys of 50 servers take up to 1.3 MB, and an item holds 400 KB
CALLS_AT_ONCE = 8
WITHOUT_EFFECT = (AccessDenied, Throttled, NotOptedIn, OutOfTime, Refused, ResourceNotFound)  # the call did nothing
SCOPE_WIDE = (AccessDenied, Throttled, NotOptedIn, OutOfTime)  # what will meet the next server as well


class TagSync:
    """Syncs the tags of one scope at a time."""

    def __init__(
        self,
        region_filter: ActiveRegionFilter,
        accounts: Accounts,
        scans: Scans,
        telemetries: Telemetries,
        inventory: Inventory,
        work_states: WorkStates,
        writer: Writer,
        drs: DrsChanges,
        calls: CallCount,
        clock: Clock,
        cadence: Cadence,
    ) -> None:
        self._filter = region_filter
        self._accounts = accounts
        self._scans = scans
        self._telemetries = telemetries
        self._inventory = inventory
        self._work_states = work_states
        self._writer = writer
        self._drs = drs
        self._calls = calls
        self._clock = clock
        self._cadence = cadence

    def sync(self, taken: Taken, message: WorkMessage) -> Outcome:
        """Bring the tags of the scope's servers up to date, or say what would be done.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        lease, scope = taken.lease, taken.lease.work.scope
        mark = self._calls.mark()
        version = message.status_version
        if version is not None and not self._filter.is_active(scope.region, version):
            return Outcome(self._result(lease, ScopeState.AVAILABLE, mark, reason="the region is not active"), None)
        scan = self._scans.read(scope)
        if scan is None or not scan.active:
            return Outcome(self._result(lease, ScopeState.AVAILABLE, mark, reason="the scope is not active"), None)
        if _in_place(taken, scan, message):
            counts = {"servers": scan.server_count, "unchanged": scan.server_count}
            result = self._result(lease, ScopeState.AVAILABLE, mark, counts, tags_version=scan.tags_version)
            return Outcome(result, self._due(lease, result))
        account = self._accounts.read(scope.account_id)
        if account is None or not account.takes_part:
            return Outcome(self._result(lease, ScopeState.AVAILABLE, mark, reason="the account takes no part"), None)
        return self._sync(taken, account, scan, mark)

    def _due(self, lease: Lease, result: WorkResult, retry_after: int | None = None) -> int | None:
        """Return when the work is due again: a dry run never by itself, a scope that keeps failing later."""
        if lease.work.dry_run:
            return None
        now, longest = int(self._clock()), self._cadence.probe
        return due_again(result.failures, lease, now, self._cadence, longest, retry_after)

    def _sync(self, taken: Taken, account: Account, scan: ScanRecord, mark: object) -> Outcome:
        lease = taken.lease
        plan = plan_tags(self._settle(taken, self._rows(lease.work.scope)))
        if lease.work.dry_run:
            changes = plan.previews()
            counts = {**plan.counts(), "would_tag": len(changes)}
            result = self._result(lease, ScopeState.AVAILABLE, mark, counts, plan.problems, changes=changes)
            return Outcome(result, None)
        failures = self._apply(taken, account, plan.open)
        counts = {**plan.counts(), "tagged": len(plan.open) - len(failures), "failed": len(failures)}
        errors = [error for _, error in failures]
        state = state_after(errors, counts["tagged"])
        version = None if failures else scan.tags_version
        problems = [*(_problem(row, error) for row, error in failures), *plan.problems]
        result = self._result(lease, state, mark, counts, problems, tags_version=version)
        result = result.model_copy(update={"failures": failures_after(state, taken.result)})
        return Outcome(result, self._due(lease, result, wait_asked_for(errors)), unfinished=out_of_time(errors))

    def _rows(self, scope: Scope) -> list[ServerRow]:
        """Return the scope's living servers: the list from its telemetry, the rows from the table itself."""
        telemetry = self._telemetries.read(scope)
        servers = telemetry.servers if telemetry else {}
        rows = self._inventory.read((server, scope.region) for server in servers)
        return sorted((row for row in rows.values() if row.living), key=lambda row: row.source_server_id)

    def _apply(self, taken: Taken, account: Account, plans: list[ServerTags]) -> list[tuple[ServerRow, ServiceError]]:
        """Write the planned tags, first to DRS, then to the inventory; return what failed."""
        lease, left = taken.lease, plans
        failures: list[tuple[ServerRow, ServiceError]] = []
        at_once = 1 if taken.result and circuit.is_open(taken.result.failures) else SERVERS_AT_ONCE
        while left:
            some = fitting(left, at_once, INTENT_BYTES, lambda plan: json_bytes(_intent([plan])))
            left, at_once = left[len(some) :], SERVERS_AT_ONCE
            self._work_states.intend(lease, _intent(some))
            change = _Change(self._drs, account, lease.work.scope.region, lambda: self._clock() > lease.stop_at)
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                errors = list(pool.map(change, some))
            errors = self._record(lease, some, errors)
            failures += [(plan.row, error) for plan, error in zip(some, errors, strict=True) if error is not None]
            if any(isinstance(error, SCOPE_WIDE) for error in errors):
                why = not_tried("the servers before it were refused")
                return failures + [(plan.row, why) for plan in left]
        return failures

    def _record(
        self, lease: Lease, plans: list[ServerTags], errors: list[ServiceError | None]
    ) -> list[ServiceError | None]:
        """Write down the tags that were written, and ownership where they may have been; return what failed now.

        Where a scan has written a row meanwhile, what it says stands and only ownership is written: that scan, or the
        next one, sees the tags as DRS has them.
        """
        scope, now = lease.work.scope, self._now()
        ended = list(zip(plans, errors, strict=True))
        made = [plan for plan, error in ended if error is None]
        unclear = [
            _owned(plan.row, {*plan.row.managed_tag_keys, *plan.change.managed}, scope, now)
            for plan, error in ended
            if error is not None and not isinstance(error, WITHOUT_EFFECT)
        ]
        try:
            unwritten = self._writer.write(lease, [*(_recorded(plan, scope, now) for plan in made), *unclear])
        except RowChanged:
            owned = [_owned(plan.row, set(plan.change.managed), scope, now) for plan in made]
            unwritten = self._writer.write(lease, [*owned, *unclear])
        missing = {problem.subject: problem for problem in map(not_stored, unwritten)}
        return [error or _not_stored(missing.get(plan.row.source_server_id)) for plan, error in ended]

    def _settle(self, taken: Taken, rows: list[ServerRow]) -> list[ServerRow]:
        """Return `rows` with what a run that died was about to write among their managed keys, and record it."""
        intent, scope, now = taken.intent, taken.lease.work.scope, self._now()
        owned = {
            row.source_server_id: row.model_copy(
                update={"managed_tag_keys": sorted({*row.managed_tag_keys, *intent[row.source_server_id]})}
            )
            for row in rows
            if row.source_server_id in intent
        }
        if not taken.lease.work.dry_run:
            writes = [_owned(row, set(row.managed_tag_keys), scope, now) for row in owned.values()]
            self._writer.write(taken.lease, list(writes))
        return [owned.get(row.source_server_id, row) for row in rows]

    def _result(
        self,
        lease: Lease,
        state: ScopeState,
        mark: object,
        counts: dict[str, int] | None = None,
        problems: Iterable[Problem] = (),
        *,
        changes: Iterable[dict[str, Any]] = (),
        reason: str | None = None,
        tags_version: int | None = None,
    ) -> WorkResult:
        return WorkResult(
            finished_at=self._now(),
            epoch=lease.epoch,
            state=state,
            message=reason,
            calls=self._calls.since(mark),
            counts=counts or {},
            tags_version=tags_version,
        ).reporting(problems, changes)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


class _Change:
    """Changes the tags of one server in DRS; stops where the account refuses, slows us down, or time runs out."""

    def __init__(self, drs: DrsChanges, account: Account, region: str, out_of_time: Callable[[], bool]) -> None:
        self._drs = drs
        self._account = account
        self._region = region
        self._out_of_time = out_of_time
        self._stopped: ServiceError | None = None

    def __call__(self, plan: ServerTags) -> ServiceError | None:
        """Return why the change could not be made, or None. Removes first: 50 tags are the limit at every moment."""
        if self._stopped is None and self._out_of_time():
            self._stopped = OutOfTime("no time left in this run")
        if self._stopped:
            return self._stopped
        arn, change = plan.row.arn, plan.change
        try:
            if change.remove:
                self._drs.untag(self._account, self._region, arn, change.remove)
            if change.put:
                self._drs.tag(self._account, self._region, arn, change.put)
        except ServiceError as error:
            if isinstance(error, SCOPE_WIDE):
                self._stopped = error
            return error
        return None


def _in_place(taken: Taken, scan: ScanRecord, message: WorkMessage) -> bool:
    """Return whether the last run left every tag in place and no scan since found anything that calls for more."""
    last = taken.result
    return not message.dry_run and not taken.intent and last is not None and last.tags_version == scan.tags_version


def _intent(plans: Iterable[ServerTags]) -> dict[str, list[str]]:
    """Return what to note before DRS is asked: the keys to be written, by server."""
    return {plan.row.source_server_id: sorted(plan.change.put) for plan in plans}


def _owned(row: ServerRow, keys: set[str], scope: Scope, now: datetime) -> UpdateServer:
    """Return the row's update that says which keys are this product's."""
    return UpdateServer(row.source_server_id, scope, {"managedTagKeys": sorted(keys), "lastUpdated": iso(now)})


def _recorded(plan: ServerTags, scope: Scope, now: datetime) -> Write:
    """Return the row's update after the change: the tags as DRS has them now, so that the next scan sees no change."""
    drs_tags = tags.applied(plan.row.drs_tags, plan.change)
    drs_hash = content_hash(plan.row.drs().model_copy(update={"drs_tags": drs_tags}))
    values = {
        "drsTags": drs_tags,
        "drsHash": drs_hash,
        "managedTagKeys": plan.change.managed,
        "lastUpdated": iso(now),
    }
    return UpdateServer(plan.row.source_server_id, scope, values, seen_hash=plan.row.drs_hash)


def _not_stored(problem: Problem | None) -> ServiceError | None:
    return ServiceError(problem.message, problem.code) if problem else None


def _problem(row: ServerRow, error: ServiceError) -> Problem:
    return Problem(subject=row.source_server_id, code=error.code, message=str(error))

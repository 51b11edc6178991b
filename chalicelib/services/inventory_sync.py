"""Inventory sync of one scope: scan DRS, look its instances up in EC2, write what changed, last the scan record.

A steady scan reads one item (the scope's telemetry) and writes two (telemetry, scan record). Safe to repeat: every
write is fenced by the epoch, and writing the same content again changes nothing. Replication configurations are asked
for when the scan counts already: some at once, the rest in further messages, so that no scope waits for another's.
"""

from datetime import UTC, datetime

from ..domain import server_changes as changes
from ..domain.accounts import Account, AccountStatus
from ..domain.difference import difference
from ..domain.leases import Lease, Outcome, Taken, inventory_due
from ..domain.records import iso
from ..domain.regions import ScanRecord, ScopeState
from ..domain.results import Problem, WorkResult
from ..domain.scopes import Scope
from ..domain.texts import message_text
from ..domain.work import Cadence, WorkMessage
from ..domain.writes import ScopeTelemetry
from ..errors import AccessDenied, EmptyListing, NotOptedIn, OutOfTime, ServiceError, Throttled, Uninitialized
from .ports import (
    Accounts,
    AwsPartitions,
    CallCount,
    Clock,
    Drs,
    DrsRegions,
    Ec2,
    Inventory,
    Scans,
    Telemetries,
    Writer,
)
from .replication_configurations import Captured, ReplicationConfigurations
from .scan_result import ScanResult
from .scope_removal import ScopeRemoval
from .scope_scanner import ScopeScanner

MOST_ERRORS_KEPT = 20  # messages of failed look-ups in a scan record
CONFIGURATIONS_AT_ONCE = 20  # asked for by a scan itself: a second at DRS's rate
CONFIGURATIONS_A_MESSAGE = 400  # by each that goes on: 20 seconds, after which other scopes have their turn
MOST_FURTHER_MESSAGES = 10  # in a row; with 400 each they suffice for the 4,000 servers that an account may hold
MOST_CONTINUATIONS = 2  # further invocations of a scan that ran out of time, before that counts as its failure


class InventorySync:
    """Syncs one scope at a time."""

    def __init__(
        self,
        accounts: Accounts,
        scans: Scans,
        telemetries: Telemetries,
        inventory: Inventory,
        writer: Writer,
        drs: Drs,
        ec2: Ec2,
        calls: CallCount,
        drs_regions: DrsRegions,
        aws_partition: AwsPartitions,
        clock: Clock,
        cadence: Cadence,
    ) -> None:
        self._accounts = accounts
        self._scans = scans
        self._inventory = inventory
        self._writer = writer
        self._calls = calls
        self._clock = clock
        self._cadence = cadence
        self._scanner = ScopeScanner(accounts, telemetries, inventory, drs, ec2, aws_partition, clock)
        self._configurations = ReplicationConfigurations(drs, inventory, writer, clock)
        self._removal = ScopeRemoval(accounts, scans, telemetries, inventory, writer, drs_regions)

    def sync(self, taken: Taken, message: WorkMessage) -> Outcome:
        """Scan the scope of the lease and record what was found.

        Where time runs out, what could not be asked is asked by a further invocation.

        Raises:
            LeaseLost: where a newer scan has begun.
        """
        lease, scope = taken.lease, taken.lease.work.scope
        mark, now = self._calls.mark(), self._now()
        account = self._accounts.read(scope.account_id)
        if account is None or account.status is AccountStatus.REMOVING:
            return Outcome(self._remove(lease, account, mark), None)
        if not account.takes_part:
            return Outcome(self._idle(lease, mark, "the account takes no part"), None)
        previous = self._scans.read(scope)
        may_go_on = message.continued < MOST_CONTINUATIONS
        captured = Captured(0, more=False)
        try:
            found = self._scanner.scan(lease, account, previous)
        except ServiceError as error:
            if isinstance(error, OutOfTime) and may_go_on:
                return Outcome(self._idle(lease, mark, str(error)), None, unfinished=True)
            record = failed_record(scope, previous, error, now, lease.epoch)
            due, probe = inventory_due(record, lease, int(self._clock()), self._cadence, error.retry_after_seconds)
            record = record.model_copy(update={"next_try_at": datetime.fromtimestamp(due, UTC)})
            self._writer.write(lease, [record])
            problems: list[Problem] = []
            unfinished = False
            counts = {"servers": record.server_count}
        else:
            record, counts = self._record(lease, previous, found, now)
            problems = found.problems
            out_of_time = any(problem.code == OutOfTime.CODE for problem in problems)
            unfinished = out_of_time and may_go_on
            if not unfinished:
                captured = self._capture(lease, account, found, now, message)
            due, probe = inventory_due(record, lease, int(self._clock()), self._cadence)
        result = WorkResult(
            finished_at=self._now(),
            epoch=lease.epoch,
            state=record.state,
            message=record.error_message,
            calls=self._calls.since(mark),
            counts=counts,
            failures=record.failures,
        ).reporting([*problems, *captured.problems])
        goes_on = captured.more and message.continued < MOST_FURTHER_MESSAGES
        return Outcome(_joined(result, taken, message), due, probe, unfinished=unfinished, goes_on=goes_on)

    def _capture(
        self, lease: Lease, account: Account, found: ScanResult, now: datetime, message: WorkMessage
    ) -> Captured:
        """Capture replication configurations, now that the scan counts."""
        scan = ScopeTelemetry(lease.work.scope, lease.epoch, iso(now), found.entries)
        most = CONFIGURATIONS_A_MESSAGE if message.continued else CONFIGURATIONS_AT_ONCE
        return self._configurations.capture(lease, account, scan, most)

    def _remove(self, lease: Lease, account: Account | None, mark: object) -> WorkResult:
        removed = self._removal.remove(lease, account, self._now())
        why = "the account is not registered" if account is None else "the account is being removed"
        return self._idle(lease, mark, why).model_copy(update={"counts": {"removed": removed}})

    def _idle(self, lease: Lease, mark: object, why: str) -> WorkResult:
        """Return the result of work that there was no need to do."""
        return WorkResult(
            finished_at=self._now(),
            epoch=lease.epoch,
            state=ScopeState.AVAILABLE,
            message=why,
            calls=self._calls.since(mark),
        )

    def _record(
        self, lease: Lease, previous: ScanRecord | None, result: ScanResult, now: datetime
    ) -> tuple[ScanRecord, dict[str, int]]:
        """Write what a complete scan found, rows first; return its record and counts."""
        scope = lease.work.scope
        state, entries, differing = result.previous, result.entries, result.differing
        found = difference(state.servers, entries)
        rows = self._inventory.read((server, scope.region) for server in found.listed | found.gone)
        updates = [
            update
            for server in sorted(found.listed)
            if (update := changes.update(scope, server, differing[server], entries[server], rows.get(server), now))
        ]
        burials = [write for server in sorted(found.gone) for write in changes.burial(scope, rows.get(server), now)]
        self._writer.write(lease, list(changes.announcement(scope, state, found.new, now)))
        unwritten = self._writer.write(lease, [*updates, *burials])
        result.problems += [changes.not_stored(one) for one in unwritten]

        for server in found.listed:
            complete = changes.topology_known(differing[server].drs, rows.get(server))
            entries[server] = entries[server]._replace(topology_complete=complete)
        tags_changed = any(changes.calls_for_tags(differing[server], rows.get(server)) for server in found.listed)
        record = _complete_record(scope, result, now, lease.epoch).model_copy(
            update={
                "servers_version": changes.version(lease, previous, "servers_version", found.members_changed, state),
                "tags_version": changes.version(lease, previous, "tags_version", tags_changed, state),
                "ec2_errors": sorted({message_text(some.message) for some in result.problems})[:MOST_ERRORS_KEPT]
                or None,
            }
        )
        entries |= changes.to_be_written_again(unwritten, entries, state.servers)
        self._writer.write(lease, [ScopeTelemetry(scope, lease.epoch, iso(now), entries), record])
        counts = {"servers": len(entries), "new": len(found.new), "changed": len(updates), "removed": len(found.gone)}
        return record, counts

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def failed_record(
    scope: Scope, previous: ScanRecord | None, error: ServiceError, now: datetime, epoch: int
) -> ScanRecord:
    """Return the record of a scan that failed: state and message are new, what is known stays (R5.4)."""
    before = previous or ScanRecord(
        region=scope.region, account_id=scope.account_id, state=ScopeState.ERROR, last_checked=now
    )
    if isinstance(error, Uninitialized):
        return before.uninitialized(str(error), now, epoch)
    if isinstance(error, EmptyListing):
        before = before.model_copy(update={"listed_nothing": True})
    states: dict[type[ServiceError], ScopeState] = {
        Throttled: ScopeState.THROTTLED,
        AccessDenied: ScopeState.ACCESS_DENIED,
        NotOptedIn: ScopeState.NOT_OPTED_IN,
    }
    return before.failed(states.get(type(error), ScopeState.ERROR), str(error), now, epoch)


def _joined(result: WorkResult, taken: Taken, message: WorkMessage) -> WorkResult:
    """Return the result with what the invocation before found, where this one goes on with what that put off."""
    before = taken.result
    if not message.continued or before is None or before.epoch != taken.lease.epoch - 1:
        return result
    sums = {name: before.counts.get(name, 0) + result.counts.get(name, 0) for name in ("new", "changed", "removed")}
    calls = {name: before.calls.get(name, 0) + result.calls.get(name, 0) for name in {*before.calls, *result.calls}}
    return result.model_copy(update={"counts": {**result.counts, **sums}, "calls": dict(sorted(calls.items()))})


def _complete_record(scope: Scope, result: ScanResult, now: datetime, epoch: int) -> ScanRecord:
    return ScanRecord(
        region=scope.region,
        account_id=scope.account_id,
        state=ScopeState.AVAILABLE,
        server_count=len(result.entries),
        replicating_count=result.replicating,
        extended_count=result.extended,
        agent_count=result.agents,
        last_checked=now,
        last_success=now,
        epoch=epoch,
    )

"""Inventory sync of one scope: scan DRS, look its instances up in EC2, write what changed, last the scan record.

A steady scan reads one item (the scope's telemetry) and writes two (telemetry, scan record). Safe to repeat: every
write is fenced by the epoch, and writing the same content again changes nothing. Replication configurations are asked
for when the scan counts already: some at once, the rest in further messages, so that no scope waits for another's.
"""

from datetime import UTC, datetime
from typing import Any

from ...domain import server_changes as changes
from ...domain.accounts import Account, AccountStatus
from ...domain.difference import difference
from ...domain.leases import inventory_due
from ...domain.records import iso
from ...domain.regions import ScanRecord, ScopeState
from ...domain.scopes import Scope
from ...domain.texts import message_text
from ...domain.writes import ScopeTelemetry
from ...errors import AccessDenied, EmptyListing, NotOptedIn, OutOfTime, ServiceError, Throttled, Uninitialized
from ..ports import Inventory, Scans
from ..work.context import WorkContext
from ..work.report import Due, Report, Skip
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
        scans: Scans,
        inventory: Inventory,
        scanner: ScopeScanner,
        configurations: ReplicationConfigurations,
        removal: ScopeRemoval,
    ) -> None:
        self._scans = scans
        self._inventory = inventory
        self._scanner = scanner
        self._configurations = configurations
        self._removal = removal

    def sync(self, work: WorkContext) -> Report:
        """Scan the scope and record what was found, or remove it with its account.

        Where time runs out, what could not be asked is asked by a further invocation.

        Raises:
            LeaseLost: where a newer scan has begun.
        """
        account = work.account
        if account is None or account.status is AccountStatus.REMOVING:
            return self._remove(work, account)
        return self._scan(work, work.active_account())

    def _scan(self, work: WorkContext, account: Account) -> Report:
        now, previous = work.now, self._scans.read(work.scope)
        may_go_on = work.message.continued < MOST_CONTINUATIONS
        try:
            found = self._scanner.scan(work, account, previous)
        except ServiceError as error:
            if isinstance(error, OutOfTime) and may_go_on:
                return Report(message=str(error), unfinished=True)
            return self._failed(work, previous, error, now)
        record, counts = self._record(work, previous, found, now)
        unfinished = may_go_on and any(problem.code == OutOfTime.CODE for problem in found.problems)
        captured = Captured(0, more=False) if unfinished else self._capture(work, account, found, now)
        return self._report(
            record,
            counts,
            Due(*inventory_due(record, work.lease, work.seconds, work.cadence)),
            problems=[*found.problems, *captured.problems],
            unfinished=unfinished,
            goes_on=captured.more and work.message.continued < MOST_FURTHER_MESSAGES,
        )

    def _failed(self, work: WorkContext, previous: ScanRecord | None, error: ServiceError, now: datetime) -> Report:
        """Record a scan that failed: what is known of the servers stays."""
        record = failed_record(work.scope, previous, error, now, work.epoch)
        due = Due(*inventory_due(record, work.lease, work.seconds, work.cadence, error.retry_after_seconds))
        record = record.model_copy(update={"next_try_at": datetime.fromtimestamp(due.at or work.seconds, UTC)})
        work.write([record])
        return self._report(record, {"servers": record.server_count}, due)

    @staticmethod
    def _report(record: ScanRecord, counts: dict[str, int], due: Due, **more: Any) -> Report:
        return Report(
            counts,
            message=record.error_message,
            state=record.state,
            failures=record.failures,
            due=due,
            summed=("new", "changed", "removed"),
            **more,
        )

    def _capture(self, work: WorkContext, account: Account, found: ScanResult, now: datetime) -> Captured:
        """Capture replication configurations, now that the scan counts."""
        scan = ScopeTelemetry(work.scope, work.epoch, iso(now), found.entries)
        most = CONFIGURATIONS_A_MESSAGE if work.message.continued else CONFIGURATIONS_AT_ONCE
        return self._configurations.capture(work, account, scan, most)

    def _remove(self, work: WorkContext, account: Account | None) -> Report:
        removed = self._removal.remove(work, account)
        why = "the account is not registered" if account is None else "the account is being removed"
        return Skip(why).report()._replace(counts={"removed": removed})

    def _record(
        self, work: WorkContext, previous: ScanRecord | None, result: ScanResult, now: datetime
    ) -> tuple[ScanRecord, dict[str, int]]:
        """Write what a complete scan found, rows first; return its record and counts."""
        scope, lease = work.scope, work.lease
        state, entries, differing = result.previous, result.entries, result.differing
        found = difference(state.servers, entries)
        rows = self._inventory.read((server, scope.region) for server in found.listed | found.gone)
        updates = [
            update
            for server in sorted(found.listed)
            if (update := changes.update(scope, server, differing[server], entries[server], rows.get(server), now))
        ]
        burials = [write for server in sorted(found.gone) for write in changes.burial(scope, rows.get(server), now)]
        work.write(list(changes.announcement(scope, state, found.new, now)))
        unwritten = work.write([*updates, *burials])
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
        work.write([ScopeTelemetry(scope, lease.epoch, iso(now), entries), record])
        counts = {"servers": len(entries), "new": len(found.new), "changed": len(updates), "removed": len(found.gone)}
        return record, counts


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

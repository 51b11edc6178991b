"""Inventory sync of one scope: scan DRS, look its instances up in EC2, write what changed, last the scan record.

A steady scan reads one item (the scope's telemetry) and writes two (telemetry, scan record). Safe to repeat: every
write is fenced by the epoch, and writing the same content again changes nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..domain import topology
from ..domain.accounts import Account, AccountStatus
from ..domain.difference import difference
from ..domain.extension import RefusalReason, refuse
from ..domain.failback import events_after
from ..domain.history import Event, EventKind
from ..domain.history import trimmed as trimmed_history
from ..domain.leases import Lease, Outcome, Taken, inventory_due
from ..domain.records import iso
from ..domain.regions import ScanRecord, ScopeState
from ..domain.results import Problem, WorkResult, trimmed
from ..domain.scopes import Scope
from ..domain.servers import (
    CONTINUOUS,
    DISCONNECTED,
    EXTENDED,
    NOT_FOUND,
    NOT_REPLICATING,
    ON_PREMISES,
    DrsFacts,
    Ec2Facts,
    InstanceState,
    ServerRow,
    Telemetry,
    digest,
    drs_facts,
    ec2_facts,
    packed,
    telemetry,
)
from ..domain.topology import Topology
from ..domain.work import Cadence, WorkMessage
from ..domain.writes import ForgetScan, ForgetTelemetry, ScopeTelemetry, UpdateServer, Write
from ..errors import AccessDenied, NotOptedIn, OutOfTime, ServiceError, Throttled, Uninitialized
from .look_ups import Instances, LookedUp, LookUps, Origin, origin_of
from .ports import Accounts, CallCount, Clock, Drs, DrsRegions, Ec2, Inventory, Scans, Telemetries, Writer

CONFIGURATION_CALLS_AT_ONCE = 8
MOST_ERRORS_KEPT = 20  # messages of failed look-ups in a scan record
MOST_CONTINUATIONS = 2  # further invocations of a scan that ran out of time, before that counts as its failure


class Listed(NamedTuple):
    """What one scan found of one server, packed; `ec2_text` is None where EC2 could not be asked."""

    drs_text: bytes
    ec2_text: bytes | None = None

    @property
    def drs(self) -> DrsFacts:
        """What DRS says."""
        return DrsFacts.of(json.loads(self.drs_text))

    @property
    def ec2(self) -> Ec2Facts | None:
        """What EC2 says; None where it could not be asked."""
        return Ec2Facts.of(json.loads(self.ec2_text)) if self.ec2_text else None


class Known(NamedTuple):
    """What the scans before this one knew of the scope's servers.

    `complete` is False where the scan before did not finish: what it may have written is not known to have been
    acted upon.
    """

    servers: dict[str, Telemetry]
    complete: bool


class Listing:
    """A scope's servers as they are listed and looked up: an entry of each, and what is said of those that differ.

    What is said of a server is dropped as soon as it is known to be what it was: so a scan holds some pages of servers,
    and the entries of all.
    """

    def __init__(self, known: Known) -> None:
        self.known = known
        self.entries: dict[str, Telemetry] = {}
        self.listed: dict[str, Listed] = {}
        self.problems: list[Problem] = []
        self.replicating = self.extended = self.agents = 0
        self._unanswered: set[Origin] = set()

    def add(self, server: str, wire: dict[str, Any], drs: DrsFacts) -> None:
        """Add a server that says `drs`; it is to be settled when EC2 was asked, or is not to be asked."""
        text, before = packed(drs), self.known.servers.get(server)
        complete = before.topology_complete if before else True
        self.listed[server] = Listed(text)
        self.entries[server] = telemetry(wire, drs, digest(text))._replace(topology_complete=complete)
        self.replicating += drs.replication_state == CONTINUOUS
        self.extended += drs.extended
        self.agents += not drs.extended and drs.replication_state not in NOT_REPLICATING

    def settle(self, server: str, ec2_text: bytes | None) -> None:
        """Say what EC2 says of a server, None where it could not be asked: that stays as it was known."""
        before, entry = self.known.servers.get(server), self.entries[server]
        ec2_hash = digest(ec2_text) if ec2_text else before.ec2_hash if before else ""
        if before and before.topology_complete and (before.drs_hash, before.ec2_hash) == (entry.drs_hash, ec2_hash):
            original = before.original or entry.original  # the same: it is among what the hash covers
            self.entries[server] = entry._replace(drs_hash=before.drs_hash, ec2_hash=before.ec2_hash, original=original)
            del self.listed[server]
            return
        self.entries[server] = entry._replace(ec2_hash=ec2_hash)
        self.listed[server] = self.listed[server]._replace(ec2_text=ec2_text)

    def settle_all(self, answers: Iterable[LookedUp]) -> None:
        """Say what look-ups found; an origin that did not answer is one problem."""
        for origin, servers, answer in answers:
            if isinstance(answer, ServiceError):
                self._unanswered_by(origin, answer)
            for server, instance_id in servers.items():
                said = None if isinstance(answer, ServiceError) else answer.get(instance_id) or packed(NOT_FOUND)
                self.settle(server, said)

    def _unanswered_by(self, origin: Origin, error: ServiceError) -> None:
        if origin not in self._unanswered:
            self.problems.append(Problem(subject=f"EC2 of {'/'.join(origin)}", code=error.code, message=str(error)))
        self._unanswered.add(origin)

    def origin_unknown(self, server: str, drs: DrsFacts) -> None:
        """Say that EC2 cannot be asked, because nobody knows where."""
        message = f"{drs.source_instance_id}: DRS does not say in which account and region it runs"
        self.problems.append(Problem(subject=drs.arn, code="ORIGIN_UNKNOWN", message=message))
        self.settle(server, None)


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
        clock: Clock,
        cadence: Cadence,
    ) -> None:
        self._accounts = accounts
        self._scans = scans
        self._telemetries = telemetries
        self._inventory = inventory
        self._writer = writer
        self._drs = drs
        self._ec2 = ec2
        self._calls = calls
        self._drs_regions = drs_regions
        self._clock = clock
        self._cadence = cadence

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
        try:
            listing = self._listing(lease, account, previous)
        except ServiceError as error:
            if isinstance(error, OutOfTime) and may_go_on:
                return Outcome(self._idle(lease, mark, str(error)), None, unfinished=True)
            record = failed_record(scope, previous, error, now, lease.epoch)
            due, probe = inventory_due(record, lease, int(self._clock()), self._cadence, error.retry_after_seconds)
            record = record.model_copy(update={"next_try_at": datetime.fromtimestamp(due, UTC)})
            self._writer.write(lease, [record])
            problems: list[Problem] = []
            counts = {"servers": record.server_count}
        else:
            record, problems, counts = self._record(lease, account, previous, listing, now)
            due, probe = inventory_due(record, lease, int(self._clock()), self._cadence)
        result = WorkResult(
            finished_at=self._now(),
            epoch=lease.epoch,
            state=record.state,
            message=record.error_message,
            calls=self._calls.since(mark),
            counts={**counts, "problems": len(problems)},
            problems=trimmed(problems),
            failures=record.failures,
        )
        out_of_time = any(problem.code == OutOfTime.CODE for problem in problems)
        return Outcome(result, due, probe, unfinished=out_of_time and may_go_on)

    def _listing(self, lease: Lease, account: Account, previous: ScanRecord | None) -> Listing:
        """Return every server that DRS lists, looked up in EC2 while its further pages are fetched.

        Where the scope kept failing, one call shows first whether it answers. Of each server only what is read is kept.

        Raises:
            ServiceError: the list is not complete.
        """
        scope = lease.work.scope
        if previous is not None and previous.failing:
            self._drs.look(account, scope.region)
        listing = Listing(self._known(lease))
        with LookUps(lambda origin, instances: self._instances(lease, account, origin, instances)) as look_ups:
            for wire in self._drs.source_servers(account, scope.region):
                if self._clock() > lease.stop_at:
                    raise OutOfTime(f"DRS of {scope.account_id} in {scope.region}: no time left to list its servers")
                server, drs = wire["sourceServerID"], drs_facts(wire, scope)
                if server in listing.entries:
                    continue  # on two pages
                listing.add(server, wire, drs)
                if not drs.source_instance_id:
                    listing.settle(server, packed(ON_PREMISES))
                elif origin := origin_of(drs):
                    look_ups.add(server, drs.source_instance_id, origin)
                else:
                    listing.origin_unknown(server, drs)
                listing.settle_all(look_ups.answered())
            listing.settle_all(look_ups.finish())
        return listing

    def _remove(self, lease: Lease, account: Account | None, mark: object) -> WorkResult:
        """Take away the scope of an account that is being removed, or is gone: rows become tombstones, its record goes.

        Whoever removes the last scope takes the account away. Under the epoch's fence a late scan brings nothing back;
        one that was still at work when the account went is followed by this once more, because removal asked for it.
        """
        scope, now = lease.work.scope, self._now()
        latest = self._telemetries.read(scope)
        listed = {row.source_server_id for row in self._inventory.of_scope(scope)}
        servers = listed | (latest.servers.keys() if latest else set())
        rows = self._inventory.read((server, scope.region) for server in servers)
        burials = [write for server in sorted(rows) for write in _tombstone(scope, rows[server], now)]
        self._writer.write(lease, burials)
        self._writer.write(lease, [ForgetTelemetry(scope), ForgetScan(scope)])
        if account is None:
            return self._removed(lease, mark, "the account is not registered", burials)
        regions = self._drs_regions(account.partition)
        if not self._scans.of_scopes(Scope(account.account_id, region) for region in regions):
            self._accounts.delete(account.account_id, account.status)
        return self._removed(lease, mark, "the account is being removed", burials)

    def _removed(self, lease: Lease, mark: object, why: str, burials: list[Write]) -> WorkResult:
        result = self._idle(lease, mark, why)
        return result.model_copy(update={"counts": {"removed": len(burials)}})

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
        self, lease: Lease, account: Account, previous: ScanRecord | None, listing: Listing, now: datetime
    ) -> tuple[ScanRecord, list[Problem], dict[str, int]]:
        """Write what a complete scan found, and return its record, problems and counts."""
        scope = lease.work.scope
        known, entries, listed, problems = listing.known, listing.entries, listing.listed, listing.problems
        found = difference(known.servers, entries, turn=lease.epoch)
        rows = self._inventory.read((server, scope.region) for server in found.listed | found.gone)
        topologies = self._topologies(lease, account, {server: listed[server].drs for server in found.listed}, rows)

        candidates = ((server, listed[server], entries[server], rows.get(server)) for server in sorted(found.listed))
        updates = [
            update
            for server, said, entry, row in candidates
            if (update := _update(scope, server, said, entry, row, topologies.get(server), now))
        ]
        burials = [write for server in sorted(found.gone) for write in _bury(scope, rows.get(server), now)]
        self._writer.write(lease, [*updates, *burials])

        tags_changed = any(_calls_for_tags(listed[server], rows.get(server)) for server in found.new | found.changed)
        record = _complete_record(scope, listing, now, lease.epoch).model_copy(
            update={
                "servers_version": _version(lease, previous, "servers_version", found.members_changed, known),
                "tags_version": _version(lease, previous, "tags_version", tags_changed, known),
                "ec2_errors": sorted({problem.message for problem in problems})[:MOST_ERRORS_KEPT] or None,
            }
        )
        for server, seen in topologies.items():
            entries[server] = entries[server]._replace(topology_complete=seen.complete)
        self._writer.write(lease, [ScopeTelemetry(scope, lease.epoch, iso(now), entries), record])
        counts = {"servers": len(entries), "new": len(found.new), "changed": len(updates), "removed": len(found.gone)}
        return record, problems, counts

    def _known(self, lease: Lease) -> Known:
        """Return what is known of the scope's servers: its telemetry, where the scan before this one wrote it."""
        latest = self._telemetries.read(lease.work.scope)
        if latest is not None and latest.epoch == lease.epoch - 1:
            return Known(latest.servers, complete=True)
        rows = self._inventory.of_scope(lease.work.scope)
        return Known({row.source_server_id: _entry_of(row) for row in rows}, complete=False)

    def _instances(
        self, lease: Lease, account: Account, origin: Origin, instance_ids: list[str]
    ) -> Instances | ServiceError:
        """Return the instances of one origin, or why they could not be had."""
        account_id, region = origin
        if self._clock() > lease.stop_at:
            return OutOfTime(f"EC2 of {account_id} in {region}: no time left to ask")
        owner = account if account_id == account.account_id else self._accounts.read(account_id)
        if owner is None:
            why = f"origin account {account_id} is not registered: register it as a source account"
            return AccessDenied(why, "NOT_REGISTERED")
        try:
            found = self._ec2.instances(owner, region, instance_ids)
        except ServiceError as error:
            return error
        return {instance_id: packed(ec2_facts(instance)) for instance_id, instance in found.items()}

    def _topologies(
        self, lease: Lease, account: Account, servers: dict[str, DrsFacts], rows: dict[str, ServerRow]
    ) -> dict[str, Topology]:
        """Return the failback originals of those of `servers` for which they are not all known."""
        scope = lease.work.scope
        lacking = sorted(server for server in servers if not _topology_known(rows.get(server)))
        ask = _Configurations(self._drs, account, scope.region, lambda: self._clock() > lease.stop_at)
        with ThreadPoolExecutor(CONFIGURATION_CALLS_AT_ONCE) as pool:
            configurations = dict(zip(lacking, pool.map(ask, lacking), strict=True))
        now = self._now()
        seen = {}
        for server, configuration in configurations.items():
            drs, row = servers[server], rows.get(server)
            origin = (drs.source_region, drs.source_account_id, drs.source_availability_zone)
            replication = (scope.region, drs.staging_account_id)
            known = row.topology if row else None
            seen[server] = topology.merge(known, topology.first_seen(origin, replication, configuration, now))
        return seen

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


class _Configurations:
    """Asks for replication configurations; stops where the account refuses, slows us down, or time runs out."""

    def __init__(self, drs: Drs, account: Account, region: str, out_of_time: Callable[[], bool]) -> None:
        self._drs = drs
        self._account = account
        self._region = region
        self._out_of_time = out_of_time
        self._stopped = False

    def __call__(self, server: str) -> dict[str, Any] | None:
        """Return the configuration of `server`; None where it cannot be had now: a later scan asks again."""
        if self._stopped or self._out_of_time():
            return None
        try:
            return self._drs.replication_configuration(self._account, self._region, server)
        except (AccessDenied, Throttled):
            self._stopped = True
        except ServiceError:
            pass
        return None


def failed_record(
    scope: Scope, previous: ScanRecord | None, error: ServiceError, now: datetime, epoch: int
) -> ScanRecord:
    """Return the record of a scan that failed: state and message are new, what is known stays (R5.4)."""
    before = previous or ScanRecord(
        region=scope.region, account_id=scope.account_id, state=ScopeState.ERROR, last_checked=now
    )
    if isinstance(error, Uninitialized):
        return before.uninitialized(str(error), now, epoch)
    states: dict[type[ServiceError], ScopeState] = {
        Throttled: ScopeState.THROTTLED,
        AccessDenied: ScopeState.ACCESS_DENIED,
        NotOptedIn: ScopeState.NOT_OPTED_IN,
    }
    return before.failed(states.get(type(error), ScopeState.ERROR), str(error), now, epoch)


def _complete_record(scope: Scope, listing: Listing, now: datetime, epoch: int) -> ScanRecord:
    return ScanRecord(
        region=scope.region,
        account_id=scope.account_id,
        state=ScopeState.AVAILABLE,
        server_count=len(listing.entries),
        replicating_count=listing.replicating,
        extended_count=listing.extended,
        agent_count=listing.agents,
        last_checked=now,
        last_success=now,
        epoch=epoch,
    )


def _topology_known(row: ServerRow | None) -> bool:
    return row is not None and row.topology is not None and row.topology.complete


def _entry_of(row: ServerRow) -> Telemetry:
    """Return what finding changes needs of a stored row."""
    return Telemetry(drs_hash=row.drs_hash or "", ec2_hash=row.ec2_hash or "", topology_complete=_topology_known(row))


def _update(
    scope: Scope,
    server: str,
    found: Listed,
    entry: Telemetry,
    row: ServerRow | None,
    seen: Topology | None,
    now: datetime,
) -> UpdateServer | None:
    """Return the update that brings a server's row up to date, or None where the row says it all."""
    fresh = row is None or not row.living
    values: dict[str, Any] = {}
    drs = found.drs
    if fresh or row is None or row.drs_hash != entry.drs_hash:
        values |= {**_attributes(drs), "drsHash": entry.drs_hash}
    if (ec2 := found.ec2) and (row is None or row.ec2_hash != entry.ec2_hash):
        values |= {**_known_of_instance(ec2), "ec2Hash": entry.ec2_hash}
    if seen and (row is None or seen != row.topology):
        values["topology"] = seen.item()
    known = row.history if row else []
    history = events_after(known, row, drs, now)
    if history != known:
        values["history"] = [event.item() for event in history]
    if not values:
        return None
    moment = iso(now)
    identity = {"accountId": scope.account_id, "scope": scope.key, "lastUpdated": moment, "deletedAt": None}
    return UpdateServer(server, scope, {**values, **identity}, first={"firstSeen": moment})


def _attributes(facts: DrsFacts | Ec2Facts) -> dict[str, Any]:
    """Return every attribute of `facts`; absent ones as None, so that what DRS no longer says is removed."""
    return facts.model_dump(by_alias=True)


def _known_of_instance(ec2: Ec2Facts) -> dict[str, Any]:
    """Return what to write of an instance; of one that is gone only that it is: its tags stay as last known."""
    if ec2.instance_state is InstanceState.FOUND:
        return _attributes(ec2)
    return {"instanceState": ec2.instance_state}


def _bury(scope: Scope, row: ServerRow | None, now: datetime) -> Iterator[Write]:
    """Yield what turns a server that is gone into a tombstone; an extension is not to be made again unasked (R3.5)."""
    if row is None or not row.living or row.account_id != scope.account_id:
        return
    if row.staging_status == EXTENDED and row.staging_source_server_arn:
        # Before the tombstone: should the worker die between the two, the next scan still lists the row and does both.
        why = f"its extension {row.source_server_id} was removed from {scope.account_id}"
        yield refuse(scope, row.staging_source_server_arn, RefusalReason.REMOVED, why, now)
    yield from _tombstone(scope, row, now)


def _tombstone(scope: Scope, row: ServerRow, now: datetime) -> Iterator[Write]:
    """Yield what turns a living row of the scope into a tombstone, which keeps its topology and history."""
    if not row.living or row.account_id != scope.account_id:
        return
    moment = iso(now)
    history = trimmed_history([*row.history, Event(at=now, kind=EventKind.DELETED)])
    values = {"deletedAt": moment, "lastUpdated": moment, "scope": None, "history": [e.item() for e in history]}
    yield UpdateServer(row.source_server_id, scope, values)


def _calls_for_tags(found: Listed, row: ServerRow | None) -> bool:
    """Return whether a changed server may call for tags: it is new, or what its tags depend on is not what it was."""
    if row is None or not row.living:
        return True
    drs, ec2 = found.drs, found.ec2
    return (
        row.drs_tags != drs.drs_tags
        or (row.replication_direction, row.replication_state == DISCONNECTED)
        != (drs.replication_direction, drs.replication_state == DISCONNECTED)
        or (ec2 is not None and (row.source_tags, row.instance_state) != (ec2.source_tags, ec2.instance_state))
    )


def _version(lease: Lease, previous: ScanRecord | None, name: str, changed: bool, known: Known) -> int:
    """Return a version of the scan record: this epoch where it changed, or where an unfinished scan may have."""
    if changed or not known.complete or previous is None:
        return lease.epoch
    return int(getattr(previous, name))

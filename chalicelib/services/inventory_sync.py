"""Inventory sync of one scope: scan DRS, look its instances up in EC2, write what changed, last the scan record.

A steady scan reads one item (the scope's telemetry) and writes two (telemetry, scan record). Safe to repeat: every
write is fenced by the epoch, and writing the same content again changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
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
from ..domain.packing import Packed
from ..domain.records import iso
from ..domain.regions import ScanRecord, ScopeState
from ..domain.results import Problem, WorkResult, trimmed
from ..domain.scopes import Scope
from ..domain.servers import (
    CONTINUOUS,
    DISCONNECTED,
    EXTENDED,
    NOT_REPLICATING,
    DrsFacts,
    Ec2Facts,
    InstanceState,
    ServerRow,
    Telemetry,
    content_hash,
    drs_facts,
    ec2_facts,
    instance_facts,
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


class Listing(NamedTuple):
    """What DRS said of every server of a scope, by ID, and what EC2 said of their instances."""

    facts: dict[str, Packed[DrsFacts]]
    entries: dict[str, Telemetry]
    looked_up: LookedUp


class Listed(NamedTuple):
    """What one scan found of one server, put away small; `ec2` is None where EC2 could not be asked."""

    packed_drs: Packed[DrsFacts]
    packed_ec2: Packed[Ec2Facts] | None
    entry: Telemetry

    @property
    def drs(self) -> DrsFacts:
        """What DRS says of it."""
        return self.packed_drs.open()

    @property
    def ec2(self) -> Ec2Facts | None:
        """What EC2 says of its instance."""
        return self.packed_ec2.open() if self.packed_ec2 else None


class Known(NamedTuple):
    """What the scans before this one knew of the scope's servers.

    `complete` is False where the scan before did not finish: what it may have written is not known to have been
    acted upon.
    """

    servers: dict[str, Telemetry]
    complete: bool


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
        facts: dict[str, Packed[DrsFacts]] = {}
        entries: dict[str, Telemetry] = {}
        with LookUps(lambda origin, instances: self._instances(lease, account, origin, instances)) as look_ups:
            for wire in self._drs.source_servers(account, scope.region):
                if self._clock() > lease.stop_at:
                    raise OutOfTime(f"DRS of {scope.account_id} in {scope.region}: no time left to list its servers")
                server, drs = wire["sourceServerID"], drs_facts(wire, scope)
                facts[server], entries[server] = Packed(drs), telemetry(wire, drs)
                look_ups.add(drs)
            return Listing(facts, entries, look_ups.finish())

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
        known = self._known(lease)
        listed, problems = _listed(listing, known), listing.looked_up.problems
        found = difference(known.servers, {server: seen.entry for server, seen in listed.items()}, turn=lease.epoch)
        rows = self._inventory.read((server, scope.region) for server in found.listed | found.gone)
        topologies = self._topologies(lease, account, {server: listed[server].drs for server in found.listed}, rows)

        candidates = ((server, listed[server], rows.get(server)) for server in sorted(found.listed))
        updates = [
            update
            for server, seen, row in candidates
            if (update := _update(scope, server, seen, row, topologies.get(server), now))
        ]
        burials = [write for server in sorted(found.gone) for write in _bury(scope, rows.get(server), now)]
        self._writer.write(lease, [*updates, *burials])

        tags_changed = any(_calls_for_tags(listed[server], rows.get(server)) for server in found.new | found.changed)
        record = _complete_record(scope, listed.values(), now, lease.epoch).model_copy(
            update={
                "servers_version": _version(lease, previous, "servers_version", found.members_changed, known),
                "tags_version": _version(lease, previous, "tags_version", tags_changed, known),
                "ec2_errors": sorted({problem.message for problem in problems})[:MOST_ERRORS_KEPT] or None,
            }
        )
        entries = {server: _settled(seen, topologies.get(server)) for server, seen in listed.items()}
        self._writer.write(lease, [ScopeTelemetry(scope, lease.epoch, iso(now), entries), record])
        counts = {"servers": len(listed), "new": len(found.new), "changed": len(updates), "removed": len(found.gone)}
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
        return {name: Packed(instance_facts(instance)) for name, instance in found.items()}

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


def _complete_record(scope: Scope, listed: Iterable[Listed], now: datetime, epoch: int) -> ScanRecord:
    servers = replicating = extended = agents = 0
    for found in listed:
        drs = found.drs
        servers += 1
        replicating += drs.replication_state == CONTINUOUS
        extended += drs.extended
        agents += not drs.extended and drs.replication_state not in NOT_REPLICATING
    return ScanRecord(
        region=scope.region,
        account_id=scope.account_id,
        state=ScopeState.AVAILABLE,
        server_count=servers,
        replicating_count=replicating,
        extended_count=extended,
        agent_count=agents,
        last_checked=now,
        last_success=now,
        epoch=epoch,
    )


def _listed(listing: Listing, known: Known) -> dict[str, Listed]:
    """Return what was found of each server; what EC2 could not be asked stays as it was known."""
    listed = {}
    for server, packed in listing.facts.items():
        before = known.servers.get(server)
        ec2 = _ec2_of(packed.open(), listing.looked_up.instances)
        ec2_hash = content_hash(ec2.open()) if ec2 else before.ec2_hash if before else ""
        complete = before.topology_complete if before else True
        entry = listing.entries[server]._replace(ec2_hash=ec2_hash, topology_complete=complete)
        listed[server] = Listed(packed, ec2, entry)
    return listed


def _ec2_of(drs: DrsFacts, instances: Mapping[Origin | None, Instances]) -> Packed[Ec2Facts] | None:
    """Return what EC2 says of a server's instance; None where its origin did not answer."""
    origin = origin_of(drs)
    if drs.source_instance_id is not None and origin not in instances:
        return None
    return instances.get(origin, {}).get(drs.source_instance_id or "") or Packed(ec2_facts(None, drs))


def _topology_known(row: ServerRow | None) -> bool:
    return row is not None and row.topology is not None and row.topology.complete


def _settled(found: Listed, seen: Topology | None) -> Telemetry:
    return found.entry._replace(topology_complete=seen.complete) if seen else found.entry


def _entry_of(row: ServerRow) -> Telemetry:
    """Return what finding changes needs of a stored row."""
    return Telemetry(drs_hash=row.drs_hash or "", ec2_hash=row.ec2_hash or "", topology_complete=_topology_known(row))


def _update(
    scope: Scope, server: str, found: Listed, row: ServerRow | None, seen: Topology | None, now: datetime
) -> UpdateServer | None:
    """Return the update that brings a server's row up to date, or None where the row says it all."""
    fresh = row is None or not row.living
    values: dict[str, Any] = {}
    if fresh or row is None or row.drs_hash != found.entry.drs_hash:
        values |= {**_attributes(found.drs), "drsHash": found.entry.drs_hash}
    if found.ec2 and (row is None or row.ec2_hash != found.entry.ec2_hash):
        values |= {**_known_of_instance(found.ec2), "ec2Hash": found.entry.ec2_hash}
    if seen and (row is None or seen != row.topology):
        values["topology"] = seen.item()
    known = row.history if row else []
    history = events_after(known, row, found.drs, now)
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
    drs = found.drs
    return (
        row.drs_tags != drs.drs_tags
        or (row.replication_direction, row.replication_state == DISCONNECTED)
        != (drs.replication_direction, drs.replication_state == DISCONNECTED)
        or (
            found.ec2 is not None
            and (row.source_tags, row.instance_state) != (found.ec2.source_tags, found.ec2.instance_state)
        )
    )


def _version(lease: Lease, previous: ScanRecord | None, name: str, changed: bool, known: Known) -> int:
    """Return a version of the scan record: this epoch where it changed, or where an unfinished scan may have."""
    if changed or not known.complete or previous is None:
        return lease.epoch
    return int(getattr(previous, name))

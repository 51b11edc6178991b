"""What a scan writes: the update of a changed row, the tombstone of one that is gone, the versions of the record."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from .aws_answers import related
from .extension import RefusalReason, refuse
from .failback import events_after
from .history import Event, EventKind, trimmed
from .leases import Lease
from .records import iso
from .regions import ScanRecord
from .results import Problem
from .scopes import Scope
from .servers import DISCONNECTED, EXTENDED, TERMINATING, DrsFacts, Ec2Facts, InstanceState, ServerRow, Telemetry
from .topology import Topology, first_seen, merge
from .writes import ScopeTelemetry, Unwritten, UpdateServer, Write

NOT_STORED = "NOT_STORED"
UNFINISHED = -1  # epoch of telemetry that no scan has finished


class DiscoveredServer(NamedTuple):
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


class PreviousState(NamedTuple):
    """What the scans before this one knew of the scope's servers.

    `complete` is False where the scan before did not finish: what it may have written is not known to have been
    acted upon.
    """

    servers: dict[str, Telemetry]
    complete: bool


def entry_of(row: ServerRow) -> Telemetry:
    """Return what finding changes needs of a stored row."""
    complete = topology_known(row, row)
    entry = Telemetry(drs_hash=row.drs_hash or "", ec2_hash=row.ec2_hash or "", topology_complete=complete)
    return related(entry, row)


def topology_known(facts: DrsFacts, row: ServerRow | None) -> bool:
    """Return whether there is nothing to ask DRS for of a server that says `facts`.

    An extension has no replication of its own: it is the original that replicates, and its configuration is captured
    in the staging account. Asking for the extension's is denied there (the model has AccessDeniedException), each time.
    """
    return facts.extended or (row is not None and row.topology is not None and row.topology.complete)


def originals(
    scope: Scope, facts: DrsFacts, row: ServerRow | None, configuration: dict[str, Any] | None, now: datetime
) -> Topology:
    """Return the failback originals of a server: those of its row, and what was unknown of them as it is seen now.

    Args:
        scope: where the server is listed.
        facts: what DRS says of it.
        row: its stored row.
        configuration: its replication configuration, None where it was not asked for.
        now: when this was learnt.
    """
    origin = (facts.source_region, facts.source_account_id, facts.source_availability_zone)
    seen = first_seen(origin, (scope.region, facts.staging_account_id), configuration, now)
    return merge(row.topology if row else None, seen)


def update(
    scope: Scope,
    server: str,
    found: DiscoveredServer,
    entry: Telemetry,
    row: ServerRow | None,
    now: datetime,
) -> UpdateServer | None:
    """Return the update that brings a server's row up to date, or None where the row says it all.

    Args:
        scope: where the server was listed.
        server: its ID.
        found: what the scan found of it.
        entry: its telemetry.
        row: its stored row.
        now: when the scan began.
    """
    fresh = row is None or not row.living
    values: dict[str, Any] = {}
    drs = found.drs
    if fresh or row is None or row.drs_hash != entry.drs_hash:
        values |= {**_attributes(drs), "drsHash": entry.drs_hash}
    if (ec2 := found.ec2) and (row is None or row.ec2_hash != entry.ec2_hash):
        values |= {**_known_of_instance(ec2), "ec2Hash": entry.ec2_hash}
    topology = originals(scope, drs, row, None, now)
    if row is None or topology != row.topology:
        values["topology"] = topology.item()
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
    """Return what to write of an instance; of one that is gone, or going, only that: its tags stay as last known."""
    if ec2.instance_state is not InstanceState.FOUND:
        return {"instanceState": ec2.instance_state}
    if ec2.terminating:
        return {"instanceState": ec2.instance_state, "instanceStatus": ec2.instance_status}
    return _attributes(ec2)


def announcement(scope: Scope, state: PreviousState, new: set[str], now: datetime) -> Iterator[Write]:
    """Yield the telemetry that names new servers before their rows are written, under no scan's epoch.

    The index of rows is a moment behind: a row that was written by a scan that died, and that the index does not show
    to the next, would never be buried.
    """
    if new:
        entries = {**state.servers, **{server: Telemetry(drs_hash="") for server in new}}
        yield ScopeTelemetry(scope, UNFINISHED, iso(now), entries)


def burial(scope: Scope, row: ServerRow | None, now: datetime) -> Iterator[Write]:
    """Yield what turns a server that is gone into a tombstone; an extension is not to be made again unasked (R3.5)."""
    if row is None or not row.living or row.account_id != scope.account_id:
        return
    if row.staging_status == EXTENDED and row.staging_source_server_arn:
        # Before the tombstone: should the worker die between the two, the next scan still lists the row and does both.
        why = f"its extension {row.source_server_id} was removed from {scope.account_id}"
        yield refuse(scope, row.staging_source_server_arn, RefusalReason.REMOVED, why, now)
    yield from tombstone(scope, row, now)


def tombstone(scope: Scope, row: ServerRow, now: datetime) -> Iterator[Write]:
    """Yield what turns a living row of the scope into a tombstone, which keeps its topology and history."""
    if not row.living or row.account_id != scope.account_id:
        return
    moment = iso(now)
    history = trimmed([*row.history, Event(at=now, kind=EventKind.DELETED)])
    values = {"deletedAt": moment, "lastUpdated": moment, "scope": None, "history": [e.item() for e in history]}
    yield UpdateServer(row.source_server_id, scope, values)


def calls_for_tags(found: DiscoveredServer, row: ServerRow | None) -> bool:
    """Return whether a changed server may call for tags: it is new, or what its tags depend on is not what it was."""
    if row is None or not row.living:
        return True
    drs, ec2 = found.drs, found.ec2
    return (
        row.drs_tags != drs.drs_tags
        or (row.replication_direction, row.replication_state == DISCONNECTED)
        != (drs.replication_direction, drs.replication_state == DISCONNECTED)
        or (ec2 is not None and not ec2.terminating and _source(row) != _source(ec2))
    )


def _source(facts: ServerRow | Ec2Facts) -> tuple[dict[str, str], InstanceState | None, bool]:
    return facts.source_tags, facts.instance_state, facts.instance_status in TERMINATING


def version(lease: Lease, previous: ScanRecord | None, name: str, changed: bool, state: PreviousState) -> int:
    """Return a version of the scan record: this epoch where it changed, or where an unfinished scan may have."""
    if changed or not state.complete or previous is None:
        return lease.epoch
    return int(getattr(previous, name))


def not_stored(unwritten: Unwritten) -> Problem:
    """Return the problem of a row that could not be written."""
    return Problem(subject=unwritten.subject, code=NOT_STORED, message=unwritten.reason)


def to_be_written_again(
    unwritten: Iterable[Unwritten], listed: Mapping[str, Telemetry], known: Mapping[str, Telemetry]
) -> dict[str, Telemetry]:
    """Return the entries with which the next scan tries the rows again that could not be written.

    One that is listed has no hashes, so that it differs; one that is gone stays among the servers that are known.
    """
    servers = {one.write.source_server_id for one in unwritten if isinstance(one.write, UpdateServer)}
    changed = {server: listed[server]._replace(drs_hash="", ec2_hash="") for server in servers & listed.keys()}
    return changed | {server: known[server] for server in servers & known.keys() - listed.keys()}

"""Failback: where a server came from, and how to bring it back (R13).

A server's way: its record in the DR region is seen (FIRST_SEEN), launched (DRILL, RECOVERY), reversed (REVERSED: a
second record appears in the origin account and region, with the direction FAILBACK), and deleted. The originals of the
first record are those of the machine, whichever of the two is asked for.
"""

import re
import shlex

from .history import Event, EventKind, trimmed
from .partitions import AwsPartition
from .records import Moment, Record
from .servers import FAILBACK, DrsFacts, ServerRow
from .topology import Learnt, Source, Topology, checked

BARE_IN_POWERSHELL = re.compile(r"[A-Za-z0-9._:/-]+")


class RecordEvent(Event):
    """An event with the record that it happened to."""

    source_server_id: str
    account_id: str
    region: str


class FailbackTopology(Record):
    """Where a server came from, and how to bring it back.

    Attributes:
        source_server_id: the record that was asked for.
        original_source_server_id: the record of the machine's protection, where it is known.
        failback_command: replicates the recovered machine back to its origin; None where that is unknown.
        reprotect_command: replicates the machine in its origin to the DR region again; None where that is unknown.
        warnings: what the operator has to find out otherwise.
    """

    source_server_id: str
    hostname: str | None
    replication_direction: str
    current_account_id: str
    current_region: str
    deleted_at: Moment | None
    original_source_server_id: str | None
    topology: Topology | None
    failback_command: str | None
    reprotect_command: str | None
    warnings: list[str]
    history: list[RecordEvent]


def events_after(history: list[Event], row: ServerRow | None, drs: DrsFacts, now: Moment) -> list[Event]:
    """Return the history of a record after a scan that found `drs`, where `row` is what was known before."""
    found = []
    if row is None:
        found.append(Event(at=now, kind=EventKind.FIRST_SEEN))
    elif not row.living:
        found.append(Event(at=now, kind=EventKind.RETURNED))
    before = (row.last_launch_at, row.recovery_instance_id) if row else (None, None)
    if drs.last_launch_at and (drs.last_launch_at, drs.recovery_instance_id) != before:
        kind = EventKind.DRILL if drs.last_launch_type == "DRILL" else EventKind.RECOVERY
        found.append(Event(at=drs.last_launch_at, kind=kind, detail=drs.recovery_instance_id))
    reversed_before = row.reversed_direction_source_server_arn if row else None
    if drs.reversed_direction_source_server_arn and drs.reversed_direction_source_server_arn != reversed_before:
        found.append(Event(at=now, kind=EventKind.REVERSED, detail=drs.reversed_direction_source_server_arn))
    return trimmed([*history, *found])


def failback_topology(asked: ServerRow, counterpart: ServerRow | None, partition: AwsPartition) -> FailbackTopology:
    """Return where the server of `asked` came from.

    Args:
        asked: the record that was asked for, living or a tombstone.
        counterpart: the record in the other direction, where there is one.
        partition: the partition that the record is in; what has not the form of a value of it counts as unknown.
    """
    original = asked if asked.replication_direction != FAILBACK else counterpart
    found = original.topology if original else _of_reversed(asked)
    topology = checked(found, partition) if found else None
    rows = [row for row in (asked, counterpart) if row is not None]
    events = [
        RecordEvent(
            **event.model_dump(),
            source_server_id=row.source_server_id,
            account_id=row.account_id,
            region=row.replication_region,
        )
        for row in rows
        for event in row.history
    ]
    system = next((row.operating_system for row in rows if row.operating_system), None)
    return FailbackTopology(
        source_server_id=asked.source_server_id,
        hostname=asked.hostname or (counterpart.hostname if counterpart else None),
        replication_direction=asked.replication_direction,
        current_account_id=asked.account_id,
        current_region=asked.replication_region,
        deleted_at=asked.deleted_at,
        original_source_server_id=original.source_server_id if original else None,
        topology=topology,
        failback_command=_install(topology, "original_source_region", "original_account_id", system, partition),
        reprotect_command=_install(
            topology, "original_replication_region", "original_replication_account_id", system, partition
        ),
        warnings=_warnings(asked, topology),
        history=sorted(events, key=lambda event: event.at),
    )


def _of_reversed(row: ServerRow) -> Topology:
    """Return what a FAILBACK record itself says: it lives in the origin (AWS, ReverseReplication)."""
    unknown = Learnt(source=Source.UNKNOWN, learnt_at=row.first_seen)

    def said(value: str | None) -> Learnt:
        return Learnt(value=value, source=Source.DRS, learnt_at=row.first_seen) if value else unknown

    return Topology(
        original_source_region=said(row.replication_region),
        original_account_id=said(row.account_id),
        original_availability_zone=unknown,
        original_replication_region=said(row.source_region),
        original_replication_account_id=said(row.source_account_id),
        original_replication_configuration=unknown,
    )


def _install(
    topology: Topology | None, region: str, account: str, system: str | None, partition: AwsPartition
) -> str | None:
    """Return the command that installs the agent so that it replicates into a region and an account.

    AWS, "Installer parameters": `--region` is where the server is registered, `--account-id` the account to replicate
    into. The installer's bucket is that region's. People run the command as root: `topology` is checked, and what comes
    from it is quoted all the same.
    """
    if topology is None:
        return None
    into_region, into_account = getattr(topology, region).value, getattr(topology, account).value
    if not into_region or not into_account:
        return None
    windows = system is not None and "windows" in system.lower()
    quoted = _powershell if windows else shlex.quote
    bucket = f"https://aws-elastic-disaster-recovery-{into_region}.s3.{into_region}.{partition.dns_suffix}/latest"
    options = f"--region {quoted(into_region)} --account-id {quoted(into_account)} --no-prompt"
    if windows:
        name = "AwsReplicationWindowsInstaller.exe"
        return f"Invoke-WebRequest -Uri {quoted(f'{bucket}/windows/{name}')} -OutFile {name}; .\\{name} {options}"
    name = "aws-replication-installer-init"
    return f"wget -O ./{name} {quoted(f'{bucket}/linux/{name}')} && chmod +x {name} && sudo ./{name} {options}"


def _powershell(value: str) -> str:
    """Return one argument for PowerShell: between single quotes nothing but these means anything."""
    return value if BARE_IN_POWERSHELL.fullmatch(value) else "'" + value.replace("'", "''") + "'"


def _warnings(row: ServerRow, topology: Topology | None) -> list[str]:
    if topology is None:
        return [f"no topology was captured for {row.source_server_id}: find its origin otherwise"]
    unknown = [name for name in Topology.model_fields if getattr(topology, name).source is Source.UNKNOWN]
    return [f"{name}: unknown, find it out otherwise" for name in unknown]

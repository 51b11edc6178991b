"""Failback topology: where a server came from, captured when it was first seen (R13).

Each value carries where and when it was learnt. What is known is never overwritten; only "unknown" may be replaced.
A stored value that cannot be a region, a zone or an account counts as unknown: people run commands made from them.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from .partitions import AwsPartition, has_region_form, has_zone_form, is_account_id
from .records import Moment, Record


class Source(StrEnum):
    """Where a value was learnt."""

    DRS = "drs"
    FIRST_SEEN = "first-seen"
    UNKNOWN = "unknown"


class Learnt(Record):
    """One value with its provenance."""

    value: Any = None
    source: Annotated[Source | str, Field(union_mode="left_to_right")]  # a newer version's stays as it is
    learnt_at: Moment


class Topology(Record):
    """The originals of one server.

    Attributes:
        original_source_region: AWS region where the machine ran (not the replication region).
        original_account_id: account in which it ran.
        original_availability_zone: its zone there.
        original_replication_region: DRS region that listed it first.
        original_replication_account_id: account that it replicated into: its staging account.
        original_replication_configuration: GetReplicationConfiguration at first sight.
    """

    original_source_region: Learnt
    original_account_id: Learnt
    original_availability_zone: Learnt
    original_replication_region: Learnt
    original_replication_account_id: Learnt
    original_replication_configuration: Learnt

    @property
    def complete(self) -> bool:
        """Whether the replication configuration, the only value that takes a call, is known."""
        return self.original_replication_configuration.source is not Source.UNKNOWN


def first_seen(
    origin: tuple[str | None, str | None, str | None],
    replication: tuple[str, str],
    configuration: dict[str, Any] | None,
    now: Moment,
) -> Topology:
    """Return the topology of a server seen for the first time.

    Args:
        origin: origin region, account and zone as DRS says them; None where it does not (on-premises).
        replication: DRS region, and the account that the server replicates into.
        configuration: its replication configuration; None where it could not be had.
        now: when this was learnt.
    """
    region, account_id, zone = (_from_drs(value, now) for value in origin)
    return Topology(
        original_source_region=region,
        original_account_id=account_id,
        original_availability_zone=zone,
        original_replication_region=Learnt(value=replication[0], source=Source.FIRST_SEEN, learnt_at=now),
        original_replication_account_id=Learnt(value=replication[1], source=Source.FIRST_SEEN, learnt_at=now),
        original_replication_configuration=_from_drs(configuration, now),
    )


def merge(known: Topology | None, seen: Topology) -> Topology:
    """Return `known` with every unknown value replaced by what was seen; `seen` where nothing was known."""
    if known is None:
        return seen
    known = checked(known)
    learnt = {
        name: getattr(seen, name)
        for name in Topology.model_fields
        if getattr(known, name).source is Source.UNKNOWN and getattr(seen, name).source is not Source.UNKNOWN
    }
    return known.model_copy(update=learnt)


def checked(topology: Topology, partition: AwsPartition | None = None) -> Topology:
    """Return the topology, unknown in what has not the form of such a value, in `partition` where one is given."""
    is_region = partition.is_region if partition else has_region_form
    is_zone = partition.is_zone if partition else has_zone_form
    forms = {
        "original_source_region": is_region,
        "original_account_id": is_account_id,
        "original_availability_zone": is_zone,
        "original_replication_region": is_region,
        "original_replication_account_id": is_account_id,
    }
    values = {name: getattr(topology, name) for name in forms}
    wrong = {
        name: Learnt(source=Source.UNKNOWN, learnt_at=learnt.learnt_at)
        for name, learnt in values.items()
        if learnt.value is not None and not forms[name](learnt.value)
    }
    return topology.model_copy(update=wrong) if wrong else topology


def _from_drs(value: Any, now: Moment) -> Learnt:
    return Learnt(value=value, source=Source.DRS if value is not None else Source.UNKNOWN, learnt_at=now)

"""Source servers: what DRS and EC2 say of them, and when that counts as a change.

A row of the inventory is written when one of two hashes changes: over what DRS says, and over what EC2 says. What
moves on every poll (lag, backlog, last seen) is in neither: it goes to the scope's telemetry.
"""

import json
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from pydantic import Field

from .history import Event
from .records import Moment, Record
from .topology import Topology

FAILBACK = "FAILBACK"
CONTINUOUS = "CONTINUOUS"
DISCONNECTED = "DISCONNECTED"
NOT_REPLICATING = (DISCONNECTED, "STOPPED")
EXTENDED = "EXTENDED"
EXTENSION_ERROR = "EXTENSION_ERROR"
NOT_EXTENDED = "NOT_EXTENDED"


TERMINATING = ("shutting-down", "terminated")
"""States of an instance whose tags EC2 takes away by and by, while it is still listed (AWS, "Terminate instances")."""


class InstanceState(StrEnum):
    """What became of the look-up of the server's EC2 instance in its origin account and region."""

    FOUND = "FOUND"
    NOT_FOUND = "NOT_FOUND"
    ON_PREMISES = "ON_PREMISES"


class DrsFacts(Record):
    """What DRS says of a source server, without what moves on every poll."""

    arn: str
    hostname: str | None = None
    fqdn: str | None = None
    replication_state: str = "UNKNOWN"
    replication_direction: str = "FAILOVER"
    lag_band: str | None = None
    replication_error: str | None = None
    last_launch_result: str | None = None
    last_launch_type: str | None = None
    last_launch_at: str | None = None
    recovery_instance_id: str | None = None
    reversed_direction_source_server_arn: str | None = None
    staging_account_id: str
    staging_status: str = NOT_EXTENDED
    staging_error: str | None = None
    staging_source_server_arn: str | None = None
    source_account_id: str | None = None
    source_region: str | None = None
    source_availability_zone: str | None = None
    source_instance_id: str | None = None
    operating_system: str | None = None
    recommended_instance_type: str | None = None
    cpu_cores: int | None = None
    ram_bytes: int | None = None
    disk_bytes: int | None = None
    ips: list[str] | None = None
    agent_version: str | None = None
    drs_tags: dict[str, str] = {}

    @property
    def extended(self) -> bool:
        """Whether the server stands for an original in a staging account, be it in error."""
        return self.staging_status in (EXTENDED, EXTENSION_ERROR)


class Ec2Facts(Record):
    """What EC2 says of the instance behind a source server, in its origin account and region."""

    instance_state: InstanceState
    instance_type: str | None = None
    instance_status: str | None = None
    vpc_id: str | None = None
    subnet_id: str | None = None
    source_tags: dict[str, str] = {}

    @property
    def terminating(self) -> bool:
        """Whether the instance is about to go: what EC2 says of its tags and network is not how it was."""
        return self.instance_status in TERMINATING


class ServerRow(DrsFacts):
    """One row of the inventory. Field names stay (R8, R12.4); IDs keep AWS's spelling."""

    source_server_id: str = Field(alias="sourceServerID")
    replication_region: str
    account_id: str
    scope: str | None = None
    instance_state: InstanceState | None = None
    instance_type: str | None = None
    instance_status: str | None = None
    vpc_id: str | None = None
    subnet_id: str | None = None
    source_tags: dict[str, str] = {}
    managed_tag_keys: list[str] = []
    managed_tag_values: dict[str, list[str]] = {}
    managed_as_of: int = 0
    drs_hash: str | None = None
    ec2_hash: str | None = None
    topology: Topology | None = None
    history: list[Event] = []
    first_seen: Moment
    last_updated: Moment
    deleted_at: Moment | None = None

    @property
    def living(self) -> bool:
        """Whether DRS listed the server in its scope's last complete scan."""
        return self.deleted_at is None

    def drs(self) -> DrsFacts:
        """Return what DRS says of the server: the part that `drs_hash` covers."""
        return DrsFacts(**{name: getattr(self, name) for name in DrsFacts.model_fields})


class InventoryIndex(StrEnum):
    """An index of the inventory, by the attribute that it is partitioned by. Only `scope` leaves tombstones out."""

    SCOPE = "scope"
    STAGING_ACCOUNT = "stagingAccountId"
    SOURCE_ACCOUNT = "sourceAccountId"
    HOSTNAME = "hostname"


class Partition(NamedTuple):
    """One partition of an index; within it, rows are in the order of their IDs."""

    by: InventoryIndex
    value: str


class Position(NamedTuple):
    """A row's place within a partition."""

    source_server_id: str
    replication_region: str


class Page(NamedTuple):
    """Some rows of a partition, and whether there are more behind them."""

    rows: list[ServerRow]
    more: bool


class Telemetry(NamedTuple):
    """What of a server moves on every poll, and what finding changes needs: one entry of the scope's item.

    Attributes:
        drs_hash: hash over what DRS said.
        ec2_hash: hash over what EC2 said; empty where it never answered.
        lag_seconds: replication lag.
        backlog_bytes: bytes waiting for replication, over all disks.
        eta: when DRS expects the replication to catch up, as it says it.
        last_seen: when the agent was last seen, as DRS says it.
        original: the ARN where the server may be extended from here, else empty.
        extends: the ARN of the staging original that it extends, else empty.
        extension: the staging status, where it extends one.
        topology_complete: whether every failback original is known.
    """

    drs_hash: str
    ec2_hash: str = ""
    lag_seconds: int | None = None
    backlog_bytes: int = 0
    eta: str | None = None
    last_seen: str | None = None
    original: str = ""
    extends: str = ""
    extension: str = ""
    topology_complete: bool = True


ON_PREMISES = Ec2Facts(instance_state=InstanceState.ON_PREMISES)
NOT_FOUND = Ec2Facts(instance_state=InstanceState.NOT_FOUND)


def content_hash(facts: Record) -> str:
    """Return the hash over all that `facts` says: equal content, equal hash, in every process and order."""
    return digest(packed(facts))


def packed(facts: Record) -> bytes:
    """Return all that `facts` says, as JSON: equal content, equal text. A sixth of what the record takes in memory."""
    return json.dumps(facts.item(), sort_keys=True, separators=(",", ":"), default=str).encode()


def digest(text: bytes) -> str:
    """Return the hash over packed facts."""
    return blake2b(text, digest_size=8).hexdigest()


def lag_band(lag_seconds: int | None) -> str | None:
    """Return the coarse band of a replication lag, the only part of it that counts as a change of the server."""
    if lag_seconds is None:
        return None
    for limit, band in ((600, "UNDER_10_MINUTES"), (3_600, "UNDER_1_HOUR"), (86_400, "UNDER_1_DAY")):
        if lag_seconds < limit:
            return band
    return "OVER_1_DAY"

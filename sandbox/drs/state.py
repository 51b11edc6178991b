"""What exists in the simulated DRS: scopes (account and region), their source servers, recovery instances and jobs.

Plain data and its identity. What may be done to it is said in `operations`, `extensions`, `recovery` and `failback`,
how it looks on the wire in `records` and `recovery_records`. None of it locks: `core.DrsCloud` does.
"""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt
from pydantic.alias_generators import to_camel

from sandbox.drs.motion import FROZEN_STATES, Replication
from sandbox.drs.service_model import arn


class Settings(BaseModel):
    """What AWS does not publish, or may change.

    `page_cap` bounds every page of DescribeSourceServers whatever the caller asks for (the model has no maximum), and
    `default_page_size` is the page of a caller who does not ask. The quotas: 300 replicating servers per account and
    region, and 4000 servers in all per target account and region (AWS documentation, DRS quotas). `work_seconds` is how
    long a job or an initial sync takes; 0 means that it is done when the next request arrives. `unused_error` is what a
    region answers where DRS is not used: the model has UninitializedAccountException, others saw BadRequestException.
    `configures_extensions` is whether GetReplicationConfiguration answers for an extension; else it is denied.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, validate_default=True
    )

    page_cap: PositiveInt = 300
    default_page_size: PositiveInt = 200
    replicating_servers_quota: PositiveInt = 300
    total_servers_quota: PositiveInt = 4000
    work_seconds: NonNegativeFloat = 0
    unused_error: Literal["UninitializedAccountException", "BadRequestException"] = "UninitializedAccountException"
    configures_extensions: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an EC2 machine runs."""

    account: str
    region: str
    availability_zone: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What the agent reports about a machine; an extension has the machine of its original."""

    hostname: str
    fqdn: str
    mac_address: str
    ip_address: str
    instance_id: str | None = None
    vmware_uuid: str | None = None
    origin: Origin | None = None
    cpu_cores: int = 2
    ram_bytes: int = 8 << 30
    disk_bytes: tuple[int, ...] = (8 << 30,)
    os_name: str = "Linux"
    architecture: str = "x86_64"
    agent_version: str = "5.2.0"

    @property
    def hardware_ids(self) -> tuple[str | None, ...]:
        """What the filter `hardwareId` may name: EC2 instance ID, VMware UUID or MAC address (botocore's model)."""
        return self.instance_id, self.vmware_uuid, self.mac_address


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging original of an extended server. With an `error_message` the extension is in EXTENSION_ERROR."""

    account: str
    source_server_arn: str
    error_message: str | None = None


@dataclass(slots=True)
class SourceServer:
    """A source server in one account and region.

    `sequence` is unique in the cloud and ascends in the order of arrival. `default_ebs_key` and `extension_error` exist
    in the simulation only. After a change to any attribute, `changed()` drops the cached record.
    """

    account: str
    region: str
    server_id: str
    sequence: int
    machine: Machine
    replication: Replication
    added_at: float
    tags: dict[str, str] = field(default_factory=dict)
    staging: Staging | None = None
    direction: str = "FAILOVER"
    last_launch_result: str = "NOT_STARTED"
    last_launch_at: float = 0.0
    last_launch_job_id: str | None = None
    last_launch_drill: bool = False
    recovery_instance_id: str | None = None
    reversed_arn: str | None = None
    source_network_id: str | None = None
    default_ebs_key: bool = False
    extension_error: str | None = None
    cached: tuple[int, bytes] | None = None

    @property
    def arn(self) -> str:
        return arn(self.account, self.region, "source-server", self.server_id)

    @property
    def staging_account(self) -> str:
        """The account that replicates the machine: that of the original for an extended server, else the own one."""
        return self.staging.account if self.staging else self.account

    @property
    def uses_replication_quota(self) -> bool:
        """Whether the server replicates here; an extension replicates in its staging account."""
        return self.staging is None and self.replication.state not in FROZEN_STATES

    def changed(self) -> None:
        """Drop the cached record."""
        self.cached = None


@dataclass(slots=True)
class Participant:
    """What a job does to one server. `instance_id` is known once there is an instance."""

    server_id: str
    instance_id: str | None = None
    status: str = "PENDING"


@dataclass(slots=True)
class Job:
    """A job that StartRecovery or TerminateRecoveryInstances began; `recovery` moves it on and ends it."""

    account: str
    region: str
    job_id: str
    sequence: int
    initiated_by: str
    created_at: float
    participants: list[Participant]
    tags: dict[str, str] = field(default_factory=dict)
    status: str = "PENDING"
    ended_at: float | None = None

    @property
    def arn(self) -> str:
        return arn(self.account, self.region, "job", self.job_id)

    @property
    def terminates(self) -> bool:
        """Whether it terminates instances; otherwise it launches them."""
        return self.initiated_by == "TERMINATE_RECOVERY_INSTANCES"

    @property
    def is_drill(self) -> bool:
        return self.initiated_by == "START_DRILL"


@dataclass(slots=True)
class RecoveryInstance:
    """What a launch made of a source server: an EC2 instance in the server's own account and region.

    `machine` is the instance itself, and its origin where it runs. `reversed` is the source server that replicates it
    back. `source` and `reversed` outlive their removal from DRS: ask the state whether they are still there.
    """

    account: str
    region: str
    instance_id: str
    sequence: int
    source: SourceServer
    job_id: str
    machine: Machine
    launched_at: float
    is_drill: bool
    ec2_state: str = "RUNNING"
    connected: bool = True
    tags: dict[str, str] = field(default_factory=dict)
    reversed: SourceServer | None = None

    @property
    def arn(self) -> str:
        return arn(self.account, self.region, "recovery-instance", self.instance_id)


@dataclass(slots=True)
class Template:
    """A replication configuration template, as its wire record."""

    sequence: int
    record: dict[str, Any]


@dataclass(slots=True)
class Scope:
    """DRS of one account in one region. `servers` is in the order of `sequence`."""

    account: str
    region: str
    opted_in: bool = True
    initialised: bool = False
    servers: dict[str, SourceServer] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    instances: dict[str, RecoveryInstance] = field(default_factory=dict)
    extended: dict[str, str] = field(default_factory=dict)

    def add(self, server: SourceServer) -> None:
        """Take in a server that is newer than all others; an extension is remembered by its original's ARN."""
        self.servers[server.server_id] = server
        if server.staging:
            self.extended[server.staging.source_server_arn] = server.server_id

    def remove(self, server: SourceServer) -> None:
        """Let a server go. A deleted original leaves its extensions; a deleted extension can be made again."""
        del self.servers[server.server_id]
        if server.staging:
            self.extended.pop(server.staging.source_server_arn, None)

    def replicating_servers(self) -> int:
        """Return how many servers count against the quota of replicating servers."""
        return sum(server.uses_replication_quota for server in self.servers.values())


class CloudState:
    """Every scope, the trusts between accounts, the settings, and the sources of identity and time.

    `running_jobs` and `syncs` (each with the version of the replication that it ends) are what is under way;
    `instance_changed` is told of every recovery instance that is launched or terminated.
    """

    def __init__(
        self, clock: Callable[[], float], seed: int, instance_changed: Callable[[RecoveryInstance], None]
    ) -> None:
        self.now = clock
        self.instance_changed = instance_changed
        self.running_jobs: list[Job] = []
        self.syncs: list[tuple[Replication, int]] = []
        self.settings = Settings()
        self.scopes: dict[tuple[str, str], Scope] = {}
        self.trusted_targets: dict[str, set[str]] = {}
        self._random = random.Random(seed)
        self._sequence = itertools.count(1)

    def scope(self, account: str, region: str) -> Scope:
        """Return the scope; one that nobody has spoken of is opted in and not initialised."""
        return self.scopes.setdefault((account, region), Scope(account, region))

    def server_by_arn(self, source_server_arn: str) -> SourceServer | None:
        """Return the server with this ARN, wherever it is."""
        region, account, resource = source_server_arn.split(":")[3:6]
        scope = self.scopes.get((account, region))
        server = scope.servers.get(resource.partition("/")[2]) if scope else None
        return server if server and server.arn == source_server_arn else None

    def exists(self, server: SourceServer) -> bool:
        """Return whether `server` is still in DRS."""
        return self.server_by_arn(server.arn) is server

    def trusts(self, staging_account: str, target_account: str) -> bool:
        """Return whether `staging_account` lets `target_account` extend its servers."""
        return target_account in self.trusted_targets.get(staging_account, ())

    def next_sequence(self) -> int:
        return next(self._sequence)

    def new_id(self, prefix: str) -> str:
        """Return `prefix` and 17 characters, the same ones in the same order after every reset."""
        return f"{prefix}{self._random.getrandbits(68):017x}"


def mac_address(sequence: int) -> str:
    """Return a locally administered address, another one for every sequence number."""
    return "02:" + sequence.to_bytes(5, "big").hex(":")

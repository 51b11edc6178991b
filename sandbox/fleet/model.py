"""A fleet: accounts, memberships, DRS servers and EC2 instances, as plain data."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

Place = tuple[str, str]
"""An account and a region: a scope where it is DRS's, an origin where machines run there."""

TARGET, STAGING, SOURCE = "target", "staging", "source"
TENANT = "default"


@dataclass(frozen=True)
class FleetAccount:
    """A customer account.

    Attributes:
        account_id: 12 digits.
        name: for people.
        kind: `target`, `staging` or `source`.
        external_id: its own secret for AssumeRole.
        initialised: regions in which DRS is set up, with servers or without.
        active: those of them that hold servers.
        not_opted_in: regions that the account has not enabled.
        trusts: target accounts that may extend its servers.
        tenant: the company whose account it is.
    """

    account_id: str
    name: str
    kind: str
    external_id: str = field(repr=False)
    initialised: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    not_opted_in: tuple[str, ...] = ()
    trusts: tuple[str, ...] = ()
    tenant: str = TENANT


@dataclass(frozen=True)
class FleetMembership:
    """A staging account of a target; `trusted` is whether the staging account lets the target extend its servers."""

    target: str
    staging: str
    trusted: bool


@dataclass(frozen=True)
class Origin:
    """Where a machine runs."""

    account_id: str
    region: str
    zone: str

    @property
    def place(self) -> Place:
        """Account and region."""
        return self.account_id, self.region


@dataclass(frozen=True)
class FleetServer:
    """A server that DRS lists in `account_id` and `region`.

    `origin` and `instance_id` are None for an on-premises machine. `extended_from` is the ARN of the staging server
    that an extension stands for. `tags` are those that others put on the DRS server before the product came.
    """

    account_id: str
    region: str
    server_id: str
    hostname: str
    state: str = "CONTINUOUS"
    direction: str = "FAILOVER"
    origin: Origin | None = None
    instance_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    default_ebs_key: bool = False
    extension_error: str | None = None
    extended_from: str | None = None
    cpu_cores: int = 2
    ram_gib: int = 8
    os_name: str = "Amazon Linux 2023"

    @property
    def arn(self) -> str:
        """The server's ARN."""
        return f"arn:aws:drs:{self.region}:{self.account_id}:source-server/{self.server_id}"


@dataclass(frozen=True)
class FleetInstance:
    """An EC2 instance behind servers."""

    account_id: str
    region: str
    zone: str
    instance_id: str
    instance_type: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Fleet:
    """Everything that is planted.

    Attributes:
        regions: all regions in which DRS exists.
        accounts: those that are registered with the product.
        unused_regions: regions in which the accounts have set DRS up, but nobody has a server.
        former: memberships that are over: what was extended under them stays.
        unextended: target account and original of each extension that somebody removed on purpose.
    """

    name: str
    regions: tuple[str, ...]
    unused_regions: tuple[str, ...]
    accounts: tuple[FleetAccount, ...]
    memberships: tuple[FleetMembership, ...]
    servers: tuple[FleetServer, ...]
    instances: tuple[FleetInstance, ...]
    former: tuple[FleetMembership, ...] = ()
    unextended: frozenset[tuple[str, str]] = frozenset()

    def of_kind(self, *kinds: str) -> list[FleetAccount]:
        """Return the accounts of `kinds`."""
        return [account for account in self.accounts if account.kind in kinds]

    def tenant_of(self, account_id: str) -> str | None:
        """Return the tenant of an account; None where it is not registered."""
        return next((account.tenant for account in self.accounts if account.account_id == account_id), None)

    @property
    def scopes(self) -> list[Place]:
        """Every scope that the product has to know: the accounts with DRS, in all regions."""
        return [(account.account_id, region) for account in self.of_kind(TARGET, STAGING) for region in self.regions]

    @property
    def active_scopes(self) -> list[Place]:
        """The scopes that hold servers, as planted."""
        return sorted({(server.account_id, server.region) for server in self.servers})

    def with_more(self, servers: Sequence[FleetServer], instances: Sequence[FleetInstance]) -> "Fleet":
        """Return the fleet with what arrived later."""
        return replace(self, servers=(*self.servers, *servers), instances=(*self.instances, *instances))

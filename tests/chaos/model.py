"""The truth: what customers have, what operators asked for, and what the product must therefore say in the end.

The customers' side is the simulated services' own state (`ChaosDrs`, `FakeEc2`); the model changes it and remembers
what cannot be read off it: which accounts and memberships are wanted, which extensions were removed on purpose.
"""

from itertools import count
from typing import Any, NamedTuple

from chalicelib.domain.accounts import Account, AccountKind
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind

from ..factories import OTHER, SOURCE, STAGING, TARGET, account, arn_of, instance, wire_server
from .ledger import OTHERS
from .world import DRS_REGIONS, ChaosWorld

SECOND_STAGING = "666666666666"
ACCOUNTS = {
    TARGET: AccountKind.TARGET,
    OTHER: AccountKind.TARGET,
    STAGING: AccountKind.STAGING,
    SECOND_STAGING: AccountKind.STAGING,
    SOURCE: AccountKind.SOURCE,
}
WITH_DRS = [account_id for account_id, kind in ACCOUNTS.items() if kind is not AccountKind.SOURCE]
MEMBERSHIPS = [(TARGET, STAGING), (OTHER, STAGING), (TARGET, SECOND_STAGING)]
SCOPES = [Scope(account_id, region) for account_id in WITH_DRS for region in DRS_REGIONS]
ORIGINS = [(SOURCE, "eu-central-1"), (SOURCE, "us-east-1"), (OTHER, "eu-west-1"), None]
STATES = ["CONTINUOUS", "STALLED", "DISCONNECTED", "INITIAL_SYNC"]
TAGS = ["Name", "env", "team"]
SKIP = "skip"
"""Tag that keeps a staging server out of the memberships."""


class Server(NamedTuple):
    """A server that DRS lists, or listed."""

    scope: Scope
    source_server_id: str

    @property
    def arn(self) -> str:
        return arn_of(self.source_server_id, *self.scope)


class Model:
    """Changes the world, and knows what was asked for."""

    def __init__(self, world: ChaosWorld) -> None:
        self._world = world
        self._numbers = count(1)
        self.accounts: set[str] = set()
        self.memberships: set[tuple[str, str]] = set()
        self.gone: list[dict[str, Any]] = []
        self.removed: set[tuple[Scope, str]] = set()  # extensions removed on purpose: not to be made again
        self.unclear: set[tuple[Scope, str]] = set()  # may be made again, or not
        self.poison: list[str] = []
        self.bad_records: list[str] = []  # sequence numbers

    # --- customers ---

    def servers(self) -> list[Server]:
        """Return every server that DRS lists."""
        here = self._world.drs.servers
        return [Server(scope, server) for scope in sorted(here) for server in sorted(here[scope])]

    def wire(self, server: Server) -> dict[str, Any]:
        return self._world.drs.servers[server.scope][server.source_server_id]

    def appears(self, scope: Scope, origin: tuple[str, str] | None, *, skipped: bool = False) -> None:
        """A server is protected: an agent replicates into `scope`."""
        number = next(self._numbers)
        server, machine = f"s-{number:04d}", f"i-{number:04d}" if origin else None
        tags = {SKIP: "yes"} if skipped else {}
        wire = wire_server(server, *scope, instance=machine, origin=origin, tags={f"{OTHERS}{number}": "x", **tags})
        self._world.drs.add(wire)
        if origin and machine:
            self._world.ec2.add(*origin, instance(machine, tags={"Name": f"web-{number}", "env": "prod"}))

    def disappears(self, server: Server) -> None:
        """A server is no longer protected. An extension's removal is on purpose, where it was known."""
        wire = self.wire(server)
        self._world.drs.remove(wire["arn"])
        original = wire["stagingArea"].get("stagingSourceServerArn")
        if original is None:
            self.gone.append(wire)
            return
        row = self._world.inventory.row(server.source_server_id, server.scope.region)
        known = row is not None and row.living and row.staging_status == "EXTENDED"
        asked = self._world.work_states.items.get(WorkId(WorkKind.STAGING, server.scope))
        all_again = asked is not None and asked.retry_refused > (asked.done or 0)  # refused or removed, by request
        (self.removed if known and not all_again else self.unclear).add((server.scope, original))

    def returns(self, number: int) -> bool:
        """A server that had gone is listed again."""
        if not self.gone:
            return False
        wire = self.gone.pop(number % len(self.gone))
        self._world.drs.add(wire)
        return True

    def changes(self, server: Server, number: int) -> None:
        """Something about a server changes."""
        wire = self.wire(server)
        what, value = number % 6, number // 6
        if what == 0:
            wire["dataReplicationInfo"]["dataReplicationState"] = STATES[value % len(STATES)]
        elif what == 1:
            wire["dataReplicationInfo"]["lagDuration"] = ["PT5S", "PT7S", "PT20M", "P2D"][value % 4]
        elif what == 2:
            wire["tags"][f"{OTHERS}{value % 3}"] = f"v{value % 5}"
        elif what == 3:
            wire["sourceProperties"]["identificationHints"]["hostname"] = f"host-{value % 7}"
        elif what == 4:
            self._tag_instance(wire, value)
        elif found := self._instance(wire):
            found["State"] = {"Name": ["running", "stopped"][value % 2]}

    def retags(self, server: Server, value: int) -> None:
        """The tags of the server's EC2 instance change."""
        self._tag_instance(self.wire(server), value)

    def recovers(self, server: Server) -> None:
        """A server is launched in the DR region."""
        number = next(self._numbers)
        wire = self.wire(server)
        wire["recoveryInstanceId"] = f"i-recovered-{number}"
        wire["lastLaunchResult"] = "SUCCEEDED"
        initiated = {"type": "RECOVERY", "apiCallDateTime": f"2026-03-01T13:{number % 60:02d}:00Z"}
        wire["lifeCycle"]["lastLaunch"] = {"initiated": initiated}

    def reverses(self, server: Server) -> bool:
        """A recovered server is replicated back: a second record appears in its origin account and region."""
        wire = self.wire(server)
        origin = _origin(wire)
        if origin is None or origin[0] not in WITH_DRS or "recoveryInstanceId" not in wire:
            return False
        if "reversedDirectionSourceServerArn" in wire or wire["replicationDirection"] == "FAILBACK":
            return False
        number = next(self._numbers)
        back = wire_server(
            f"s-{number:04d}",
            *origin,
            instance=wire["recoveryInstanceId"],
            origin=tuple(server.scope),
            direction="FAILBACK",
            reversedDirectionSourceServerArn=wire["arn"],
        )
        wire["reversedDirectionSourceServerArn"] = back["arn"]
        self._world.drs.add(back)
        return True

    def _tag_instance(self, wire: dict[str, Any], value: int) -> None:
        found = self._instance(wire)
        if found is None:
            return
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        key = TAGS[value % len(TAGS)]
        if value % 2 == 0:
            tags.pop(key, None)
        else:
            tags[key] = f"v{value % 5}"
        found["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]

    def _instance(self, wire: dict[str, Any]) -> dict[str, Any] | None:
        origin = _origin(wire)
        name = wire["sourceProperties"]["identificationHints"].get("awsInstanceID", "")
        return self._world.ec2.present.get(Scope(*origin), {}).get(name) if origin else None

    # --- what follows for the product ---

    def instance_of(self, server: Server) -> dict[str, Any] | None:
        """Return the EC2 instance behind a server, where it has one."""
        return self._instance(self.wire(server))

    def origin_known(self, server: Server) -> bool:
        """Whether the account in which the server's instance runs is registered."""
        origin = _origin(self.wire(server))
        return origin is not None and origin[0] in self.accounts

    def to_extend(self) -> set[tuple[Scope, str]]:
        """Return (target scope, staging ARN) of what is to be extended, removals on purpose apart."""
        return {
            (Scope(target, server.scope.region), server.arn)
            for target, staging in self.memberships
            for server in self.servers()
            if server.scope.account_id == staging and _may_be_extended(self.wire(server))
        }

    def account_removed(self, account_id: str) -> None:
        """With an account the product forgets what it knew of its servers: of what was removed, too."""
        affected = {removal for removal in self.removed if removal[0].account_id == account_id}
        self.removed -= affected
        self.unclear |= affected


def registered(account_id: str) -> Account:
    """Return an account as operators register it."""
    return account(account_id, ACCOUNTS[account_id])


def _origin(wire: dict[str, Any]) -> tuple[str, str] | None:
    cloud = wire.get("sourceCloudProperties")
    return (cloud["originAccountID"], cloud["originRegion"]) if cloud else None


def _may_be_extended(wire: dict[str, Any]) -> bool:
    fits = wire["stagingArea"]["status"] == "NOT_EXTENDED" and wire["replicationDirection"] != "FAILBACK"
    return fits and SKIP not in wire["tags"]

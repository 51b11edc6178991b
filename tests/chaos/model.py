"""The truth: what customers have, what operators asked for, and what the product must therefore say in the end.

The customers' side is the simulated services' own state (`ChaosDrs`, `FakeEc2`); the model changes it and remembers
what cannot be read off it: which accounts and memberships are wanted, which extensions were removed on purpose.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import count
from typing import Any, NamedTuple

from chalicelib.domain.accounts import Account, AccountKind, AccountStatus, Membership
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind

from ..factories import OTHER, SOURCE, STAGING, TARGET, account, arn_of, instance, membership, wire_server
from .ledger import OTHERS, must
from .world import DRS_REGIONS, ELSEWHERE, ELSEWHERE_REGION, MOST_EXTENSIONS, MOST_SERVERS, ChaosWorld

SECOND_STAGING, STRANGER, FAR = "666666666666", "777777777777", "888888888888"
ACCOUNTS = {
    TARGET: AccountKind.TARGET,
    OTHER: AccountKind.TARGET,
    STAGING: AccountKind.STAGING,
    SECOND_STAGING: AccountKind.STAGING,
    SOURCE: AccountKind.SOURCE,
    STRANGER: AccountKind.SOURCE,
    FAR: AccountKind.TARGET,
}
TENANTS = {STRANGER: "stranger"}
PARTITIONS = {FAR: ELSEWHERE}
WITH_DRS = [account_id for account_id, kind in ACCOUNTS.items() if kind is not AccountKind.SOURCE]
MEMBERSHIPS = [(TARGET, STAGING), (OTHER, STAGING), (TARGET, SECOND_STAGING)]
SKIP = "skip"
"""Tag that keeps a staging server out of those memberships that ask for it."""
WITH_RULES = [(TARGET, STAGING), (TARGET, SECOND_STAGING)]
SCOPES = [Scope(account_id, region) for account_id in WITH_DRS if account_id != FAR for region in DRS_REGIONS]
SCOPES += [Scope(FAR, ELSEWHERE_REGION)]
ORIGINS = [(SOURCE, "eu-central-1"), (SOURCE, "us-east-1"), (OTHER, "eu-west-1"), (STRANGER, "eu-west-1"), None]
STATES = ["CONTINUOUS", "STALLED", "DISCONNECTED", "INITIAL_SYNC"]
TAGS = ["Name", "env", "team"]


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
        self.inactive: set[str] = set()
        self.theirs: dict[str, set[str]] = {}  # by ARN: keys of EC2's names that others set, while EC2 has none of them
        self.contested: dict[str, set[str]] = {}  # by ARN: keys that may be anybody's
        self.mourned: dict[str, set[str]] = {}  # by ARN: keys of an instance when it was terminated
        self._full: dict[Any, bool] = {}
        self._made: Counter[Any] = Counter()
        ledger = world.ledger
        ledger.is_active = self.is_active
        ledger.tenant_of = lambda account_id: TENANTS.get(account_id, "")
        ledger.on_tags, ledger.on_extension, ledger.on_lease = self.tags_change, self.is_extended, self.work_begins
        ledger.on_ask_to_extend = self.asks_to_extend
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
        if number % 9 == 0:
            self._world.drs.extension_errors[wire["arn"]] = "DRS says that the volume type is not available"
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
        row = self._world.row(server.source_server_id, server.scope.region)
        known = row is not None and row.living and row.staging_status == "EXTENDED"
        asked = self._world.work_item(WorkId(WorkKind.STAGING, server.scope))
        all_again = asked is not None and (asked.retryRefused or 0) > (asked.done or 0)  # by request
        (self.removed if known and not all_again else self.unclear).add((server.scope, original))

    def extends(self, server: Server) -> bool:
        """Whether a server is an extension of another one, and known to be."""
        row = self._row(server)
        return row is not None and row.living and row.staging_status == "EXTENDED"

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
        elif (found := self._instance(wire)) and found["State"]["Name"] != "terminated":
            found["State"] = {"Name": ["running", "stopped"][value % 2]}

    def retags(self, server: Server, value: int) -> None:
        """The tags of the server's EC2 instance change."""
        self._tag_instance(self.wire(server), value)

    def others_tag(self, server: Server, key: str) -> None:
        """Somebody sets a key on a DRS server that EC2 could have as well."""
        wire, found, row = self.wire(server), self.instance_of(server), self._row(server)
        wire["tags"][key] = "theirs"
        here = _tags(found) if found else {}
        intent = getattr(self._world.work_item(WorkId(WorkKind.TAGS, server.scope)), "intent", None) or {}
        noted = key in intent.get(server.source_server_id, [])
        if key in here or noted or (row and (key in row.managed_tag_keys or key in row.source_tags)):
            self.contested.setdefault(server.arn, set()).add(key)
        else:
            self.theirs.setdefault(server.arn, set()).add(key)

    def terminates(self, server: Server) -> None:
        """The server's instance is terminated: EC2 lists it for a while, without its tags (EC2 user guide)."""
        found = self.instance_of(server)
        if found and found["State"]["Name"] != "terminated":
            for arn in self._of_instance(found):
                self.mourned[arn] = set(_tags(found))
            found["Tags"], found["State"] = [], {"Name": "terminated"}

    def _of_instance(self, instance: dict[str, Any]) -> list[str]:
        """Return the ARNs of every server that stands for an instance: an original, and its extensions."""
        listed = [self.wire(server) for server in self.servers()]
        return [wire["arn"] for wire in [*listed, *self.gone] if self._instance(wire) is instance]

    def _row(self, server: Server) -> Any:
        return self._world.row(server.source_server_id, server.scope.region)

    def recovers(self, server: Server) -> None:
        """A server is launched in the DR region: an instance of the account that it is replicated into."""
        number = next(self._numbers)
        self._world.ec2.add(*server.scope, instance(f"i-recovered-{number}", tags={"Name": f"recovered-{number}"}))
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
        if found is None or found["State"]["Name"] == "terminated":
            return
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        key = TAGS[value % len(TAGS)]
        if value % 2 == 0:
            tags.pop(key, None)
        else:
            tags[key] = f"v{value % 5}"
            for arn in self._of_instance(found):
                if key in self.theirs.get(arn, ()):
                    self.theirs[arn].discard(key)
                    self.contested.setdefault(arn, set()).add(key)
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
        """Whether the account in which the server's instance runs is registered, one's own, and of one's partition."""
        origin = _origin(self.wire(server))
        if origin is None or PARTITIONS.get(origin[0]) != PARTITIONS.get(server.scope.account_id):
            return False
        return origin[0] in self.accounts and not TENANTS.get(origin[0])

    def origin_is_strange(self, server: Server) -> bool:
        """Whether the server names an instance of another tenant."""
        origin = _origin(self.wire(server))
        return origin is not None and bool(TENANTS.get(origin[0]))

    def to_extend(self) -> set[tuple[Scope, str]]:
        """Return (target scope, staging ARN) of what is to be extended, removals on purpose apart."""
        return {
            (Scope(target, server.scope.region), server.arn)
            for target, staging in self.memberships
            for server in self.servers()
            if server.scope.account_id == staging and _may_be_extended(self.wire(server), (target, staging))
        }

    def full(self, target: Scope) -> bool:
        return len(self._world.drs.servers.get(target, {})) >= MOST_SERVERS

    # --- what the product must not do ---

    def is_active(self, account_id: str) -> bool:
        found = self._world.accounts().get(account_id)
        return found is None or found.status is not AccountStatus.INACTIVE

    def tags_change(self, arn: str, keys: Iterable[str], removed: bool) -> None:
        """Tags of a server are written or removed."""
        wire = self._world.drs.get(arn)
        must(removed or wire["replicationDirection"] != "FAILBACK", f"{arn} replicates back, and is tagged")
        touched = self.theirs.get(arn, set()) & set(keys)
        must(not touched, f"{arn}: touched what others have set: {touched}")
        lost = self.mourned.get(arn, set()) & set(keys) if removed else set()
        must(not lost, f"{arn}: its instance was terminated, and {lost} were removed")

    def work_begins(self, work: WorkId) -> None:
        if work.kind is WorkKind.STAGING:
            record = self._world.scans().get(work.scope)
            full = bool(record and record.last_success and record.server_count >= MOST_SERVERS)
            self._full[id(self._world.ledger.invocation), work.scope] = full

    def is_extended(self, target: Scope, arn: str) -> None:
        """A staging server was extended: it may be, and no run makes more than its cap."""
        wire = self._world.drs.get(arn)
        pair = (target.account_id, arn.split(":")[4])
        must(_may_be_extended(wire, pair), f"{arn} was extended into {target.key}, and is not to be")
        work = WorkId(WorkKind.STAGING, target)
        run = (id(self._world.ledger.invocation), target, getattr(self._world.work_item(work), "epoch", None))
        self._made[run] += 1
        must(self._made[run] <= MOST_EXTENSIONS, f"{self._made[run]} extensions into {target.key} in one run")

    def asks_to_extend(self, target: Scope) -> None:
        full = self._full.get((id(self._world.ledger.invocation), target))
        must(not full, f"{target.key} is full, and more was to be extended into it")

    # --- what operators do ---

    def account_removed(self, account_id: str) -> None:
        """With an account the product forgets what it knew of its servers: of what was removed, too."""
        affected = {removal for removal in self.removed if removal[0].account_id == account_id}
        self.removed -= affected
        self.unclear |= affected


def registered(account_id: str, **values: Any) -> Account:
    """Return an account as operators register it."""
    partition = PARTITIONS.get(account_id, "aws")
    roles = {f"{role}_role_arn": f"arn:{partition}:iam::{account_id}:role/{role}" for role in ("reader", "writer")}
    tenant = {"tenant": TENANTS[account_id]} if account_id in TENANTS else {}
    return account(account_id, ACCOUNTS[account_id], partition=partition, **{**roles, **tenant, **values})


def member(pair: tuple[str, str]) -> Membership:
    """Return a membership as operators make it."""
    return membership(*pair, exclude_tags={SKIP: "*"} if pair in WITH_RULES else {})


def _origin(wire: dict[str, Any]) -> tuple[str, str] | None:
    cloud = wire.get("sourceCloudProperties")
    return (cloud["originAccountID"], cloud["originRegion"]) if cloud else None


def _may_be_extended(wire: dict[str, Any], pair: tuple[str, str]) -> bool:
    fits = wire["stagingArea"]["status"] == "NOT_EXTENDED" and wire["replicationDirection"] != "FAILBACK"
    return fits and not (pair in WITH_RULES and SKIP in wire["tags"])


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}

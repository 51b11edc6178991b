"""What there is to compare: what is so in the cloud, and what the product made of it, both read raw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from sandbox.cloud.client import SandboxCloud
from sandbox.fleet.model import Place

PAGE = 200
"""The most servers that the product's API gives in a page."""
Item = dict[str, Any]
ServerKey = tuple[str, str]
"""Source server ID and replication region: the inventory's key."""


class EvidenceError(Exception):
    """The product's API did not answer as it should."""


@dataclass(frozen=True)
class TrueServer:
    """A server as the simulated DRS lists it.

    Attributes:
        record: the wire record, as DescribeSourceServers gives it.
        default_ebs_key: whether its volumes cannot be shared.
        extension_error: what an extension of it suffers from, or None.
    """

    place: Place
    record: Item
    default_ebs_key: bool
    extension_error: str | None

    @property
    def server_id(self) -> str:
        return str(self.record["sourceServerID"])

    @property
    def arn(self) -> str:
        return str(self.record["arn"])

    @property
    def key(self) -> ServerKey:
        return self.server_id, self.place[1]

    @property
    def hostname(self) -> str:
        return str(self._hints.get("hostname", ""))

    @property
    def instance_id(self) -> str | None:
        return self._hints.get("awsInstanceID")

    @property
    def state(self) -> str:
        return str(self.record["dataReplicationInfo"]["dataReplicationState"])

    @property
    def direction(self) -> str:
        return str(self.record["replicationDirection"])

    @property
    def staging(self) -> Item:
        area: Item = self.record["stagingArea"]
        return area

    @property
    def extends(self) -> str | None:
        """The ARN of the staging original that it stands for; None where it is no extension."""
        return self.staging.get("stagingSourceServerArn") if self.staging["status"] != "NOT_EXTENDED" else None

    @property
    def origin(self) -> Item:
        """`originAccountID`, `originRegion`, `originAvailabilityZone`; empty for an on-premises machine."""
        origin: Item = self.record.get("sourceCloudProperties") or {}
        return origin

    @property
    def tags(self) -> dict[str, str]:
        tags: dict[str, str] = self.record.get("tags") or {}
        return tags

    @property
    def where(self) -> str:
        return f"{self.place[0]}/{self.place[1]}/{self.server_id} ({self.hostname})"

    @property
    def _hints(self) -> Item:
        hints: Item = self.record["sourceProperties"]["identificationHints"]
        return hints


@dataclass(frozen=True)
class TrueScope:
    """One account's DRS in one region."""

    opted_in: bool = True
    initialised: bool = False
    servers: tuple[TrueServer, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What is so: DRS by scope, the instances by account, region and ID, and who trusts whom."""

    scopes: Mapping[Place, TrueScope]
    instances: Mapping[tuple[str, str, str], Item]
    trusts: Mapping[str, list[str]]

    def scope(self, place: Place) -> TrueScope:
        """Return the scope; one that nobody spoke of is opted in and not initialised."""
        return self.scopes.get(place, TrueScope())

    def servers(self) -> Iterator[TrueServer]:
        """Yield every server of every scope."""
        for scope in self.scopes.values():
            yield from scope.servers

    def instance_of(self, server: TrueServer) -> Item | None:
        """Return the instance behind `server`, in its origin; None where there is none any more."""
        origin = server.origin
        place = (origin.get("originAccountID", ""), origin.get("originRegion", ""))
        return self.instances.get((*place, server.instance_id or ""))


@dataclass(frozen=True)
class Product:
    """What the product holds: items of its tables by key, and the answers of its API.

    `answered` is when `GET /regions` was asked, in epoch seconds.
    """

    rows: Mapping[ServerKey, Item]
    scans: Mapping[Place, Item]
    regions: Mapping[str, Item]
    refusals: Mapping[tuple[str, str], Item]
    regions_answer: Item
    servers_answer: list[Item]
    answered: float


def read_truth(cloud: SandboxCloud) -> Truth:
    """Return what is so in the cloud."""
    told = cloud.control("GET", "/truth")
    instances = cloud.control("GET", "/ec2/instances")["instances"]
    return Truth(
        scopes={(scope["accountId"], scope["region"]): _scope(scope) for scope in told["scopes"]},
        instances={(item["accountId"], item["region"], item["instanceId"]): item for item in instances},
        trusts=told["trusts"],
    )


def read_product(cloud: SandboxCloud) -> Product:
    """Return what the product holds.

    Raises:
        EvidenceError: its API did not answer.
    """
    regions_answer = _get(cloud, "/regions")
    answered = datetime.now(UTC).timestamp()
    listed = set(regions_answer["activeRegions"])
    statuses = {item["region"]: item for item in table_items(cloud, "RegionStatusTableName")}
    unlisted = sorted(name for name, item in statuses.items() if item["serverCount"] and name not in listed)
    servers = [*_servers(cloud), *(server for region in unlisted for server in _servers(cloud, region=region))]
    return Product(
        rows={
            (item["sourceServerID"], item["replicationRegion"]): item
            for item in table_items(cloud, "InventoryTableName")
        },
        scans={(item["accountId"], item["region"]): item for item in table_items(cloud, "ScanTableName")},
        regions=statuses,
        refusals={
            (item["targetScope"], item["stagingSourceServerArn"]): item
            for item in table_items(cloud, "RefusalsTableName")
        },
        regions_answer=regions_answer,
        servers_answer=servers,
        answered=answered,
    )


def table_items(cloud: SandboxCloud, output: str) -> Iterator[Item]:
    """Yield every item of the table that a stack output names, read consistently."""
    table: Any = cloud.hub().resource("dynamodb").Table(cloud.outputs.stack[output])
    more: Item = {}
    while True:
        page = table.scan(ConsistentRead=True, **more)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _scope(told: Item) -> TrueScope:
    place = (told["accountId"], told["region"])
    servers = tuple(
        TrueServer(place, server["record"], server["defaultEbsKey"], server["extensionError"])
        for server in told["servers"]
    )
    return TrueScope(told["optedIn"], told["initialised"], servers)


def _servers(cloud: SandboxCloud, **query: str) -> Iterator[Item]:
    """Yield the servers of all pages of `GET /servers`."""
    asked = {"limit": str(PAGE), **query}
    while True:
        page = _get(cloud, f"/servers?{urlencode(asked)}")
        yield from page["servers"]
        if not page.get("nextToken"):
            return
        asked["nextToken"] = page["nextToken"]


def _get(cloud: SandboxCloud, path: str) -> Item:
    response = cloud.api("GET", path)
    if response.is_error:
        raise EvidenceError(f"GET {path}: {response.status_code} {response.text}")
    answer: Item = response.json()
    return answer

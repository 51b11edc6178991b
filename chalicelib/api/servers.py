"""Servers: the inventory page by page, one server, and where servers came from."""

from pydantic import Field

from ..container import container
from ..domain.accounts import AccountId
from ..domain.failback import FailbackTopology
from ..domain.records import Moment, Record
from ..domain.regions import ScanRecord, ScopeState
from ..domain.servers import DrsFacts, InstanceState, ServerRow
from ..errors import InvalidRequest
from ..services.inventory_query import Query, Servers
from .fields import Hostname, Limit, NextToken, Region, SourceServerId, TagPair
from .operation import Operation, Request, routes

MOST_CPU_CORES = 1_000_000  # far above what any machine has
MOST_RAM_BYTES = 2**50
INTERNAL = {"scope", "drs_hash", "ec2_hash", "topology", "history"}


class ListServers(Request):
    """Which servers; `tag` is `key:value`, may be given several times, and all must match."""

    region: Region | None = None
    account_id: AccountId | None = None
    source_account_id: AccountId | None = None
    staging_account_id: AccountId | None = None
    hostname: Hostname | None = None
    replication_state: str | None = Field(default=None, pattern=r"^[A-Z_]{1,64}$")
    min_cpu_cores: int | None = Field(default=None, ge=0, le=MOST_CPU_CORES)
    min_ram_bytes: int | None = Field(default=None, ge=0, le=MOST_RAM_BYTES)
    tag: list[TagPair] = Field(default=[], max_length=10)
    limit: Limit = 100
    next_token: NextToken | None = None

    def query(self) -> Query:
        """Return the query that these parameters describe.

        Raises:
            InvalidRequest: where a tag is not `key:value`.
        """
        if any(":" not in pair for pair in self.tag):
            raise InvalidRequest("tag: expected key:value")
        pairs = tuple((key, value) for key, _, value in (pair.partition(":") for pair in self.tag))
        given = self.model_dump(exclude={"tag", "limit", "next_token"})
        return Query(**given, tags=pairs)


class ServerBody(DrsFacts):
    """One source server, as DRS and EC2 describe it."""

    source_server_id: str = Field(alias="sourceServerID")
    replication_region: str
    account_id: str
    instance_state: InstanceState | None
    instance_type: str | None
    instance_status: str | None
    vpc_id: str | None
    subnet_id: str | None
    source_tags: dict[str, str]
    managed_tag_keys: list[str]
    first_seen: Moment
    last_updated: Moment
    deleted_at: Moment | None


class ScopeFreshness(Record):
    """How fresh one scope is that a page was read from; `reason` says why a stale one is."""

    account_id: str
    region: str
    state: ScopeState
    as_of: Moment | None
    fresh: bool
    reason: str | None


class ServerPage(Record):
    """One page of servers; there may be a next one although this one is not full."""

    servers: list[ServerBody]
    next_token: str | None
    source: str
    scopes: list[ScopeFreshness]


class ServerRequest(Request):
    """One server."""

    source_server_id: SourceServerId


class ServerDetail(Record):
    """One server, living or a tombstone, and how fresh that is."""

    server: ServerBody
    scope: ScopeFreshness | None


class HostnameRequest(Request):
    """Servers of one name."""

    hostname: Hostname


class TopologyList(Record):
    """The topologies of every server of a name, living ones first."""

    hostname: str
    topologies: list[FailbackTopology]


def list_servers(request: ListServers, _: str) -> ServerPage:
    """Return one page of servers, as the inventory has them."""
    return _page(container().inventory_query.page(request.query(), request.limit, request.next_token))


def query_servers(request: ListServers, _: str) -> ServerPage:
    """Return one page of servers; stale scopes are scanned first, within bounds."""
    return _page(container().inventory_query.page(request.query(), request.limit, request.next_token, refresh=True))


def _page(page: Servers) -> ServerPage:
    return ServerPage(
        servers=[server_body(row) for row in page.rows],
        next_token=page.next_token,
        source="inventory",
        scopes=[_freshness(scan) for scan in page.scans],
    )


def get_server(request: ServerRequest, _: str) -> ServerDetail:
    """Return one server."""
    row = container().inventory_query.server(request.source_server_id)
    scan = container().inventory_query.scan_of(row)
    return ServerDetail(server=server_body(row), scope=_freshness(scan) if scan else None)


def get_failback_topology(request: ServerRequest, _: str) -> FailbackTopology:
    """Return where a server came from, and how to bring it back."""
    return container().failback.get_failback_topology(request.source_server_id)


def find_failback_topologies(request: HostnameRequest, _: str) -> TopologyList:
    """Return where the servers of a name came from."""
    return TopologyList(hostname=request.hostname, topologies=container().failback.of_hostname(request.hostname))


def server_body(row: ServerRow) -> ServerBody:
    """Return a server as callers see it."""
    return ServerBody(**row.model_dump(exclude=INTERNAL))


def _freshness(scan: ScanRecord) -> ScopeFreshness:
    fresh = container().inventory_query.is_fresh([scan])
    overdue = "its scan is overdue" if scan.last_success else "it was never scanned completely"
    return ScopeFreshness(
        account_id=scan.account_id,
        region=scan.region,
        state=scan.state,
        as_of=scan.last_success,
        fresh=fresh,
        reason=None if fresh else scan.error_message or overdue,
    )


OPERATIONS = (
    Operation("list_servers", ListServers, ServerPage, list_servers, "The inventory, by page", "GET", "/servers"),
    Operation(
        "query_servers",
        ListServers,
        ServerPage,
        query_servers,
        "The inventory, by page; what is stale is scanned first",
        "POST",
        "/servers/query",
        changes=True,
    ),
    Operation("get_server", ServerRequest, ServerDetail, get_server, "One server", "GET", "/servers/{sourceServerId}"),
    Operation(
        "get_failback_topology",
        ServerRequest,
        FailbackTopology,
        get_failback_topology,
        "Where a server came from, and how to bring it back",
        "GET",
        "/servers/{sourceServerId}/failback-topology",
    ),
    Operation(
        "find_failback_topologies",
        HostnameRequest,
        TopologyList,
        find_failback_topologies,
        "Where the servers of a name came from",
        "GET",
        "/failback-topologies",
    ),
)
blueprint = routes(OPERATIONS, __name__)

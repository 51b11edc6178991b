"""Regions: their status, by account, and which are active."""

from datetime import UTC, datetime

from ..container import container
from ..domain.accounts import AccountId
from ..domain.records import Moment, Record
from ..domain.regions import RegionStatus, ScopeState
from ..domain.scopes import Scope
from ..errors import NotFound
from .fields import Region
from .operation import Nothing, Operation, Request, routes


class RegionBody(Record):
    """Status of one region over all accounts.

    `failing_accounts` of the active ones keep failing and are backed off; unhealthy is a region where most of them do.
    """

    region: str
    active: bool
    status: ScopeState
    server_count: int
    replicating_count: int
    last_checked: Moment
    last_success: Moment | None
    error_message: str | None
    accounts: int
    active_accounts: int
    failing_accounts: int
    healthy: bool


class RegionList(Record):
    """Status of every region that was ever scanned; `as_of` is when the rows were read."""

    regions: list[RegionBody]
    active_regions: list[str]
    as_of: Moment


class RegionRequest(Request):
    """One region."""

    region: Region


class AccountScan(Record):
    """How one account stands in a region, by its last scan; how many failed in a row, and when the next is planned."""

    account_id: str
    state: ScopeState
    server_count: int
    replicating_count: int
    extended_count: int
    last_checked: Moment
    last_success: Moment | None
    error_message: str | None
    failures: int
    next_try_at: Moment | None


class RegionDetail(Record):
    """One region, account by account."""

    region: str
    status: RegionBody | None
    accounts: list[AccountScan]


class ActiveRequest(Request):
    """Whose active regions; absent: of all accounts together. `healthy`: without those that keep failing."""

    account_id: AccountId | None = None
    healthy: bool = False


class ActiveRegions(Record):
    """Regions that are known to hold at least one source server."""

    account_id: str | None
    regions: list[str]


def list_regions(_: Nothing, __: str) -> RegionList:
    """Return every region's status; at most the cache's TTL old."""
    statuses = container().region_filter.statuses(container().settings.region_cache_ttl_seconds)
    rows = sorted(statuses.values(), key=lambda status: status.region)
    return RegionList(
        regions=[_body(status) for status in rows],
        active_regions=[status.region for status in rows if status.active],
        as_of=datetime.fromtimestamp(container().region_filter.as_of, UTC),
    )


def get_region(request: RegionRequest, _: str) -> RegionDetail:
    """Return one region, account by account, read from the table."""
    status = container().region_filter.statuses(container().settings.region_cache_ttl_seconds).get(request.region)
    records = container().ports.scans.of_region(request.region)
    if status is None and not records:
        raise NotFound(f"region {request.region} was never scanned")
    accounts = [AccountScan.model_validate(record.model_dump()) for record in records]
    return RegionDetail(region=request.region, status=_body(status) if status else None, accounts=accounts)


def list_active_regions(request: ActiveRequest, _: str) -> ActiveRegions:
    """Return the active regions, of one account or of all together."""
    known = container().region_filter
    if request.account_id is None:
        regions = known.healthy_active_regions() if request.healthy else known.active_regions()
        return ActiveRegions(account_id=None, regions=regions)
    container().account_registry.account(request.account_id)  # raises where it is not registered
    scopes = [Scope(request.account_id, region) for region in known.active_regions()]
    active = [
        scan
        for scan in container().ports.scans.of_scopes(scopes)
        if scan.active and not (request.healthy and scan.failing)
    ]
    return ActiveRegions(account_id=request.account_id, regions=[scan.region for scan in active])


def _body(status: RegionStatus) -> RegionBody:
    return RegionBody(**status.model_dump(exclude={"version"}), active=status.active, healthy=status.healthy)


OPERATIONS = (
    Operation("list_regions", Nothing, RegionList, list_regions, "Status of every region", "GET", "/regions"),
    Operation(
        "list_active_regions",
        ActiveRequest,
        ActiveRegions,
        list_active_regions,
        "Regions that hold source servers",
        "GET",
        "/regions/active",
    ),
    Operation(
        "get_region", RegionRequest, RegionDetail, get_region, "One region by account", "GET", "/regions/{region}"
    ),
)
blueprint = routes(OPERATIONS, __name__)

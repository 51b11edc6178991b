"""Queries of the inventory, page by page, each served by an index (R12).

A request reads a bounded number of rows, whatever it filters by: a page may hold fewer servers than asked for, and
still have a next one.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..domain.regions import ScanRecord
from ..domain.scopes import Scope
from ..domain.servers import InventoryIndex, Partition, Position, ServerRow
from ..domain.work import is_fresh
from ..errors import InvalidRequest, NotFound
from ..observability import logger
from .active_region_filter import ActiveRegionFilter
from .fleet import Fleet
from .page_tokens import Cursor, cursor_of, token_of
from .ports import Clock, DrsRegions, Inventory
from .refresh import Refresher

MOST_PER_PAGE = 200
MOST_EXAMINED = 400  # rows that one request reads: parsing them takes about a quarter of a second
ROWS_AT_ONCE = 200
MOST_BYTES = 4_000_000  # of one page: Lambda answers 6 MB, and 200 well-tagged rows are up to 8 MB
BYTES_WITHOUT_TAGS = 4_000  # of one row, at most


class Query(NamedTuple):
    """Which servers; what is not given does not restrict. `tags` are (key, value) pairs that all must match."""

    region: str | None = None
    account_id: str | None = None
    source_account_id: str | None = None
    staging_account_id: str | None = None
    hostname: str | None = None
    replication_state: str | None = None
    min_cpu_cores: int | None = None
    min_ram_bytes: int | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def unfiltered(self) -> bool:
        """Whether every row of the scopes that are read is asked for."""
        return self == Query(region=self.region, account_id=self.account_id)

    def matches(self, row: ServerRow) -> bool:
        """Return whether `row` is a living server that is asked for."""
        known_tags = {**row.drs_tags, **row.source_tags}
        return (
            row.living
            and self.region in (None, row.replication_region)
            and self.account_id in (None, row.account_id)
            and self.source_account_id in (None, row.source_account_id)
            and self.staging_account_id in (None, row.staging_account_id)
            and self.hostname in (None, row.hostname)
            and self.replication_state in (None, row.replication_state)
            and (self.min_cpu_cores or 0) <= (row.cpu_cores or 0)
            and (self.min_ram_bytes or 0) <= (row.ram_bytes or 0)
            and all(known_tags.get(key) == value for key, value in self.tags)
        )


class Servers(NamedTuple):
    """One page of servers.

    Attributes:
        rows: the servers.
        next_token: where the next page begins; None at the end.
        scans: scan records of the scopes that the page was read from: how fresh it is.
    """

    rows: list[ServerRow]
    next_token: str | None
    scans: list[ScanRecord]


class InventoryQuery:
    """Answers queries from the inventory; what is stale is scanned first, within bounds, where that is wanted."""

    def __init__(
        self,
        region_filter: ActiveRegionFilter,
        fleet: Fleet,
        inventory: Inventory,
        refresher: Refresher,
        drs_regions: DrsRegions,
        clock: Clock,
        freshness_limit: timedelta,
    ) -> None:
        self._filter = region_filter
        self._fleet = fleet
        self._inventory = inventory
        self._refresher = refresher
        self._drs_regions = drs_regions
        self._clock = clock
        self._freshness_limit = freshness_limit

    def page(self, query: Query, limit: int, token: str | None = None, *, refresh: bool = False) -> Servers:
        """Return up to `limit` living servers that `query` asks for, by region, account and ID.

        Args:
            query: which.
            limit: 1 to 200.
            token: where the page begins; None: at the beginning.
            refresh: whether to have stale scopes scanned first. That is work; reading alone changes nothing.

        Raises:
            InvalidRequest: where limit or token do not fit.
            NotFound: where the account is not registered.
        """
        if not 1 <= limit <= MOST_PER_PAGE:
            raise InvalidRequest(f"limit: {limit} is not between 1 and {MOST_PER_PAGE}")
        cursor = cursor_of(token, query)
        page = self._read(query, limit, cursor)
        stale = [scan for scan in page.scans if not self.is_fresh([scan])]
        if refresh and stale and self._refresher.refresh(stale):
            page = self._read(query, limit, cursor)
        logger.info(f"Retrieved {len(page.rows)} servers from inventory database")
        return page

    def server(self, source_server_id: str) -> ServerRow:
        """Return a server, or the tombstone of one.

        Raises:
            NotFound: where no such server was ever seen.
        """
        rows = self._inventory.of_server(source_server_id)
        if not rows:
            raise NotFound(f"there is no server '{source_server_id}'")
        return max(rows, key=lambda row: (row.living, row.last_updated))

    def scan_of(self, row: ServerRow) -> ScanRecord | None:
        """Return the scan record of the scope that a server is listed in."""
        return self._fleet.scan(Scope(row.account_id, row.replication_region))

    def is_fresh(self, scans: list[ScanRecord], limit: timedelta | None = None) -> bool:
        """Return whether every one of `scans` succeeded within `limit`: by default an interval and a grace."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        return all(is_fresh(scan, now, limit or self._freshness_limit) for scan in scans)

    def active_scans(self, regions: list[str] | None = None) -> list[ScanRecord]:
        """Return the scan records of the active scopes in `regions`, by default in every active region."""
        chosen = self._filter.active_regions() if regions is None else regions
        return self._fleet.active_scans(chosen)

    def _read(self, query: Query, limit: int, cursor: Cursor | None) -> Servers:
        """Read partition after partition until the page is full or enough rows were examined."""
        scans = {scan.scope.key: scan for scan in self._scopes(query)} if _walks(query) else {}
        partitions = [Partition(InventoryIndex.SCOPE, key) for key in scans] if _walks(query) else [_partition(query)]
        rows: list[ServerRow] = []
        examined, size, used, last = 0, 0, [], None
        at_once = limit if query.unfiltered else ROWS_AT_ONCE
        for partition, row, more in self._rows(partitions, cursor, at_once):
            if partition.value not in used:
                used.append(partition.value)
            if row is None:
                continue
            examined += 1
            if query.matches(row):
                rows.append(row)
                size += _bytes(row)
            if len(rows) == limit or examined == MOST_EXAMINED or size >= MOST_BYTES:
                last = Cursor(partition.value, Position(row.source_server_id, row.replication_region))
                last = last if more else None
                break
        seen = [scans[key] for key in used] if _walks(query) else self._scans_of(rows)
        return Servers(rows, token_of(query, last) if last else None, seen)

    def _rows(
        self, partitions: list[Partition], cursor: Cursor | None, at_once: int
    ) -> Iterator[tuple[Partition, ServerRow | None, bool]]:
        """Yield each row behind `cursor` with its partition and whether more may follow; None for an empty one."""
        left = _from(partitions, cursor)
        for number, partition in enumerate(left):
            after = cursor.position if cursor and cursor.partition == partition.value else None
            behind = number + 1 < len(left)
            yield partition, None, behind
            more = True
            while more:
                page = self._inventory.page(partition, at_once, after)
                more = page.more
                for place, row in enumerate(page.rows, start=1):
                    after = Position(row.source_server_id, row.replication_region)
                    yield partition, row, more or behind or place < len(page.rows)

    def _scopes(self, query: Query) -> list[ScanRecord]:
        """Return the scan records of the active scopes that `query` covers, by region and account."""
        if query.account_id is None:
            regions = [query.region] if query.region else None
            return sorted(self.active_scans(regions), key=_place)
        account = self._fleet.account_or_raise(query.account_id)
        regions = [query.region] if query.region else self._drs_regions(account.partition)
        records = self._fleet.scans(Scope(query.account_id, region) for region in regions)
        return sorted((scan for scan in records if scan.active), key=_place)

    def _scans_of(self, rows: list[ServerRow]) -> list[ScanRecord]:
        return self._fleet.scans(sorted({Scope(row.account_id, row.replication_region) for row in rows}))


def _bytes(row: ServerRow) -> int:
    """Return about how many bytes a row takes in an answer: tags make the difference."""
    tags = [*row.drs_tags.items(), *row.source_tags.items()]
    return BYTES_WITHOUT_TAGS + sum(len(key.encode()) + len(value.encode()) for key, value in tags)


def _walks(query: Query) -> bool:
    """Return whether a query is answered scope by scope; else one partition of an index holds all of it."""
    return not (query.hostname or query.source_account_id or query.staging_account_id)


def _partition(query: Query) -> Partition:
    """Return the partition that holds all that `query` asks for: the narrowest of those that are given."""
    if query.hostname:
        return Partition(InventoryIndex.HOSTNAME, query.hostname)
    if query.source_account_id:
        return Partition(InventoryIndex.SOURCE_ACCOUNT, query.source_account_id)
    return Partition(InventoryIndex.STAGING_ACCOUNT, query.staging_account_id or "")


def _from(partitions: list[Partition], cursor: Cursor | None) -> list[Partition]:
    """Return the partitions from the cursor's on; where its own is gone, from the next one in order.

    Raises:
        InvalidRequest: where the cursor is of no partition that the query could have.
    """
    if cursor is None:
        return partitions
    if not partitions or partitions[0].by is not InventoryIndex.SCOPE:
        if partitions and cursor.partition != partitions[0].value:
            raise InvalidRequest("nextToken: not a token of this API")
        return partitions
    try:
        begin = _order(cursor.partition)
    except ValueError:
        raise InvalidRequest("nextToken: not a token of this API") from None
    return [partition for partition in partitions if _order(partition.value) >= begin]


def _order(key: str) -> tuple[str, str]:
    scope = Scope.parse(key)
    return scope.region, scope.account_id


def _place(scan: ScanRecord) -> tuple[str, str]:
    return scan.region, scan.account_id

"""Queries of the inventory, page by page, each served by an index (R12)."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ..domain.accounts import Account
from ..domain.regions import ScanRecord
from ..domain.scopes import Scope
from ..domain.servers import Page, ServerRow
from ..domain.work import is_fresh
from ..errors import InvalidRequest, NotFound
from .active_region_filter import ActiveRegionFilter
from .ports import Accounts, Clock, DrsRegions, Inventory, Scans

MOST_PER_PAGE = 200


class Query(NamedTuple):
    """Which servers: of a region, an account, both, or those staged in an account; all where nothing is given."""

    region: str | None = None
    account_id: str | None = None
    staging_account_id: str | None = None

    def given(self) -> dict[str, str]:
        """Return what is given."""
        return {name: value for name, value in self._asdict().items() if value is not None}


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


class _Cursor(NamedTuple):
    """Where a page begins: behind the key `after` of the scope, or of the index."""

    scope: str | None = None
    after: dict[str, Any] | None = None


class InventoryQuery:
    """Answers queries from the inventory alone."""

    def __init__(
        self,
        region_filter: ActiveRegionFilter,
        accounts: Accounts,
        scans: Scans,
        inventory: Inventory,
        drs_regions: DrsRegions,
        clock: Clock,
        freshness_limit: timedelta,
    ) -> None:
        self._filter = region_filter
        self._accounts = accounts
        self._scans = scans
        self._inventory = inventory
        self._drs_regions = drs_regions
        self._clock = clock
        self._freshness_limit = freshness_limit

    def page(self, query: Query, limit: int, token: str | None = None) -> Servers:
        """Return up to `limit` living servers that `query` asks for, in the order of region, account and ID.

        Raises:
            InvalidRequest: where limit, token or region do not fit.
            NotFound: where the account is not registered.
        """
        if not 1 <= limit <= MOST_PER_PAGE:
            raise InvalidRequest(f"limit: {limit} is not between 1 and {MOST_PER_PAGE}")
        cursor = _cursor(token, query)
        if query.staging_account_id:
            return self._staged(query, limit, cursor)
        return self._walk(query, self._scopes(query), limit, cursor)

    def is_fresh(self, scans: list[ScanRecord]) -> bool:
        """Return whether every one of `scans` succeeded within an inventory interval plus a grace."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        return all(is_fresh(scan, now, self._freshness_limit) for scan in scans)

    def _staged(self, query: Query, limit: int, cursor: _Cursor) -> Servers:
        page = self._inventory.page_of_staging_account(query.staging_account_id or "", limit, cursor.after)
        rows = [row for row in page.rows if row.living and _matches(row, query)]
        scans = self._scans.of_scopes({Scope(row.account_id, row.replication_region) for row in rows})
        return Servers(rows, _token(query, None, page.after) if page.after else None, scans)

    def _walk(self, query: Query, scans: list[ScanRecord], limit: int, cursor: _Cursor) -> Servers:
        """Read scope by scope until the page is full."""
        left = [scan for scan in scans if cursor.scope is None or _position(scan) >= _position_of(cursor.scope)]
        rows: list[ServerRow] = []
        used = []
        for scan in left:
            after = cursor.after if scan.scope.key == cursor.scope else None
            page: Page = self._inventory.page_of_scope(scan.scope, limit - len(rows), after)
            rows += page.rows
            used.append(scan)
            if page.after or len(rows) == limit:
                rest = left[len(used) :]
                if page.after:
                    return Servers(rows, _token(query, scan.scope.key, page.after), used)
                return Servers(rows, _token(query, rest[0].scope.key, None) if rest else None, used)
        return Servers(rows, None, used)

    def _scopes(self, query: Query) -> list[ScanRecord]:
        """Return the scan records of the active scopes that `query` covers, by region and account."""
        if query.account_id:
            account = self._account(query.account_id)
            regions = [query.region] if query.region else self._drs_regions(account.partition)
            records = self._scans.of_scopes(Scope(query.account_id, region) for region in regions)
        else:
            regions = [query.region] if query.region else self._filter.active_regions()
            records = [scan for region in regions for scan in self._scans.of_region(region)]
        return sorted((scan for scan in records if scan.active), key=_position)

    def _account(self, account_id: str) -> Account:
        account = self._accounts.read(account_id)
        if account is None:
            raise NotFound(f"account {account_id} is not registered")
        return account


def _matches(row: ServerRow, query: Query) -> bool:
    return query.region in (None, row.replication_region) and query.account_id in (None, row.account_id)


def _position(scan: ScanRecord) -> tuple[str, str]:
    return scan.region, scan.account_id


def _position_of(key: str) -> tuple[str, str]:
    scope = Scope.parse(key)
    return scope.region, scope.account_id


def _token(query: Query, scope: str | None, after: Mapping[str, Any] | None) -> str:
    text = json.dumps({"query": query.given(), "scope": scope, "after": after}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _cursor(token: str | None, query: Query) -> _Cursor:
    """Return where `token` says that the page begins.

    Raises:
        InvalidRequest: where it is none of ours, or of another query.
    """
    if token is None:
        return _Cursor()
    try:
        said = json.loads(base64.urlsafe_b64decode(token.encode()))
        cursor = _Cursor(said["scope"], said["after"])
        if cursor.scope is not None:
            Scope.parse(cursor.scope)
    except (binascii.Error, UnicodeError, ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequest("nextToken: not a token of this API") from None
    if said["query"] != query.given():
        raise InvalidRequest("nextToken: belongs to another query")
    return cursor

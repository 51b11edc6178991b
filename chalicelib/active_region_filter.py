"""Which regions are active, for callers inside the product; the names are those of R1.2.

Usage:
    from chalicelib.active_region_filter import get_active_regions

    for region in get_active_regions():
        ...
"""

import time

from .adapters.aws_regions import drs_regions
from .container import container
from .domain.scopes import Scope
from .services import region_status
from .services.active_region_filter import DEFAULT_TTL_SECONDS, ActiveRegionFilter
from .services.ports import RegionStatuses


def get_active_regions(
    region_status_table: RegionStatuses | None = None, cache_ttl: int = DEFAULT_TTL_SECONDS
) -> list[str]:
    """Return the active regions, sorted: those known to hold at least one source server.

    All DRS regions are returned, with a warning and the metric FallbackCount, where nothing was ever synced or the
    table cannot be read. Within `cache_ttl` seconds only the first call reads the table.

    Args:
        region_status_table: the table to ask; None: the deployed one, through this container's cache.
        cache_ttl: how old, in seconds, a cached answer may be.
    """
    if region_status_table is None:
        return container().region_filter.active_regions(cache_ttl)
    return ActiveRegionFilter(region_status_table, drs_regions, time.time).active_regions(cache_ttl)


def get_healthy_active_regions(cache_ttl: int = DEFAULT_TTL_SECONDS) -> list[str]:
    """Return the active regions, sorted, without those in which most active scopes keep failing (R15).

    What is left out is backed off, keeps its servers in the inventory, and comes back with its first good answers.

    Args:
        cache_ttl: how old, in seconds, a cached answer may be.
    """
    return container().region_filter.healthy_active_regions(cache_ttl)


def get_active_regions_multi_account(account_ids: list[str]) -> dict[str, list[str]]:
    """Return the active regions of each of `account_ids`, by account ID; read consistently, not cached."""
    scopes = [Scope(account_id, region) for account_id in dict.fromkeys(account_ids) for region in drs_regions()]
    active = [scan for scan in container().ports.scans.of_scopes(scopes) if scan.active]
    return {account_id: [scan.region for scan in active if scan.account_id == account_id] for account_id in account_ids}


def invalidate_region_cache() -> None:
    """Drop this container's cache: the next call reads the table."""
    container().region_filter.invalidate()


def update_region_status(region: str, server_count: int, error_message: str | None = None) -> None:
    """Write what is known of `region` to the status table; an error keeps the last known count."""
    region_status.update_region_status(region, server_count, error_message, container().ports.statuses, time.time)
    invalidate_region_cache()

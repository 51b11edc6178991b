"""Queries of the inventory, for callers inside the product; the names are those of R12.2.

Usage:
    from chalicelib.inventory_query import query_inventory_by_regions

    servers = query_inventory_by_regions(["us-east-1"], {"replicationState": "CONTINUOUS"})
"""

from datetime import timedelta
from typing import Any

from .api.operation import parsed
from .api.servers import ListServers, server_body
from .container import container
from .domain.failback import FailbackTopology
from .errors import InvalidRequest
from .services.inventory_query import MOST_PER_PAGE


def query_inventory_by_regions(regions: list[str], filters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return every living server in `regions` that `filters` let through, as the API shows them.

    What is stale is scanned first, within bounds; what stays stale is answered from the inventory.

    Args:
        regions: DRS regions.
        filters: any of hostname, tags (a dictionary, all of which must match), replicationState, stagingAccountId,
            sourceAccountId, minCpuCores, minRamBytes, accountId.

    Raises:
        InvalidRequest: where a filter is unknown or does not fit.
    """
    given = dict(filters or {})
    tags = given.pop("tags", {})
    if not isinstance(tags, dict):
        raise InvalidRequest("tags: expected a dictionary of keys and values")
    servers = []
    for region in regions:
        tag = [f"{key}:{value}" for key, value in tags.items()]
        query = parsed(ListServers, {**given, "region": region, "tag": tag}).query()
        token = None
        while True:
            page = container().inventory_query.page(query, MOST_PER_PAGE, token, refresh=True)
            servers += [server_body(row).model_dump(mode="json", by_alias=True) for row in page.rows]
            token = page.next_token
            if token is None:
                break
    return servers


def is_inventory_fresh(max_age_minutes: int = 15) -> bool:
    """Return whether every active scope was scanned completely within `max_age_minutes` and the grace.

    False where no scope was ever scanned.
    """
    grace = timedelta(seconds=container().settings.freshness_grace_seconds)
    scans = container().inventory_query.active_scans() if container().region_filter.statuses() else []
    return bool(scans) and container().inventory_query.is_fresh(scans, timedelta(minutes=max_age_minutes) + grace)


def get_failback_topology(server_id: str) -> FailbackTopology:
    """Return where a server came from, and how to bring it back (R13.2).

    Raises:
        NotFound: where no such server was ever seen.
    """
    return container().failback.get_failback_topology(server_id)

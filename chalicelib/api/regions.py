"""`GET /regions`: status of every DRS region that was ever scanned."""

from datetime import UTC, datetime
from typing import Any

from chalice import Blueprint, IAMAuthorizer

from ..bootstrap import region_filter
from ..domain.records import iso
from ..settings import settings
from .answers import answered

blueprint = Blueprint(__name__)


@blueprint.route("/regions", methods=["GET"], authorizer=IAMAuthorizer())
@answered
def list_regions() -> dict[str, Any]:
    """Return every region's status row; `asOf` says when they were read, at most the cache's TTL ago."""
    statuses = region_filter().statuses(settings().region_cache_ttl_seconds)
    rows = sorted(statuses.values(), key=lambda status: status.region)
    return {
        "regions": [{**status.item(), "active": status.active} for status in rows],
        "activeRegions": [status.region for status in rows if status.active],
        "asOf": iso(datetime.fromtimestamp(region_filter().as_of, UTC)),
    }

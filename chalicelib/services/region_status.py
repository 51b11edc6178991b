"""Region status: the fold of a region's scan records, kept in the region's row."""

from datetime import UTC, datetime
from typing import Any

from ..domain.regions import RegionStatus, ScopeState, fold
from ..errors import DrsActiveRegionsError
from .ports import Clock, RegionStatuses, Scans

MOST_ROUNDS = 20


def refresh_region(region: str, scans: Scans, statuses: RegionStatuses) -> RegionStatus | None:
    """Bring the row of `region` up to its scan records and return it; None where no account is left in it.

    Reads, folds, writes on the version that was read, and again until there is nothing to write: two handlers that
    overlap cannot leave an older fold behind, because the later of them reads once more.

    Raises:
        DrsActiveRegionsError: where others write all the time; to be tried again.
    """
    for _ in range(MOST_ROUNDS):
        stored = statuses.read(region)
        folded = fold(scans.of_region(region))
        if folded is None:
            if stored is None:
                return None
            statuses.delete(stored)
            continue
        if not folded.outdates(stored):
            return stored
        statuses.replace(stored, folded)
    raise DrsActiveRegionsError(f"region status of {region} changes faster than it can be folded")


def update_region_status(
    region: str, server_count: int, error_message: str | None, statuses: RegionStatuses, clock: Clock
) -> RegionStatus:
    """Write what a caller knows of `region` under the row's version, and return the row (R1.2).

    An error keeps the last known count: it never makes a region inactive (R5.4). The next scan's fold replaces it.

    Raises:
        DrsActiveRegionsError: where others write all the time; to be tried again.
    """
    now = datetime.fromtimestamp(clock(), UTC)
    for _ in range(MOST_ROUNDS):
        stored = statuses.read(region)
        known: dict[str, Any] = (
            stored.model_dump() if stored else {"region": region, "server_count": 0, "replicating_count": 0}
        )
        said = (
            {"status": ScopeState.ERROR, "error_message": error_message}
            if error_message
            else {
                "status": ScopeState.AVAILABLE,
                "error_message": None,
                "server_count": server_count,
                "replicating_count": min(known["replicating_count"], server_count),
                "last_success": now,
            }
        )
        status = RegionStatus.model_validate({**known, **said, "last_checked": now})
        if statuses.replace(stored, status):
            return status
    raise DrsActiveRegionsError(f"region status of {region} changes faster than it can be written")

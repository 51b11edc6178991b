"""What changed scan records of a region set off: its status, then the subscribers (R5.1, R15).

The record is written last in a scan, in one transaction with the list of the scope's servers: whoever is woken by it
sees all that the scan wrote. Safe to repeat and to reorder: the fold reads the table. A record in which only times
differ causes no fold; the row's `lastChecked` moves once a minute (ADR 37).
"""

from collections.abc import Callable, Sequence

from ..domain.regions import RegionChange, RegionStatus, ScanChange
from .active_region_filter import ActiveRegionFilter
from .ports import RegionStatuses, Scans
from .region_status import refresh_region

Subscriber = Callable[[RegionChange], None]


class RegionChanges:
    """Handles the changed scan records of one region at a time.

    Args:
        subscribers: called with the change, in this order, once the region's status is up to date.
    """

    def __init__(
        self,
        scans: Scans,
        statuses: RegionStatuses,
        region_filter: ActiveRegionFilter,
        subscribers: Sequence[Subscriber],
    ) -> None:
        self._scans = scans
        self._statuses = statuses
        self._filter = region_filter
        self._subscribers = subscribers

    def handle(self, region: str, scans: list[ScanChange]) -> None:
        """Bring the status of `region` up to its scan records, and tell the subscribers.

        Args:
            region: the region that all of `scans` are about.
            scans: scan records before and after.
        """
        before = self._statuses.read(region)
        change = RegionChange(region, scans, before, self._status(region, scans, before))
        self._filter.invalidate()
        for subscriber in self._subscribers:
            subscriber(change)

    def _status(self, region: str, scans: list[ScanChange], stored: RegionStatus | None) -> RegionStatus | None:
        if stored is None or not all(scan.quiet for scan in scans):
            return refresh_region(region, self._scans, self._statuses)
        later = stored.seen([scan.after for scan in scans if scan.after])
        if later.outdates(stored):
            self._statuses.replace(stored, later)  # refused where somebody has folded it meanwhile: that is as new
        return stored

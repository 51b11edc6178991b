"""Work that follows from a scan: a subscriber of region changes (R15)."""

from ...domain.follow_up import changed_kinds, follow_ups
from ...domain.kinds import KINDS
from ...domain.regions import RegionChange, ScanRecord
from ...domain.work import WorkId
from ...observability import logger
from ..fleet import Fleet
from ..work.requests import WorkRequests


class FollowUpWork:
    """Requests the work that changed scan records call for. Safe to repeat: that is one more run."""

    def __init__(self, fleet: Fleet, requests: WorkRequests) -> None:
        self._fleet = fleet
        self._requests = requests

    def __call__(self, change: RegionChange) -> None:
        """Request the work that follows from the changed scan records of a region."""
        wanted = {work for scan in change.scans if scan.after for work in self._called_for(scan.before, scan.after)}
        if wanted:
            work_ids = sorted(wanted)
            self._requests.request_work(work_ids, change.after.version if change.after else None)
            logger.info("requested work", works=[work.key for work in work_ids])

    def _called_for(self, before: ScanRecord | None, after: ScanRecord) -> list[WorkId]:
        """Return the work that a record's change calls for: tags of its scope, extension of its servers."""
        kinds = changed_kinds(before, after)
        targets = (
            self._fleet.targets([after]).get(after.account_id, [])
            if any(KINDS[kind].targets_only for kind in kinds)
            else []
        )
        return [work for work in follow_ups(after, targets) if work.kind in kinds]

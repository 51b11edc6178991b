"""What a scan record's change sets off: region status, cache invalidation, work (R5.1, R15).

The record is written last in a scan, in one transaction with the list of the scope's servers: whoever is woken by it
sees all that the scan wrote. Safe to repeat and to reorder: the fold reads the table, and asking for work twice is
one more run.
"""

from ..domain.follow_up import changed_kinds, follow_ups
from ..domain.regions import RegionStatus, ScanRecord
from ..domain.work import WorkId, WorkKind
from ..observability import logger
from .active_region_filter import ActiveRegionFilter
from .asking import ask_for
from .ports import Accounts, Clock, Queue, RegionStatuses, Scans, WorkStates
from .region_status import refresh_region


class ScanReactions:
    """Reacts to the changed scan records of one region at a time."""

    def __init__(
        self,
        region_filter: ActiveRegionFilter,
        accounts: Accounts,
        scans: Scans,
        statuses: RegionStatuses,
        work_states: WorkStates,
        queue: Queue,
        clock: Clock,
        redeliver_after: int,
    ) -> None:
        self._filter = region_filter
        self._accounts = accounts
        self._scans = scans
        self._statuses = statuses
        self._work_states = work_states
        self._queue = queue
        self._clock = clock
        self._redeliver_after = redeliver_after

    def react(self, region: str, changes: list[tuple[ScanRecord | None, ScanRecord]]) -> None:
        """Fold the status of `region`, then ask for the work that its changed records call for.

        Args:
            region: the region that all of `changes` are about.
            changes: scan records before and after.
        """
        status = refresh_region(region, self._scans, self._statuses)
        self._filter.invalidate()
        wanted = {work for before, after in changes for work in self._called_for(before, after)}
        if wanted:
            self._ask(sorted(wanted), status)

    def _called_for(self, before: ScanRecord | None, after: ScanRecord) -> list[WorkId]:
        """Return the work that a record's change calls for: tags of its scope, extension of its servers."""
        kinds = changed_kinds(before, after)
        targets = self._accounts.targets_of(after.account_id) if WorkKind.STAGING in kinds else []
        return [work for work in follow_ups(after, targets) if work.kind in kinds]

    def _ask(self, works: list[WorkId], status: RegionStatus | None) -> None:
        again = int(self._clock()) + self._redeliver_after
        ask_for(works, self._work_states, self._queue, again, status.version if status else None)
        logger.info("asked for work", works=[work.key for work in works])

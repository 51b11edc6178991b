"""Reconciliation: brings what follows from the tables up to them, whatever was lost on the way.

Events lost beyond their retries leave region status behind its scan records, work not asked for, or a scope without a
due time. All of it follows from the registry, the scan records and the work items; this makes it so. Safe to repeat and
beside everything else: folds are written on versions, and what waits already is not asked for again.
"""

from collections.abc import Iterable

from ..domain.accounts import Account, AccountStatus
from ..domain.records import Record
from ..domain.regions import RegionStatus, ScanRecord
from ..domain.results import WorkResult
from ..domain.scopes import Scope
from ..domain.work import WorkId, WorkKind, WorkMessage
from ..observability import logger
from .ports import Accounts, Clock, DrsRegions, Queue, RegionStatuses, Scans, WorkStates
from .region_status import refresh_region


class Reconciliation(Record):
    """What was mended.

    Attributes:
        regions: how many regions were looked at.
        repaired_regions: regions whose status said something else than their scan records.
        registered: scopes of registered accounts that had no due time: they would never have been scanned again.
        asked: work that was called for and not asked for, as `kind#accountId#region`.
        orphans: scopes with a scan record whose account is not registered.
    """

    regions: int
    repaired_regions: list[str]
    registered: list[str]
    asked: list[str]
    orphans: list[str]


class Reconciler:
    """Compares what follows with what it follows from, region by region."""

    def __init__(
        self,
        accounts: Accounts,
        scans: Scans,
        statuses: RegionStatuses,
        work_states: WorkStates,
        queue: Queue,
        drs_regions: DrsRegions,
        clock: Clock,
        redeliver_after: int,
    ) -> None:
        self._accounts = accounts
        self._scans = scans
        self._statuses = statuses
        self._work_states = work_states
        self._queue = queue
        self._drs_regions = drs_regions
        self._clock = clock
        self._redeliver_after = redeliver_after

    def reconcile(self) -> Reconciliation:
        """Mend what is behind, and return what it was."""
        accounts = {account.account_id: account for account in self._accounts.read_all()}
        partitions = {account.partition for account in accounts.values()}
        known = {status.region: status for status in self._statuses.read_all()}
        regions = sorted({region for partition in partitions for region in self._drs_regions(partition)} | set(known))
        records = {region: self._scans.of_region(region) for region in regions}
        scans = [scan for some in records.values() for scan in some]
        repaired = [region for region in regions if self._repaired(region, known.get(region))]
        registered = self._registered(accounts.values())
        asked = self._ask([*self._removals(accounts, scans), *self._reactions(accounts, scans)])
        mended = Reconciliation(
            regions=len(regions),
            repaired_regions=repaired,
            registered=sorted(work.scope.key for work in registered),
            asked=sorted(work.key for work in asked),
            orphans=sorted(scan.scope.key for scan in scans if scan.account_id not in accounts),
        )
        logger.info("reconciled", **mended.model_dump(mode="json"))
        return mended

    def _repaired(self, region: str, before: RegionStatus | None) -> bool:
        after = refresh_region(region, self._scans, self._statuses)
        return (before.meaning() if before else None) != (after.meaning() if after else None)

    def _registered(self, accounts: Iterable[Account]) -> list[WorkId]:
        """Make every scope due that has no due time, and return those."""
        works = [
            WorkId(WorkKind.INVENTORY, Scope(account.account_id, region))
            for account in accounts
            if account.takes_part and account.has_drs
            for region in self._drs_regions(account.partition)
        ]
        states = self._work_states.read(works)
        lost = [work for work in works if work not in states or states[work].next_due_at is None]
        for work in lost:
            self._work_states.ask(work, int(self._clock()))
        return lost

    @staticmethod
    def _removals(accounts: dict[str, Account], scans: list[ScanRecord]) -> list[WorkId]:
        """Return the work that takes away what is left of accounts that are being removed."""
        removing = {account_id for account_id, one in accounts.items() if one.status is AccountStatus.REMOVING}
        return [WorkId(WorkKind.INVENTORY, scan.scope) for scan in scans if scan.account_id in removing]

    def _reactions(self, accounts: dict[str, Account], scans: list[ScanRecord]) -> list[WorkId]:
        """Return the work that scan records call for and that was not done since."""
        active = [scan for scan in scans if scan.active and scan.account_id in accounts]
        tags = [(WorkId(WorkKind.TAGS, scan.scope), scan) for scan in active]
        targets = {account_id: self._accounts.targets_of(account_id) for account_id in {s.account_id for s in active}}
        staging = [
            (WorkId(WorkKind.STAGING, Scope(target, scan.region)), scan)
            for scan in active
            for target in targets[scan.account_id]
        ]
        states = self._work_states.read({work for work, _ in [*tags, *staging]})
        results = {work: state.result for work, state in states.items() if state.result}
        behind = {work for work, scan in tags if work not in results or results[work].tags_version != scan.tags_version}
        before = {work for work, scan in staging if work not in results or _before(results[work], scan)}
        return sorted(behind | before)

    def _ask(self, works: list[WorkId]) -> list[WorkId]:
        """Ask for those of `works` that do not wait already, and return those."""
        now = int(self._clock())
        again = now + self._redeliver_after
        asked = [work for work in works if self._work_states.ask_unless_waiting(work, now, again) is not None]
        self._queue.send(WorkMessage.about(work) for work in asked)
        return asked


def _before(result: WorkResult, scan: ScanRecord) -> bool:
    """Return whether staging work was last done before the scan that it is to follow."""
    return scan.last_success is not None and result.finished_at < scan.last_success

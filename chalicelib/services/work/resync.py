"""The resync: restores what follows from the registry and the scan records, without anybody asking.

Planning is driven by due times and by changes of scan records. Whatever was lost of these (a change that stopped
half-way, a reaction that never came, an account that was out of service, a region that AWS added), the resync finds:
each tick of the inventory schedule looks at a slice of the regions, so that all are looked at within the probe
interval. A quiet fleet is read and not written. Safe to repeat and beside everything else: folds are written on
versions, what waits already is not asked for again, and work that is asked for twice is one more run.
"""

from typing import NamedTuple

from ...domain.accounts import Account, AccountStatus
from ...domain.follow_up import expected_work, is_behind, is_lost
from ...domain.kinds import KINDS
from ...domain.regions import RegionStatus, ScanRecord
from ...domain.scopes import stable_fraction
from ...domain.work import Cadence, WorkId
from ...observability import count, logger
from ..attempts import attempt_each, raise_first
from ..ports import Accounts, Clock, DrsRegions, RegionStatuses, Scans, WorkStates
from ..region_status import refresh_region
from .runner import LONGEST_RETRY


class Registry(NamedTuple):
    """What the resync reads once: accounts by ID, and by region the accounts of its partition and its status row."""

    accounts: dict[str, Account]
    by_region: dict[str, list[Account]]
    statuses: dict[str, RegionStatus]

    @property
    def regions(self) -> list[str]:
        """Every region in which an account may have DRS, or that has a status row, sorted."""
        return sorted({*self.by_region, *self.statuses})


class Restored(NamedTuple):
    """What was restored in one region.

    Attributes:
        region: the region.
        repaired: whether its status said something else than its scan records.
        lost: work that had no due time and was asked for.
        behind: work that an event should have asked for, and was asked for.
        orphans: scan records of accounts that are not registered: named, and left alone.
    """

    region: str
    repaired: bool
    lost: list[WorkId]
    behind: list[WorkId]
    orphans: list[ScanRecord]


class ResyncPorts(NamedTuple):
    """What the resync needs of the outside world."""

    accounts: Accounts
    scans: Scans
    statuses: RegionStatuses
    work_states: WorkStates
    drs_regions: DrsRegions
    clock: Clock


class Resync:
    """Compares what should be worked on with the work items, region by region.

    Args:
        redeliver_after: seconds after which work whose message was lost comes due again.
    """

    def __init__(
        self,
        ports: ResyncPorts,
        *,
        cadence: Cadence,
        redeliver_after: int,
    ) -> None:
        self._accounts = ports.accounts
        self._scans = ports.scans
        self._statuses = ports.statuses
        self._work_states = ports.work_states
        self._drs_regions = ports.drs_regions
        self._clock = ports.clock
        self._cadence = cadence
        self._longest_wait = max(cadence.probe, LONGEST_RETRY * redeliver_after)

    def tick(self) -> list[Restored]:
        """Restore the regions whose turn it is, and return what was restored; the next planner's tick sends messages.

        Raises:
            Exception: what met the first region that could not be restored; the others were.
        """
        now, registry = int(self._clock()), self.registry()
        turn = [region for region in registry.regions if self._has_its_turn(region, now)]
        tried = attempt_each(lambda region: self.restore(region, registry, now), turn, at_once=1)
        restored = list(tried.results.values())
        count("WorkRestored", sum(len(one.lost) + len(one.behind) for one in restored))
        raise_first(tried.failures)
        return restored

    def registry(self) -> Registry:
        """Return the accounts, the regions of their partitions, and the status rows."""
        accounts = self._accounts.read_all()
        by_region: dict[str, list[Account]] = {}
        for account in accounts:
            for region in self._drs_regions(account.partition):
                by_region.setdefault(region, []).append(account)
        statuses = {status.region: status for status in self._statuses.read_all()}
        return Registry({account.account_id: account for account in accounts}, by_region, statuses)

    def restore(self, region: str, registry: Registry, due: int) -> Restored:
        """Fold the status of `region` anew, and ask for its work that was lost or missed.

        Args:
            region: the region.
            registry: what `registry` returned.
            due: epoch seconds at which the work comes due: now, or later where the caller sends messages.
        """
        repaired = self._repaired(region, registry.statuses.get(region))
        scans = {scan.account_id: scan for scan in self._scans.of_region(region)}
        targets = {
            scan.account_id: self._accounts.targets_of(scan.account_id) for scan in scans.values() if scan.active
        }
        expected = expected_work(region, registry.by_region.get(region, []), scans.values(), targets)
        states, latest = self._work_states.read(expected), int(self._clock()) + self._longest_wait
        lost = sorted(work for work in expected if is_lost(states.get(work), latest))
        behind = [
            work
            for work in sorted(expected.difference(lost))
            if is_behind(states[work], scans.get(work.scope.account_id), removing=_is_removal(work, registry))
        ]
        asked = attempt_each(lambda work: self._work_states.request(work, due), lost)
        now = int(self._clock())
        missed = attempt_each(lambda work: self._work_states.request_unless_waiting(work, now, due), behind)
        orphans = [scan for scan in scans.values() if scan.account_id not in registry.accounts]
        found = [work for work, wanted in missed.results.items() if wanted is not None]
        restored = Restored(region, repaired, list(asked.results), found, orphans)
        if repaired or restored.lost or found:
            works = [work.key for work in [*restored.lost, *found]]
            logger.warning("restored what was lost", region=region, repaired=repaired, works=works[:20], all=len(works))
        raise_first([*asked.failures, *missed.failures])
        return restored

    def _has_its_turn(self, region: str, now: int) -> bool:
        """Return whether a tick at `now` looks at `region`: each has two turns, so that a tick may be lost or late."""
        slices = max(1, self._cadence.probe // self._cadence.inventory)
        current = now // self._cadence.inventory
        return int(stable_fraction(region) * slices) in {current % slices, (current - 1) % slices}

    def _repaired(self, region: str, before: RegionStatus | None) -> bool:
        after = refresh_region(region, self._scans, self._statuses)
        return (before.meaning() if before else None) != (after.meaning() if after else None)


def _is_removal(work: WorkId, registry: Registry) -> bool:
    account = registry.accounts.get(work.scope.account_id)
    return KINDS[work.kind].scans and account is not None and account.status is AccountStatus.REMOVING

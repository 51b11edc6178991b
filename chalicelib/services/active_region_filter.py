"""Which regions are active: asked before every multi-region operation (R1).

The cache is one container's. The stream handler that changes region status drops its own; other containers drop
theirs when a work message carries a newer status version, and after the TTL at the latest.
"""

from collections.abc import Mapping
from typing import NamedTuple

from ..domain.regions import RegionStatus
from ..errors import TableUnavailable
from ..observability import count, logger
from .ports import Clock, DrsRegions, RegionStatuses

DEFAULT_TTL_SECONDS = 60


class Decision(NamedTuple):
    """Which regions a multi-region operation touches, and why.

    Attributes:
        regions: regions to touch, sorted.
        skipped: DRS regions left out.
        statuses: the rows it was decided from, by region; empty where there were none.
        fallback: why all regions are used although filtering is on; None where it filtered.
    """

    regions: list[str]
    skipped: int
    statuses: dict[str, RegionStatus]
    fallback: str | None = None

    @property
    def filtered(self) -> bool:
        """Whether inactive regions were left out."""
        return bool(self.statuses) and self.fallback is None

    @property
    def total_scopes(self) -> int:
        """How many scopes the status rows were folded from."""
        return sum(status.accounts for status in self.statuses.values())


class ActiveRegionFilter:
    """Answers which regions are active, from the region status table.

    Args:
        statuses: the region status table.
        drs_regions: all regions in which DRS exists: what is used when nothing better is known.
        clock: epoch seconds.
        enabled: the kill switch (R8): where False, all regions are always used.
    """

    def __init__(
        self, statuses: RegionStatuses, drs_regions: DrsRegions, clock: Clock, *, enabled: bool = True
    ) -> None:
        self._statuses = statuses
        self._drs_regions = drs_regions
        self._clock = clock
        self._enabled = enabled
        self._cached: dict[str, RegionStatus] | None = None
        self._read_at = 0.0

    def decide(self) -> Decision:
        """Return the decision for a multi-region operation: read from the table, logged and counted."""
        decision = self._decide(0)
        logger.info(
            f"scanning {len(decision.regions)} active regions (skipping {decision.skipped} inactive)"
            if decision.filtered
            else f"region filtering is not applied: scanning {len(decision.regions)} regions"
        )
        count("ActiveRegionCount", len(decision.regions))
        count("RegionsSkipped", decision.skipped)
        return decision

    def active_regions(self, cache_ttl: float = DEFAULT_TTL_SECONDS) -> list[str]:
        """Return the active regions, sorted; all DRS regions where none was ever synced or the table fails.

        Args:
            cache_ttl: how old, in seconds, a cached answer may be.
        """
        return self._decide(cache_ttl).regions

    def healthy_active_regions(self, cache_ttl: float = DEFAULT_TTL_SECONDS) -> list[str]:
        """Return the active regions, sorted, without those that keep failing: they are backed off, not given up."""
        decision = self._decide(cache_ttl)
        return [region for region in decision.regions if _healthy(decision.statuses.get(region))]

    def is_active(self, region: str, version: int, cache_ttl: float = DEFAULT_TTL_SECONDS) -> bool:
        """Return whether `region` is to be touched, by a status row no older than `version`.

        Where nothing is known, a region is touched, whatever its partition: unknown is never taken for inactive.
        """
        known = (self._cached or {}).get(region)
        if known is None or not known.active or known.version < version:
            self.invalidate()  # that a region is not active is never said from the cache
        decision = self._decide(cache_ttl)
        return not decision.filtered or region in decision.regions

    def statuses(self, cache_ttl: float = DEFAULT_TTL_SECONDS) -> Mapping[str, RegionStatus]:
        """Return the status rows by region; at most `cache_ttl` seconds old.

        Raises:
            TableUnavailable: where the table cannot be read.
        """
        if self._cached is not None and self._clock() - self._read_at < cache_ttl:
            count("RegionCacheHits")
            return self._cached
        count("RegionCacheMisses")
        read_at = self._clock()
        rows = {status.region: status for status in self._statuses.read_all()}
        self._cached, self._read_at = rows or None, read_at  # "never synced" is not kept: it ends any moment
        return rows

    @property
    def as_of(self) -> float:
        """When the cached rows were read, in epoch seconds."""
        return self._read_at

    def invalidate(self) -> None:
        """Drop this container's cache: the next call reads the table."""
        self._cached = None

    def _decide(self, cache_ttl: float) -> Decision:
        everything = self._drs_regions()
        if not self._enabled:
            return Decision(everything, 0, {})
        try:
            statuses = dict(self.statuses(cache_ttl))
        except TableUnavailable as error:
            return self._fall_back(everything, str(error))
        if not statuses:
            return self._fall_back(everything, "no region was ever synced")
        active = sorted(region for region, status in statuses.items() if status.active)
        return Decision(active, len(set(everything) - set(active)), statuses)

    @staticmethod
    def _fall_back(everything: list[str], why: str) -> Decision:
        logger.warning(f"{why}: falling back to all regions", regions=len(everything))
        count("FallbackCount")
        return Decision(everything, 0, {}, fallback=why)


def _healthy(status: RegionStatus | None) -> bool:
    """Return whether a region may be relied upon; one of which nothing is known has not failed."""
    return status is None or status.healthy

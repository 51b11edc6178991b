"""Reconciliation on request: the resync of every region at once, in parts, with messages sent right away."""

from ..domain.records import Record
from ..domain.results import MOST_REPORTED
from ..domain.work import WorkKind, WorkMessage
from ..observability import logger
from .ports import Clock, Queue
from .work.requests import WorkRequests
from .work.resync import Restored, Resync


class Reconciliation(Record):
    """What one part mended. Lists name at most 100 each; `counts` says how many there are.

    Attributes:
        regions: how many regions were looked at.
        repaired_regions: regions whose status said something else than their scan records.
        registered: scopes of registered accounts that had no due time: they would never have been scanned again.
        asked: work that was called for and not asked for, as `kind#accountId#region`.
        orphans: scopes with a scan record whose account is not registered.
        counts: how many of each, by the list's name.
        more: whether regions are left: they are mended by a call with `part` set to `next_part`.
        next_part: where the next part begins; None where this was the last.
    """

    regions: int
    repaired_regions: list[str]
    registered: list[str]
    asked: list[str]
    orphans: list[str]
    counts: dict[str, int] = {}
    more: bool = False
    next_part: str | None = None


class Reconciler:
    """Mends what is behind, for an operator who does not want to wait for the resync.

    Args:
        reconcile_seconds: how long one part goes on; at least one region is mended.
    """

    def __init__(
        self, resync: Resync, requests: WorkRequests, queue: Queue, clock: Clock, reconcile_seconds: int
    ) -> None:
        self._resync = resync
        self._queue = queue
        self._clock = clock
        self._requests = requests
        self._seconds = reconcile_seconds

    def reconcile(self, part: str | None = None) -> Reconciliation:
        """Mend what is behind, and return what it was. Safe to repeat, whole or in parts.

        Args:
            part: `next_part` of the answer before; None: from the beginning.
        """
        until = self._clock() + self._seconds
        registry = self._resync.registry()
        left = [region for region in registry.regions if part is None or region >= part]
        mended: list[Restored] = []
        while left and (not mended or self._clock() < until):
            restored = self._resync.restore(left.pop(0), registry, self._requests.due_again())
            self._queue.send(WorkMessage.about(work) for work in [*restored.lost, *restored.behind])
            mended.append(restored)
        answer = _told(mended, left[0] if left else None)
        logger.info("reconciled", **answer.model_dump(mode="json"))
        return answer


def _told(mended: list[Restored], next_part: str | None) -> Reconciliation:
    lost = [work for one in mended for work in one.lost]
    inventory = [work.scope.key for work in lost if work.kind is WorkKind.INVENTORY]
    others = [work.key for work in lost if work.kind is not WorkKind.INVENTORY]
    lists = {
        "repaired_regions": [one.region for one in mended if one.repaired],
        "registered": sorted(inventory),
        "asked": sorted([*others, *(work.key for one in mended for work in one.behind)]),
        "orphans": sorted(scan.scope.key for one in mended for scan in one.orphans),
    }
    return Reconciliation(
        regions=len(mended),
        **{name: found[:MOST_REPORTED] for name, found in lists.items()},
        counts={name: len(found) for name, found in lists.items() if found},
        more=next_part is not None,
        next_part=next_part,
    )

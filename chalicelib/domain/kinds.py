"""The registry of kinds of work: what the engine, the planner, the stream and the resync have to know of each.

A further kind is a member of `WorkKind`, an entry here, a worker in `services/sync`, and its queue, schedule and
setting (docs/architecture.md, "A worker, and a further kind of work").
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .regions import ScanRecord
from .results import WorkResult
from .scopes import Scope
from .work import WorkKind


class Follows(NamedTuple):
    """How a kind of work follows the scans of scopes.

    Attributes:
        version: of a scan record: its value changes when a scan found something that calls for the work.
        scopes: for a scan record and the targets whose staging account was scanned: the scopes to work in.
        done: of the work's last result: the version up to which everything is done; None where it does not say.
    """

    version: Callable[[ScanRecord], int]
    scopes: Callable[[ScanRecord, Iterable[str]], list[Scope]]
    done: Callable[[WorkResult], int | None]


class Kind(NamedTuple):
    """One kind of work.

    Attributes:
        name: the kind.
        follows: the scans that call for it; None: this kind is the scan, done in every region, active or not.
        dry_run: whether it can say what it would do.
        retries_refused: whether it can be told to try again what was refused.
        targets_only: whether only accounts with staging accounts have such work.
        longest_wait: the interval of `Cadence`, by name, up to which failures put it off.
    """

    name: WorkKind
    follows: Follows | None
    dry_run: bool = False
    retries_refused: bool = False
    targets_only: bool = False
    longest_wait: str = "probe"

    @property
    def scans(self) -> bool:
        """Whether the work is a scan: it finds out which scopes are active, and removes those of removed accounts."""
        return self.follows is None


def _own_scope(scan: ScanRecord, _: Iterable[str]) -> list[Scope]:
    return [scan.scope]


def _targets_scopes(scan: ScanRecord, targets: Iterable[str]) -> list[Scope]:
    return [Scope(target, scan.region) for target in sorted(set(targets))]


KINDS: dict[WorkKind, Kind] = {
    kind.name: kind
    for kind in (
        Kind(WorkKind.INVENTORY, follows=None),
        Kind(
            WorkKind.TAGS,
            Follows(lambda scan: scan.tags_version, _own_scope, lambda result: result.tags_version),
            dry_run=True,
        ),
        Kind(
            WorkKind.STAGING,
            Follows(lambda scan: scan.servers_version, _targets_scopes, lambda _: None),
            dry_run=True,
            retries_refused=True,
            targets_only=True,
            longest_wait="inventory",
        ),
    )
}
"""Every kind, in the order in which work follows from a scan."""

SCAN = next(kind.name for kind in KINDS.values() if kind.scans)
"""The kind whose work fills the tables that the others go by."""

"""Leases: who may work on what until when, and what the last run left behind."""

from typing import NamedTuple

from .regions import ScanRecord
from .results import WorkResult
from .work import Cadence, WorkId, next_probe, next_tick


class Lease(NamedTuple):
    """The right to do one piece of work until `until` (epoch seconds) or until a newer epoch begins.

    `remembered` is the value of `wanted` that finishing this work settles.
    """

    work: WorkId
    epoch: int
    remembered: int
    until: int
    tick_at: int | None = None
    retry_refused: bool = False


class DueWork(NamedTuple):
    """Work as the due index shows it, a moment behind the item."""

    work: WorkId
    next_due_at: int
    probe: bool = False


class WorkState(NamedTuple):
    """What is known of one piece of work."""

    work: WorkId
    wanted: int
    done: int
    epoch: int
    lease_until: int | None
    next_due_at: int | None
    result: WorkResult | None
    last_error: str | None


class Taken(NamedTuple):
    """A lease, with what the work's last run left behind.

    `intent` is the tag worker's write-ahead: by server, the keys that it was about to write when it stopped.
    """

    lease: Lease
    result: WorkResult | None
    intent: dict[str, list[str]]


class Outcome(NamedTuple):
    """What a piece of work came to, and when it is due again.

    Attributes:
        next_due: epoch seconds; None: only when asked for.
        probe: whether that will be a look at an idle scope.
    """

    result: WorkResult
    next_due: int | None
    probe: bool = False


def inventory_due(scan: ScanRecord, lease: Lease, now: int, cadence: Cadence) -> tuple[int, bool]:
    """Return when a scope's inventory is due after the scan that `scan` records, and whether as a probe (R5.6).

    A scope that is known to hold servers keeps the short interval whatever happened to its last scan; so does one
    that was never scanned completely and whose failure should pass.
    """
    unknown = scan.last_success is None and scan.state.passing
    if scan.active or unknown:
        return next_tick(now, lease.tick_at, cadence.inventory), False
    return next_probe(now, lease.work, lease.epoch, cadence.probe), True

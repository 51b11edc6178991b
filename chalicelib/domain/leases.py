"""Leases: who may work on what until when, and what the last run left behind."""

from typing import NamedTuple

from . import circuit
from .regions import ScanRecord, ScopeState
from .results import WorkResult
from .work import Cadence, WorkId, next_probe, next_tick

STOP_BEFORE_LEASE_ENDS = 60  # seconds; the invocation that holds a lease ends 30 seconds before it
LONGEST_BACK_OFF = 4  # intervals: a scope that holds servers is not left alone for longer, however often it fails


class Lease(NamedTuple):
    """The right to do one piece of work until `until` (epoch seconds) or until a newer epoch begins.

    `requested_at_lease` is the value of `wanted` that finishing this work settles. `failures` counts how often the work
    broke off, or its worker died, since it was last finished.
    """

    work: WorkId
    epoch: int
    requested_at_lease: int
    until: int
    tick_at: int | None = None
    retry_refused: bool = False
    failures: int = 0

    @property
    def stop_at(self) -> int:
        """When no further piece of the work is begun, so that what was done is written down in time."""
        return self.until - STOP_BEFORE_LEASE_ENDS


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
    failures: int = 0

    @property
    def shown(self) -> ScopeState | None:
        """How the work stands: as its last run ended; in error where it broke off since; None: nothing is known."""
        if self.last_error is not None:
            return ScopeState.ERROR
        return self.result.state if self.result else None

    @property
    def message(self) -> str | None:
        """What it says of itself: why it broke off, or what its last run came to."""
        return self.last_error or (self.result.message if self.result else None)

    @property
    def failures_in_a_row(self) -> int:
        """How often it failed in a row: by its own account, or by breaking off. A run under way has not failed yet."""
        under_way = self.lease_until is not None
        return max(0, self.failures - under_way) + (self.result.failures if self.result else 0)


class LeasedWork(NamedTuple):
    """A lease, with what the work's last run left behind.

    `intent` is the tag worker's write-ahead: by server, the tags that it was about to write when it stopped: digests of
    their values, by key.
    `died`: whether the last worker never gave its lease back: it ran out of memory or time, or was killed.
    """

    lease: Lease
    result: WorkResult | None
    intent: dict[str, dict[str, str]]
    died: bool = False

    @property
    def failures(self) -> int:
        """How often the work broke off, or its worker died, since it was last finished."""
        return self.lease.failures


class Outcome(NamedTuple):
    """What a piece of work came to, and when it is due again.

    Attributes:
        next_due: epoch seconds; None: only when asked for.
        probe: whether that will be a look at an idle scope.
        unfinished: whether time ran out: the rest is to be done at once, by a new message.
        goes_on: whether the work is finished, and what it put off is to be begun at once, by a new message.
    """

    result: WorkResult
    next_due: int | None
    probe: bool = False
    unfinished: bool = False
    goes_on: bool = False


def inventory_due(
    scan: ScanRecord, lease: Lease, now: int, cadence: Cadence, retry_after: int | None = None
) -> tuple[int, bool]:
    """Return when a scope's inventory is due after the scan that `scan` records, and whether as a probe (R5.6).

    A scope that is known to hold servers keeps the short interval whatever happened to its last scan, until its
    circuit opens; then it is tried after up to four intervals. So is one that was never scanned completely and whose
    failure should pass, after up to the probe interval.
    """
    unknown = scan.last_success is None and scan.state.passing
    if not (scan.active or unknown):
        return next_probe(now, lease.work, lease.epoch, cadence.probe), True
    longest = LONGEST_BACK_OFF * cadence.inventory if scan.active else cadence.probe
    return due_again(scan.failures, lease, now, cadence, longest, retry_after), False


def due_again(
    failures: int, lease: Lease, now: int, cadence: Cadence, longest: int, retry_after: int | None = None
) -> int:
    """Return when work of an active scope is due again: on the next tick, or later where it keeps failing.

    Args:
        failures: how many runs in a row have failed, the last included.
        lease: the lease under which it ran.
        now: epoch seconds.
        cadence: how often work comes due.
        longest: seconds; how far failures put it off.
        retry_after: seconds that a service asked for; believed up to the probe interval, so that an answer that is
            nonsense cannot put a scope off for ever.
    """
    interval = cadence.interval(lease.work.kind)
    asked_for = min(retry_after or 0, max(longest, cadence.probe))
    wait = circuit.wait(failures, interval, longest, asked_for)
    return next_tick(now, lease.tick_at, interval) if wait == interval else now + wait


def failures_after(state: ScopeState, last: WorkResult | None) -> int:
    """Return how many runs in a row have failed, after one that ended in `state`."""
    return (last.failures if last else 0) + 1 if state.failure else 0

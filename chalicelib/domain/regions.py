"""Region status, folded from the scan records of every account in the region.

Pure: the fold depends on the records alone, so that duplicate, replayed and reordered stream events cannot change
its outcome.
"""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import NonNegativeInt

from . import circuit
from .records import Moment, Record
from .scopes import Scope
from .texts import message_text


class ScopeState(StrEnum):
    """How the last scan of a scope ended, in the order in which a region shows them.

    A failure shows before health, so that one account's trouble is never hidden by another's success; that includes
    an account with servers that says it is not initialised or not opted in. One that never used DRS says nothing about
    the others.
    """

    ERROR = "ERROR"
    ACCESS_DENIED = "ACCESS_DENIED"
    THROTTLED = "THROTTLED"
    AVAILABLE = "AVAILABLE"
    UNINITIALIZED = "UNINITIALIZED"
    NOT_OPTED_IN = "NOT_OPTED_IN"

    @property
    def passing(self) -> bool:
        """Whether the failure is expected to pass by itself, so that it is worth another look soon."""
        return self in (ScopeState.ERROR, ScopeState.THROTTLED)

    @property
    def failure(self) -> bool:
        """Whether it is a failure wherever it is met: the others are, too, where servers are known."""
        return self in (ScopeState.ERROR, ScopeState.ACCESS_DENIED, ScopeState.THROTTLED)


SHOWN_FIRST = {state: rank for rank, state in enumerate(ScopeState)}
STATUS_LAG = timedelta(minutes=1)  # how far a row's lastChecked may stay behind its scans


class ScanRecord(Record):
    """The outcome of the last scan of one scope.

    Counts, `last_success` and the versions are those of the last *complete* scan: an error never zeroes them.
    `agent_count` counts servers whose agents replicate into the account itself: no extensions, none disconnected or
    stopped. The versions are epochs: of the last scan that found servers new or gone, and of the last that found tags
    or servers changed. `failures` counts the scans in a row that failed; `next_try_at` is when the next one is planned.
    `listed_nothing`: a scan found no servers where some are known; the next one that finds none either is believed.
    """

    region: str
    account_id: str
    state: ScopeState
    error_message: str | None = None
    server_count: NonNegativeInt = 0
    replicating_count: NonNegativeInt = 0
    extended_count: NonNegativeInt = 0
    agent_count: NonNegativeInt | None = None
    last_checked: Moment
    last_success: Moment | None = None
    epoch: NonNegativeInt = 0
    servers_version: NonNegativeInt = 0
    tags_version: NonNegativeInt = 0
    ec2_errors: list[str] | None = None
    failures: NonNegativeInt = 0
    next_try_at: Moment | None = None
    listed_nothing: bool | None = None

    @property
    def scope(self) -> Scope:
        """The scope that was scanned."""
        return Scope(self.account_id, self.region)

    @property
    def active(self) -> bool:
        """Whether the scope is known to hold at least one source server."""
        return self.server_count > 0

    @property
    def failed_last(self) -> bool:
        """Whether the last scan failed: an account that does not use DRS there has not, unless servers are known."""
        return self.state.failure or (self.active and self.state is not ScopeState.AVAILABLE)

    @property
    def failing(self) -> bool:
        """Whether the scope keeps failing: its circuit is open."""
        return circuit.is_open(self.failures)

    def meaning(self) -> tuple[object, ...]:
        """What the record adds to its region's status, without times: a region is folded anew when this changes."""
        return (
            self.state,
            self.error_message,
            self.server_count,
            self.replicating_count,
            self.failed_last,
            self.failing,
        )

    def uninitialized(self, message: str, now: Moment, epoch: int) -> "ScanRecord":
        """Return the record after DRS said that it is not set up: an answer, unless servers are known there."""
        answered = self.failed(ScopeState.UNINITIALIZED, message, now, epoch)
        if self.active:
            return answered
        return answered.model_copy(update={"last_success": now, "error_message": None, "failures": 0})

    def failed(self, state: ScopeState, message: str, now: Moment, epoch: int) -> "ScanRecord":
        """Return the record after a scan that failed: what is known of the servers stays."""
        said = {"state": state, "error_message": message_text(message), "last_checked": now, "epoch": epoch}
        return self.model_copy(update={**said, "failures": self.failures + 1, "next_try_at": None})


class RegionStatus(Record):
    """One row of the region status table (docs/data-model.md). `version` grows with every write.

    `failing_accounts` counts the active scopes that keep failing.
    """

    region: str
    status: ScopeState
    server_count: NonNegativeInt
    replicating_count: NonNegativeInt
    last_checked: Moment
    last_success: Moment | None = None
    error_message: str | None = None
    accounts: NonNegativeInt = 0
    active_accounts: NonNegativeInt = 0
    failing_accounts: NonNegativeInt = 0
    version: NonNegativeInt = 0

    @property
    def active(self) -> bool:
        """Whether any account is known to hold at least one source server in the region."""
        return self.server_count > 0

    @property
    def healthy(self) -> bool:
        """Whether most of its active scopes answer: one account's trouble does not make a region unhealthy."""
        return self.failing_accounts == 0 or 2 * self.failing_accounts < self.active_accounts

    def meaning(self) -> tuple[object, ...]:
        """What the row says, without when it was learnt: a row is rewritten at once when this changes."""
        return (
            self.status,
            self.server_count,
            self.replicating_count,
            self.error_message,
            self.accounts,
            self.active_accounts,
            self.failing_accounts,
        )

    def seen(self, scans: Iterable[ScanRecord]) -> "RegionStatus":
        """Return the row after quiet `scans`: only its times are later."""
        looked = list(scans)
        checked = max([self.last_checked, *(scan.last_checked for scan in looked)])
        successes = [time for time in (self.last_success, *(scan.last_success for scan in looked)) if time]
        return self.model_copy(update={"last_checked": checked, "last_success": max(successes, default=None)})

    def outdates(self, stored: "RegionStatus | None") -> bool:
        """Return whether this fold must replace the `stored` row."""
        if stored is None or stored.meaning() != self.meaning():
            return True
        return self.last_checked - stored.last_checked >= STATUS_LAG


class ScanChange(NamedTuple):
    """A scan record before and after a change; None: there was or is none, or it does not parse."""

    before: ScanRecord | None
    after: ScanRecord | None

    @property
    def quiet(self) -> bool:
        """Whether it means nothing for the region's status: only times and versions differ."""
        return self.before is not None and self.after is not None and self.before.meaning() == self.after.meaning()


class RegionChange(NamedTuple):
    """What changed in a region: scan records, and the status row before and after they were folded."""

    region: str
    scans: list[ScanChange]
    before: RegionStatus | None
    after: RegionStatus | None


def fold(records: Iterable[ScanRecord]) -> RegionStatus | None:
    """Return the status of the region that `records` describe (version 0), or None where there is no record."""
    scans = sorted(records, key=_shown_first)
    if not scans:
        return None
    shown = scans[0]
    return RegionStatus(
        region=shown.region,
        status=shown.state,
        server_count=sum(scan.server_count for scan in scans),
        replicating_count=sum(scan.replicating_count for scan in scans),
        last_checked=max(scan.last_checked for scan in scans),
        last_success=max((scan.last_success for scan in scans if scan.last_success), default=None),
        error_message=shown.error_message,
        accounts=len(scans),
        active_accounts=sum(scan.active for scan in scans),
        failing_accounts=sum(scan.active and scan.failing for scan in scans),
    )


def _shown_first(scan: ScanRecord) -> tuple[bool, int, str]:
    return not scan.failed_last, SHOWN_FIRST[scan.state], scan.account_id

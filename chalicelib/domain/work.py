"""Work: what is to be done in which scope, when it is due, and the messages that wake a worker.

The work-state item is the truth; a message is a wake-up call (docs/architecture.md, "Work").
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Self

from pydantic import NonNegativeInt

from .records import Record
from .regions import ScanRecord
from .scopes import Scope, stable_fraction


class WorkKind(StrEnum):
    """What can be asked of a scope. Staging work belongs to the TARGET's scope."""

    INVENTORY = "inventory"
    TAGS = "tags"
    STAGING = "staging"


DRY_RUN = "dry-run"
MOST_IN_A_ROW = 10  # messages of one piece of work that its workers send themselves; Lambda ends such loops after 16


class WorkId(NamedTuple):
    """One piece of work. A dry run is work of its own: it never stands in for the real one, nor the other way."""

    kind: WorkKind
    scope: Scope
    dry_run: bool = False

    @property
    def key(self) -> str:
        """The work as one key, `kind#accountId#region`, with `#dry-run` behind it for a dry run."""
        return f"{self.kind}#{self.scope.key}" + (f"#{DRY_RUN}" if self.dry_run else "")

    @classmethod
    def parse(cls, key: str) -> Self:
        """Return the work of `key`.

        Raises:
            ValueError: where `key` names no known kind or no scope.
        """
        kind, account_id, region, *rest = (*key.split("#"), "", "")
        return cls(WorkKind(kind), Scope.parse(f"{account_id}#{region}"), DRY_RUN in rest)


class WorkMessage(Record):
    """The body of a work message; the only owner of that wire format.

    Attributes:
        status_version: version of the region's status row that the work was planned from; None where filtering
            is off or nothing was synced yet.
        continued: how many invocations in a row ran out of time before this one.
        in_a_row: how many messages in a row were sent by the worker of the one before, whatever the reason. After 10
            the work is left to its due time, so that Lambda's recursive loop detection, which stops a function after
            about 16 invocations by its own messages, never has to (Lambda developer guide, "Use Lambda recursive loop
            detection to prevent infinite loops").
        alone: whether it is worked off behind the others of its batch, one such an invocation, because the work broke
            off, or its worker died, the last time.
    """

    kind: WorkKind
    account_id: str
    region: str
    dry_run: bool = False
    status_version: NonNegativeInt | None = None
    continued: NonNegativeInt = 0
    in_a_row: NonNegativeInt = 0
    alone: bool = False

    @property
    def may_be_followed(self) -> bool:
        """Whether its worker may send another message for the same work."""
        return self.in_a_row < MOST_IN_A_ROW

    @property
    def work(self) -> WorkId:
        """The work that the message is about."""
        return WorkId(self.kind, Scope(self.account_id, self.region), self.dry_run)

    def continuing(self, *, unfinished: bool) -> Self:
        """Return the message that wakes the next worker: one more in a row where this one ran out of time."""
        continued = self.continued + 1 if unfinished else 0
        return self.again().model_copy(update={"continued": continued, "alone": False})

    def again(self, *, alone: bool | None = None) -> Self:
        """Return the message that wakes a worker for the same once more; `alone` where that is to change."""
        return self.model_copy(update={"in_a_row": self.in_a_row + 1, "alone": self.alone if alone is None else alone})

    @classmethod
    def about(cls, work: WorkId, status_version: int | None = None) -> Self:
        """Return the message that wakes a worker for `work`."""
        return cls(
            kind=work.kind,
            account_id=work.scope.account_id,
            region=work.scope.region,
            dry_run=work.dry_run,
            status_version=status_version,
        )


class Cadence(NamedTuple):
    """How often each kind of work comes due, in seconds."""

    inventory: int
    tags: int
    staging: int
    probe: int

    def interval(self, kind: WorkKind) -> int:
        """Return the interval of `kind` in an active scope."""
        return self.seconds(kind)

    def seconds(self, name: str) -> int:
        """Return the interval of that name: a kind of work, or `probe`."""
        return int(getattr(self, name))


def slack(interval: int) -> int:
    """Return by how many seconds work may be taken before it is due.

    Schedules fire some seconds early or late; without slack a tick one second early would skip a whole interval.
    """
    return min(60, interval // 10)


def next_tick(now: int, tick_at: int | None, interval: int) -> int:
    """Return when active work is due again: on the grid of its schedule's ticks, not later by its duration."""
    on_grid = (tick_at or 0) + interval
    return on_grid if on_grid > now else now + interval


def next_probe(now: int, work: WorkId, epoch: int, probe_interval: int) -> int:
    """Return when an idle scope is looked at again: within `probe_interval`, spread out over its second half."""
    return now + int(probe_interval * (0.5 + stable_fraction(f"{work.key}@{epoch}") / 2))


def is_fresh(scan: ScanRecord | None, now: datetime, limit: timedelta) -> bool:
    """Return whether the scope was scanned completely within `limit` before `now`."""
    return scan is not None and scan.last_success is not None and now - scan.last_success <= limit

"""The work items in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import RLock

from chalicelib.domain.leases import DueWork, Lease, LeasedWork, Outcome, WorkState
from chalicelib.domain.results import WorkResult
from chalicelib.domain.texts import message_text
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.errors import (
    LeaseLost,
)

from .limits import LARGEST_ITEM, stored_bytes
from .process import stored


@dataclass
class WorkItem:
    """One work-state item; None and zero where the attribute is absent."""

    wanted: int | None = None
    done: int | None = None
    epoch: int = 0
    lease_until: int | None = None
    next_due_at: int | None = None
    tick_at: int | None = None
    retry_refused: int = 0
    probe: bool = False
    intent: dict[str, dict[str, str]] = field(default_factory=dict)
    result: WorkResult | None = None
    last_error: str | None = None
    failures: int = 0
    put_off_until: int | None = None


class FakeWorkStates:
    """Work items, by the protocol."""

    def __init__(self) -> None:
        self._lock = RLock()
        self.items: dict[WorkId, WorkItem] = {}

    def request(self, work: WorkId, due_again: int, *, retry_refused: bool = False) -> int:
        with self._lock:
            item = self._item(work)
            item.wanted = (item.wanted or 0) + 1
            item.next_due_at, item.put_off_until = due_again, None
            if retry_refused:
                item.retry_refused = item.wanted
            return item.wanted

    def request_unless_waiting(self, work: WorkId, now: int, due_again: int) -> int | None:
        with self._lock:
            item = self.items.get(work)
            waits = item is not None and item.wanted is not None and item.done != item.wanted
            if waits and item.next_due_at is not None and item.next_due_at > now:
                return None
            return self.request(work, due_again)

    def claim(self, due: DueWork, tick: int, due_again: int) -> int | None:
        with self._lock:
            item = self.items.get(due.work)
            if item is None or item.next_due_at != due.next_due_at:
                return None
            item.next_due_at, item.tick_at, item.put_off_until = due_again, tick, None
            item.wanted = (item.wanted or 0) + 1
            return item.wanted

    def retire(self, due: DueWork) -> bool:
        with self._lock:
            item = self.items.get(due.work)
            if item is None or item.next_due_at != due.next_due_at or item.wanted not in (None, item.done):
                return False
            item.next_due_at = None
            return True

    def take(self, work: WorkId, now: int, until: int) -> LeasedWork | None:
        with self._lock:
            item = self.items.get(work)
            if item is None or (item.done or 0) >= (item.wanted or 0):
                return None
            if item.lease_until is not None and item.lease_until >= now:
                return None
            if item.put_off_until is not None and item.put_off_until > now:
                return None
            died, failures = item.lease_until is not None, item.failures
            item.epoch += 1
            item.failures += 1
            item.lease_until = item.next_due_at = until
            item.put_off_until = None
            retry_refused = item.retry_refused > (item.done or 0)
            lease = Lease(work, item.epoch, item.wanted or 0, until, item.tick_at, retry_refused, failures)
            return LeasedWork(lease, item.result, dict(item.intent), died)

    def record_intent(self, lease: Lease, intent: dict[str, dict[str, str]]) -> None:
        with self._lock:
            item = self._mine(lease)
            assert stored_bytes({"result": item.result.item() if item.result else {}, "intent": intent}) < LARGEST_ITEM
            item.intent = dict(intent)

    def finish(self, lease: Lease, outcome: Outcome, due_again: int) -> bool:
        with self._lock:
            item = self._mine(lease)
            assert stored_bytes({"result": outcome.result.item(), "intent": item.intent}) < LARGEST_ITEM
            more = item.wanted != lease.requested_at_lease
            item.done, item.result, item.probe = lease.requested_at_lease, stored(outcome.result), outcome.probe
            item.lease_until, item.intent, item.last_error, item.failures = None, {}, None, 0
            item.next_due_at = due_again if more else outcome.next_due
            return more

    def fail(self, lease: Lease, error: str, due_again: int) -> None:
        with self._lock:
            try:
                item = self._mine(lease)
            except LeaseLost:
                return
            item.last_error, item.next_due_at, item.lease_until = message_text(error), due_again, None
            item.failures = lease.failures + 1

    def release(self, lease: Lease, due_again: int) -> None:
        with self._lock:
            item = self._mine(lease)
            item.next_due_at, item.lease_until, item.failures = due_again, None, lease.failures

    def note_error(self, lease: Lease, error: str) -> None:
        with self._lock:
            self._mine(lease).last_error = message_text(error)

    def put_off(self, lease: Lease, error: str, until: int) -> None:
        with self._lock:
            item = self._mine(lease)
            item.last_error, item.lease_until, item.failures = message_text(error), None, lease.failures
            item.next_due_at = item.put_off_until = until

    def due(self, kind: WorkKind, until: int) -> Iterator[DueWork]:
        with self._lock:
            found = [
                DueWork(work, item.next_due_at, item.probe)
                for work, item in sorted(self.items.items())
                if work.kind is kind and item.next_due_at is not None and item.next_due_at <= until
            ]
        yield from found

    def read(self, works: Iterable[WorkId]) -> dict[WorkId, WorkState]:
        return {work: self._state(work, self.items[work]) for work in works if work in self.items}

    def holds(self, lease: Lease) -> bool:
        """Return whether the lease's epoch is the newest."""
        item = self.items.get(lease.work)
        return item is not None and item.epoch == lease.epoch

    def _mine(self, lease: Lease) -> WorkItem:
        if not self.holds(lease):
            raise LeaseLost(f"{lease.work.key}: epoch {lease.epoch} is over")
        return self.items[lease.work]

    def _item(self, work: WorkId) -> WorkItem:
        return self.items.setdefault(work, WorkItem())

    @staticmethod
    def _state(work: WorkId, item: WorkItem) -> WorkState:
        return WorkState(
            work,
            item.wanted or 0,
            item.done or 0,
            item.epoch,
            item.lease_until,
            item.next_due_at,
            item.result,
            item.last_error,
            item.failures,
        )

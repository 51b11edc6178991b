"""The ports in memory, and `World`: the real services on them.

The fakes keep the adapters' semantics (`tests/unit/test_ports.py` runs the same checks against both): conditions hold
in the same cases, times lose what the tables do not keep, a write under an epoch that is over is refused. What a test
wants to go wrong, it says beforehand (`fault`, `broken`, `interruptions`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from threading import RLock
from typing import Any

from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.adapters.dynamodb import marshal
from chalicelib.adapters.item_sizes import is_row, item_bytes, transactions
from chalicelib.adapters.stored_records import stored as stored_record
from chalicelib.adapters.telemetry_table import to_item
from chalicelib.container import Container
from chalicelib.domain.accounts import Account, AccountKind, AccountStatus, Membership
from chalicelib.domain.dead_letters import DeadLetter, DeadLetterQueue, Received, work_of
from chalicelib.domain.extension import Refusal
from chalicelib.domain.leases import DueWork, Lease, LeasedWork, Outcome, WorkState
from chalicelib.domain.regions import RegionStatus, ScanChange, ScanRecord
from chalicelib.domain.results import Remembered, Run, WorkResult
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import Page, Partition, Position, ServerRow
from chalicelib.domain.texts import message_text
from chalicelib.domain.work import Cadence, WorkId, WorkKind, WorkMessage
from chalicelib.domain.writes import (
    ForgetScan,
    ForgetTelemetry,
    RefuseExtension,
    ScopeTelemetry,
    Unwritten,
    UpdateServer,
    Write,
    stored_values,
)
from chalicelib.errors import (
    AccessDenied,
    AlreadyExists,
    DrsActiveRegionsError,
    InvalidRequest,
    LeaseLost,
    NotFound,
    Refused,
    ResourceNotFound,
    RowChanged,
    TableUnavailable,
)
from chalicelib.services.sync.scan_failures import ScanFailures
from chalicelib.services.work.context import WorkContext
from chalicelib.services.work.planner import SyncRequest
from chalicelib.services.work.report import Report

from . import factories

LARGEST_ITEM = 409_600  # DynamoDB: 400 KB
LEASE_SECONDS = 330
SHORT_NAMES = {
    "filter": "region_filter",
    "registry": "account_registry",
    "loop": "work_runner",
    "changes": "region_changes",
    "office": "dead_letters",
    "query": "inventory_query",
}
"""Services of the container, by the names that tests know them under."""


class Crash(BaseException):
    """The process dies here: nothing in it gets a chance to tidy up."""


def stored(record: Any) -> Any:
    """Return `record` as a table gives it back: what is not stored is lost."""
    return type(record).of(record.item())


class FakeClock:
    """Epoch seconds that only a test moves on."""

    def __init__(self, now: float = factories.EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeCalls:
    """AWS calls made, by name, account and region."""

    def __init__(self) -> None:
        self._lock = RLock()
        self.made: Counter[tuple[str, str, str]] = Counter()

    def count(self, name: str, scope: tuple[str, str]) -> None:
        with self._lock:
            self.made[name, scope[0], scope[1]] += 1

    def snapshot(self) -> Counter[tuple[str, str, str]]:
        return Counter(self.made)

    def calls_since(self, mark: Counter[tuple[str, str, str]]) -> dict[str, int]:
        names: Counter[str] = Counter()
        for (name, _, _), number in (self.made - mark).items():
            names[name] += number
        return dict(sorted(names.items()))

    def of(self, service: str) -> int:
        return sum(number for (name, _, _), number in self.made.items() if name.startswith(f"{service}:"))

    def scopes(self, name: str) -> set[Scope]:
        return {Scope(account, region) for made, account, region in self.made if made == name}


class FakeRegionStatuses:
    """Status rows. `broken`: the table cannot be read. `on_replace` runs before each write, as another writer would."""

    def __init__(self) -> None:
        self.rows: dict[str, RegionStatus] = {}
        self.reads = 0
        self.broken = False
        self.on_replace: Callable[[], None] | None = None

    def read_all(self) -> list[RegionStatus]:
        self.reads += 1
        if self.broken:
            raise TableUnavailable("table drs-region-status cannot be read: it is broken")
        return [self.rows[region] for region in sorted(self.rows)]

    def read(self, region: str) -> RegionStatus | None:
        return self.rows.get(region)

    def replace(self, stored_row: RegionStatus | None, status: RegionStatus) -> bool:
        if self.on_replace:
            self.on_replace()
        present = self.rows.get(status.region)
        if (present.version if present else None) != (stored_row.version if stored_row else None):
            return False
        version = stored_row.version if stored_row else 0
        self.rows[status.region] = stored(status.model_copy(update={"version": version + 1}))
        return True

    def delete(self, stored_row: RegionStatus) -> bool:
        present = self.rows.get(stored_row.region)
        if present is None or present.version != stored_row.version:
            return False
        del self.rows[stored_row.region]
        return True


class FakeScans:
    """Scan records, and the stream of their changes: before and after, None where there is no record."""

    def __init__(self) -> None:
        self.records: dict[Scope, ScanRecord] = {}
        self.stream: list[tuple[ScanRecord | None, ScanRecord | None]] = []

    def read(self, scope: Scope) -> ScanRecord | None:
        return self.records.get(scope)

    def of_region(self, region: str) -> list[ScanRecord]:
        return self._sorted(record for record in self.records.values() if record.region == region)

    def of_scopes(self, scopes: Iterable[Scope]) -> list[ScanRecord]:
        return self._sorted(self.records[scope] for scope in scopes if scope in self.records)

    def put(self, record: ScanRecord) -> None:
        before, after = self.records.get(record.scope), stored(record)
        self.records[record.scope] = after
        if before != after:
            self.stream.append((before, after))

    def forget(self, scope: Scope) -> None:
        if before := self.records.pop(scope, None):
            self.stream.append((before, None))

    @staticmethod
    def _sorted(records: Iterable[ScanRecord]) -> list[ScanRecord]:
        return sorted(records, key=lambda record: (record.region, record.account_id))


class FakeTelemetries:
    """Scopes' telemetry. `broken`: the table cannot be read."""

    def __init__(self) -> None:
        self.items: dict[Scope, ScopeTelemetry] = {}
        self.broken = False

    def read(self, scope: Scope) -> ScopeTelemetry | None:
        if self.broken:
            raise TableUnavailable("table scope-telemetry cannot be read: it is broken")
        return self.items.get(scope)

    def put(self, telemetry: ScopeTelemetry) -> None:
        self.items[telemetry.scope] = telemetry

    def forget(self, scope: Scope) -> None:
        self.items.pop(scope, None)


class FakeInventory:
    """Server rows, as attributes. `rows_read` counts rows that were asked for or came from an index."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.rows_read = 0

    def read(self, servers: Iterable[tuple[str, str]]) -> dict[str, ServerRow]:
        keys = list(servers)
        self.rows_read += len(keys)
        return {key[0]: stored_record(ServerRow, self.items[key]) for key in keys if key in self.items}

    def of_scope(self, scope: Scope) -> Iterator[ServerRow]:
        for item in self._by("scope", scope.key):
            self.rows_read += 1
            yield stored_record(ServerRow, item)

    def page(self, partition: Partition, limit: int, after: Position | None) -> Page:
        behind = tuple(after) if after else ("", "")
        left = [item for item in self._by(partition.by.value, partition.value) if _key(item) > behind]
        rows = [stored_record(ServerRow, item) for item in left[:limit]]
        self.rows_read += len(rows)
        return Page(rows, more=len(rows) == limit)

    def of_server(self, source_server_id: str) -> list[ServerRow]:
        return [stored_record(ServerRow, item) for item in self._by("sourceServerID", source_server_id)]

    def row(self, server: str, region: str = factories.REGION) -> ServerRow | None:
        """Return one row, for a test's own eyes: not counted."""
        item = self.items.get((server, region))
        return stored_record(ServerRow, item) if item else None

    def living(self, scope: Scope) -> set[str]:
        """Return the IDs of a scope's living servers, for a test's own eyes."""
        return {item["sourceServerID"] for item in self._by("scope", scope.key)}

    def refuses(self, update: UpdateServer) -> bool:
        """Return whether the row is another account's."""
        item = self.items.get((update.source_server_id, update.scope.region), {})
        return item.get("accountId", update.scope.account_id) != update.scope.account_id

    def outdated(self, update: UpdateServer) -> bool:
        """Return whether the row is not what the update was made from."""
        item = self.items.get((update.source_server_id, update.scope.region), {})
        return update.seen_hash is not None and (self.refuses(update) or item.get("drsHash") != update.seen_hash)

    def put(self, update: UpdateServer) -> None:
        self.items[update.source_server_id, update.scope.region] = self.updated(update)

    def updated(self, update: UpdateServer) -> dict[str, Any]:
        """Return what a row is after an update."""
        key = (update.source_server_id, update.scope.region)
        item = dict(self.items.get(key, {"sourceServerID": key[0], "replicationRegion": key[1]}))
        for name, value in stored_values(update).items():
            if value is None:
                item.pop(name, None)
            elif name not in update.first or name not in item:
                item[name] = _storable(value)
        return item

    def _by(self, attribute: str, value: str) -> list[dict[str, Any]]:
        return [self.items[key] for key in sorted(self.items) if self.items[key].get(attribute) == value]


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["sourceServerID"], item["replicationRegion"]


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _storable(part) for name, part in value.items() if part is not None}
    return [_storable(part) for part in value] if isinstance(value, list) else value


class FakeAccounts:
    """The registry."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.members: dict[tuple[str, str], Membership] = {}
        self.owners: dict[str, str] = {}  # account ID by ExternalId

    def read(self, account_id: str) -> Account | None:
        return self.accounts.get(account_id)

    def read_all(self) -> list[Account]:
        return [account for kind in AccountKind for account in self.of_kind(kind)]

    def of_kind(self, kind: AccountKind) -> list[Account]:
        return [account for _, account in sorted(self.accounts.items()) if account.kind is kind]

    def memberships(self, account_id: str) -> list[Membership]:
        return [self.members[key] for key in sorted(self.members) if key[0] == account_id]

    def targets_of(self, staging_account_id: str) -> list[str]:
        return sorted(target for target, staging in self.members if staging == staging_account_id)

    def create(self, account: Account) -> None:
        if account.account_id in self.accounts:
            raise AlreadyExists(f"account {account.account_id} is registered already")
        self._claim(account)
        self.accounts[account.account_id] = stored(account)

    def create_membership(self, membership: Membership) -> None:
        key = membership.account_id, membership.staging_account_id
        if key in self.members:
            raise AlreadyExists(f"{key[1]} is a staging account of {key[0]} already")
        self.members[key] = stored(membership)

    def replace(self, account: Account) -> None:
        present = self.accounts.get(account.account_id)
        if present is None or present.status is AccountStatus.REMOVING:
            raise NotFound(f"account {account.account_id} is not registered, or is being removed")
        self._claim(account)
        if present.external_id != account.external_id:
            self._release(present)
        self.accounts[account.account_id] = stored(account)

    def delete(self, account_id: str, status: AccountStatus) -> None:
        present = self.accounts.get(account_id)
        if present is not None and present.status is status:
            del self.accounts[account_id]
            self._release(present)

    def delete_membership(self, account_id: str, staging_account_id: str) -> bool:
        return self.members.pop((account_id, staging_account_id), None) is not None

    def _claim(self, account: Account) -> None:
        if (
            account.external_id
            and self.owners.setdefault(account.external_id, account.account_id) != account.account_id
        ):
            raise InvalidRequest("externalId: another account has it; each account needs one of its own")

    def _release(self, account: Account) -> None:
        if account.external_id and self.owners.get(account.external_id) == account.account_id:
            del self.owners[account.external_id]


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


class FakeRefusals:
    """What is not to be extended now."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Refusal] = {}

    def of_target(self, target: Scope) -> dict[str, Refusal]:
        return {arn: record for (scope, arn), record in self.records.items() if scope == target.key}

    def forget(self, refusal: Refusal) -> bool:
        key = refusal.target_scope, refusal.staging_source_server_arn
        if key not in self.records or not self.is_still(refusal, key):
            return False
        del self.records[key]
        return True

    def is_still(self, seen: Refusal | None, key: tuple[str, str]) -> bool:
        """Return whether what is recorded is what was read."""
        there = self.records.get(key)
        if there is None or seen is None:
            return there is seen
        return (there.reason, there.since, there.attempts) == (seen.reason, seen.since, seen.attempts)

    def put(self, refusal: Refusal) -> None:
        self.records[refusal.target_scope, refusal.staging_source_server_arn] = stored(refusal)


class FakeRuns:
    """Sync runs."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[Run, dict[WorkId, int]]] = {}
        self.keys: dict[str, tuple[Remembered, int]] = {}  # and when it expires

    def store(self, run: Run, asked: dict[WorkId, int]) -> None:
        self.runs[run.run_id] = (stored(run), dict(asked))

    def remember(self, key: str, request: str, run_id: str, now: int, expires_at: int) -> Remembered | None:
        if key in self.keys and self.keys[key][1] > now:
            return self.keys[key][0]
        self.keys[key] = Remembered(request, run_id), expires_at
        return None

    def read(self, run_id: str) -> tuple[Run, dict[WorkId, int]] | None:
        return self.runs.get(run_id)

    def latest(self, kind: WorkKind, limit: int, before: str | None) -> list[Run]:
        runs = [run for run, _ in self.runs.values() if run.kind is kind and (before is None or _made(run) < before)]
        return sorted(runs, key=_made, reverse=True)[:limit]


def _made(run: Run) -> str:
    return str(run.item()["createdAt"])


def stored_bytes(item: dict[str, Any]) -> int:
    """Return the size of an item as DynamoDB counts it: the tests' own count."""

    def size(value: Any) -> int:
        if isinstance(value, dict):
            return 3 + sum(1 + len(name.encode()) + size(part) for name, part in value.items() if part is not None)
        if isinstance(value, list | tuple):
            return 3 + sum(1 + size(part) for part in value)
        return len(value) if isinstance(value, bytes) else len(str(value).encode())

    return size(item)


class FakeWriter:
    """Writes under a lease's epoch, in the transactions that DynamoDB takes.

    `interruptions`: what to raise instead of the next transactions, one each; None lets one pass.
    """

    def __init__(
        self,
        work_states: FakeWorkStates,
        inventory: FakeInventory,
        scans: FakeScans,
        telemetries: FakeTelemetries,
        refusals: FakeRefusals,
    ) -> None:
        self._work_states = work_states
        self._inventory = inventory
        self._scans = scans
        self._telemetries = telemetries
        self._refusals = refusals
        self.transactions: list[list[Write]] = []
        self.interruptions: list[BaseException | None] = []

    @property
    def written(self) -> list[Write]:
        return [write for transaction in self.transactions for write in transaction]

    def write(self, lease: Lease, writes: list[Write]) -> list[Unwritten]:
        return [left_out for batch in self.batches(writes) for left_out in self._transact(lease, batch)]

    def batches(self, writes: list[Write]) -> Iterator[list[Write]]:
        """Yield the transactions that `writes` take."""
        return transactions((write, item_bytes(marshal(self._item(write)))) for write in writes)

    def _transact(self, lease: Lease, writes: list[Write]) -> list[Unwritten]:
        if self.interruptions and (interruption := self.interruptions.pop(0)):
            raise interruption
        if not self._work_states.holds(lease):
            raise LeaseLost(f"{lease.work.key}: epoch {lease.epoch} is over")
        updates = [write for write in writes if isinstance(write, UpdateServer)]
        if changed := [update for update in updates if self._inventory.outdated(update)]:
            raise RowChanged(f"{changed[0].source_server_id} is not what it was when it was read")
        unwritten = [Unwritten(each, why) for each in writes if (why := self._invalid(each))]  # type: ignore[arg-type]
        if unwritten and not all(map(is_row, writes)):
            raise DrsActiveRegionsError(f"{lease.work.key}: {unwritten[0].reason}")
        written = [write for write in writes if write not in [each.write for each in unwritten]]
        for write in written:
            self._put(write)
        if written:
            self.transactions.append(written)
        return unwritten

    def _invalid(self, write: Write) -> str:
        """Return why DynamoDB would not take a write; empty where it does."""
        if isinstance(write, UpdateServer) and self._inventory.refuses(write):
            return "it is filed under another account"
        if isinstance(write, RefuseExtension):
            key = write.refusal.target_scope, write.refusal.staging_source_server_arn
            return (
                "" if self._refusals.is_still(write.seen, key) else "another refusal was recorded meanwhile, and stands"
            )
        return (
            "Item size has exceeded the maximum allowed size" if stored_bytes(self._item(write)) > LARGEST_ITEM else ""
        )

    def _item(self, write: Write) -> dict[str, Any]:
        if isinstance(write, UpdateServer):
            return self._inventory.updated(write)
        if isinstance(write, ScopeTelemetry):
            return to_item(write)
        if isinstance(write, RefuseExtension):
            return write.refusal.item()
        return {} if isinstance(write, ForgetScan | ForgetTelemetry) else write.item()

    def _put(self, write: Write) -> None:
        if isinstance(write, UpdateServer):
            self._inventory.put(write)
        elif isinstance(write, ScopeTelemetry):
            self._telemetries.put(write)
        elif isinstance(write, ScanRecord):
            self._scans.put(write)
        elif isinstance(write, ForgetScan):
            self._scans.forget(write.scope)
        elif isinstance(write, ForgetTelemetry):
            self._telemetries.forget(write.scope)
        else:
            self._refusals.put(write.refusal if isinstance(write, RefuseExtension) else write)


class FakeQueue:
    """Messages that wait. A test may reorder, repeat or drop them: it is a plain list."""

    def __init__(self) -> None:
        self.messages: list[WorkMessage] = []
        self.broken = False

    def send(self, messages: Iterable[WorkMessage]) -> None:
        some = list(messages)
        if self.broken:
            raise DrsActiveRegionsError(f"SQS refused {len(some)} of {len(some)} messages")
        self.messages += some

    def works(self) -> list[WorkId]:
        return [message.work for message in self.messages]


class FakeDeadLetters:
    """Dead letters by queue; those in hand are hidden until they are put back."""

    def __init__(self) -> None:
        self.letters: dict[DeadLetterQueue, list[Received]] = {queue: [] for queue in DeadLetterQueue}
        self.in_hand: list[Received] = []

    def receive(self, queue: DeadLetterQueue, most: int) -> list[Received]:
        free = [letter for letter in self.letters[queue] if letter not in self.in_hand][: min(most, 10)]
        self.in_hand += free
        return free

    def delete(self, queue: DeadLetterQueue, received: Received) -> None:
        self.letters[queue] = [letter for letter in self.letters[queue] if letter != received]

    def put_back(self, queue: DeadLetterQueue, received: Iterable[Received]) -> None:
        back = list(received)
        self.in_hand = [letter for letter in self.in_hand if letter not in back]

    def waiting(self, queue: DeadLetterQueue) -> int:
        return sum(letter not in self.in_hand for letter in self.letters[queue])

    def add(self, queue: DeadLetterQueue, body: str, reason: str = "it failed") -> Received:
        """Add a letter with such a body, and return it."""
        number = sum(map(len, self.letters.values()))
        work = work_of(body)
        letter = DeadLetter(
            message_id=f"letter-{number}",
            queue=queue,
            reason=reason,
            body=body,
            sent_at=factories.NOW,
            received=1,
            work=work.key if work else None,
        )
        self.letters[queue].append(Received(letter, f"receipt-{number}", body))
        return self.letters[queue][-1]


@dataclass
class Fault:
    """An error that a service answers with: in which scope, for which server, how often, before or after its effect."""

    name: str
    error: BaseException
    scope: Scope | None = None
    subject: str | None = None
    times: int | None = None
    after_effect: bool = False

    def hits(self, name: str, scope: Scope, subject: str) -> bool:
        fits = self.name == name and self.scope in (None, scope) and self.subject in (None, subject)
        if not fits or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """What the services of customer accounts answer instead."""

    def __init__(self) -> None:
        self._lock = RLock()
        self.rules: list[Fault] = []

    def meet(self, name: str, scope: Scope, subject: str = "", *, after_effect: bool = False) -> None:
        with self._lock:
            for rule in self.rules:
                if rule.after_effect is after_effect and rule.hits(name, scope, subject):
                    raise rule.error


class FakeDrs:
    """DRS of every account and region: reader and writer in one."""

    def __init__(self, calls: FakeCalls, faults: Faults) -> None:
        self._lock = RLock()
        self._calls = calls
        self._faults = faults
        self._numbers = count(1)
        self.servers: dict[Scope, dict[str, dict[str, Any]]] = {}
        self.untrusting: set[str] = set()
        self.refused: dict[str, str] = {}  # staging ARN -> why DRS refuses to extend it
        self.extension_errors: dict[str, str] = {}  # staging ARN -> the error that its extension shows

    def add(self, *wires: dict[str, Any]) -> None:
        """Add servers, or replace those of the same ID: each in the account and region of its ARN."""
        for wire in wires:
            self.servers.setdefault(_scope_of(wire["arn"]), {})[wire["sourceServerID"]] = wire

    def remove(self, arn: str) -> None:
        del self.servers[_scope_of(arn)][_server_of(arn)]

    def get(self, arn: str) -> dict[str, Any]:
        """Return one server, to be looked at or changed."""
        return self.servers[_scope_of(arn)][_server_of(arn)]

    def extensions(self, target: Scope) -> dict[str, str]:
        """Return the IDs of a target's extensions by the ARN of the original; fails where one is extended twice."""
        found: dict[str, str] = {}
        for server, wire in self.servers.get(target, {}).items():
            original = wire["stagingArea"].get("stagingSourceServerArn")
            if original:
                assert original not in found, f"{original} is extended twice into {target.key}"
                found[original] = server
        return found

    def probe(self, account: Account, region: str) -> None:
        self._call("DescribeSourceServers", Scope(account.account_id, region))

    def source_servers(self, account: Account, region: str) -> Iterator[dict[str, Any]]:
        scope = Scope(account.account_id, region)
        self._call("DescribeSourceServers", scope)
        yield from deepcopy(list(self.servers.get(scope, {}).values()))

    def replication_configuration(self, account: Account, region: str, source_server_id: str) -> dict[str, Any]:
        self._call("GetReplicationConfiguration", Scope(account.account_id, region), source_server_id)
        return {"name": "default", "ebsEncryption": "CUSTOM"}

    def tag(self, account: Account, region: str, arn: str, tags: dict[str, str]) -> None:
        with self._changing("TagResource", account, region, arn) as wire:
            after = {**wire["tags"], **tags}
            if sum(not key.lower().startswith("aws:") for key in after) > 50:
                raise Refused(f"{arn}: more than 50 tags", "ValidationException")
            wire["tags"] = after

    def untag(self, account: Account, region: str, arn: str, keys: list[str]) -> None:
        with self._changing("UntagResource", account, region, arn) as wire:
            wire["tags"] = {key: value for key, value in wire["tags"].items() if key not in keys}

    def extensible(self, target: Account, region: str, staging_account_id: str) -> dict[str, dict[str, str]]:
        scope = Scope(target.account_id, region)
        self._call("ListExtensibleSourceServers", scope, staging_account_id)
        if staging_account_id in self.untrusting:
            raise AccessDenied(f"{staging_account_id} does not trust {target.account_id}", "AccessDeniedException")
        done = self.extensions(scope)
        staged = self.servers.get(Scope(staging_account_id, region), {}).values()
        return {
            wire["arn"]: dict(wire["tags"])
            for wire in staged
            if wire["arn"] not in done and wire["stagingArea"]["status"] == "NOT_EXTENDED"
        }

    def extend(self, target: Account, region: str, arn: str) -> str:
        scope = Scope(target.account_id, region)
        self._call("CreateExtendedSourceServer", scope, arn)
        with self._lock:
            original = self.servers.get(_scope_of(arn), {}).get(_server_of(arn))
            if original is None:
                raise ResourceNotFound(f"{arn}: there is no such server", "ResourceNotFoundException")
            if why := self.refused.get(arn):
                raise Refused(f"{arn}: {why}", "ValidationException")
            if arn in self.extensions(scope):
                raise Refused(f"{arn}: it is extended already", "ValidationException")
            server = f"s-ext-{next(self._numbers)}-{_server_of(arn)}"
            self.add(self._extension(server, scope, original))
        self._faults.meet("drs:CreateExtendedSourceServer", scope, arn, after_effect=True)
        return server

    def _extension(self, server: str, scope: Scope, original: dict[str, Any]) -> dict[str, Any]:
        arn = original["arn"]
        error = self.extension_errors.get(arn)
        area = factories.extended_area(arn, _scope_of(arn).account_id)
        return {
            **deepcopy(original),
            "sourceServerID": server,
            "arn": factories.arn_of(server, *scope),
            "tags": {},
            "stagingArea": {**area, **({"status": "EXTENSION_ERROR", "errorMessage": error} if error else {})},
        }

    def _changing(self, operation: str, account: Account, region: str, arn: str) -> "_Changing":
        scope = Scope(account.account_id, region)
        self._call(operation, scope, arn)
        if arn not in {wire["arn"] for wire in self.servers.get(scope, {}).values()}:
            raise ResourceNotFound(f"{arn}: there is no such server", "ResourceNotFoundException")
        return _Changing(self, lambda: self._faults.meet(f"drs:{operation}", scope, arn, after_effect=True), arn)

    def _call(self, operation: str, scope: Scope, subject: str = "") -> None:
        self._calls.count(f"drs:{operation}", scope)
        self._faults.meet(f"drs:{operation}", scope, subject)


class _Changing:
    """A change of one server, with what follows its effect."""

    def __init__(self, drs: FakeDrs, afterwards: Callable[[], None], arn: str) -> None:
        self._wire = drs.get(arn)
        self._afterwards = afterwards

    def __enter__(self) -> dict[str, Any]:
        return self._wire

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self._afterwards()


def _scope_of(arn: str) -> Scope:
    _, _, _, region, account_id, _ = arn.split(":")
    return Scope(account_id, region)


def _server_of(arn: str) -> str:
    return arn.rpartition("/")[2]


class FakeEc2:
    """EC2 of every account and region."""

    def __init__(self, calls: FakeCalls, faults: Faults) -> None:
        self._calls = calls
        self._faults = faults
        self.present: dict[Scope, dict[str, dict[str, Any]]] = {}

    def add(self, account_id: str, region: str, *instances: dict[str, Any]) -> None:
        """Add instances, or replace those of the same ID."""
        here = self.present.setdefault(Scope(account_id, region), {})
        here.update({instance["InstanceId"]: instance for instance in instances})

    def instances(self, account: Account, region: str, instance_ids: list[str]) -> dict[str, dict[str, Any]]:
        scope = Scope(account.account_id, region)
        self._calls.count("ec2:DescribeInstances", scope)
        self._faults.meet("ec2:DescribeInstances", scope)
        here = self.present.get(scope, {})
        return {name: deepcopy(here[name]) for name in instance_ids if name in here}


class FakeWorker:
    """A worker that does what a test says.

    Args:
        sync: is given the context, returns the report.
    """

    def __init__(self, sync: Callable[[WorkContext], Report]) -> None:
        self.sync = sync


class World:
    """The real services on the fakes: accounts, their servers, queues and the stream of scan records.

    Args:
        regions: the regions in which DRS exists.
        filtering: the kill switch.
        extensions_per_run: the cap of one staging run.
        servers_per_scope: how many servers a target scope may hold.
    """

    def __init__(
        self,
        regions: Iterable[str] = factories.REGIONS,
        *,
        cadence: Cadence = factories.CADENCE,
        filtering: bool = True,
        extensions_per_run: int = 100,
        servers_per_scope: int = 4000,
    ) -> None:
        self.regions = sorted(regions)
        self.clock, self.calls, self.faults = FakeClock(), FakeCalls(), Faults()
        self.drs, self.ec2 = FakeDrs(self.calls, self.faults), FakeEc2(self.calls, self.faults)
        self.accounts, self.statuses, self.scans = FakeAccounts(), FakeRegionStatuses(), FakeScans()
        self.telemetries, self.inventory, self.refusals = FakeTelemetries(), FakeInventory(), FakeRefusals()
        self.work_states, self.queue, self.runs = FakeWorkStates(), FakeQueue(), FakeRuns()
        self.writer = FakeWriter(self.work_states, self.inventory, self.scans, self.telemetries, self.refusals)
        self.letters, self.probe = FakeDeadLetters(), None
        self.probe_function = self.maintenance_function = None
        self.drs_tags = self.drs_extensions = self.drs
        self.aws_partition, self.sleep = aws_partition, self.clock.advance
        self.returned: list[WorkMessage] = []
        self.container = Container(
            factories.settings(
                cadence,
                enable_region_filtering=filtering,
                max_extensions_per_run=extensions_per_run,
                max_source_servers_per_scope=servers_per_scope,
            ),
            self,
        )

    @property
    def scan_failures(self) -> ScanFailures:
        """What records scans that broke off, as the work runner has it."""
        return ScanFailures(self.accounts, self.scans, self.writer, self.clock)

    def context(self, taken: LeasedWork, message: WorkMessage) -> WorkContext:
        """Return what a worker is given."""
        return WorkContext(
            taken, message, self.accounts, self.work_states, self.writer, self.clock, self.container.settings.cadence
        )

    def __getattr__(self, name: str) -> Any:
        """Return a service of the container, by its name there or by the short one."""
        return getattr(self.container, SHORT_NAMES.get(name, name))

    def drs_regions(self, partition: str = "aws") -> list[str]:
        return list(self.regions)

    # --- accounts ---

    def add_account(
        self, account_id: str = factories.TARGET, kind: AccountKind = AccountKind.TARGET, **values: Any
    ) -> Account:
        """Register an account through the product's own service; its first scans wait for the planner."""
        account = factories.account(account_id, kind, **values)
        self.registry.register(account, scan_now=False)
        return account

    def add_staging(
        self, account_id: str = factories.STAGING, target: str = factories.TARGET, **values: Any
    ) -> Account:
        """Register a staging account and make it one of `target`."""
        account = self.add_account(account_id, AccountKind.STAGING)
        self.registry.add_staging_account(factories.membership(target, account_id, **values))
        return account

    # --- work, one step at a time ---

    def tick(self, kind: WorkKind = WorkKind.INVENTORY) -> Run:
        """Let a schedule fire."""
        try:
            return self.planner.tick(kind)
        finally:
            if kind is WorkKind.INVENTORY:
                self.resync.tick()

    def sync(self, kind: WorkKind = WorkKind.INVENTORY, **values: Any) -> Run:
        """Ask for a sync as an operator does."""
        return self.planner.sync(SyncRequest(kind, **values))

    def handle(self, message: WorkMessage) -> Outcome | None:
        """Do the work of one message.

        Raises:
            Exception: as the worker did.
        """
        return self.loop.handle(message, self.container.workers[message.kind](), LEASE_SECONDS)

    def deliver(self, position: int = 0, *, duplicate: bool = False) -> Outcome | None:
        """Deliver one waiting message; it comes back (`returned`) where its work fails or its worker crashes."""
        message = self.queue.messages[position] if duplicate else self.queue.messages.pop(position)
        try:
            return self.handle(message)
        except (Exception, Crash):  # noqa: BLE001  as Lambda does: whatever it is, the message comes back
            self.returned.append(message)
            return None

    def redeliver(self) -> None:
        """Let the messages whose work failed become visible again."""
        self.queue.messages, self.returned = [*self.queue.messages, *self.returned], []

    def pump(self) -> None:
        """Deliver what waits in the stream of scan records, as one batch."""
        batch, self.scans.stream = self.scans.stream, []
        by_region: dict[str, list[ScanChange]] = {}
        for before, after in batch:
            by_region.setdefault((after or before).region, []).append(ScanChange(before, after))
        for region, changes in by_region.items():
            self.changes.handle(region, changes)

    def settle(self, most: int = 10_000) -> None:
        """Deliver messages and stream records until none waits; messages that failed stay in `returned`."""
        for _ in range(most):
            if self.queue.messages:
                self.deliver()
            elif self.scans.stream:
                self.pump()
            else:
                return
        raise AssertionError(f"still busy after {most} steps: {self.queue.works()[:5]}")

    def cycle(self, kind: WorkKind = WorkKind.INVENTORY) -> Run:
        """Let a schedule fire and everything settle that follows from it."""
        run = self.tick(kind)
        self.settle()
        return run

    def run_work(self, kind: WorkKind, scope: Scope = factories.SCOPE, **values: Any) -> Outcome | None:
        """Ask for one piece of work and do it, whatever else waits.

        Raises:
            Exception: as the worker did.
        """
        work = WorkId(kind, scope, values.get("dry_run", False))
        refused = values.pop("retry_refused", False)
        self.work_states.request(work, int(self.clock()) + factories.REDELIVER_AFTER, retry_refused=refused)
        return self.handle(factories.message(kind, scope, **values))

    def scan(self, scope: Scope = factories.SCOPE) -> Outcome | None:
        """Sync the inventory of one scope and let the region's status follow; asked-for work waits in the queue."""
        outcome = self.run_work(WorkKind.INVENTORY, scope)
        self.pump()
        return outcome

    def scan_emptied(self, scope: Scope = factories.SCOPE) -> None:
        """Sync a scope that lists no servers any more: that is believed the second time."""
        self.scan(scope)
        self.scan(scope)

    def fault(self, name: str, error: BaseException, scope: Scope | None = None, **values: Any) -> Fault:
        """Have calls of `name` (`service:Operation`) answered with `error`; return the rule."""
        rule = Fault(name, error, scope, **values)
        self.faults.rules.append(rule)
        return rule

    def heal(self) -> None:
        """End every fault."""
        self.faults.rules.clear()

    def snapshot(self) -> dict[str, Any]:
        """Return what the tables say, for comparison."""
        return deepcopy(
            {
                "rows": self.inventory.items,
                "scans": self.scans.records,
                "statuses": self.statuses.rows,
                "refusals": self.refusals.records,
            }
        )

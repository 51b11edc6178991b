"""Everything outside of the product: its tables and queues in memory, customer accounts, and the watch on its writes.

The tables are those of `tests/fakes.py`; what is added here is what a run needs of them: transactions that end after
two rows, so that a worker can die between them, the stream of scan records, and the ledger that looks at each write.
"""

from itertools import count
from typing import Any

from chalicelib.adapters.dynamodb import chunks
from chalicelib.domain.accounts import Account
from chalicelib.domain.dead_letters import DeadLetterQueue
from chalicelib.domain.leases import Lease, Outcome, Taken
from chalicelib.domain.regions import RegionStatus, ScanRecord
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.domain.writes import Unwritten, UpdateServer, Write

from ..factories import REGION, SECOND
from ..fakes import (
    FakeAccounts,
    FakeCalls,
    FakeClock,
    FakeDrs,
    FakeEc2,
    FakeInventory,
    FakeRefusals,
    FakeRegionStatuses,
    FakeRuns,
    FakeScans,
    FakeTelemetries,
    FakeWorkStates,
    FakeWriter,
    Faults,
)
from .disruptions import Switchboard
from .ledger import Ledger
from .shard import Shard, stream_record
from .sqs import InMemoryDeadLetters, InMemoryWorkQueue, SqsQueue

DRS_REGIONS = [REGION, SECOND]
ROWS_PER_TRANSACTION = 2


class WatchedScans(FakeScans):
    """Scan records, whose changes go to the shard of their region."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        self._numbers = count(1)
        self.shards = {region: Shard() for region in DRS_REGIONS}

    def put(self, record: ScanRecord) -> None:
        before = self.records.get(record.scope)
        self._ledger.scan_recorded(before, record)
        super().put(record)
        self._changed(record.region, before, self.records[record.scope])

    def forget(self, scope: Scope) -> None:
        before = self.records.get(scope)
        super().forget(scope)
        self._changed(scope.region, before, None)

    def spoil(self, region: str) -> str:
        """Add a record that no version of the function can read; return its sequence number."""
        number = str(next(self._numbers))
        keys = {"region": {"S": region}, "accountId": {"S": "000000000000"}}
        images = {"NewImage": {**keys, "state": {"S": "NONSENSE"}}, "SequenceNumber": number}
        self.shards[region].add({"eventID": number, "eventName": "MODIFY", "dynamodb": {"Keys": keys, **images}})
        return number

    def _changed(self, region: str, before: ScanRecord | None, after: ScanRecord | None) -> None:
        if before != after:
            self.shards[region].add(stream_record(next(self._numbers), before, after))
            self._ledger.region_changed(region, self.of_region(region))


class WatchedStatuses(FakeRegionStatuses):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def replace(self, stored_row: RegionStatus | None, status: RegionStatus) -> bool:
        written = super().replace(stored_row, status)
        if written:
            self._ledger.status_written(status)
        return written


class WatchedInventory(FakeInventory):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def put(self, update: UpdateServer) -> None:
        key = update.source_server_id, update.scope.region
        before = dict(self.items.get(key, {}))
        super().put(update)
        self._ledger.row_written(update, before, self.items[key])


class WatchedWorkStates(FakeWorkStates):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def take(self, work: WorkId, now: int, until: int) -> Taken | None:
        taken = super().take(work, now, until)
        if taken:
            self._ledger.taken(taken.lease)
        return taken

    def finish(self, lease: Lease, outcome: Outcome, due_again: int) -> bool:
        more = super().finish(lease, outcome, due_again)
        self._ledger.wrote(lease)
        return more

    def fail(self, lease: Lease, error: str, due_again: int) -> None:
        super().fail(lease, error, due_again)
        self._ledger.failed(lease, error)

    def release(self, lease: Lease, due_again: int) -> None:
        super().release(lease, due_again)
        self._ledger.wrote(lease)


class WatchedQueue(InMemoryWorkQueue):
    def __init__(self, clock: FakeClock, ledger: Ledger) -> None:
        super().__init__(clock)
        self._ledger = ledger

    def bury(self, body: str, kind: WorkKind, reason: str) -> None:
        received = [message.received for message in self.queues[kind].messages if message.body == body]
        self._ledger.buried(body, kind, max(received, default=0))
        super().bury(body, kind, reason)


class WatchedWriter(FakeWriter):
    """Fenced writes, each transaction a call of its own."""

    def __init__(self, ledger: Ledger, switchboard: Switchboard, *tables: Any) -> None:
        super().__init__(*tables)
        self._ledger = ledger
        self._switchboard = switchboard

    def write(self, lease: Lease, writes: list[Write]) -> list[Unwritten]:
        return [
            left_out
            for batch in chunks(writes, ROWS_PER_TRANSACTION)
            for left_out in self._switchboard.call("writer.transact", self._transact, (lease, batch), {})
        ]

    def _transact(self, lease: Lease, writes: list[Write]) -> list[Unwritten]:
        unwritten = super()._transact(lease, writes)
        self.transactions.clear()
        self._ledger.wrote(lease)
        return unwritten


class ChaosDrs(FakeDrs):
    """DRS of every account and region, and what is known of who asked it for what."""

    def __init__(self, calls: FakeCalls, faults: Faults, ledger: Ledger) -> None:
        super().__init__(calls, faults)
        self._ledger = ledger

    def source_servers(self, account: Account, region: str) -> Any:
        servers = list(super().source_servers(account, region))
        self._ledger.listed(Scope(account.account_id, region), servers)
        return servers

    def tag(self, account: Account, region: str, arn: str, tags: dict[str, str]) -> None:
        self._ledger.tags_written(arn, tags)
        super().tag(account, region, arn, tags)

    def untag(self, account: Account, region: str, arn: str, keys: list[str]) -> None:
        self._ledger.tags_written(arn, keys)
        super().untag(account, region, arn, keys)

    def extend(self, target: Account, region: str, arn: str) -> str:
        server = super().extend(target, region, arn)
        self._ledger.extended(Scope(target.account_id, region), arn)
        return server


class ChaosWorld:
    """The ports, by the names under which the composition asks for them."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.clock, self.calls = FakeClock(), FakeCalls()
        self.ledger = Ledger(switchboard)
        faults = Faults()
        self.drs, self.ec2 = ChaosDrs(self.calls, faults, self.ledger), FakeEc2(self.calls, faults)
        self.accounts, self.telemetries, self.refusals = FakeAccounts(), FakeTelemetries(), FakeRefusals()
        self.scans, self.statuses = WatchedScans(self.ledger), WatchedStatuses(self.ledger)
        self.inventory, self.work_states = WatchedInventory(self.ledger), WatchedWorkStates(self.ledger)
        self.runs, self.queue = FakeRuns(), WatchedQueue(self.clock, self.ledger)
        self.stream_failures, self.schedule_failures = SqsQueue(self.clock), SqsQueue(self.clock)
        dead = {
            DeadLetterQueue.WORK: self.queue.dead_letters,
            DeadLetterQueue.STREAM: self.stream_failures,
            DeadLetterQueue.SCHEDULES: self.schedule_failures,
        }
        self.letters = InMemoryDeadLetters(dead, self.clock)
        tables = self.work_states, self.inventory, self.scans, self.telemetries, self.refusals
        self.writer = WatchedWriter(self.ledger, switchboard, *tables)

    def drs_regions(self, partition: str = "aws") -> list[str]:
        return list(DRS_REGIONS)

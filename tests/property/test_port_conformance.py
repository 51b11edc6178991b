"""The ports in memory answer as the adapters do on moto, whatever sequence of calls they are given.

`tests/unit/test_ports.py` says what holds of both, case by case; this compares them on random sequences. The chaos run
(`tests/chaos`) stands on the ports in memory, and so on this. One set of tables serves all examples, emptied for each.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.dead_letter_queues import DeadLetterQueues
from chalicelib.adapters.work_queue import WorkQueue
from chalicelib.domain.accounts import AccountKind, AccountStatus
from chalicelib.domain.dead_letters import DeadLetterQueue
from chalicelib.domain.extension import RefusalReason
from chalicelib.domain.leases import Lease
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import InventoryIndex, Partition, Telemetry
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.domain.writes import ForgetScan, ForgetTelemetry, RefuseExtension, ScopeTelemetry, UpdateServer

from ..chaos.sqs import MOST_RECEIVES, VISIBILITY_SECONDS, InMemoryDeadLetters, InMemoryWorkQueue
from ..factories import (
    EPOCH,
    NOW,
    OTHER,
    REGION,
    REGIONS,
    SOURCE,
    STAGING,
    TARGET,
    account,
    arn_of,
    membership,
    message,
    outcome,
    refusal,
    region_status,
    row_update,
    scan_record,
)
from ..fakes import FakeClock
from ..ports import Ports, in_memory, on_tables
from ..unit import stack

LEASE, AGAIN = 330, 1800
FAR = EPOCH + 10**6
few = st.integers(0, 3)
flags = st.booleans()
seconds = st.sampled_from([0, 1, LEASE, LEASE + 1, AGAIN])
random_calls = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch, stack.deployed() as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield on_tables()


def answer(call: Callable[[Ports], Any], ports: Ports) -> Any:
    """Return what a call answers: its value, or the kind of its error."""
    try:
        value = call(ports)
    except Exception as error:  # noqa: BLE001  every error is an answer here
        return type(error)
    return list(value) if hasattr(value, "__next__") else value


class Both:
    """Makes each call on both sets of ports, and compares."""

    def __init__(self, tables: Ports) -> None:
        stack.empty_tables()
        self.tables, self.memory = tables, in_memory()

    def __call__(self, call: Callable[[Ports], Any]) -> Any:
        real, fake = answer(call, self.tables), answer(call, self.memory)
        assert fake == real
        return real


# --- work states ---

steps_of_work = st.lists(
    st.tuples(st.just("ask"), few, flags)
    | st.tuples(st.just("request_unless_waiting"), few, seconds)
    | st.tuples(st.sampled_from(["claim", "retire"]), few, few)
    | st.tuples(st.just("take"), few, seconds)
    | st.tuples(st.sampled_from(["record_intent", "fail", "release", "note_error", "put_off"]), few, few)
    | st.tuples(st.just("finish"), few, st.none() | seconds)
    | st.tuples(st.just("wait"), few, seconds),
    min_size=4,
    max_size=14,
)


class WorkStates:
    """Drives the work states of a few pieces of work, with whatever was due and leased before."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.works = [WorkId(WorkKind.INVENTORY, Scope(TARGET, region)) for region in REGIONS[:4]]
        self.now = EPOCH
        self.due: list[Any] = []
        self.leases: list[Lease] = []

    def step(self, name: str, place: int, value: Any) -> None:
        """Make one call."""
        work, again = self.works[place], self.now + AGAIN
        lease = self.leases[place % len(self.leases)] if self.leases else None
        due = self.due[place % len(self.due)] if self.due else None
        if name == "wait":
            self.now += value
        elif name == "ask":
            self.both(lambda ports: ports.work_states.request(work, again, retry_refused=value))
        elif name == "request_unless_waiting":
            self.both(lambda ports: ports.work_states.request_unless_waiting(work, self.now + value, again))
        elif name == "claim" and due:
            self.both(lambda ports: ports.work_states.claim(due, self.now - value, again))
        elif name == "retire" and due:
            self.both(lambda ports: ports.work_states.retire(due))
        elif name == "take":
            until = self.now + LEASE
            taken = self.both(lambda ports: ports.work_states.take(work, self.now + value, until))
            self.leases += [taken.lease] if taken else []
        elif lease:
            self.give_back(name, lease, value, again)
        self.due += [due for due in self.both.memory.work_states.due(WorkKind.INVENTORY, FAR) if due not in self.due]

    def give_back(self, name: str, lease: Lease, value: Any, again: int) -> None:
        if name == "record_intent":
            self.both(lambda ports: ports.work_states.record_intent(lease, {f"s-{value}": {"Name": "digest"}}))
        elif name == "fail":
            self.both(lambda ports: ports.work_states.fail(lease, f"error {value}", again))
        elif name == "release":
            self.both(lambda ports: ports.work_states.release(lease, again))
        elif name == "note_error":
            self.both(lambda ports: ports.work_states.note_error(lease, f"error {value}"))
        elif name == "put_off":
            self.both(lambda ports: ports.work_states.put_off(lease, f"error {value}", self.now + value))
        elif name == "finish":
            ended = outcome(None if value is None else self.now + value, probe=value == 0, tags_version=3)
            self.both(lambda ports: ports.work_states.finish(lease, ended, again))

    def look(self) -> None:
        """Compare everything."""
        self.both(lambda ports: ports.work_states.read(self.works))
        self.both(lambda ports: sorted(ports.work_states.due(WorkKind.INVENTORY, FAR)))


@random_calls
@given(steps=steps_of_work)
def test_work_states(tables, steps):
    works = WorkStates(Both(tables))
    for step in steps:
        works.step(*step)
    works.look()


# --- fenced writes, and what they write ---

values = st.fixed_dictionaries(
    {},
    optional={
        "hostname": st.sampled_from(["web", "db", None]),
        "fqdn": st.sampled_from(["web.example.com", None]),
        "drsTags": st.sampled_from([{}, {"Name": "web", "empty": ""}]),
        "drsHash": st.sampled_from(["one", "two"]),
        "cpuCores": st.sampled_from([4, None]),
        "managedTagKeys": st.sampled_from([[], ["Name"]]),
        "history": st.sampled_from([[], [{"at": "2026-03-01T12:00:00.000Z", "kind": "DELETED", "detail": None}]]),
    },
)
burial = st.sampled_from([{}, {"scope": None, "deletedAt": "2026-03-01T12:00:00.000Z"}])
one_write = (
    st.tuples(st.just("row"), few, values)
    | st.tuples(st.just("part"), few, st.builds(lambda some, end: {**some, **end}, values, burial))
    | st.tuples(st.just("seen"), few, st.sampled_from(["one", "two"]))
    | st.tuples(st.sampled_from(["scan", "telemetry", "refusal", "forget scan", "forget telemetry"]), few, few)
    | st.tuples(st.just("refuse over refusal"), few, st.tuples(few, st.none() | few))
)
steps_of_writes = st.lists(
    st.tuples(st.just("write"), few, st.lists(one_write, max_size=4, unique_by=lambda write: (write[0][-4:], write[1])))
    | st.tuples(st.just("forget"), few, few)
    | st.tuples(st.just("take"), few, few),
    min_size=3,
    max_size=7,
)


class Writes:
    """Drives the writer with leases of two accounts in one region, old ones among them."""

    def __init__(self, both: Both) -> None:
        self.both = both
        self.scopes = [Scope(TARGET, REGION), Scope(OTHER, REGION)]
        self.now = EPOCH
        self.leases: list[Lease] = []
        for place in range(2):
            self.take(place)

    def take(self, place: int) -> None:
        work = WorkId(WorkKind.INVENTORY, self.scopes[place % 2])
        self.now += LEASE + 1
        self.both(lambda ports: ports.work_states.request(work, self.now + AGAIN))
        taken = self.both(lambda ports: ports.work_states.take(work, self.now, self.now + LEASE))
        self.leases.append(taken.lease)

    def step(self, name: str, place: int, value: Any) -> None:
        """Make one call."""
        if name == "take":
            self.take(place)
        elif name == "forget":
            arn, reasons = arn_of(f"s-{value}", self.scopes[1].account_id), list(RefusalReason)
            read = refusal(arn, self.scopes[place % 2], reason=reasons[place % len(reasons)])
            self.both(lambda ports: ports.refusals.forget(read))
        else:
            lease = self.leases[-1 - place % len(self.leases)]
            writes = self.distinct([self.write_of(lease, *one) for one in value])
            self.both(lambda ports: ports.writer.write(lease, writes))

    def write_of(self, lease: Lease, name: str, place: int, value: Any) -> Any:
        scope, server = lease.work.scope, f"s-{place}"
        if name == "row":
            return row_update(server, scope, **value)
        if name == "part":
            moment = {"lastUpdated": "2026-03-01T12:00:00.000Z"}
            return UpdateServer(server, scope, {**value, **moment}, first={"firstSeen": "2026-03-01T12:00:00.000Z"})
        if name == "seen":
            return UpdateServer(server, scope, {"drsHash": value, "hostname": "seen"}, seen_hash=value)
        if name == "scan":
            state = list(ScopeState)[place]
            return scan_record(*reversed(scope), server_count=value, epoch=lease.epoch, state=state)
        if name == "telemetry":
            entry = Telemetry("hash", lag_seconds=value, topology_complete=bool(value % 2))
            return ScopeTelemetry(scope, lease.epoch, "2026-03-01T12:00:00.000Z", {server: entry})
        if name == "refusal":
            arn = arn_of(f"s-{place}", self.scopes[1].account_id)
            reason = list(RefusalReason)[value]
            return refusal(arn, scope, reason=reason, next_try_at=NOW + timedelta(hours=1) if value else None)
        if name == "refuse over refusal":
            arn, reasons = arn_of(f"s-{place}", self.scopes[1].account_id), list(RefusalReason)
            new, seen = value
            before = None if seen is None else refusal(arn, scope, reason=reasons[seen])
            return RefuseExtension(refusal(arn, scope, reason=reasons[new]), before)
        return ForgetScan(scope) if name == "forget scan" else ForgetTelemetry(scope)

    @staticmethod
    def distinct(writes: list[Any]) -> list[Any]:
        """Return `writes` with one for each item: a transaction takes no two."""
        items: dict[Any, Any] = {}
        for write in writes:
            row = getattr(write, "refusal", write)
            kind = type(row).__name__.removeprefix("Forget").removeprefix("Scope").removesuffix("Record")
            which = getattr(row, "source_server_id", None) or getattr(row, "staging_source_server_arn", None)
            items.setdefault((kind, which), write)
        return list(items.values())

    def look(self) -> None:
        """Compare everything."""
        both, scopes = self.both, self.scopes
        servers = [f"s-{place}" for place in range(4)]
        both(lambda ports: ports.inventory.read((server, REGION) for server in servers))
        both(lambda ports: ports.inventory.of_server(servers[0]))
        both(lambda ports: ports.scans.of_scopes(scopes))
        both(lambda ports: ports.scans.of_region(REGION))
        for scope in scopes:
            both(lambda ports, scope=scope: ports.inventory.of_scope(scope))
            partition = Partition(InventoryIndex.SCOPE, scope.key)
            both(lambda ports, partition=partition: ports.inventory.page(partition, 2, None).rows)
            both(lambda ports, scope=scope: ports.scans.read(scope))
            both(lambda ports, scope=scope: ports.telemetries.read(scope))
            both(lambda ports, scope=scope: ports.refusals.of_target(scope))


@random_calls
@given(steps=steps_of_writes)
def test_fenced_writes(tables, steps):
    writes = Writes(Both(tables))
    for step in steps:
        writes.step(*step)
    writes.look()


# --- accounts ---

steps_of_accounts = st.lists(
    st.tuples(
        st.sampled_from(["create", "replace", "delete", "join", "leave"]),
        few,
        few,
        st.sampled_from(AccountStatus),
        st.sampled_from(AccountKind),
        st.sampled_from([None, "one-that-several-want", "another-that-several-want"]),
    ),
    min_size=3,
    max_size=12,
)


@random_calls
@given(steps=steps_of_accounts)
def test_accounts(tables, steps):
    both, ids = Both(tables), [TARGET, OTHER, STAGING, SOURCE]
    for name, one, other, status, kind, external_id in steps:
        made = account(ids[one], kind, status=status, external_id=external_id)
        pair = membership(ids[one], ids[other], include_tags={"a": "*"})
        calls = {
            "create": lambda ports, made=made: ports.accounts.create(made),
            "replace": lambda ports, made=made: ports.accounts.replace(made),
            "delete": lambda ports, made=made: ports.accounts.delete(made.account_id, made.status),
            "join": lambda ports, pair=pair: ports.accounts.create_membership(pair),
            "leave": lambda ports, one=one, other=other: ports.accounts.delete_membership(ids[one], ids[other]),
        }
        both(calls[name])
    both(lambda ports: ports.accounts.read_all())
    for account_id in ids[:2]:
        both(lambda ports, account_id=account_id: ports.accounts.read(account_id))
        both(lambda ports, account_id=account_id: ports.accounts.memberships(account_id))
        both(lambda ports, account_id=account_id: ports.accounts.targets_of(account_id))


# --- region status ---


@random_calls
@given(steps=st.lists(st.tuples(st.sampled_from(["replace", "delete"]), few, few), min_size=2, max_size=10))
def test_region_statuses(tables, steps):
    both = Both(tables)
    seen = [None]
    for name, place, holds in steps:
        stored, status = seen[place % len(seen)], region_status(REGIONS[holds], holds, version=0)
        if name == "replace":
            both(lambda ports, stored=stored, status=status: ports.statuses.replace(stored, status))
        elif stored is not None:
            both(lambda ports, stored=stored: ports.statuses.delete(stored))
        seen.append(both.memory.statuses.read(status.region))
    both(lambda ports: ports.statuses.read_all())
    both(lambda ports: ports.statuses.read(REGIONS[0]))


# --- queues ---

steps_of_queues = st.lists(
    st.tuples(st.just("send"), st.sampled_from(WorkKind), few)
    | st.tuples(st.just("receive"), st.sampled_from(WorkKind), few)
    | st.tuples(st.sampled_from(["delete", "retry at once", "retry later"]), st.sampled_from(WorkKind), few)
    | st.tuples(st.just("bury"), st.sampled_from(WorkKind), few)
    | st.tuples(st.sampled_from(["take letters", "put letters back", "delete letter"]), st.sampled_from(WorkKind), few),
    min_size=3,
    max_size=14,
)


class RealQueues:
    """The adapters, and what SQS and Lambda do with their queues, on moto."""

    names = count(1)

    def __init__(self) -> None:
        self.sqs = boto3.client("sqs", stack.HOME, aws_access_key_id="test", aws_secret_access_key="test")
        number = next(self.names)
        dead = self.sqs.create_queue(QueueName=f"dead-{number}")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_RECEIVES})
        told = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": redrive}
        made = {kind: self.sqs.create_queue(QueueName=f"{kind}-{number}", Attributes=told) for kind in WorkKind}
        self.urls = {kind: queue["QueueUrl"] for kind, queue in made.items()}
        self.queue = WorkQueue(self.urls, dead)
        self.letters = DeadLetterQueues({DeadLetterQueue.WORK: dead})
        self.in_hand: dict[str, str] = {}

    def receive(self, kind: WorkKind) -> list[tuple[str, int]]:
        answer = self.sqs.receive_message(
            QueueUrl=self.urls[kind], MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"]
        )
        found = answer.get("Messages", [])
        self.in_hand |= {message["Body"]: message["ReceiptHandle"] for message in found}
        return sorted((each["Body"], int(each["Attributes"]["ApproximateReceiveCount"])) for each in found)

    def delete(self, kind: WorkKind, receipt: str) -> None:
        self.sqs.delete_message(QueueUrl=self.urls[kind], ReceiptHandle=receipt)


class QueuesInMemory:
    """The same in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.queue = InMemoryWorkQueue(self.clock)
        self.letters = InMemoryDeadLetters({DeadLetterQueue.WORK: self.queue.dead_letters}, self.clock)
        self.in_hand: dict[str, str] = {}

    def receive(self, kind: WorkKind) -> list[tuple[str, int]]:
        queue = self.queue.queues[kind]
        found = queue.receive(queue.visible()[:10])
        self.in_hand |= {message.body: message.receipt for message in found}
        return sorted((message.body, message.received) for message in found)

    def delete(self, kind: WorkKind, receipt: str) -> None:
        self.queue.queues[kind].delete(receipt)


class Queues:
    """Drives either; a message is known by its body, which no two share."""

    def __init__(self, side: Any) -> None:
        self.side = side
        self.sent = count(1)
        self.taken: list[Any] = []

    def step(self, name: str, kind: WorkKind, place: int) -> Any:
        """Make one call, and return what is to be compared."""
        if name == "send":
            # no more than a batch: several go out side by side, in no order
            some = [message(kind, Scope(f"{next(self.sent):012d}", REGION)) for _ in range(place * 2)]
            return self.side.queue.send(some)
        if name == "receive":
            return [self.side.receive(kind) for _ in range(1 + place)]
        if name == "bury":
            return self.side.queue.send_to_dlq(f"body {next(self.sent)}" if place else "", kind, "why" * place)
        if "letter" in name:
            return self.letters(name, place)
        mine = sorted(body for body in self.side.in_hand if f'"{kind}"' in body)
        if mine:
            receipt = self.side.in_hand[mine[place % len(mine)]]
            if name == "delete":
                del self.side.in_hand[mine[place % len(mine)]]
                return self.side.delete(kind, receipt)
            return self.side.queue.retry_in(kind, receipt, 0 if name == "retry at once" else 900)
        return None

    def letters(self, name: str, place: int) -> Any:
        if name == "take letters":
            if not self.side.letters.waiting(DeadLetterQueue.WORK):
                return []  # SQS would wait a second for one
            found = self.side.letters.receive(DeadLetterQueue.WORK, 10)
            self.taken += found
            return sorted((one.body, one.letter.reason[:6], one.letter.received, one.letter.work) for one in found)
        if name == "put letters back":
            taken, self.taken = self.taken, []
            return self.side.letters.put_back(DeadLetterQueue.WORK, taken)
        if self.taken:
            self.taken.sort(key=lambda one: (one.body, one.letter.reason))
            return self.side.letters.delete(DeadLetterQueue.WORK, self.taken.pop(place % len(self.taken)))
        return None


@random_calls
@given(steps=steps_of_queues)
def test_queues(tables, steps):
    real, fake = Queues(RealQueues()), Queues(QueuesInMemory())
    for step in steps:
        assert fake.step(*step) == real.step(*step), step
    assert fake.side.letters.waiting(DeadLetterQueue.WORK) == real.side.letters.waiting(DeadLetterQueue.WORK)


@pytest.mark.parametrize("side", [RealQueues, QueuesInMemory])
def test_a_message_that_is_received_too_often_goes_to_the_dead_letters(tables, side):
    queues = side()
    queues.queue.send([message()])
    for received in range(1, MOST_RECEIVES + 1):
        ((body, number),) = queues.receive(WorkKind.INVENTORY)
        assert number == received
        queues.queue.retry_in(WorkKind.INVENTORY, queues.in_hand[body], 0)
    assert queues.receive(WorkKind.INVENTORY) == []
    (letter,) = queues.letters.receive(DeadLetterQueue.WORK, 1)
    assert letter.body == body

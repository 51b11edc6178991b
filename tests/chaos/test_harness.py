"""The harness: what it does to the product is what SQS, DynamoDB streams and Lambda would do."""

import inspect

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters.dynamodb import marshal
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.settings import read_settings

from ..factories import REGION, TARGET, message, scan_record
from ..fakes import Crash, FakeClock
from . import clients
from .calls import CUSTOMER_CALLS, HUB_CALLS, TABLE_CALLS
from .composition import GATED, ChaosPorts
from .disruptions import DIES, DIES_AFTER, FAILS, TIMES_OUT, TWICE, Disruption, Gated, Invocation, Switchboard
from .dynamo import DynamoDb
from .machine import Chaos
from .shard import BATCH, MOST_RETRIES, Shard, stream_record
from .sqs import MOST_RECEIVES, VISIBILITY_SECONDS, InMemoryWorkQueue
from .world import ENVIRONMENT, ChaosWorld


@pytest.fixture
def shard():
    """Four records, of which `given_up` notes those that failed too often."""
    shard = Shard()
    shard.gone = []
    shard.given_up = lambda record: shard.gone.append(record["eventID"])
    for number in range(4):
        shard.add(stream_record(number, None, marshal(scan_record(epoch=number).item())))
    return shard


class Handler:
    """Notes what it is given; fails for some records, or as a whole."""

    def __init__(self, failing=(), *, raises=False):
        self.given, self.failing, self.raises = [], set(failing), raises

    def __call__(self, records):
        numbers = [record["eventID"] for record in records]
        self.given.append(numbers)
        failed = [number for number in numbers if number in self.failing]
        return None if failed and self.raises else failed


class TestShard:
    def test_what_was_answered_is_not_delivered_again(self, shard):
        handler = Handler()
        shard.deliver(3, handler)
        shard.deliver(BATCH, handler)
        assert handler.given == [["0", "1", "2"], ["3"]]
        assert not shard.waiting

    def test_a_partial_answer_goes_on_from_the_first_that_failed(self, shard):
        handler = Handler(failing={"2"})
        for _ in range(2):
            shard.deliver(BATCH, handler)
        assert handler.given == [["0", "1", "2", "3"], ["2", "3"]]

    def test_a_record_on_which_the_invocation_dies_is_singled_out_and_given_up_and_the_shard_goes_on(self, shard):
        handler = Handler(failing={"1"}, raises=True)
        while shard.waiting:
            shard.deliver(BATCH, handler)
        assert shard.gone == ["1"]
        assert handler.given.count(["1"]) == MOST_RETRIES + 1
        assert handler.given[-1] == ["2", "3"]

    def test_a_batch_whose_first_record_is_always_named_is_given_up_as_a_whole(self, shard):
        handler = Handler(failing={"1"})
        while shard.waiting:
            shard.deliver(BATCH, handler)
        assert shard.gone == ["1", "2", "3"]

    def test_records_can_be_delivered_again(self, shard):
        handler = Handler()
        shard.deliver(BATCH, handler)
        shard.rewind(2)
        shard.deliver(BATCH, handler)
        assert handler.given[-1] == ["2", "3"]


class TestQueue:
    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def queue(self, clock):
        queues = InMemoryWorkQueue(clock)
        queues.send([message()])
        return queues.queues[WorkKind.INVENTORY]

    def test_a_message_in_hand_is_hidden_until_its_visibility_ends(self, queue, clock):
        (taken,) = queue.receive(queue.visible())
        clock.advance(VISIBILITY_SECONDS - 1)
        assert queue.visible() == []
        clock.advance(1)
        assert queue.visible() == [taken]

    def test_a_duplicate_is_the_same_message(self, queue):
        (taken,) = queue.receive(queue.visible())
        assert queue.deliver_again(0)
        queue.receive(queue.visible())
        queue.delete(taken.receipt)
        assert queue.messages == []

    def test_a_deleted_message_may_come_once_more(self, queue):
        queue.delete(queue.receive(queue.visible())[0].receipt)
        assert queue.deliver_again(0)
        assert len(queue.visible()) == 1

    def test_nothing_is_delivered_again_that_never_was(self, queue):
        assert not queue.deliver_again(0)

    def test_what_is_received_too_often_is_seen_no_more(self, queue, clock):
        for _ in range(MOST_RECEIVES):
            queue.receive(queue.visible())
            clock.advance(VISIBILITY_SECONDS)
        assert queue.visible() == []
        assert queue.messages == []


class TestSwitchboard:
    @pytest.fixture
    def switchboard(self):
        board = Switchboard()
        board.stack.append(Invocation("worker", "worker-0", 0.0))
        return board

    @pytest.fixture
    def port(self, switchboard):
        class Accounts:
            def __init__(self):
                self.stored = []

            def create(self, values):
                self.stored += values
                return len(self.stored)

        return Gated("accounts", Accounts(), switchboard)

    def disrupt(self, switchboard, what):
        switchboard.disruptions = [Disruption(what, "accounts.create", 1, 0)]

    def test_the_call_that_is_named_is_met_once(self, switchboard, port):
        self.disrupt(switchboard, FAILS)
        assert port.create([1]) == 1
        with pytest.raises(ClientError, match="no luck"):
            port.create([2])
        assert port.create([3]) == 2
        assert switchboard.met == {"dynamodb fails": 1}

    @pytest.mark.parametrize(
        ("what", "error", "stored"),
        [(DIES, Crash, [1]), (DIES_AFTER, Crash, [1, 2]), (FAILS, Exception, [1]), (TIMES_OUT, Exception, [1, 2])],
    )
    def test_what_took_effect_took_effect(self, switchboard, port, what, error, stored):
        self.disrupt(switchboard, what)
        port.create([1])
        with pytest.raises(error):
            port.create([2])
        assert port.gated.stored == stored

    def test_a_call_that_is_sent_twice_takes_effect_twice(self, switchboard, port):
        self.disrupt(switchboard, TWICE)
        port.create([1])
        port.create(iter([2]))
        assert port.gated.stored == [1, 2, 2]

    def test_weather_holds_where_it_is_until_it_clears(self, switchboard):
        switchboard.weather[Scope(TARGET, REGION)] = 0
        with pytest.raises(ClientError, match="ThrottlingException"):
            switchboard.request("drs.probe", Scope(TARGET, REGION), lambda: REGION)
        assert switchboard.request("drs.probe", Scope(TARGET, "us-east-1"), lambda: "us-east-1") == "us-east-1"
        switchboard.heal()
        assert switchboard.request("drs.probe", Scope(TARGET, REGION), lambda: REGION) == REGION


def test_every_call_that_can_be_disrupted_exists():
    ports = ChaosPorts(read_settings(ENVIRONMENT), ChaosWorld(Switchboard()), Switchboard())
    adapters = {name: getattr(ports, name).gated for name in GATED}
    for call in [*HUB_CALLS, *TABLE_CALLS]:
        port, method = call.split(".")
        owner, name = (DynamoDb, f"do_{method}") if port == "table" else (adapters[port], method)
        assert callable(getattr(owner, name)), call
    source = inspect.getsource(clients)
    assert all(f'"{call}"' in source for call in CUSTOMER_CALLS)


def test_a_run_in_which_nothing_goes_wrong_ends_in_the_truth():
    run = Chaos()
    run.reported = False
    run.begins(seed=3, known=True)
    for _ in range(3):
        run.a_cycle_goes_by(pause=900, what=[])
    run.teardown()
    assert run.world.drs.extensions(Scope(TARGET, "us-east-1")) or run.world.drs.servers
    assert sum(run.truth.checks.values()) > 20

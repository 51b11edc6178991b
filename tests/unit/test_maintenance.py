"""Dead letters and their redrive; reconciliation of what was lost."""

import json

import boto3
import pytest

from chalicelib.adapters.dead_letter_queues import DeadLetterQueues
from chalicelib.adapters.sessions import hub_client
from chalicelib.container import RECONCILE_SECONDS, container
from chalicelib.domain.accounts import AccountStatus
from chalicelib.domain.dead_letters import DeadLetterQueue
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.events import maintenance, operations
from chalicelib.services.reconciliation import Reconciliation

from ..factories import (
    EPOCH,
    OTHER,
    REGION,
    SCOPE,
    SECOND,
    STAGING,
    TARGET,
    account,
    body_of,
    message,
    wire_server,
    work,
)
from ..fakes import World

WORK, STREAM, SCHEDULES = DeadLetterQueue
NOT_JSON = "{not json"


@pytest.fixture
def world():
    """A target with one scanned server whose tags are in place."""
    world = World()
    world.add_account(TARGET)
    world.drs.add(wire_server("s-1"))
    world.cycle()
    return world


class TestRedrive:
    def test_work_is_asked_for_again_and_its_letter_is_gone(self, world):
        letter = world.letters.add(WORK, body_of(message())).letter
        done = world.office.redrive(WORK, 10)
        assert (done.redriven, done.left, done.discarded, done.more) == ([letter], [], [], False)
        assert world.queue.works() == [work()]
        assert world.letters.letters[WORK] == []
        world.settle()
        state = world.work_states.read([work()])[work()]
        assert state.done == state.wanted

    def test_what_can_never_be_worked_off_stays_unless_it_is_to_be_discarded(self, world):
        letter = world.letters.add(WORK, NOT_JSON).letter
        done = world.office.redrive(WORK, 10)
        assert (done.redriven, done.left) == ([], [letter])
        assert len(world.office.list(WORK, 10)) == 1
        done = world.office.redrive(WORK, 10, discard=True)
        assert (done.discarded, done.left) == ([letter], [])
        assert world.letters.letters[WORK] == []

    def test_a_dry_run_is_redriven_as_a_dry_run(self, world):
        world.letters.add(WORK, body_of(message(WorkKind.TAGS, dry_run=True)))
        world.office.redrive(WORK, 10)
        assert world.queue.works() == [work(WorkKind.TAGS, dry_run=True)]

    def test_a_letter_stays_where_its_work_could_not_be_asked_for(self, world):
        world.letters.add(WORK, body_of(message()))
        world.queue.broken = True
        with pytest.raises(Exception, match="SQS refused"):
            world.office.redrive(WORK, 10)
        assert len(world.letters.letters[WORK]) == 1

    def test_a_letter_that_fails_keeps_no_other_from_being_redriven(self, world):
        bad = world.letters.add(WORK, body_of(message()))
        world.letters.add(WORK, body_of(message(WorkKind.TAGS)))
        ask = world.work_states.request

        def asks(of, *arguments):
            if of == work():
                raise RuntimeError("TransactionConflictException")
            return ask(of, *arguments)

        world.work_states.request = asks
        with pytest.raises(RuntimeError, match="Conflict"):
            world.office.redrive(WORK, 10)
        assert world.queue.works() == [work(WorkKind.TAGS)]
        assert world.letters.letters[WORK] == [bad]
        assert world.letters.in_hand == [] or bad not in world.letters.in_hand

    def test_no_more_than_the_limit_is_taken(self, world):
        for _ in range(25):
            world.letters.add(WORK, body_of(message()))
        done = world.office.redrive(WORK, 15)
        assert (len(done.redriven), done.more) == (15, True)
        assert (len(world.office.redrive(WORK, 100).redriven), world.letters.letters[WORK]) == (10, [])

    def test_stream_failures_are_reconciled_then_deleted(self, world):
        world.statuses.rows.clear()
        world.letters.add(STREAM, '{"DDBStreamBatchInfo": {}}')
        done = world.office.redrive(STREAM, 10)
        assert REGION in done.reconciliation.repaired_regions
        assert world.statuses.rows[REGION].server_count == 1
        assert world.letters.letters[STREAM] == []

    def test_they_stay_where_reconciling_fails(self, world):
        world.statuses.broken = True
        world.letters.add(STREAM, "{}")
        with pytest.raises(Exception, match="broken"):
            world.office.redrive(STREAM, 10)
        assert len(world.letters.letters[STREAM]) == 1

    def test_a_schedule_s_tick_is_not_played_again(self, world):
        world.letters.add(SCHEDULES, "{}")
        assert len(world.office.redrive(SCHEDULES, 10).redriven) == 1
        assert world.queue.messages == []

    def test_telling_leaves_letters_where_they_are(self, world):
        world.letters.add(WORK, NOT_JSON, "kind: Field required")
        for _ in range(2):
            (told,) = world.office.list(WORK, 10)
            assert (told.reason, told.body, told.work) == ("kind: Field required", NOT_JSON, None)


class TestReconcile:
    def test_a_sound_state_is_left_alone(self, world):
        mended = world.reconciler.reconcile()
        assert mended == Reconciliation(
            regions=len(world.regions), repaired_regions=[], registered=[], asked=[], orphans=[]
        )
        assert world.queue.messages == []

    def test_status_that_missed_its_records_is_folded_anew(self, world):
        world.drs.add(wire_server("s-2"))
        world.run_work(WorkKind.INVENTORY)
        world.scans.stream.clear()  # lost
        mended = world.reconciler.reconcile()
        assert mended.repaired_regions == [REGION]
        assert world.statuses.rows[REGION].server_count == 2

    def test_tags_that_nobody_asked_for_are_asked_for(self, world):
        world.drs.add(wire_server("s-2"))
        world.run_work(WorkKind.INVENTORY)
        world.scans.stream.clear()
        assert world.reconciler.reconcile().asked == [work(WorkKind.TAGS).key]
        assert world.reconciler.reconcile().asked == []  # waits already
        world.settle()
        assert world.reconciler.reconcile().asked == []  # done

    def test_extensions_that_nobody_asked_for_are_asked_for(self, world):
        world.add_staging(STAGING)
        world.drs.add(wire_server("s-s1", STAGING))
        world.run_work(WorkKind.INVENTORY, Scope(STAGING, REGION))
        world.scans.stream.clear()
        assert WorkId(WorkKind.STAGING, SCOPE).key in world.reconciler.reconcile().asked
        world.settle()
        assert len(world.drs.extensions(SCOPE)) == 1

    def test_a_scope_that_would_never_be_scanned_again_comes_due(self, world):
        lost, undated = WorkId(WorkKind.INVENTORY, Scope(TARGET, SECOND)), work()
        del world.work_states.items[lost]
        world.work_states.items[undated].next_due_at = None
        assert world.reconciler.reconcile().registered == sorted([lost.scope.key, undated.scope.key])
        assert set(world.queue.works()) == {lost, undated}
        assert {due.work for due in world.work_states.due(WorkKind.INVENTORY, EPOCH + 1800)} >= {lost, undated}

    def test_a_removal_that_got_stuck_goes_on(self, world):
        stuck = world.accounts.read(TARGET).model_copy(update={"status": AccountStatus.REMOVING})
        world.accounts.accounts[TARGET] = stuck
        assert work().key in world.reconciler.reconcile().asked
        world.settle()
        assert world.accounts.read(TARGET) is None

    def test_a_status_row_without_records_goes(self, world):
        world.statuses.rows["xx-north-1"] = world.statuses.rows[REGION].model_copy(update={"region": "xx-north-1"})
        assert world.reconciler.reconcile().repaired_regions == ["xx-north-1"]
        assert "xx-north-1" not in world.statuses.rows

    def test_records_of_an_unknown_account_are_named(self, world):
        world.scans.records[Scope(OTHER, REGION)] = world.scans.records[SCOPE].model_copy(update={"account_id": OTHER})
        assert world.reconciler.reconcile().orphans == [Scope(OTHER, REGION).key]


class TestParts:
    @pytest.fixture
    def slow(self, world):
        """A world in which each region takes half of the time that one call has."""
        of_region = world.scans.of_region

        def slowly(region):
            world.clock.advance(RECONCILE_SECONDS / 4)
            return of_region(region)

        world.scans.of_region = slowly
        return world

    def test_what_does_not_fit_is_left_to_the_next_part(self, slow):
        slow.statuses.rows.clear()
        parts, part = [], None
        while not parts or parts[-1].more:
            parts.append(slow.reconciler.reconcile(part))
            part = parts[-1].next_part
        assert [one.regions for one in parts] == [2, 2, 1]
        assert part is None
        assert set(slow.statuses.rows) == set(slow.regions)

    def test_a_part_gets_on_however_slow_it_is(self, world):
        clock, of_region = world.clock, world.scans.of_region
        world.scans.of_region = lambda region: clock.advance(1000) or of_region(region)
        mended = world.reconciler.reconcile()
        assert (mended.regions, mended.next_part) == (1, sorted(world.regions)[1])

    def test_redriving_stream_failures_does_not_wait_for_the_last_part(self, slow):
        slow.letters.add(STREAM, "{}")
        done = slow.office.redrive(STREAM, 10)
        assert (done.reconciliation.more, slow.letters.letters[STREAM]) == (True, [])

    def test_lists_are_cut_and_counted(self):
        world = World(regions=[f"xx-north-{number}" for number in range(1, 130)])
        world.add_account()
        world.work_states.items.clear()
        mended = world.reconciler.reconcile()
        assert (len(mended.registered), mended.counts) == (100, {"registered": 129})


class TestQueues:
    @pytest.fixture
    def urls(self, deployed):
        return {
            WORK: deployed["WORK_DEAD_LETTER_QUEUE_URL"],
            STREAM: deployed["STREAM_FAILURES_QUEUE_URL"],
            SCHEDULES: deployed["SCHEDULE_FAILURES_QUEUE_URL"],
        }

    def send(self, url, body, **attributes):
        told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        boto3.client("sqs", "us-east-1").send_message(QueueUrl=url, MessageBody=body, MessageAttributes=told)

    def reasons(self, urls, queue):
        return [one.letter.reason for one in DeadLetterQueues(urls).receive(queue, 10)]

    def test_a_letter_tells_why_and_what_for(self, urls):
        container().ports.queue.send_to_dlq(body_of(message()), WorkKind.INVENTORY, "RuntimeError: no luck")
        (one,) = DeadLetterQueues(urls).receive(WORK, 10)
        assert (one.letter.reason, one.letter.work) == ("RuntimeError: no luck", work().key)

    @pytest.mark.parametrize("name", ["ERROR_MESSAGE", "ErrorMessage"])
    def test_the_reasons_of_aws_are_told(self, urls, name):
        self.send(urls[SCHEDULES], "{}", **{name: "function timed out"})
        assert self.reasons(urls, SCHEDULES) == ["function timed out"]

    def test_lambda_s_reason_for_a_batch_of_records_is_in_its_body(self, urls):
        context = {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 6}
        self.send(urls[STREAM], json.dumps({"requestContext": context}))
        assert self.reasons(urls, STREAM) == ["RetryAttemptsExhausted after 6 invocations"]

    @pytest.mark.parametrize("body", ["nothing", "[]", "{}", '{"requestContext": 1}'])
    def test_where_nobody_said_why_that_is_said(self, urls, body):
        self.send(urls[WORK], body)
        assert "nobody said" in self.reasons(urls, WORK)[0]

    def test_a_letter_in_hand_is_hidden_until_it_is_put_back_and_gone_once_deleted(self, urls):
        queues = DeadLetterQueues(urls)
        self.send(urls[WORK], "x")
        assert queues.waiting(WORK) == 1
        received = queues.receive(WORK, 10)
        assert (queues.receive(WORK, 10), queues.waiting(WORK)) == ([], 0)
        queues.put_back(WORK, received)
        (again,) = queues.receive(WORK, 10)
        queues.delete(WORK, again)
        queues.put_back(WORK, [])
        assert queues.waiting(WORK) == 0

    def test_a_sample_of_servers_that_finds_nothing_is_not_believed_where_letters_wait(self, urls, monkeypatch):
        self.send(urls[WORK], "x")
        client = hub_client("sqs")
        real = client.receive_message
        monkeypatch.setattr(
            client, "receive_message", lambda **asked: real(**asked) if asked["WaitTimeSeconds"] else {}
        )
        assert len(DeadLetterQueues(urls).receive(WORK, 10)) == 1


class TestFunction:
    """The function and the operations that invoke it."""

    @pytest.fixture
    def office(self, deployed, monkeypatch):
        """Operations whose invocations of the maintenance function reach its handler."""

        class Client:
            def ask(self, **event):
                return maintenance.maintain(json.loads(json.dumps(event)), None)

        container().ports.maintenance_function = Client()
        return lambda operation, **values: operations.operations({"operation": operation, **values}, None)

    def test_dead_letters_are_told_and_redriven(self, office, deployed):
        container().ports.accounts.create(account())
        container().ports.queue.send_to_dlq(body_of(message()), WorkKind.INVENTORY, "RuntimeError: no luck")
        container().ports.queue.send_to_dlq(NOT_JSON, WorkKind.INVENTORY, "Invalid JSON")
        told = office("list_dead_letters")["deadLetters"]
        assert {letter["reason"] for letter in told} == {"RuntimeError: no luck", "Invalid JSON"}
        answer = office("redrive_dead_letters", queue="work")
        assert [letter["work"] for letter in answer["redriven"]] == [work().key]
        assert [letter["reason"] for letter in answer["left"]] == ["Invalid JSON"]
        assert container().ports.work_states.read([work()])[work()].wanted == 1
        assert len(office("redrive_dead_letters", discard=True)["discarded"]) == 1
        assert office("list_dead_letters")["deadLetters"] == []

    def test_everything_is_reconciled(self, office):
        container().ports.accounts.create(account())
        answer = office("reconcile")
        assert len(answer["registered"]) == answer["regions"]
        assert office("reconcile")["registered"] == []
        assert office("reconcile", part="zz-last-1")["regions"] == 0
        assert office("reconcile", part="nowhere")["error"] == "INVALID_REQUEST"

    def test_stream_failures_are_made_good(self, office, deployed):
        container().ports.accounts.create(account())
        boto3.client("sqs", "us-east-1").send_message(QueueUrl=deployed["STREAM_FAILURES_QUEUE_URL"], MessageBody="{}")
        answer = office("redrive_dead_letters", queue="stream")
        assert len(answer["redriven"]) == 1
        assert answer["reconciliation"]["registered"]

    @pytest.mark.parametrize("values", [{"queue": "attic"}, {"limit": 0}, {"limit": 101}, {"colour": "red"}])
    def test_what_does_not_fit_is_named(self, office, values):
        answer = office("list_dead_letters", **values)
        assert answer["error"] == "INVALID_REQUEST"
        assert next(iter(values)) in answer["message"]

    def test_an_unknown_task_is_refused(self, deployed):
        assert maintenance.maintain({"task": "dance"}, None)["error"] == "INVALID_REQUEST"

    def test_a_function_without_the_setting_says_so(self, deployed):
        with pytest.raises(Exception, match="MAINTENANCE_FUNCTION"):
            _ = container().ports.maintenance_function

"""The functions' handlers, as Lambda calls them, on the stack's tables and queues."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from chalice.app import Blueprint

import app as the_app
from chalicelib import events
from chalicelib.adapters.dynamodb import marshal
from chalicelib.api import syncs
from chalicelib.api.operation import RunsIn
from chalicelib.api.table import OPERATIONS
from chalicelib.container import container
from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.work import MOST_IN_A_ROW, WorkId, WorkKind
from chalicelib.events import operations, queues, schedules, streams
from chalicelib.observability import observed
from chalicelib.services.work.report import NEVER, Report

from ..factories import (
    EPOCH,
    REGION,
    SCOPE,
    SECOND,
    STAGING,
    TARGET,
    account,
    body_of,
    lambda_context,
    membership,
    message,
    scan_record,
    sqs_event,
    stream_event,
    work,
)
from .observing import observing

ROOT = Path(__file__).parents[2]


def invoke(handler, event, seconds_left=300):
    return handler(event, lambda_context(seconds_left))


def waiting(url):
    """Messages of a queue, with their attributes."""
    sqs = boto3.client("sqs", "us-east-1")
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    return answer.get("Messages", [])


@pytest.fixture
def worker(deployed, monkeypatch):
    """An inventory worker that notes what it is given, and fails for accounts that it is told to."""

    class Worker:
        def __init__(self):
            self.worked, self.failing, self.retried = [], set(), []

        def sync(self, work):
            if work.scope.account_id in self.failing:
                raise RuntimeError(f"no luck with {work.scope.account_id}")
            self.worked.append((work.scope.account_id, work.lease.until))
            return Report(due=NEVER)

    made = Worker()
    monkeypatch.setattr(container(), "inventory_sync", made)
    monkeypatch.setattr(container().ports.queue, "retry_in", lambda *arguments: made.retried.append(arguments))
    return made


def asked(*account_ids):
    """Bodies of messages for work that is wanted."""
    scopes = [SCOPE._replace(account_id=account_id) for account_id in account_ids]
    for scope in scopes:
        container().ports.work_states.request(work(scope=scope), EPOCH)
    return [body_of(message(scope=scope)) for scope in scopes]


def received_before(times, place, *bodies):
    """A batch in which one message is received for the `times`th time, and the others for the first."""
    event = sqs_event(*bodies)
    event["Records"][place]["attributes"]["ApproximateReceiveCount"] = str(times)
    return event


ONE, TWO, THREE = "1" * 12, "2" * 12, "3" * 12


class TestQueues:
    def test_every_message_of_a_batch_is_worked_off(self, worker):
        answer = invoke(queues.inventory_worker, sqs_event(*asked(ONE, TWO)))
        assert [account_id for account_id, _ in worker.worked] == [ONE, TWO]
        assert answer == {"batchItemFailures": []}

    def test_an_empty_batch_is_nothing_to_do(self, worker):
        assert invoke(queues.inventory_worker, sqs_event()) == {"batchItemFailures": []}
        assert not worker.worked

    def test_a_lease_outlives_the_invocation(self, worker):
        invoke(queues.inventory_worker, sqs_event(*asked(ONE)), seconds_left=200)
        assert worker.worked[0][1] == pytest.approx(time.time() + 200 + queues.LEASE_MARGIN_SECONDS, abs=5)

    def test_what_fails_is_named_and_comes_back_after_a_while(self, worker):
        worker.failing = {TWO}
        answer = invoke(queues.inventory_worker, received_before(3, 1, *asked(ONE, TWO, THREE)))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
        assert [account_id for account_id, _ in worker.worked] == [ONE, THREE]
        assert worker.retried == [(WorkKind.INVENTORY, "receipt-1", 60)]
        state = container().ports.work_states.read([work(scope=SCOPE._replace(account_id=TWO))])
        assert "no luck" in next(iter(state.values())).last_error

    def test_a_batch_of_which_all_fails_is_not_reported_as_done(self, worker):
        worker.failing = {ONE}
        answer = invoke(queues.inventory_worker, sqs_event(*asked(ONE)))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("not json", "JSON"),
            ("", "JSON"),
            ("[]", "object"),
            ('{"kind":"inventory","region":"eu-west-1"}', "accountId"),
            ('{"kind":"gardening","accountId":"1","region":"eu-west-1"}', "kind"),
            (body_of(message(WorkKind.TAGS)), "tags work in the inventory queue"),
        ],
    )
    def test_what_can_never_be_worked_off_is_buried_at_once_with_the_reason(self, worker, deployed, body, reason):
        answer = invoke(queues.inventory_worker, sqs_event(body, *asked(ONE)))
        assert answer == {"batchItemFailures": []}
        assert [account_id for account_id, _ in worker.worked] == [ONE]
        (buried,) = waiting(deployed["WORK_DEAD_LETTER_QUEUE_URL"])
        assert reason in buried["MessageAttributes"]["reason"]["StringValue"]
        assert buried["Body"] == (body or "(empty)")

    def test_what_fails_for_the_last_time_is_buried_with_the_reason_and_still_wanted(self, worker, deployed):
        worker.failing = {TWO}
        bodies = asked(ONE, TWO)
        answer = invoke(queues.inventory_worker, received_before(queues.MOST_TRIES, 1, *bodies))
        assert answer == {"batchItemFailures": []}
        (buried,) = waiting(deployed["WORK_DEAD_LETTER_QUEUE_URL"])
        told = {name: value["StringValue"] for name, value in buried["MessageAttributes"].items()}
        assert told == {"reason": f"RuntimeError: no luck with {TWO}", "queue": "inventory"}
        assert (buried["Body"], worker.retried) == (bodies[1], [])
        (state,) = container().ports.work_states.read([work(scope=SCOPE._replace(account_id=TWO))]).values()
        assert (state.done, state.wanted) == (0, 1)
        assert state.next_due_at is not None

    def test_one_whose_worker_died_each_time_is_not_tried_any_more(self, worker, deployed):
        answer = invoke(queues.inventory_worker, sqs_event(*asked(ONE), received=queues.MOST_TRIES + 1))
        assert (answer, worker.worked) == ({"batchItemFailures": []}, [])
        (buried,) = waiting(deployed["WORK_DEAD_LETTER_QUEUE_URL"])
        assert "died" in buried["MessageAttributes"]["reason"]["StringValue"]

    def test_what_cannot_be_buried_comes_back(self, worker, monkeypatch):
        def fails(*_):
            raise RuntimeError("SQS is away")

        worker.failing = {TWO}
        monkeypatch.setattr(container().ports.queue, "send_to_dlq", fails)
        answer = invoke(queues.inventory_worker, received_before(queues.MOST_TRIES, 1, *asked(ONE, TWO)))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}

    def test_with_little_time_left_the_message_is_sent_again(self, worker, deployed):
        (body,) = asked(ONE)
        answer = invoke(queues.inventory_worker, sqs_event(body), seconds_left=queues.LEAST_SECONDS - 1)
        assert (answer, worker.worked) == ({"batchItemFailures": []}, [])
        (again,) = waiting(deployed["INVENTORY_QUEUE_URL"])
        assert json.loads(again["Body"]) == {**json.loads(body), "inARow": 1}

    def test_but_not_for_ever(self, worker, deployed):
        asked(ONE)
        body = body_of(message(scope=SCOPE._replace(account_id=ONE), in_a_row=MOST_IN_A_ROW))
        answer = invoke(queues.inventory_worker, sqs_event(body), seconds_left=queues.LEAST_SECONDS - 1)
        assert (answer, waiting(deployed["INVENTORY_QUEUE_URL"])) == ({"batchItemFailures": []}, [])
        of = work(scope=SCOPE._replace(account_id=ONE))
        state = container().ports.work_states.read([of])[of]
        assert (state.done, state.wanted, state.next_due_at) == (0, 1, EPOCH)

    def test_what_was_received_too_often_and_is_done_meanwhile_is_not_buried(self, worker, deployed):
        bodies = asked(ONE)
        invoke(queues.inventory_worker, sqs_event(*bodies))
        answer = invoke(queues.inventory_worker, sqs_event(*bodies, received=queues.MOST_TRIES + 1))
        assert answer == {"batchItemFailures": []}
        assert waiting(deployed["WORK_DEAD_LETTER_QUEUE_URL"]) == []

    def test_messages_that_came_back_are_worked_off_last_and_one_an_invocation(self, worker, deployed):
        event = sqs_event(*asked(ONE, TWO, THREE))
        for record in event["Records"][:2]:
            record["attributes"]["ApproximateReceiveCount"] = "2"
        assert invoke(queues.inventory_worker, event) == {"batchItemFailures": []}
        assert [account_id for account_id, _ in worker.worked] == [THREE, ONE]
        (again,) = waiting(deployed["INVENTORY_QUEUE_URL"])
        assert (json.loads(again["Body"])["accountId"], json.loads(again["Body"])["inARow"]) == (TWO, 1)

    def test_work_that_broke_off_is_set_aside_for_the_others_of_its_batch(self, worker, deployed):
        worker.failing = {ONE}
        bodies = asked(ONE, TWO)
        invoke(queues.inventory_worker, sqs_event(bodies[0]))
        worker.failing = set()
        assert invoke(queues.inventory_worker, sqs_event(*bodies)) == {"batchItemFailures": []}
        assert [account_id for account_id, _ in worker.worked] == [TWO]
        (again,) = waiting(deployed["INVENTORY_QUEUE_URL"])
        assert json.loads(again["Body"])["alone"] is True
        (third,) = asked(THREE)
        invoke(queues.inventory_worker, sqs_event(again["Body"], third))
        assert [account_id for account_id, _ in worker.worked] == [TWO, THREE, ONE]

    @pytest.mark.parametrize("broken", ["not json", "[]"])
    def test_what_came_back_and_does_not_parse_is_buried(self, worker, deployed, broken):
        event = sqs_event(broken, *asked(ONE), received=2)
        assert invoke(queues.inventory_worker, event) == {"batchItemFailures": []}
        assert len(waiting(deployed["WORK_DEAD_LETTER_QUEUE_URL"])) == 1

    def test_work_that_is_done_already_is_left(self, worker):
        body = body_of(message())
        assert invoke(queues.inventory_worker, sqs_event(body)) == {"batchItemFailures": []}
        assert worker.worked == []

    @pytest.mark.parametrize(
        ("handler", "kind"), [(queues.tags_worker, WorkKind.TAGS), (queues.staging_worker, WorkKind.STAGING)]
    )
    def test_tags_and_staging_have_workers_of_their_own(self, deployed, handler, kind):
        container().ports.accounts.create(account())
        container().ports.work_states.request(work(kind), EPOCH)
        assert invoke(handler, sqs_event(body_of(message(kind)))) == {"batchItemFailures": []}
        state = container().ports.work_states.read([work(kind)])[work(kind)]
        assert (state.done, state.result.state) == (1, ScopeState.AVAILABLE)

    def test_a_message_can_be_made_visible_again_later(self, deployed):
        url = deployed["INVENTORY_QUEUE_URL"]
        container().ports.queue.send([message()])
        (received,) = waiting(url)
        container().ports.queue.retry_in(WorkKind.INVENTORY, received["ReceiptHandle"], 0)
        assert len(waiting(url)) == 1

    def test_metrics_are_written_even_where_the_handler_fails(self, deployed, capsys):
        @observed
        def failing():
            container().region_filter.decide()
            raise RuntimeError("no luck")

        with observing(), pytest.raises(RuntimeError):
            failing()
        assert "FallbackCount" in capsys.readouterr().out


class TestStreams:
    @pytest.fixture
    def stored(self, deployed):
        """Write a scan record past the fence, and return it."""

        def store(record):
            item = marshal(record.item())
            boto3.client("dynamodb", "us-east-1").put_item(TableName=deployed["SCAN_TABLE"], Item=item)
            return record

        return store

    def test_regions_are_folded_and_work_asked_for(self, stored, deployed):
        changes = [(None, stored(scan_record())), (None, stored(scan_record(SECOND, server_count=0)))]
        assert invoke(streams.scan_stream, stream_event(*changes)) == {"batchItemFailures": []}
        rows = {row.region: row.server_count for row in container().ports.statuses.read_all()}
        assert rows == {REGION: 1, SECOND: 0}
        (tags,) = waiting(deployed["TAGS_QUEUE_URL"])
        assert json.loads(tags["Body"])["accountId"] == TARGET

    def test_a_region_is_folded_once_for_a_batch(self, stored, monkeypatch):
        seen = []
        monkeypatch.setattr(
            container().region_changes, "handle", lambda region, changes: seen.append((region, changes))
        )
        first, second = stored(scan_record()), stored(scan_record(epoch=2))
        invoke(streams.scan_stream, stream_event((None, first), (first, second)))
        assert seen == [(REGION, [(None, first), (first, second)])]

    def test_a_removed_record_is_folded_without_a_change(self, stored, deployed):
        record = stored(scan_record())
        invoke(streams.scan_stream, stream_event((None, record)))
        key = marshal({"region": REGION, "accountId": TARGET})
        boto3.client("dynamodb", "us-east-1").delete_item(TableName=deployed["SCAN_TABLE"], Key=key)
        invoke(streams.scan_stream, stream_event((record, None)))
        assert container().ports.statuses.read(REGION) is None

    def test_what_fails_is_named_from_its_first_record_and_the_rest_goes_on(self, stored):
        malformed = stream_event((None, scan_record()), (None, scan_record(SECOND)), (None, scan_record()))
        stored(scan_record(SECOND))
        malformed["Records"][0]["dynamodb"]["NewImage"]["state"] = {"S": "NONSENSE"}
        answer = invoke(streams.scan_stream, malformed)
        named = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
        assert named in ([], ["100"])
        assert container().ports.statuses.read(SECOND).server_count == 1

    def test_a_record_in_words_of_a_newer_version_counts_as_an_error(self, stored, monkeypatch):
        seen = []
        monkeypatch.setattr(container().region_changes, "handle", lambda region, changes: seen.extend(changes))
        event = stream_event((None, stored(scan_record())))
        event["Records"][0]["dynamodb"]["NewImage"]["state"] = {"S": "A_STATE_OF_A_NEWER_VERSION"}
        assert invoke(streams.scan_stream, event) == {"batchItemFailures": []}
        ((_, after),) = seen
        assert (after.state, after.server_count) == (ScopeState.ERROR, scan_record().server_count)

    @pytest.mark.parametrize(("image", "changes"), [("NewImage", 2), ("OldImage", 3)])
    def test_a_record_that_does_not_parse_keeps_no_other_of_its_region_back(
        self, stored, monkeypatch, capsys, image, changes
    ):
        seen = []
        monkeypatch.setattr(container().region_changes, "handle", lambda region, changes: seen.append(changes))
        records = [stored(scan_record(account_id=account_id)) for account_id in (ONE, TWO, THREE)]
        event = stream_event(*((record, record) for record in records))
        event["Records"][0]["dynamodb"][image]["lastChecked"] = {"L": []}
        assert invoke(streams.scan_stream, event) == {"batchItemFailures": []}
        assert '"UnreadableScanRecords":[1.0]' in capsys.readouterr().out
        assert [sum(one.after is not None for one in some) for some in seen] == [changes]

    def test_a_table_that_fails_is_tried_again(self, stored, monkeypatch):
        def fails(*_):
            raise RuntimeError("no luck")

        monkeypatch.setattr(container().region_changes, "handle", fails)
        events = stream_event((None, scan_record()), (None, scan_record(SECOND)))
        answer = invoke(streams.scan_stream, events)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "100"}, {"itemIdentifier": "101"}]}


class TestSchedules:
    @pytest.mark.parametrize(
        ("handler", "kind"),
        [
            (schedules.inventory_schedule, WorkKind.INVENTORY),
            (schedules.tags_schedule, WorkKind.TAGS),
            (schedules.staging_schedule, WorkKind.STAGING),
        ],
    )
    def test_a_tick_plans_its_kind(self, deployed, handler, kind):
        container().ports.accounts.create(account())
        container().ports.accounts.create(account(STAGING, AccountKind.STAGING))
        container().ports.accounts.create_membership(membership())
        tick = {"version": "0", "account": "1", "region": "r", "detail": {}, "detail-type": "t", "source": "s"}
        invoke(handler, {**tick, "time": "t", "id": "i", "resources": []})
        assert container().ports.work_states.read([work(kind)])[work(kind)].wanted == 1

    def test_a_failure_is_let_out_so_that_it_is_retried(self, deployed, monkeypatch):
        def fails(*_):
            raise RuntimeError("no luck")

        monkeypatch.setattr(container().planner, "tick", fails)
        tick = {"version": "0", "account": "1", "region": "r", "detail": {}, "detail-type": "t", "source": "s"}
        with pytest.raises(RuntimeError, match="no luck"):
            invoke(schedules.inventory_schedule, {**tick, "time": "t", "id": "i", "resources": []})

    @pytest.mark.parametrize("failing", ["planner", "resync"])
    def test_planning_and_resync_do_not_wait_for_each_other(self, deployed, monkeypatch, failing):
        ticked = []

        def ticks(name):
            def tick(*_):
                ticked.append(name)
                if name == failing:
                    raise RuntimeError(f"no luck with the {name}")

            return tick

        for name in ("planner", "resync"):
            monkeypatch.setattr(getattr(container(), name), "tick", ticks(name))
        tick = {"version": "0", "account": "1", "region": "r", "detail": {}, "detail-type": "t", "source": "s"}
        with pytest.raises(RuntimeError, match=failing):
            invoke(schedules.inventory_schedule, {**tick, "time": "t", "id": "i", "resources": []})
        assert ticked == ["planner", "resync"]


class TestOperations:
    @pytest.mark.parametrize("event", [{}, {"operation": "dance"}, {"operation": None}, {"operation": ["x"]}, [], None])
    def test_an_unknown_operation_answers_with_the_known_ones(self, deployed, event):
        answer = invoke(operations.operations, event)
        assert answer["error"] == "UNKNOWN_OPERATION"
        assert {"sync_source_server_inventory", "sync_tags", "sync_staging_accounts"} <= set(answer["details"])

    def test_who_only_answers_questions_refuses_what_changes_anything(self, deployed):
        assert invoke(operations.operations_read, {"operation": "list_accounts"}) == {"accounts": []}
        for name, operation in OPERATIONS.items():
            answer = invoke(operations.operations_read, {"operation": name})
            refused = answer.get("error") == "UNKNOWN_OPERATION"
            assert refused is (operation.changes or operation.runs_in is not RunsIn.ITSELF), name

    class Probe:
        def ask(self, **_):
            return {"checks": [], "ok": True}

    def test_a_change_and_an_entry_are_put_on_record_with_the_invocation(self, deployed, monkeypatch):
        container().ports.probe_function = self.Probe()
        container().ports.accounts.create(account())
        with observing() as seen:
            invoke(operations.operations, {"operation": "list_accounts"})
            invoke(operations.operations, {"operation": "validate_account", "accountId": TARGET})
            invoke(operations.operations, {"operation": "remove_account", "accountId": TARGET})
        lines = [line for line in seen.structured() if line["message"] == "audit"]
        assert [line["operation"] for line in lines] == ["validate_account", "remove_account"]
        assert {line["function_request_id"] for line in lines} == {lambda_context().aws_request_id}
        assert {line["caller"] for line in lines} == {operations.CALLER}

    @pytest.mark.parametrize(
        ("operation", "kind"),
        [
            ("sync_source_server_inventory", WorkKind.INVENTORY),
            ("sync_tags", WorkKind.TAGS),
            ("sync_staging_accounts", WorkKind.STAGING),
        ],
    )
    def test_a_sync_answers_with_its_run(self, deployed, operation, kind):
        container().ports.accounts.create(account())
        answer = invoke(operations.operations, {"operation": operation})
        assert (answer["kind"], answer["mode"]) == (kind, "fallback")
        progress = invoke(operations.operations, {"operation": "get_sync", "runId": answer["runId"]})
        assert progress["status"] == "RUNNING"

    def test_a_caller_may_wait_for_the_summary(self, deployed, monkeypatch):
        container().ports.accounts.create(account())
        scope = [{"accountId": TARGET, "region": REGION}]
        monkeypatch.setattr(container().run_reader, "_sleep", lambda _: None)
        answer = invoke(
            operations.operations, {"operation": "sync_source_server_inventory", "scopes": scope, "wait": 0.01}
        )
        assert (answer["status"], answer["totalServers"]) == ("RUNNING", 0)

    @pytest.mark.parametrize(
        ("event", "code", "named"),
        [
            ({"operation": "sync_tags", "scopes": [{"accountId": "1", "region": "x"}]}, "INVALID_REQUEST", "accountId"),
            ({"operation": "sync_tags", "colour": "red"}, "INVALID_REQUEST", "colour"),
            ({"operation": "sync_tags", "wait": 900}, "INVALID_REQUEST", "wait"),
            ({"operation": "sync_source_server_inventory", "dryRun": True}, "INVALID_REQUEST", "dryRun"),
            ({"operation": "get_sync"}, "INVALID_REQUEST", "runId"),
            ({"operation": "get_sync", "runId": ""}, "INVALID_REQUEST", "runId"),
            ({"operation": "get_sync", "runId": "nobody-ran-this"}, "NOT_FOUND", "nobody-ran-this"),
            (
                {"operation": "sync_tags", "scopes": [{"accountId": TARGET, "region": REGION}]},
                "NOT_FOUND",
                TARGET,
            ),
        ],
    )
    def test_errors_are_answers(self, deployed, event, code, named):
        answer = invoke(operations.operations, event)
        assert answer["error"] == code
        assert named in answer["message"]

    def test_the_seed_s_names_are_there(self):
        for name in ("handle_sync_source_server_inventory", "handle_drs_tag_sync", "handle_sync_staging_accounts"):
            assert callable(getattr(syncs, name))


def handlers():
    """Every handler string that the template gives to Lambda, but the API's own."""
    return sorted(function.handler_string for function in the_app.app.pure_lambda_functions) + sorted(
        function.handler_string for function in the_app.app.event_sources
    )


class TestHandlers:
    def test_every_function_is_known(self):
        modules = {path.stem for path in Path(events.__file__).parent.glob("*.py")}
        assert {handler.split(".")[2] for handler in handlers()} == modules - {"__init__"}

    @pytest.mark.parametrize("module", sorted({handler.rpartition(".")[0] for handler in handlers()}))
    def test_a_handler_is_loaded_by_its_own_path_without_the_app(self, module):
        """Lambda does not import app.py for a blueprint's function: nothing of it may be needed."""
        names = [handler.rpartition(".")[2] for handler in handlers() if handler.startswith(f"{module}.")]
        without_app = f"import sys, {module} as m; assert 'app' not in sys.modules"
        program = f"{without_app}; assert all(callable(getattr(m, name)) for name in {names})"
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AWS_DEFAULT_REGION": "us-east-1"}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd="/", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def test_every_view_is_a_blueprint_s(self):
        assert all(isinstance(module.blueprint, Blueprint) for module in (operations, queues, schedules, streams))


def test_the_work_of_a_stream_is_the_scope_s_own():
    assert WorkId(WorkKind.TAGS, SCOPE).scope == scan_record().scope

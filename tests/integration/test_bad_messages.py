"""Messages that can never be worked off, and work that fails."""

import json
import time

import pytest

from .customers import TARGET
from .waiting import eventually

REGION = "eu-west-1"
BROKEN = "999999999999"
"""An account whose row in the registry cannot be read, so that all work for it fails."""
QUEUES = {"inventory": "InventoryWork", "tags": "TagsWork", "staging": "StagingWork"}
WORKERS = {"inventory": "InventoryWorker", "tags": "TagsWorker", "staging": "StagingWorker"}
OTHER = {"inventory": "tags", "tags": "staging", "staging": "inventory"}


def wake_up(kind, account_id=TARGET):
    return {"kind": kind, "accountId": account_id, "region": REGION}


def want(stack, kind, account_id=TARGET):
    """Note in the work item that the work is wanted, as whoever sends a message has done."""
    stack.table("WorkStateTable").put_item(
        Item={
            "workId": f"{kind}#{account_id}#{REGION}",
            "kind": kind,
            "accountId": account_id,
            "region": REGION,
            "dueShard": f"{kind}#0",
            "nextDueAt": int(time.time()) + 1800,
            "wanted": 1,
            "done": 0,
            "epoch": 0,
        }
    )


def break_account(stack):
    stack.make_active(BROKEN, REGION)
    stack.settle()  # what follows from that is done with: nobody knows the account yet
    stack.table("AccountsTable").put_item(Item={"accountId": BROKEN, "record": "ACCOUNT"})


@pytest.mark.parametrize("kind", QUEUES)
def test_what_cannot_be_read_is_buried_at_once_and_the_rest_of_the_batch_is_done(stack, customers, kind):
    customers.register()
    want(stack, kind)
    wrong_kind = wake_up(OTHER[kind])
    stack.send(QUEUES[kind], "{not json", wrong_kind, {"kind": kind, "region": REGION}, wake_up(kind))

    buried = {
        message["Body"]: message["MessageAttributes"]["reason"]["StringValue"]
        for message in stack.received("WorkDeadLetters", 3)
    }
    assert "Invalid JSON" in buried.pop("{not json")
    assert buried.pop(json.dumps(wrong_kind)) == f"kind: {OTHER[kind]} work in the {kind} queue"
    [(_, reason)] = buried.items()
    assert "accountId" in reason
    eventually(lambda: stack.work(kind, TARGET, REGION)["done"] == 1)
    eventually(lambda: stack.waiting(QUEUES[kind]) == 0)


@pytest.fixture
def taken_by_hand(stack):
    """Receive messages in place of Lambda, and hand them to the worker as Lambda does."""

    def invoke(kind, *bodies):
        with stack.paused(WORKERS[kind]):
            stack.send(QUEUES[kind], *bodies)
            messages = stack.held(QUEUES[kind], len(bodies))
            records = [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": {"ApproximateReceiveCount": "1"},
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": stack.mapping(WORKERS[kind])["EventSourceArn"],
                    "awsRegion": "us-east-1",
                }
                for message in messages
            ]
            answer = stack.invoke(WORKERS[kind], {"Records": records})
            stack.sqs.purge_queue(QueueUrl=stack.url(QUEUES[kind]))
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        return [json.loads(record["body"]) for record in records if record["messageId"] in failed]

    return invoke


@pytest.mark.parametrize("kind", QUEUES)
def test_failing_work_alone_is_named_in_the_answer(stack, customers, taken_by_hand, kind):
    customers.register()
    want(stack, kind)
    break_account(stack)
    want(stack, kind, BROKEN)
    failed = taken_by_hand(kind, wake_up(kind, BROKEN), wake_up(kind))

    assert failed == [wake_up(kind, BROKEN)]
    assert stack.work(kind, TARGET, REGION)["done"] == 1
    item = stack.work(kind, BROKEN, REGION)
    assert item["done"] == 0
    assert "TableUnavailable: Account: " in item["lastError"]
    assert "leaseUntil" not in item


def test_work_that_nobody_asked_for_is_not_done_and_leaves_nothing_behind(stack, customers):
    customers.register(TARGET)
    stack.send("InventoryWork", wake_up("inventory", BROKEN))
    eventually(lambda: stack.waiting("InventoryWork") == 0)

    assert stack.work("inventory", BROKEN, REGION) is None
    assert stack.calls() == {}


@pytest.mark.parametrize("kind", QUEUES)
def test_work_for_an_account_that_is_not_registered_is_done_with(stack, kind):
    stack.make_active("888888888888", REGION)
    stack.settle()
    want(stack, kind, "888888888888")
    stack.send(QUEUES[kind], wake_up(kind, "888888888888"))
    eventually(lambda: stack.work(kind, "888888888888", REGION)["done"] == 1)

    assert "nextDueAt" not in stack.work(kind, "888888888888", REGION)
    assert stack.calls() == {}

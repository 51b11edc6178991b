"""Dead letters and lost events on the deployed stack: told, redriven, reconciled, by REST and by direct invocation."""

import pytest

from .customers import TARGET, account
from .test_bad_messages import BROKEN, break_account, wake_up, want
from .test_scan_stream import MALFORMED, UNREADABLE, remove_malformed
from .waiting import eventually

REGION = "eu-west-1"
LAST_TRY = 5
ROLES = {f"{name}RoleArn": f"arn:aws:iam::{BROKEN}:role/{name}" for name in ("reader", "writer")}
PAUSED = {"accountId": BROKEN, "record": "ACCOUNT", "status": "inactive", **ROLES}


def call(stack, method, path, body=None):
    response = stack.cloud.api(method, path, body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def buried(stack):
    """Work that failed for the last time, because its account's row in the registry could not be read."""
    break_account(stack)
    want(stack, "inventory", BROKEN)
    with stack.paused("InventoryWorker"):
        stack.send("InventoryWork", wake_up("inventory", BROKEN))
        [message] = stack.held("InventoryWork", 1)
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": {"ApproximateReceiveCount": str(LAST_TRY)},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": stack.mapping("InventoryWorker")["EventSourceArn"],
            "awsRegion": "us-east-1",
        }
        assert stack.invoke("InventoryWorker", {"Records": [record]}) == {"batchItemFailures": []}
        stack.sqs.purge_queue(QueueUrl=stack.url("InventoryWork"))


def test_what_failed_for_the_last_time_says_why_and_is_done_once_it_is_redriven(stack, customers, buried):
    [letter] = call(stack, "GET", "/dead-letters?queue=work")["deadLetters"]
    assert "TableUnavailable: Account: " in letter["reason"]
    assert letter["work"] == f"inventory#{BROKEN}#{REGION}"

    stack.table("AccountsTable").put_item(Item={**account(TARGET).item(), **PAUSED})
    answer = call(stack, "POST", "/dead-letters/redrive", {"queue": "work"})
    assert [one["work"] for one in answer["redriven"]] == [letter["work"]]
    item = eventually(lambda: (found := stack.work("inventory", BROKEN, REGION))["done"] == found["wanted"] and found)
    assert "lastError" not in item
    assert call(stack, "GET", "/dead-letters")["deadLetters"] == []


def test_what_a_stream_lost_is_made_good(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 2)
    stack.scan((TARGET, REGION))
    stack.table("RegionStatusTable").put_item(Item=UNREADABLE)
    stack.table("ScanTable").put_item(Item=MALFORMED)
    eventually(lambda: stack.waiting("StreamFailures") == 1, seconds=30)
    stack.table("RegionStatusTable").delete_item(Key={"region": REGION})
    remove_malformed(stack)
    stack.settle()
    stack.table("RegionStatusTable").delete_item(Key={"region": REGION})

    answer = stack.operate("redrive_dead_letters", queue="stream")
    assert len(answer["redriven"]) == 1
    assert REGION in answer["reconciliation"]["repairedRegions"]
    assert stack.active() == {REGION: 2}
    assert stack.waiting("StreamFailures") == 0


def test_work_items_that_were_lost_are_made_again(stack, customers):
    customers.register(TARGET)
    stack.table("WorkStateTable").delete_item(Key={"workId": f"inventory#{TARGET}#{REGION}"})
    answer = call(stack, "POST", "/reconcile", {})
    assert answer["registered"] == [f"{TARGET}#{REGION}"]
    assert "nextDueAt" in stack.work("inventory", TARGET, REGION)


def test_a_region_that_goes_dark_is_unhealthy_keeps_its_servers_and_comes_back(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 2)
    stack.scan((TARGET, REGION))
    stack.fault(service="drs", region=REGION, error="InternalServerException")
    for _ in range(3):
        stack.scan((TARGET, REGION))
    stack.recycle("APIHandler")
    [region] = [one for one in call(stack, "GET", "/regions")["regions"] if one["region"] == REGION]
    assert (region["healthy"], region["failingAccounts"], region["serverCount"]) == (False, 1, 2)
    assert call(stack, "GET", "/regions/active?healthy=true")["regions"] == []
    assert call(stack, "GET", "/regions/active")["regions"] == [REGION]
    assert len(call(stack, "GET", f"/servers?region={REGION}")["servers"]) == 2

    stack.heal()
    stack.let_time_pass("inventory")
    stack.tick("InventorySchedule")
    # every scope is due: this one may come last
    eventually(lambda: stack.scan_record(TARGET, REGION)["failures"] == 0, seconds=60)
    stack.settle()
    stack.recycle("APIHandler")
    assert call(stack, "GET", "/regions/active?healthy=true")["regions"] == [REGION]

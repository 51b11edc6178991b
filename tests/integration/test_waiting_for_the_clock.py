"""What only time brings about: a rule that fires by itself, and a message whose retries are used up."""

import json

import pytest

from .customers import TARGET
from .test_bad_messages import BROKEN, break_account, wake_up, want
from .waiting import eventually

REGION = "eu-west-1"
INTERVAL_SECONDS = 60
FIRST_RETRY_SECONDS = 20


@pytest.fixture
def dead_after_one_retry(stack):
    """The staging queue with fewer retries: their pauses grow to more than a minute."""
    url = stack.url("StagingWork")
    policy = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    fewer = {**json.loads(policy["RedrivePolicy"]), "maxReceiveCount": 1}
    stack.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(fewer)})
    yield
    stack.sqs.set_queue_attributes(QueueUrl=url, Attributes=policy)


def test_a_rule_fires_by_itself_and_failing_work_ends_in_the_dead_letter_queue(stack, customers, dead_after_one_retry):
    """Two in one, because both wait."""
    break_account(stack)
    want(stack, "staging", BROKEN)
    stack.send("StagingWork", wake_up("staging", BROKEN))
    eventually(lambda: "lastError" in stack.work("staging", BROKEN, REGION))

    customers.register()
    customers.plant(TARGET, REGION, 2)
    with stack.scheduled("InventorySchedule"):
        [run] = eventually(lambda: stack.runs("inventory"), seconds=INTERVAL_SECONDS + 30)
    assert run["requestedBy"] == "schedule"
    record = eventually(lambda: stack.scan_record(TARGET, REGION))
    assert record["serverCount"] == 2

    [dead] = stack.received("WorkDeadLetters", 1, seconds=FIRST_RETRY_SECONDS + 15)
    assert json.loads(dead["Body"]) == wake_up("staging", BROKEN)

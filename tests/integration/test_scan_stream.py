"""The stream of scan records: one that cannot be processed, and those behind it."""

import json

import pytest

from .customers import STAGING, TARGET, scope
from .waiting import eventually

REGION, OTHER = "eu-west-1", "us-east-2"
MALFORMED = {"region": REGION, "accountId": "999999999999", "state": "NO-SUCH-STATE", "serverCount": -1}


@pytest.fixture
def poisoned(stack, customers):
    """A scan table with an item that is no scan record; its stream record waits to be processed."""
    customers.register()
    customers.plant(TARGET, REGION, 2)
    customers.plant(TARGET, OTHER, 3)
    stack.table("ScanTable").put_item(Item=MALFORMED)
    yield
    stack.table("ScanTable").delete_item(Key={"region": REGION, "accountId": "999999999999"})


def failure(stack):
    [message] = stack.received("StreamFailures", 1, seconds=30)
    return json.loads(message["Body"])


def test_a_record_that_cannot_be_processed_ends_in_the_failure_queue(stack, poisoned):
    given_up = failure(stack)

    assert given_up["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert given_up["DDBStreamBatchInfo"]["batchSize"] == 1


def test_records_of_other_regions_behind_it_are_processed(stack, poisoned):
    stack.operate("sync_source_server_inventory", scopes=[scope(TARGET, OTHER)])
    eventually(lambda: stack.active().get(OTHER) == 3, seconds=30)
    failure(stack)


def test_records_of_the_same_region_behind_it_are_processed(stack, poisoned):
    stack.operate("sync_source_server_inventory", scopes=[scope(TARGET, REGION)])
    failure(stack)
    eventually(lambda: stack.active().get(REGION) == 2, seconds=15)


def test_a_record_that_is_processed_twice_leaves_the_status_as_it_is(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 2)
    customers.plant(STAGING, REGION)
    stack.scan((TARGET, REGION), (STAGING, REGION))
    before = stack.statuses()

    record = stack.scan_record(TARGET, REGION)
    stack.replay("ScanStream", record, times=3)
    stack.settle()
    assert stack.statuses() == before


def test_a_region_without_scan_records_has_no_status(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION)
    customers.plant(TARGET, OTHER)
    stack.scan((TARGET, REGION), (TARGET, OTHER))
    stack.table("ScanTable").delete_item(Key={"region": REGION, "accountId": TARGET})

    eventually(lambda: set(stack.statuses()) == {OTHER})

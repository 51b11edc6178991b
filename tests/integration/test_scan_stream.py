"""The stream of scan records: one that cannot be processed, and those behind it."""

import json

import pytest

from .customers import STAGING, TARGET, scope
from .waiting import eventually

REGION, OTHER = "eu-west-1", "us-east-2"
MALFORMED = {"region": REGION, "accountId": "999999999999", "state": "NO-SUCH-STATE", "serverCount": -1}
UNREADABLE = {"region": REGION, "serverCount": 0, "version": "none"}
"""A status row that does not parse: nothing that concerns its region can be processed."""


def remove_malformed(stack):
    stack.table("ScanTable").delete_item(Key={"region": REGION, "accountId": MALFORMED["accountId"]})


@pytest.fixture
def poisoned(stack, customers):
    """A region whose status row cannot be read; a stream record of it waits to be processed."""
    customers.register()
    customers.plant(TARGET, REGION, 2)
    customers.plant(TARGET, OTHER, 3)
    stack.table("RegionStatusTable").put_item(Item=UNREADABLE)
    stack.table("ScanTable").put_item(Item=MALFORMED)
    yield
    stack.table("RegionStatusTable").delete_item(Key={"region": REGION})
    remove_malformed(stack)


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


def test_its_region_is_current_again_once_the_cause_is_gone(stack, poisoned):
    failure(stack)
    stack.table("RegionStatusTable").delete_item(Key={"region": REGION})
    stack.operate("sync_source_server_inventory", scopes=[scope(TARGET, REGION)])
    eventually(lambda: stack.active().get(REGION) == 2)


def test_a_scan_record_that_does_not_parse_holds_up_no_other_of_its_region(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 2)
    stack.table("ScanTable").put_item(Item=MALFORMED)
    stack.scan((TARGET, REGION))

    row = stack.statuses()[REGION]
    assert (row["serverCount"], row["accounts"], row["status"]) == (2, 2, "ERROR")
    assert stack.logged("ScanStream", "a scan record does not parse")
    assert stack.waiting("StreamFailures") == 0
    remove_malformed(stack)


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

"""What the product says it called equals what the simulated services were asked."""

from collections import Counter

import pytest

from .customers import STAGING, TARGET

REGION = "eu-west-1"


def told(stack, run_id):
    """Return the calls to customer accounts that a run reports."""
    calls = stack.operate("get_sync", runId=run_id)["calls"]
    return {name: count for name, count in calls.items() if name.split(":")[0] in ("drs", "ec2", "sts")}


def seen(stack):
    counts = Counter()
    for (service, operation, _, _), count in stack.calls().items():
        counts[f"{service}:{operation}"] += count
    return dict(counts)


@pytest.fixture
def servers(stack, customers):
    """Servers whose tags are the instances' already, so that nothing follows from finding them."""
    customers.register()
    return [customers.plant(TARGET, region, count, in_sync=True) for region, count in ((REGION, 3), ("us-east-2", 2))]


def test_of_an_inventory_sync_on_cold_workers(stack, servers):
    stack.recycle("InventoryWorker")
    stack.forget_calls()
    run = stack.operate("sync_source_server_inventory")
    stack.settle()

    counted = told(stack, run["runId"])
    assert counted == seen(stack)
    assert counted["drs:GetReplicationConfiguration"] == 5
    assert 2 <= counted["sts:AssumeRole"] <= 6  # three roles, at most two workers


def test_of_an_inventory_sync_that_is_throttled_and_tries_again(stack, servers):
    stack.fault(operation="DescribeSourceServers", region=REGION, error="ThrottlingException", times=1)
    stack.forget_calls()
    run = stack.scan((TARGET, REGION))

    counted = told(stack, run["runId"])
    assert counted == seen(stack)
    assert counted["drs:DescribeSourceServers"] == 2


def test_of_an_inventory_sync_of_many_pages(stack, servers):
    stack.cloud.control("POST", "/settings", {"pageCap": 2, "defaultPageSize": 2})
    stack.forget_calls()
    run = stack.scan((TARGET, REGION))

    counted = told(stack, run["runId"])
    assert counted == seen(stack)
    assert counted["drs:DescribeSourceServers"] == 2
    assert run["totalServers"] == 3


def test_of_a_tag_sync(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 3)
    stack.fault(operation="TagResource", error="NotNow", status=400)
    stack.scan((TARGET, REGION))
    stack.heal()
    stack.forget_calls()
    run = stack.operate("sync_tags")
    stack.settle()

    assert told(stack, run["runId"]) == seen(stack)
    assert seen(stack)["drs:TagResource"] == 3


def test_of_a_staging_sync(stack, customers):
    customers.register()
    customers.join()
    customers.initialise(TARGET, REGION)
    customers.plant(STAGING, REGION, 2)
    stack.fault(operation="CreateExtendedSourceServer", error="NotNow", status=400)
    stack.scan((STAGING, REGION))
    stack.heal()
    with stack.paused("InventoryWorker"):  # the scan that follows an extension would be counted as well
        stack.forget_calls()
        run = stack.operate("sync_staging_accounts")
        assert told(stack, run["runId"]) == seen(stack)
    assert told(stack, run["runId"])["drs:CreateExtendedSourceServer"] == 2


def test_the_metric_by_service_and_operation_is_the_same_number(stack, servers):
    dimensions = {"awsService": "drs", "operation": "DescribeSourceServers"}
    stack.settle()
    stack.recycle("InventoryWorker")  # an invocation writes its metrics when its work is given back already
    before = stack.metric("APICalls", **dimensions)
    run = stack.scan((TARGET, REGION), (TARGET, "us-east-2"))

    assert stack.metric("APICalls", **dimensions) - before == told(stack, run["runId"])["drs:DescribeSourceServers"]

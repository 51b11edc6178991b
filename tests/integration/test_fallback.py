"""Scenario 4: nothing is known of any region."""

import pytest

from .customers import TARGET
from .waiting import eventually

REGION = "eu-west-1"
OPERATIONS = ("sync_source_server_inventory", "sync_tags", "sync_staging_accounts")


@pytest.fixture
def forgotten(stack, customers):
    """A deployment that knows its servers, but whose region status table was emptied."""
    customers.register()
    customers.plant(TARGET, REGION, 2)
    stack.scan((TARGET, REGION))
    stack.empty("RegionStatusTable")
    stack.forget_calls()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_falls_back_to_all_regions_fills_the_table_and_is_filtered_again(stack, forgotten, operation):
    before = stack.metric("FallbackCount")
    warned = len(stack.logged("Operations", "falling back to all regions"))
    run = stack.operate(operation)
    stack.settle()

    assert run["mode"] == "fallback"
    assert len(run["regionsUsed"]) == len(stack.statuses()) >= 28
    assert stack.active() == {REGION: 2}
    assert stack.regions_called("drs") == set(run["regionsUsed"])
    assert len(stack.logged("Operations", "falling back to all regions")) == warned + 1
    assert '"level":"WARNING"' in stack.logged("Operations", "falling back to all regions")[-1]
    eventually(lambda: stack.metric("FallbackCount") == before + 1)

    again = stack.operate(operation)
    assert again["mode"] == "active"
    assert again.get("regionsUsed") == ([] if operation == "sync_staging_accounts" else [REGION])
    assert stack.metric("FallbackCount") == before + 1


def test_a_schedule_falls_back_as_well(stack, forgotten):
    stack.tick("StagingSchedule")
    stack.settle()

    assert [run["mode"] for run in stack.runs("staging")] == ["fallback"]
    assert stack.active() == {REGION: 2}
    stack.let_time_pass("staging")
    stack.tick("StagingSchedule")
    assert all(run["mode"] != "fallback" for run in stack.runs("staging")[1:])


def test_synced_and_nothing_active_is_no_reason_to_scan_everything(stack, customers):
    customers.register()
    stack.scan((TARGET, REGION))
    stack.forget_calls()
    run = stack.operate("sync_tags")

    assert (run["mode"], run["plannedScopes"]) == ("active", 0)
    assert stack.calls() == {}

"""ENABLE_REGION_FILTERING on the functions that plan."""

import pytest

from .customers import STAGING, TARGET

REGION = "eu-west-1"
SCHEDULES = {"inventory": "InventorySchedule", "tags": "TagsSchedule", "staging": "StagingSchedule"}
PLANNED = {"inventory": {TARGET, STAGING}, "tags": {TARGET, STAGING}, "staging": {TARGET}}


@pytest.fixture
def active(stack, customers):
    """One active region among all, and nothing due."""
    customers.register()
    customers.join()
    customers.plant(TARGET, REGION, 2)
    stack.scan((TARGET, REGION))
    stack.empty("RunsTable")


@pytest.mark.parametrize("kind", SCHEDULES)
def test_switched_off_everything_is_planned_and_switched_on_the_active_again(stack, active, kind):
    with stack.environment(SCHEDULES[kind], ENABLE_REGION_FILTERING="false"):
        stack.tick(SCHEDULES[kind])
        stack.settle()
    [run] = stack.runs(kind)
    assert run["mode"] == "all"
    assert len(run["regionsUsed"]) >= 28
    assert run["plannedScopes"] == len(run["regionsUsed"]) * len(PLANNED[kind])

    stack.let_time_pass(kind)
    stack.tick(SCHEDULES[kind])
    stack.settle()
    later = stack.runs(kind)[1:]
    assert {run["mode"] for run in later} <= {"due"}
    if kind != "inventory":  # whose idle scopes are due as well: time has passed for their probes
        assert {region for run in later for region in run["regionsUsed"]} <= {REGION}


def test_direct_invocations_have_the_switch_too(stack, active):
    with stack.environment("Operations", ENABLE_REGION_FILTERING="false"):
        assert stack.operate("sync_tags", wait=0)["mode"] == "all"
        stack.settle()
    assert stack.operate("sync_tags")["regionsUsed"] == [REGION]

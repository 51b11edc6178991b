"""Scenario 6: direct invocation."""

import pytest

from .customers import STAGING, TARGET, scope
from .waiting import eventually

REGION = "eu-west-1"


@pytest.fixture
def synced(stack, customers):
    """One active region, with a target and a staging account."""
    customers.register()
    customers.join()
    customers.initialise(TARGET, REGION)
    customers.plant(TARGET, REGION, 2)
    customers.plant(STAGING, REGION)
    stack.scan((TARGET, REGION), (STAGING, REGION), (TARGET, "eu-north-1"))
    stack.forget_calls()


@pytest.mark.parametrize(
    ("operation", "kind", "scopes"),
    [
        ("sync_source_server_inventory", "inventory", 2),
        ("sync_tags", "tags", 2),
        ("sync_staging_accounts", "staging", 1),
    ],
)
def test_each_sync_is_carried_out_in_the_active_region_alone(stack, synced, operation, kind, scopes):
    answer = stack.operate(operation)

    assert (answer["kind"], answer["mode"], answer["status"]) == (kind, "active", "DONE")
    assert answer["regionsUsed"] == [REGION]
    assert answer["scopesScanned"] == answer["plannedScopes"] == scopes
    assert answer["scopesFailed"] == 0
    assert stack.regions_called("drs") <= {REGION}


def test_waiting_for_an_inventory_sync_gives_the_summary(stack, synced):
    answer = stack.operate("sync_source_server_inventory")

    assert answer["totalServers"] == 4  # the staging server is there twice: staged and extended
    assert answer["regionCounts"] == {REGION: 4}
    assert answer["regionsScanned"] == 1
    assert answer["errors"] == []


def test_without_waiting_the_run_can_be_followed(stack, synced):
    run = stack.operate("sync_tags", wait=0)
    assert run.get("status") is None

    progress = eventually(
        lambda: (found := stack.operate("get_sync", runId=run["runId"]))["status"] == "DONE" and found
    )
    assert (progress["done"], progress["waiting"]) == (2, 0)


@pytest.mark.parametrize("event", [{"operation": "sync_everything"}, {"operation": 7}, {}, [], "sync_tags", None])
def test_an_unknown_operation_is_told_the_known_ones(deployed, event):
    answer = deployed.invoke("Operations", event)

    assert answer["error"] == "UNKNOWN_OPERATION"
    assert {"sync_source_server_inventory", "sync_tags", "sync_staging_accounts", "get_sync"} <= set(answer["details"])
    assert "sync_staging_accounts" in answer["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dryrun": True}, "dryrun"),
        ({"wait": 26}, "wait"),
        ({"scopes": []}, "scopes"),
        ({"scopes": [{"accountId": "12", "region": "eu-west-1"}]}, "scopes.0.accountId"),
    ],
)
def test_an_option_that_does_not_fit_is_named(deployed, body, field):
    answer = deployed.operate("sync_tags", **{"wait": 0, **body})

    assert answer["error"] == "INVALID_REQUEST"
    assert answer["message"].startswith(f"{field}:")


def test_a_region_without_drs_is_refused(stack, customers):
    customers.register(TARGET)
    answer = stack.operate("sync_tags", scopes=[scope(TARGET, "eu-west-9")])
    assert (answer["error"], "eu-west-9" in answer["message"]) == ("INVALID_REQUEST", True)


def test_a_scope_of_an_unknown_account_is_not_found(deployed):
    answer = deployed.operate("sync_tags", scopes=[scope("999999999999", REGION)])
    assert (answer["error"], "999999999999" in answer["message"]) == ("NOT_FOUND", True)

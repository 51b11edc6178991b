"""What happens where a customer account's role cannot be assumed."""

import pytest

from .customers import HUB, TARGET, external_id, scope

REGION = "eu-west-1"


@pytest.fixture
def locked_out(stack, customers):
    """An account that was scanned, and then changed its external ID."""
    customers.register()
    customers.plant(TARGET, REGION, 2)
    stack.scan((TARGET, REGION))
    customers.trust_only(TARGET, "another-secret-than-before")
    stack.recycle("InventoryWorker", "TagsWorker")  # they hold credentials for an hour
    stack.forget_calls()
    yield
    customers.trust_only(TARGET, external_id(TARGET))
    stack.recycle("InventoryWorker", "TagsWorker")


def test_the_scope_says_so_and_keeps_its_counts(stack, locked_out):
    summary = stack.scan((TARGET, REGION))

    record = stack.scan_record(TARGET, REGION)
    assert record["state"] == "ACCESS_DENIED"
    assert "AssumeRole" in record["errorMessage"]
    assert (record["serverCount"], record["replicatingCount"]) == (2, 2)
    row = stack.statuses()[REGION]
    assert (row["status"], row["serverCount"]) == ("ACCESS_DENIED", 2)
    assert stack.active() == {REGION: 2}
    assert summary["scopesFailed"] == 1
    assert [error["accountId"] for error in summary["errors"]] == [TARGET]
    assert all("deletedAt" not in row for row in stack.items("InventoryTable"))


def test_its_services_are_not_called_with_other_credentials(stack, locked_out):
    stack.scan((TARGET, REGION))
    stack.operate("sync_tags")

    assert stack.calls("drs", "ec2") == {}
    assert {account for (_, _, account, _) in stack.calls("sts")} == {HUB}


def test_it_recovers_when_it_lets_the_hub_in_again(stack, customers, locked_out):
    stack.scan((TARGET, REGION))
    customers.trust_only(TARGET, external_id(TARGET))
    summary = stack.scan((TARGET, REGION))

    assert summary["scopesFailed"] == 0
    assert stack.statuses()[REGION]["status"] == "AVAILABLE"
    assert "errorMessage" not in stack.scan_record(TARGET, REGION)


def test_a_foreign_account_without_a_role_is_an_error_and_never_the_hubs_own_drs(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION)
    stack.cloud.control("POST", "/accounts", {"accountId": HUB, "regions": {REGION: {"initialised": True}}})
    stack.table("AccountsTable").update_item(
        Key={"accountId": TARGET, "record": "ACCOUNT"}, UpdateExpression="REMOVE readerRoleArn"
    )
    stack.forget_calls()
    stack.scan((TARGET, REGION))

    record = stack.scan_record(TARGET, REGION)
    assert record["state"] == "ACCESS_DENIED"
    assert "readerRoleArn" in record["errorMessage"]
    assert stack.calls() == {}


def test_an_origin_account_that_is_not_registered_is_reported_and_the_scan_goes_on(stack, customers):
    customers.register(TARGET)
    customers.plant(TARGET, REGION, 2)
    run = stack.scan((TARGET, REGION))
    [progress] = stack.operate("get_sync", runId=run["runId"])["scopes"]

    assert progress["result"]["state"] == "AVAILABLE"
    assert [problem["code"] for problem in progress["result"]["problems"]] == ["NOT_REGISTERED"]
    assert stack.active() == {REGION: 2}
    assert stack.calls("ec2") == {}


def test_an_account_that_has_not_opted_in_is_no_failure(stack, customers):
    customers.register()
    stack.cloud.control("POST", "/accounts", {"accountId": TARGET, "regions": {"me-south-1": {"optedIn": False}}})
    summary = stack.operate("sync_source_server_inventory", scopes=[scope(TARGET, "me-south-1")])
    stack.settle()

    assert summary["scopesFailed"] == 0
    assert stack.scan_record(TARGET, "me-south-1")["state"] == "NOT_OPTED_IN"

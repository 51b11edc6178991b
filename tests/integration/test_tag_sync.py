"""Scenario 1: tag sync, region by region."""

import pytest

from .customers import HUB, TARGET
from .waiting import eventually

ACTIVE = {"ap-south-1", "eu-west-1", "us-east-2"}
IDLE = "eu-north-1"  # DRS is set up there, and holds nothing
AWS_OWN = {"aws:cloudformation:stack-name": "web"}


@pytest.fixture
def untagged(stack, customers):
    """Servers in three active regions whose tags could not be set when they were found."""
    customers.register()
    servers = [
        server for region in ACTIVE for server in customers.plant(TARGET, region, 2, tags={"env": "prod", **AWS_OWN})
    ]
    customers.initialise(TARGET, IDLE)
    stack.fault(operation="TagResource", error="NotNow", status=400)
    stack.scan(*[(TARGET, region) for region in (*ACTIVE, IDLE)])
    assert set(stack.active()) == ACTIVE
    assert set(stack.statuses()) == {*ACTIVE, IDLE}
    stack.heal()
    stack.let_time_pass("tags")
    stack.forget_calls()
    return servers


def tags_of(customers, servers):
    return [customers.drs_tags(server) for server in servers]


def wanted(servers):
    return [{"agent": "theirs", "Name": server.hostname, "env": "prod"} for server in servers]


def test_the_rule_syncs_tags_in_the_active_regions_and_touches_no_other(stack, customers, untagged):
    with stack.scheduled("TagsSchedule") as rule:
        assert stack.cloud.control("POST", "/schedules", {"accountId": HUB, "rule": rule})["due"] == [rule]
        eventually(lambda: tags_of(customers, untagged) == wanted(untagged))
    stack.settle()

    assert stack.calls("drs") == {("drs", "TagResource", TARGET, region): 2 for region in ACTIVE}
    assert stack.calls("ec2") == {}


def test_tags_in_place_cost_no_call_to_a_customer_account(stack, customers, untagged):
    stack.tick("TagsSchedule")
    stack.settle()
    assert tags_of(customers, untagged) == wanted(untagged)

    stack.forget_calls()
    stack.let_time_pass("tags")
    stack.tick("TagsSchedule")
    stack.settle()
    assert stack.calls() == {}
    assert [run["plannedScopes"] for run in stack.runs("tags")] == [3, 3]


def test_a_tag_that_is_gone_from_ec2_is_removed_and_the_others_stay(stack, customers):
    customers.register()
    [server] = customers.plant(TARGET, "eu-west-1", tags={"env": "prod"})
    stack.scan((TARGET, "eu-west-1"))
    assert customers.drs_tags(server)["env"] == "prod"

    customers.retag(server, {"Name": "renamed"})
    stack.scan((TARGET, "eu-west-1"))
    assert customers.drs_tags(server) == {"agent": "theirs", "Name": "renamed"}


def test_a_dry_run_says_what_would_change_and_writes_nothing(stack, customers, untagged):
    summary = stack.operate("sync_tags", dryRun=True)

    assert summary["counts"]["would_tag"] == len(untagged)
    assert [call for call in stack.calls("drs") if call[1] == "TagResource"] == []
    assert tags_of(customers, untagged) == [{"agent": "theirs"}] * len(untagged)

"""Scenario 2: extension of staging servers into their target."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from .customers import READER, STAGING, TARGET, WRITER
from .waiting import eventually

REGION, IDLE = "eu-west-1", "eu-north-1"


@pytest.fixture
def staged(stack, customers):
    """Staging servers that could not be extended when they were found."""
    customers.register()
    customers.join()
    customers.initialise(TARGET, REGION, IDLE)
    servers = customers.plant(STAGING, REGION, 3, tags={"env": "prod"})
    stack.fault(operation="CreateExtendedSourceServer", error="NotNow", status=400)
    stack.scan((STAGING, REGION), (TARGET, REGION), (TARGET, IDLE), (STAGING, IDLE))
    assert set(stack.active()) == {REGION}
    assert set(stack.statuses()) == {REGION, IDLE}
    assert customers.extensions(REGION) == []
    stack.heal()
    stack.let_time_pass("staging")
    stack.forget_calls()
    return sorted(server.arn for server in servers)


def made(stack):
    return stack.calls("drs").get(("drs", "CreateExtendedSourceServer", TARGET, REGION), 0)


def test_the_schedule_extends_what_is_staged_and_touches_the_active_region_alone(stack, customers, staged):
    stack.tick("StagingSchedule")
    eventually(lambda: customers.extensions(REGION) == staged)
    stack.settle()

    assert made(stack) == len(staged)
    assert stack.regions_called("drs") == {REGION}
    assert {account for (_, operation, account, _) in stack.calls("drs") if "Extend" in operation} == {TARGET}
    [run] = stack.runs("staging")
    assert (run["mode"], run["regionsUsed"]) == ("due", [REGION])


def test_extensions_are_listed_and_tagged_without_waiting_for_a_schedule(stack, customers, staged):
    stack.tick("StagingSchedule")
    stack.settle()

    assert stack.active() == {REGION: 2 * len(staged)}
    assert [server["tags"].get("env") for server in customers.drs(TARGET, REGION).values()] == ["prod"] * len(staged)


def test_repeating_it_extends_nothing_again_and_asks_drs_nothing(stack, customers, staged):
    stack.tick("StagingSchedule")
    stack.settle()
    stack.forget_calls()

    for _ in range(2):
        stack.let_time_pass("staging")
        stack.tick("StagingSchedule")
        stack.operate("sync_staging_accounts")
        stack.settle()
    assert stack.calls() == {}
    assert customers.extensions(REGION) == staged


def test_many_at_once_extend_each_server_once(stack, customers, staged):
    stack.fault(operation="CreateExtendedSourceServer", latencySeconds=2)
    stack.tick("StagingSchedule")
    eventually(lambda: "leaseUntil" in stack.work("staging", TARGET, REGION))
    stack.let_time_pass("staging")  # for the others, while the first one is at it
    message = {"kind": "staging", "accountId": TARGET, "region": REGION}
    with ThreadPoolExecutor(5) as pool:
        jobs = [pool.submit(stack.tick, "StagingSchedule") for _ in range(2)]
        jobs += [pool.submit(stack.operate, "sync_staging_accounts", wait=0) for _ in range(2)]
        jobs.append(pool.submit(stack.send, "StagingWork", *[message] * 5))
        for job in jobs:
            job.result()
    stack.settle()

    assert customers.extensions(REGION) == staged
    assert made(stack) == len(staged)


def test_the_writer_role_does_it_and_not_the_reader(stack, customers, staged):
    with customers.denied(TARGET, READER, "*"):
        stack.operate("sync_staging_accounts")
        assert customers.extensions(REGION) == staged


def test_a_writer_role_that_may_not_extend_is_reported_server_by_server(stack, customers, staged):
    with customers.denied(TARGET, WRITER, "drs:CreateExtendedSourceServer"):
        run = stack.operate("sync_staging_accounts")
    progress = stack.operate("get_sync", runId=run["runId"])

    assert customers.extensions(REGION) == []
    problems = progress["scopes"][0]["result"]["problems"]
    assert sorted(problem["subject"] for problem in problems) == staged
    assert all("CreateExtendedSourceServer" in problem["message"] for problem in problems), json.dumps(problems)


def test_a_dry_run_names_what_would_be_extended(stack, customers, staged):
    run = stack.operate("sync_staging_accounts", dryRun=True)

    assert run["counts"]["would_extend"] == len(staged)
    assert made(stack) == 0
    assert customers.extensions(REGION) == []

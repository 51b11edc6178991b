"""Staging accounts of a target: memberships, discovery, validation, and their sync (Scenario 5)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.fleet.evidence import read_truth

from ..integration.waiting import eventually
from .client import LONGEST_SCAN_SECONDS

REGION = "eu-west-1"


@pytest.fixture
def register(api):
    def registered(*customers):
        for customer in customers:
            api.expect(201, "POST", "accounts", {**customer.registration, "scanNow": False})

    return registered


@pytest.fixture
def scan(stack):
    """Sync the region of accounts, and let everything happen that follows."""

    def scanned(*customers):
        stack.scan(*[(customer.account_id, REGION) for customer in customers])

    return scanned


@pytest.fixture
def target(customers, register):
    """A registered target without servers and roles."""
    customer = customers.make(roles=False)
    register(customer)
    return customer


def members_of(target):
    return f"accounts/{target.account_id}/staging-accounts"


def join(api, target, *stagings, **rules):
    for staging in stagings:
        body = {"stagingAccountId": staging.account_id, **rules}
        assert api.expect(201, "POST", members_of(target), body) == membership(target, staging, **rules)


def membership(target, staging, **rules):
    ids = {"accountId": target.account_id, "stagingAccountId": staging.account_id}
    return {**ids, "includeTags": {}, "excludeTags": {}, **rules}


# --- memberships ---


def test_a_membership_is_told_with_its_rules(api, customers, register, target):
    staging = customers.make("staging", roles=False)
    register(staging)
    join(api, target, staging, includeTags={"dr": "yes"}, excludeTags={"env": "*"})
    expected = membership(target, staging, includeTags={"dr": "yes"}, excludeTags={"env": "*"})
    assert api.get(members_of(target)) == {"accountId": target.account_id, "stagingAccounts": [expected], "ignored": []}


def test_members_that_are_added_at_once_are_all_there(api, customers, register, target):
    stagings = [customers.make("staging", roles=False) for _ in range(4)]
    register(*stagings)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda staging: join(api, target, staging), stagings))
    found = [member["stagingAccountId"] for member in api.get(members_of(target))["stagingAccounts"]]
    assert sorted(found) == sorted(staging.account_id for staging in stagings)


def test_of_two_that_add_the_same_member_one_is_told_that_it_is_there(api, customers, register, target):
    staging = customers.make("staging", roles=False)
    register(staging)
    body = {"stagingAccountId": staging.account_id}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.answer("POST", members_of(target), body), range(4)))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409]
    assert {content["error"] for status, content in answers if status == 409} == {"ALREADY_EXISTS"}


def test_a_member_that_is_taken_away_is_gone_and_the_others_stay(api, customers, register, target):
    one, other = [customers.make("staging", roles=False) for _ in range(2)]
    register(one, other)
    join(api, target, one, other)
    left = api.expect(200, "DELETE", f"{members_of(target)}/{one.account_id}")

    assert left == api.get(members_of(target))
    assert left["stagingAccounts"] == [membership(target, other)]
    assert api.expect(404, "DELETE", f"{members_of(target)}/{one.account_id}")["error"] == "NOT_FOUND"


def test_an_account_of_another_kind_is_no_member_and_has_none(api, customers, register, target):
    source, staging = customers.make("source", roles=False), customers.make("staging", roles=False)
    register(source, staging)
    assert api.expect(400, "POST", members_of(target), {"stagingAccountId": source.account_id})
    assert api.expect(400, "POST", members_of(staging), {"stagingAccountId": staging.account_id})


def test_a_member_that_is_not_registered_is_not_found(api, target):
    api.expect(404, "POST", members_of(target), {"stagingAccountId": "799999999999"})


@pytest.mark.parametrize("rules", [{"includeTags": {"k": 5}}, {"excludeTags": []}, {"tags": {}}])
def test_rules_that_do_not_fit_are_refused_by_name(api, target, rules):
    body = {"stagingAccountId": "799999999999", **rules}
    assert next(iter(rules)) in api.expect(400, "POST", members_of(target), body)["message"]


# --- discovery ---


def test_discovery_finds_where_extensions_come_from_and_says_what_it_cannot_see(api, fleet, deployed):
    [target] = [account.account_id for account in fleet.accounts if account.kind == "target"]
    expected = {}
    for server in read_truth(deployed.cloud).servers():
        if server.place[0] == target and server.extends:
            expected.setdefault(server.extends.split(":")[4], []).append(server.place[1])
    found = api.post(f"accounts/{target}/staging-accounts/discover")

    assert {one["stagingAccountId"]: one["extendedServers"] for one in found["stagingAccounts"]} == {
        account_id: len(regions) for account_id, regions in expected.items()
    }
    assert all(one["regions"] == sorted(set(expected[one["stagingAccountId"]])) for one in found["stagingAccounts"])
    assert all(one["registered"] for one in found["stagingAccounts"])
    assert any("nothing was ever extended" in line for line in found["notSeen"])


def test_discovery_finds_a_staging_account_that_is_no_member(api, customers, register, scan):
    target, staging = customers.make(eu_west_1=1), customers.make("staging", roles=False)
    [original] = customers.plant(staging.account_id, REGION, 1)
    arn = f"arn:aws:drs:{REGION}:{staging.account_id}:source-server/{original}"
    customers.plant(target.account_id, REGION, 1, hostname="", extendedFrom=arn)
    register(target)
    scan(target)
    assert api.post(f"{members_of(target)}/discover")["stagingAccounts"] == [
        {
            "stagingAccountId": staging.account_id,
            "regions": [REGION],
            "extendedServers": 1,
            "registered": False,
        }
    ]


def test_discovery_names_the_regions_in_which_it_could_not_look(api, stack, customers, register, scan):
    target = customers.make(eu_west_1=1)
    register(target)
    scan(target)
    stack.fault(
        service="drs", operation="ListStagingAccounts", account=target.account_id, error="AccessDeniedException"
    )
    found = api.post(f"{members_of(target)}/discover")
    assert [line for line in found["notSeen"] if line.startswith(f"{REGION}: ")]


# --- validation ---


def validated(api, target, staging):
    body = {"stagingAccountId": staging.account_id, "targetAccountId": target.account_id}
    answer = api.expect(200, "POST", "staging-accounts/validate", body)
    return answer, {check["name"]: check for check in answer["checks"]}


def test_a_trusting_staging_account_passes_and_its_servers_are_counted(api, customers, register, scan):
    target = customers.make(eu_west_1=2)
    staging = customers.make("staging", [target.account_id], eu_west_1=3)
    register(target, staging)
    scan(target, staging)
    answer, checks = validated(api, target, staging)

    assert answer["ok"] is True, answer["checks"]
    assert checks["readerRole"]["ok"] is checks["writerRole"]["ok"] is checks["trust"]["ok"] is True
    assert answer["counts"] == [
        {
            "region": REGION,
            "stagingServers": 3,
            "targetServers": 2,
            "resultingServers": 5,
            "withinQuota": True,
        }
    ]


def test_an_untrusting_staging_account_fails_with_advice(api, customers, register, scan):
    target, staging = customers.make(eu_west_1=0), customers.make("staging", eu_west_1=1)
    register(target, staging)
    scan(target, staging)
    answer, checks = validated(api, target, staging)

    assert (answer["ok"], checks["trust"]["ok"]) == (False, False)
    assert staging.account_id in checks["trust"]["advice"]


def test_what_is_extended_already_is_not_counted_twice(api, customers, register, scan):
    """The target holds two of three already: with all of them it holds one more, not three."""
    target = customers.make(eu_west_1=1)
    staging = customers.make("staging", [target.account_id])
    for original in customers.plant(staging.account_id, REGION, 3)[:2]:
        arn = f"arn:aws:drs:{REGION}:{staging.account_id}:source-server/{original}"
        customers.plant(target.account_id, REGION, 1, hostname="", extendedFrom=arn)
    register(target, staging)
    scan(target, staging)
    [counts] = validated(api, target, staging)[0]["counts"]
    assert (counts["stagingServers"], counts["targetServers"], counts["resultingServers"]) == (3, 3, 4)


def test_a_target_scope_that_was_never_scanned_is_unknown_not_empty(api, customers, register, scan):
    target = customers.make(eu_west_1=1)
    staging = customers.make("staging", [target.account_id], eu_west_1=1)
    register(target, staging)
    scan(staging)
    [counts] = validated(api, target, staging)[0]["counts"]
    assert (counts["targetServers"], counts["resultingServers"], counts["withinQuota"]) == (None, None, None)


def test_a_target_is_no_staging_account(api, target):
    body = {"stagingAccountId": target.account_id, "targetAccountId": target.account_id}
    assert "stagingAccountId" in api.expect(400, "POST", "staging-accounts/validate", body)["message"]


# --- sync: scenario 5 ---


@pytest.fixture
def staged(api, stack, customers, register, scan):
    """A target and a staging account whose three servers could not be extended when they were found, and can now."""
    target = customers.make(eu_west_1=0)
    staging = customers.make("staging", [target.account_id], eu_west_1=3)
    register(target, staging)
    join(api, target, staging)
    fault = {"operation": "CreateExtendedSourceServer", "account": target.account_id}
    stack.fault(**fault, error="NotNow", status=400)
    scan(target, staging)
    stack.heal()
    assert extensions(stack, target) == []
    return target


def extensions(stack, target):
    servers = read_truth(stack.cloud).scope((target.account_id, REGION)).servers
    return [server.extends for server in servers if server.extends]


def test_scenario_5_a_sync_through_the_api_is_done_by_the_staging_worker(api, stack, staged):
    stack.forget_calls()
    run = api.expect(202, "POST", f"{members_of(staged)}/sync")

    assert (run["kind"], run["mode"], run["dryRun"], run["plannedScopes"]) == ("staging", "named", False, 1)
    assert run["regionsUsed"] == [REGION]
    assert run["requestedBy"].endswith(":root")
    assert run["status"] is None
    progress = eventually(
        lambda: (seen := api.get(f"syncs/{run['runId']}"))["status"] == "DONE" and seen, LONGEST_SCAN_SECONDS
    )
    assert (progress["done"], progress["failed"], progress["counts"]["extended"]) == (1, 0, 3)
    assert len(set(extensions(stack, staged))) == len(extensions(stack, staged)) == 3
    made = ("drs", "CreateExtendedSourceServer", staged.account_id, REGION)
    assert stack.calls("drs")[made] == 3
    assert stack.logged("StagingWorker", f"staging#{staged.account_id}#{REGION}")
    stack.settle()


def test_scenario_5_who_waits_gets_the_summary(api, stack, staged):
    run = api.expect(202, "POST", f"{members_of(staged)}/sync", {"wait": 25})

    assert (run["status"], run["regionsScanned"], run["scopesScanned"], run["scopesFailed"]) == ("DONE", 1, 1, 0)
    assert run["counts"]["extended"] == 3
    assert run["calls"]["drs:CreateExtendedSourceServer"] == 3
    assert run["apiCalls"] == sum(run["calls"].values())
    assert run["errors"] == []
    stack.settle()


def test_scenario_5_a_dry_run_extends_nothing_and_says_what_it_would(api, stack, staged):
    run = api.expect(202, "POST", f"{members_of(staged)}/sync", {"wait": 25, "dryRun": True})

    assert (run["dryRun"], run["counts"]["would_extend"]) == (True, 3)
    assert extensions(stack, staged) == []


def test_scenario_5_a_target_without_members_plans_nothing(api, target):
    run = api.expect(202, "POST", f"{members_of(target)}/sync", {"wait": 5})
    assert (run["plannedScopes"], run["regionsUsed"]) == (0, [])


def test_scenario_5_a_source_account_has_none_to_sync(api, customers, register):
    source = customers.make("source", roles=False)
    register(source)
    api.expect(400, "POST", f"{members_of(source)}/sync")

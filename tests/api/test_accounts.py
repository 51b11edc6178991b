"""The life of an account: registered, changed, validated, inactive, removed, registered again."""

import pytest

from sandbox.fleet.roles import READER, WRITER

from ..integration.waiting import eventually
from .client import LONGEST_SCAN_SECONDS

REGION, OTHER = "eu-west-1", "us-east-1"
NOBODY, UNKNOWN = "700000000000", "799999999999"
ARN = f"arn:aws:iam::{NOBODY}:role/reader"
BODY = {"name": "one", "kind": "target", "readerRoleArn": ARN, "writerRoleArn": ARN, "accountId": NOBODY}
ACCOUNT_ROUTES = [
    ("GET", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("GET", "/regions"),
    ("GET", "/capacity"),
    ("POST", "/validate"),
    ("GET", "/staging-accounts"),
    ("POST", "/staging-accounts"),
    ("DELETE", "/staging-accounts/333333333333"),
    ("POST", "/staging-accounts/discover"),
    ("POST", "/staging-accounts/sync"),
]


def without(*names):
    return {name: value for name, value in BODY.items() if name not in names}


@pytest.fixture
def register(api):
    """Register a customer; its scan waits for whoever asks, unless told otherwise."""

    def registered(customer, **changes):
        return api.expect(201, "POST", "accounts", {**customer.registration, "scanNow": False, **changes})

    return registered


@pytest.fixture
def scan(stack):
    """Sync scopes of one account and return their results, by region."""

    def scanned(account_id, *regions):
        scopes = [{"accountId": account_id, "region": region} for region in regions]
        run = stack.operate("sync_source_server_inventory", scopes=scopes)
        progress = eventually(
            lambda: (seen := stack.operate("get_sync", runId=run["runId"]))["status"] == "DONE" and seen,
            LONGEST_SCAN_SECONDS,
        )
        return {one["region"]: one["result"] for one in progress["scopes"]}

    return scanned


# --- registration ---


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**BODY, "readerRoleArn": "arn:aws:iam::800000000000:role/reader"}, "readerRoleArn"),
        ({**BODY, "writerRoleArn": f"arn:aws-cn:iam::{NOBODY}:role/writer"}, "writerRoleArn"),
        ({**BODY, "kind": "friend"}, "kind"),
        ({**BODY, "status": "removing"}, "status"),
        ({**BODY, "externalId": "x"}, "externalId"),
        ({**BODY, "accountId": "12"}, "accountId"),
        (without("name"), "name"),
        ({**BODY, "partition": "azure"}, "partition"),
        ({**BODY, "partition": "aws-mars"}, "partition"),
        ({**BODY, "partition": "aws-mars", "kind": "source"}, "partition"),
    ],
)
def test_an_account_that_does_not_fit_is_refused_by_field(api, body, field):
    answer = api.expect(400, "POST", "accounts", body)
    assert answer["error"] == "INVALID_REQUEST"
    assert field in answer["message"]
    assert api.answer("GET", f"accounts/{NOBODY}")[0] == 404


def test_a_registered_account_is_told_and_listed(api, customers, register):
    customer = customers.make("source", roles=False)
    made = register(customer)
    assert (made.pop("externalId"), "Kind=source" in made.pop("deployRoles")) == (None, True)

    assert made == api.get(f"accounts/{customer.account_id}")
    assert made in api.get("accounts")["accounts"]
    assert made in api.get("accounts", kind="source")["accounts"]
    assert made not in api.get("accounts", kind="target")["accounts"]
    assert (made["name"], made["status"], made["writerRoleArn"]) == (customer.account.name, "active", None)


def test_an_account_is_registered_once(api, customers, register):
    customer = customers.make("source", roles=False)
    register(customer)
    answer = api.expect(409, "POST", "accounts", {**customer.registration, "name": "another"})

    assert answer["error"] == "ALREADY_EXISTS"
    assert api.get(f"accounts/{customer.account_id}")["name"] == customer.account.name


def test_an_external_id_is_never_shown_and_never_logged(api, stack, customers, register):
    customer = customers.make("source", roles=False)
    secret = customer.account.external_id
    register(customer)
    api.expect(200, "PUT", f"accounts/{customer.account_id}", {**customer.change, "externalId": f"{secret}-2"})
    body = {name: value for name, value in customer.registration.items() if name != "externalId"}
    stack.operate("register_account", **body, external_id=secret)
    stack.operate("change_account", **body, externalId=f"{secret}-3")

    shown = api.get(f"accounts/{customer.account_id}")
    assert shown["externalIdSet"] is True
    assert secret not in str([shown, api.get("accounts")])
    for function in ("APIHandler", "Operations"):
        audits = stack.logged(function, customer.account_id)
        assert any('"operation":"' in line and "***" in line for line in audits)
        assert stack.logged(function, secret) == []


def test_a_change_is_logged_with_its_caller(api, stack, customers, register):
    customer = customers.make("source", roles=False)
    register(customer)
    [line] = [line for line in stack.logged("APIHandler", customer.account_id) if '"audit"' in line]
    assert f"arn:aws:iam::{api.cloud.outputs.hub_account}:root" in line


@pytest.mark.parametrize(("method", "path"), ACCOUNT_ROUTES)
def test_an_unknown_account_is_not_found(api, method, path):
    body = None
    if method == "PUT":
        body = without("accountId")
    elif (method, path) == ("POST", "/staging-accounts"):
        body = {"stagingAccountId": "333333333333"}
    answer = api.expect(404, method, f"accounts/{UNKNOWN}{path}", body)
    assert answer["error"] == "NOT_FOUND"


# --- change ---


def test_a_change_without_an_external_id_keeps_the_one_that_is_known(api, customers, register):
    customer = customers.make("source", roles=False)
    register(customer)
    changed = api.expect(200, "PUT", f"accounts/{customer.account_id}", {**customer.change, "name": "renamed"})
    assert (changed["name"], changed["externalIdSet"]) == ("renamed", True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "staging"}, "kind"),
        ({"readerRoleArn": None}, "readerRoleArn"),
        ({"status": "removing"}, "status"),
        ({"partition": "aws-mars"}, "partition"),
        ({"partition": "aws-cn"}, "partition"),
    ],
)
def test_a_change_that_does_not_fit_changes_nothing(api, customers, register, change, field):
    customer = customers.make("source", roles=False)
    register(customer)
    made = api.get(f"accounts/{customer.account_id}")
    answer = api.expect(400, "PUT", f"accounts/{customer.account_id}", {**customer.change, **change})

    assert field in answer["message"]
    assert api.get(f"accounts/{customer.account_id}") == made


def test_where_a_role_was_mended_its_scopes_are_scanned(api, customers, register, scan):
    customer = customers.make(eu_west_1=2)
    register(customer, readerRoleArn=f"arn:aws:iam::{customer.account_id}:role/missing")
    assert scan(customer.account_id, REGION)[REGION]["state"] == "ACCESS_DENIED"
    before = api.regions_of(customer.account_id)[REGION]
    assert (before["serverCount"], before["lastSuccess"]) == (0, None)
    assert before["errorMessage"]

    api.expect(200, "PUT", f"accounts/{customer.account_id}", customer.change)
    after = eventually(
        lambda: (seen := api.regions_of(customer.account_id)[REGION])["state"] == "AVAILABLE" and seen,
        LONGEST_SCAN_SECONDS,
    )
    assert (after["serverCount"], after["errorMessage"]) == (2, None)


def test_an_inactive_account_is_called_no_more_and_what_is_known_stays(api, stack, customers, register, scan):
    customer = customers.make(eu_west_1=2)
    register(customer)
    scan(customer.account_id, REGION)
    api.expect(200, "PUT", f"accounts/{customer.account_id}", {**customer.change, "status": "inactive"})
    stack.settle()
    stack.forget_calls()
    scan(customer.account_id, REGION)
    stack.settle()

    assert {call for call in stack.calls() if call[2] == customer.account_id} == set()
    assert len(api.servers(accountId=customer.account_id)) == 2


# --- validation ---


def validated(api, account_id):
    answer = api.expect(200, "POST", f"accounts/{account_id}/validate")
    assert answer["ok"] == all(check["ok"] is not False for check in answer["checks"])
    assert all(check["advice"] for check in answer["checks"] if check["ok"] is False)
    return {(check["name"], check["subject"]): check for check in answer["checks"]}


def test_a_good_account_passes_and_says_where_drs_is_set_up(api, fleet):
    account = next(account for account in fleet.accounts if account.kind == "target")
    checks = validated(api, account.account_id)
    regions = {subject: check["ok"] for (name, subject), check in checks.items() if name == "drsInitialized"}

    assert {check["ok"] for (name, _), check in checks.items() if name.endswith("Role")} == {True}
    assert {region for region, ok in regions.items() if ok} == set(account.initialised)
    assert set(regions) == set(fleet.regions)
    assert False not in regions.values()


def test_a_source_account_is_asked_for_its_reader_role_alone(api, fleet):
    account = next(account for account in fleet.accounts if account.kind == "source")
    assert {name for name, _ in validated(api, account.account_id)} == {"readerRole", "externalId"}


def test_a_wrong_external_id_is_found(api, customers, register):
    customer = customers.make(eu_west_1=0)
    register(customer, externalId="not-what-was-agreed-upon")
    checks = validated(api, customer.account_id)

    assert {name: check["ok"] for (name, _), check in checks.items()} == {"readerRole": False, "writerRole": False}
    assert all("ExternalId" in check["advice"] for check in checks.values())
    assert "not-what-was-agreed-upon" not in str(checks)


def test_a_missing_role_is_found_and_the_other_is_not_blamed(api, customers, register):
    customer = customers.make(eu_west_1=0)
    customers.drop_role(customer.account_id, WRITER)
    register(customer)
    roles = {name: check["ok"] for (name, _), check in validated(api, customer.account_id).items() if "Role" in name}
    assert roles == {"readerRole": True, "writerRole": False}


def test_a_role_that_may_not_look_is_found_region_by_region(api, stack, customers, register):
    customer = customers.make(eu_west_1=1)
    register(customer)
    stack.fault(service="drs", account=customer.account_id, region=REGION, error="AccessDeniedException")
    checks = validated(api, customer.account_id)
    assert (checks["drsInitialized", REGION]["ok"], checks["readerRole", reader(customer)]["ok"]) == (False, True)


def reader(customer):
    return f"arn:aws:iam::{customer.account_id}:role/{READER}"


# --- removal ---


@pytest.fixture
def removed(api, stack, customers, register, scan):
    """An account with servers in two regions and a staging account, removed; with what was known of it before."""
    customer, staging = customers.make(eu_west_1=2, us_east_1=1), customers.make("staging", roles=False)
    account_id = customer.account_id
    register(customer)
    register(staging)
    member = {"stagingAccountId": staging.account_id}
    api.expect(201, "POST", f"accounts/{account_id}/staging-accounts", member)
    scan(account_id, REGION, OTHER)
    stack.settle()
    before = {
        "servers": [server["sourceServerID"] for server in api.servers(accountId=account_id)],
        "statuses": stack.statuses(),
        "epochs": {region: stack.work("inventory", account_id, region)["epoch"] for region in (REGION, OTHER)},
    }
    answer = api.expect(202, "DELETE", f"accounts/{account_id}")
    api.gone(account_id)
    stack.settle()
    return customer, before, answer


def test_a_removed_account_takes_everything_of_its_own_with_it_and_can_come_back(api, stack, removed, scan):
    """One test, because a removal takes many scans."""
    customer, before, answer = removed
    account_id = customer.account_id
    assert answer == {"accountId": account_id, "scopes": len(api.get("regions")["regions"])}
    assert len(before["servers"]) == 3

    for region in (REGION, OTHER):
        assert stack.scan_record(account_id, region) is None
        key = {"scope": f"{account_id}#{region}"}
        assert "Item" not in stack.table("TelemetryTable").get_item(Key=key)
    assert [item for item in stack.items("AccountsTable") if item["accountId"] == account_id] == []
    assert api.answer("GET", "servers", accountId=account_id)[0] == 404

    statuses = stack.statuses()
    for region, count in ((REGION, 2), (OTHER, 1)):
        assert before["statuses"][region]["serverCount"] - statuses[region]["serverCount"] == count
        assert before["statuses"][region]["accounts"] - statuses[region]["accounts"] == 1

    for server_id in before["servers"]:
        assert api.get(f"servers/{server_id}")["server"]["deletedAt"]
        topology = api.get(f"servers/{server_id}/failback-topology")
        assert topology["deletedAt"]
        assert topology["topology"]["originalReplicationRegion"]["value"] in (REGION, OTHER)

    api.expect(201, "POST", "accounts", {**customer.registration, "scanNow": False})
    assert scan(account_id, REGION)[REGION]["state"] == "AVAILABLE"
    assert len(api.servers(accountId=account_id)) == 2
    assert stack.work("inventory", account_id, REGION)["epoch"] > before["epochs"][REGION]
    assert api.get(f"accounts/{account_id}/staging-accounts")["stagingAccounts"] == []


def test_a_staging_account_that_is_removed_is_a_member_nowhere(api, customers, register):
    target, staging = customers.make(roles=False), customers.make("staging", roles=False)
    register(target)
    register(staging)
    members = f"accounts/{target.account_id}/staging-accounts"
    api.expect(201, "POST", members, {"stagingAccountId": staging.account_id})
    api.expect(202, "DELETE", f"accounts/{staging.account_id}")
    assert api.get(members)["stagingAccounts"] == []


def test_a_source_account_is_gone_at_once(api, customers, register):
    customer = customers.make("source", roles=False)
    register(customer)
    assert api.expect(202, "DELETE", f"accounts/{customer.account_id}")["scopes"] == 0
    assert api.answer("GET", f"accounts/{customer.account_id}")[0] == 404


def test_a_registration_has_its_scopes_scanned(api, customers):
    customer = customers.make(eu_west_1=1)
    api.expect(201, "POST", "accounts", customer.registration)
    found = api.scanned(customer.account_id, REGION, "sa-east-1")
    assert (found[REGION]["state"], found[REGION]["serverCount"]) == ("AVAILABLE", 1)
    assert (found["sa-east-1"]["state"], found["sa-east-1"]["serverCount"]) == ("UNINITIALIZED", 0)
    assert all(one["nextDueAt"] for one in found.values())

"""REST, by Chalice's own client on the stack's tables."""

import json

import pytest
from chalice.test import Client

import app as the_app
from chalicelib.api.account_bodies import RegisterAccount
from chalicelib.api.answers import STATUS, error_body
from chalicelib.api.operation import parsed
from chalicelib.api.table import OPERATIONS
from chalicelib.container import container, forget
from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import InstanceState
from chalicelib.domain.work import WorkKind
from chalicelib.errors import AlreadyExists, InvalidRequest, LeaseLost, NotFound, SettingError, TableUnavailable

from ..factories import (
    HUB,
    REGION,
    SECOND,
    STAGING,
    TARGET,
    account,
    lease,
    outcome,
    region_status,
    row_update,
    scan_record,
    work,
)
from . import stack

SERVERS = [f"s-{number:017x}" for number in range(3)]


@pytest.fixture
def http(deployed):
    with Client(the_app.app) as client:
        yield client.http


@pytest.fixture
def stocked(http):
    """One account, one active region with three servers, one idle region."""
    container().ports.accounts.create(account())
    container().ports.work_states.request(work(), 0)
    container().ports.work_states.take(work(), 1, 2)
    rows = [row_update(server, sourceTags={"Name": f"web-{number}"}) for number, server in enumerate(SERVERS)]
    container().ports.writer.write(lease(), [*rows, scan_record(server_count=3), scan_record(SECOND, server_count=0)])
    for region, count in ((REGION, 3), (SECOND, 0)):
        container().ports.statuses.replace(None, region_status(region, count))
    return http


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Nobody waits here for a scan that no worker does."""
    monkeypatch.setattr("chalicelib.services.refresh.LONGEST_WAIT_SECONDS", 0)


def get(http, path):
    answer = http.get(path)
    return answer.status_code, answer.json_body


def post(http, path, body, content_type="application/json"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post(path, body=body, headers={"Content-Type": content_type})
    return answer.status_code, answer.json_body


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "code", "status"),
        [
            (InvalidRequest("limit: too much"), "INVALID_REQUEST", 400),
            (NotFound("no such run"), "NOT_FOUND", 404),
            (AlreadyExists("it is there"), "ALREADY_EXISTS", 409),
            (TableUnavailable("cannot be read"), "TABLE_UNAVAILABLE", 503),
        ],
    )
    def test_each_kind_has_a_code_and_a_status(self, error, code, status):
        assert error_body(error) == ({"error": code, "message": str(error), "details": None}, status)

    @pytest.mark.parametrize("error", [LeaseLost("x"), SettingError("x")])
    def test_what_a_caller_cannot_help_is_let_out(self, error):
        with pytest.raises(type(error)):
            error_body(error)

    def test_each_field_that_does_not_fit_is_named_without_its_value(self):
        with pytest.raises(InvalidRequest) as raised:
            parsed(RegisterAccount, {"accountId": "12", "name": "", "externalId": "a secret"})
        body, status = error_body(raised.value)
        assert status == 400
        assert {detail["field"] for detail in body["details"]} == {"accountId", "name", "externalId"}
        assert "a secret" not in json.dumps(body)

    def test_every_status_is_one_of_http(self):
        assert all(400 <= status < 600 for _, status in STATUS.values())


class TestHealth:
    @pytest.mark.usefixtures("deployed")
    def test_it_answers_who_invokes_the_operation(self):
        assert OPERATIONS["health"].answer({}, "operator") == {"status": "OK"}

    @pytest.mark.usefixtures("deployed")
    def test_a_missing_setting_fails(self, monkeypatch):
        forget()
        monkeypatch.delenv("RUNS_TABLE")
        with pytest.raises(SettingError):
            OPERATIONS["health"].answer({}, "operator")

    def test_the_function_has_no_route_that_a_stranger_could_wake_it_by(self):
        entries = [entry for methods in the_app.app.routes.values() for entry in methods.values()]
        assert entries
        assert [entry.uri_pattern for entry in entries if entry.authorizer is None] == []


class TestRegions:
    def test_every_region_that_was_scanned_is_told(self, stocked):
        status, body = get(stocked, "/regions")
        assert status == 200
        assert [(row["region"], row["serverCount"], row["active"]) for row in body["regions"]] == [
            (REGION, 3, True),
            (SECOND, 0, False),
        ]
        assert body["activeRegions"] == [REGION]
        assert body["asOf"].endswith("Z")

    def test_a_table_that_cannot_be_read_is_unavailable(self, http, monkeypatch):
        monkeypatch.setattr(container().ports.statuses, "_table", "no-such-table")
        assert get(http, "/regions")[0] == 503


class TestServers:
    def test_they_are_told_page_by_page(self, stocked):
        status, first = get(stocked, f"/servers?region={REGION}&limit=2")
        assert status == 200
        _, second = get(stocked, f"/servers?region={REGION}&limit=2&nextToken={first['nextToken']}")
        told = [server["sourceServerID"] for server in first["servers"] + second["servers"]]
        assert (told, second["nextToken"]) == (SERVERS, None)

    def test_what_every_record_carries_is_there_and_what_is_internal_is_not(self, stocked):
        server = get(stocked, "/servers")[1]["servers"][0]
        required = {
            "sourceServerID",
            "replicationRegion",
            "replicationState",
            "hostname",
            "sourceAccountId",
            "sourceTags",
        }
        assert required <= server.keys()
        assert not {"scope", "drsHash", "ec2Hash"} & server.keys()
        assert server["sourceTags"] == {"Name": "web-0"}
        assert InstanceState.FOUND not in server.values()

    def test_how_fresh_each_scope_is_is_told(self, stocked):
        scopes = get(stocked, f"/servers?accountId={TARGET}")[1]["scopes"]
        assert [(scope["accountId"], scope["region"], scope["fresh"]) for scope in scopes] == [(TARGET, REGION, False)]

    @pytest.mark.parametrize(
        ("query", "status", "named"),
        [
            ("limit=0", 400, "limit"),
            ("limit=many", 400, "limit"),
            ("limit=201", 400, "limit"),
            ("accountId=12", 400, "accountId"),
            ("colour=red", 400, "colour"),
            ("region=nowhere", 400, "region"),
            ("nextToken=garbage", 400, "nextToken"),
            (f"accountId={STAGING}", 404, STAGING),
        ],
    )
    def test_what_does_not_fit_is_named(self, stocked, query, status, named):
        code, body = get(stocked, f"/servers?{query}")
        assert code == status
        assert named in body["message"]


class TestSyncs:
    def test_a_sync_is_accepted_and_can_be_followed(self, stocked):
        status, run = post(stocked, "/syncs", {"kind": "inventory"})
        assert (status, run["mode"], run["plannedScopes"]) == (202, "active", 1)
        status, progress = get(stocked, f"/syncs/{run['runId']}")
        assert (status, progress["status"], progress["waiting"]) == (200, "RUNNING", 1)

    def test_a_dry_run_of_named_scopes_is_passed_on(self, stocked):
        scope = {"accountId": TARGET, "region": REGION}
        status, run = post(stocked, "/syncs", {"kind": "tags", "dryRun": True, "scopes": [scope]})
        assert (status, run["dryRun"], run["mode"]) == (202, True, "named")
        assert container().ports.work_states.read([work(WorkKind.TAGS, dry_run=True)])

    def test_with_wait_the_summary_comes_along(self, stocked, monkeypatch):
        monkeypatch.setattr(container().run_reader, "_sleep", lambda _: None)
        assert post(stocked, "/syncs", {"kind": "inventory", "wait": 0.01})[1]["status"] == "RUNNING"

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            (b"{not json", "JSON"),
            (b"[]", "object"),
            (b"", "kind"),
            ({}, "kind"),
            ({"kind": "gardening"}, "kind"),
            ({"kind": "tags", "scopes": []}, "scopes"),
            ({"kind": "tags", "scopes": [{"accountId": TARGET}]}, "scopes.0.region"),
            ({"kind": "tags", "wait": 26}, "wait"),
            ({"kind": "tags", "colour": "red"}, "colour"),
            ({"kind": "inventory", "dryRun": True}, "dryRun"),
        ],
    )
    def test_a_body_that_does_not_fit_is_named(self, stocked, body, named):
        status, answer = post(stocked, "/syncs", body)
        assert (status, answer["error"]) == (400, "INVALID_REQUEST")
        assert named in answer["message"]

    def test_an_unknown_run_is_not_found(self, stocked):
        assert get(stocked, "/syncs/nobody-ran-this")[0] == 404


def put(http, path, body):
    answer = http.put(path, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    return answer.status_code, answer.json_body


ACCOUNT = {
    "accountId": STAGING,
    "name": "staging",
    "kind": "staging",
    "readerRoleArn": f"arn:aws:iam::{STAGING}:role/reader",
    "writerRoleArn": f"arn:aws:iam::{STAGING}:role/writer",
    "externalId": "a-secret-of-its-own",
}
CHANGE = {name: value for name, value in ACCOUNT.items() if name not in ("accountId", "externalId")}


class TestRegionDetail:
    def test_one_region_is_told_by_account(self, stocked):
        status, body = get(stocked, f"/regions/{REGION}")
        assert (status, body["status"]["serverCount"]) == (200, 3)
        assert [one["accountId"] for one in body["accounts"]] == [TARGET]
        assert get(stocked, "/regions/eu-north-1")[0] == 404

    def test_active_regions_are_told_of_all_or_one(self, stocked):
        assert get(stocked, "/regions/active")[1] == {"accountId": None, "regions": [REGION]}
        assert get(stocked, f"/regions/active?accountId={TARGET}")[1]["regions"] == [REGION]
        container().ports.accounts.create(account(STAGING, AccountKind.STAGING))
        assert get(stocked, f"/regions/active?accountId={STAGING}")[1]["regions"] == []

    def test_an_unknown_account_is_no_account_without_active_regions(self, stocked):
        assert get(stocked, f"/regions/active?accountId={STAGING}")[0] == 404


class TestServerDetail:
    def test_one_server_and_its_topology_are_told(self, stocked):
        told = get(stocked, f"/servers/{SERVERS[1]}")[1]
        assert (told["server"]["sourceServerID"], told["scope"]["region"]) == (SERVERS[1], REGION)
        assert get(stocked, f"/servers/{SERVERS[1]}/failback-topology")[1]["warnings"]
        named = get(stocked, f"/failback-topologies?hostname=host-{SERVERS[1]}")[1]["topologies"]
        assert [one["sourceServerId"] for one in named] == [SERVERS[1]]

    @pytest.mark.parametrize(("server", "status"), [(f"s-{'9' * 17}", 404), ("s-1", 400)])
    def test_an_unknown_server_is_told_from_a_malformed_id(self, stocked, server, status):
        assert get(stocked, f"/servers/{server}")[0] == status

    def test_servers_are_found_by_tag(self, stocked):
        assert [one["sourceServerID"] for one in get(stocked, "/servers?tag=Name:web-1")[1]["servers"]] == [SERVERS[1]]
        assert get(stocked, "/servers?tag=Name")[0] == 400

    def test_a_parameter_given_twice_is_named(self, stocked):
        status, body = get(stocked, "/servers?limit=1&limit=2")
        assert (status, "limit" in body["message"]) == (400, True)


class TestAccounts:
    def test_an_account_is_registered_told_changed_and_removed(self, stocked):
        status, told = post(stocked, "/accounts", ACCOUNT)
        assert (status, told["externalIdSet"]) == (201, True)
        assert post(stocked, "/accounts", ACCOUNT)[0] == 409
        assert "a-secret-of-its-own" not in json.dumps(get(stocked, "/accounts")[1])
        assert [one["accountId"] for one in get(stocked, "/accounts?kind=staging")[1]["accounts"]] == [STAGING]
        status, told = put(stocked, f"/accounts/{STAGING}", {**CHANGE, "name": "renamed"})
        assert (status, told["name"], told["externalIdSet"]) == (200, "renamed", True)
        assert container().ports.accounts.read(STAGING).external_id == "a-secret-of-its-own"
        removed = stocked.delete(f"/accounts/{STAGING}")
        assert removed.status_code == 202
        assert removed.json_body["scopes"] > 0
        assert get(stocked, f"/accounts/{STAGING}")[1]["status"] == "removing"

    def test_without_roles_and_external_id_the_hub_makes_them_and_tells_once_how_to_deploy(self, stocked):
        body = {"accountId": STAGING, "name": "staging", "hasDrs": True}
        told = post(stocked, "/accounts", body)[1]
        assert len(told["externalId"]) >= 32
        assert told["readerRoleArn"] == f"arn:aws:iam::{STAGING}:role/drs-active-regions-reader"
        assert told["writerRoleArn"] == f"arn:aws:iam::{STAGING}:role/drs-active-regions-writer"
        for part in (f"HubAccountId={HUB}", "HubRolePath=/drs-active-regions/dev/", f"ExternalId={told['externalId']}"):
            assert part in told["deployRoles"]
        assert container().ports.accounts.read(STAGING).external_id == told["externalId"]
        assert told["externalId"] not in json.dumps([get(stocked, f"/accounts/{STAGING}"), get(stocked, "/accounts")])

    def test_the_hub_s_own_account_is_protected_by_roles_like_any_other(self, stocked):
        """The hub's functions have no right of their own to DRS: without roles every region would say ACCESS_DENIED."""
        told = post(stocked, "/accounts", {"accountId": HUB, "name": "our one account"})[1]
        stored = container().ports.accounts.read(HUB)
        assert stored.reader_role_arn == f"arn:aws:iam::{HUB}:role/drs-active-regions-reader"
        assert stored.external_id == told["externalId"]
        assert f"ExternalId={told['externalId']}" in told["deployRoles"]

    def test_an_external_id_that_was_given_is_not_told_back(self, stocked):
        told = post(stocked, "/accounts", ACCOUNT)[1]
        assert told["externalId"] is None
        assert "a-secret-of-its-own" not in json.dumps(told)
        assert 'ExternalId="$EXTERNAL_ID"' in told["deployRoles"]

    def test_an_external_id_is_made_anew_on_request_and_each_time_another(self, stocked):
        post(stocked, "/accounts", ACCOUNT)
        first, second = (
            put(stocked, f"/accounts/{STAGING}", {**CHANGE, "newExternalId": True})[1]["externalId"] for _ in range(2)
        )
        assert first != second
        assert container().ports.accounts.read(STAGING).external_id == second
        assert put(stocked, f"/accounts/{STAGING}", CHANGE)[1]["externalId"] is None
        both = {**CHANGE, "newExternalId": True, "externalId": "x" * 16}
        assert put(stocked, f"/accounts/{STAGING}", both)[0] == 400

    def test_an_account_that_only_runs_instances_needs_no_writer(self, stocked):
        told = post(stocked, "/accounts", {"accountId": STAGING, "name": "source", "hasDrs": False})[1]
        assert (told["kind"], told["hasDrs"], told["writerRoleArn"]) == ("source", False, None)
        assert "Kind=source" in told["deployRoles"]
        assert "WriterRoleName" not in told["deployRoles"]

    def test_an_account_whose_roles_are_open_is_kept_inactive_until_they_are_not(self, stocked, monkeypatch):
        post(stocked, "/accounts", ACCOUNT)
        found = {}

        class Probe:
            def ask(self, **_):
                check = {"name": "externalId", "subject": "role", "message": "it is open", "advice": "Close it"}
                return {"checks": [{**check, "ok": found["ok"]}]}

        container().ports.probe_function = Probe()

        def validated(ok):
            found["ok"] = ok
            assert post(stocked, f"/accounts/{STAGING}/validate", {})[1]["ok"] is (ok is not False)
            told = get(stocked, f"/accounts/{STAGING}")[1]
            return told["status"], told["statusReason"]

        assert validated(ok=False) == ("inactive", "it is open. Close it")
        assert validated(ok=None) == ("inactive", "it is open. Close it")
        status, body = put(stocked, f"/accounts/{STAGING}", CHANGE)
        assert (status, "it is open" in body["message"]) == (400, True)
        assert put(stocked, f"/accounts/{STAGING}", {**CHANGE, "status": "inactive"})[1]["statusReason"]
        assert validated(ok=True) == ("inactive", None)
        assert put(stocked, f"/accounts/{STAGING}", CHANGE)[1]["status"] == "active"

    def test_an_account_belongs_to_the_default_tenant_unless_another_is_named(self, stocked, monkeypatch):
        monkeypatch.setenv("DEFAULT_TENANT", "acme")
        stack.forget_wiring()
        assert post(stocked, "/accounts", ACCOUNT)[1]["tenant"] == "acme"
        assert put(stocked, f"/accounts/{STAGING}", {**CHANGE, "tenant": "globex"})[1]["tenant"] == "globex"
        assert put(stocked, f"/accounts/{STAGING}", CHANGE)[1]["tenant"] == "globex"
        assert get(stocked, f"/accounts/{STAGING}")[1]["tenant"] == "globex"

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"tenant": "A. C. Me"}, "tenant"),
            ({"tenant": "x" * 33}, "tenant"),
            ({"readerRoleArn": f"arn:aws:iam::{TARGET}:role/reader"}, "another account"),
            ({"hasDrs": False}, "hasDrs"),
            ({"externalId": "too-short"}, "externalId"),
            ({"externalId": "x" * 257}, "externalId"),
            ({"status": "removing"}, "status"),
            ({"kind": "gardener"}, "kind"),
            ({"colour": "red"}, "colour"),
            ({"partition": "aws-moon"}, "partition"),
        ],
    )
    def test_what_does_not_fit_is_named_and_nothing_registered(self, stocked, change, named):
        status, body = post(stocked, "/accounts", {**ACCOUNT, **change})
        assert (status, named in body["message"]) == (400, True)
        assert get(stocked, f"/accounts/{STAGING}")[0] == 404

    def test_a_name_in_the_path_is_not_given_again(self, stocked):
        status, body = put(stocked, f"/accounts/{TARGET}", {**ACCOUNT, "accountId": TARGET})
        assert (status, "accountId" in body["message"]) == (400, True)

    def test_a_body_is_bounded(self, stocked):
        status, body = post(stocked, "/accounts", {**ACCOUNT, "name": "x" * 300_000})
        assert (status, "bytes" in body["message"]) == (400, True)

    def test_scopes_and_capacity_are_told(self, stocked):
        regions = {one["region"]: one for one in get(stocked, f"/accounts/{TARGET}/regions")[1]["regions"]}
        assert regions[REGION]["serverCount"] == 3
        assert regions["eu-north-1"]["state"] is None
        assert get(stocked, f"/accounts/{TARGET}/capacity")[1]["accountId"] == TARGET
        assert get(stocked, f"/capacity?region={REGION}")[1]["scopes"][0]["accountId"] == TARGET
        assert get(stocked, "/capacity")[0] == 200

    def test_work_of_every_kind_is_told_and_what_broke_off_is_never_fine(self, stocked):
        states, tags, staging = container().ports.work_states, work(WorkKind.TAGS), work(WorkKind.STAGING)
        for of in (tags, staging, work(scope=Scope(TARGET, SECOND))):
            states.request(of, 900)
        denied = outcome(1800, state=ScopeState.ACCESS_DENIED, message="no", failures=2)
        states.finish(states.take(tags, 1, 2).lease, denied, 900)
        states.fail(states.take(staging, 1, 2).lease, "RuntimeError: boom", 1900)
        regions = {one["region"]: one for one in get(stocked, f"/accounts/{TARGET}/regions")[1]["regions"]}
        told = regions[REGION]["work"]
        assert told["tags"] == {"state": "ACCESS_DENIED", "message": "no", "failures": 2, "nextDueAt": 1800}
        assert told["staging"] == {
            "state": "ERROR",
            "message": "RuntimeError: boom",
            "failures": 1,
            "nextDueAt": 1900,
        }
        assert told["inventory"] == {"state": None, "message": None, "failures": 0, "nextDueAt": 2}
        assert regions[SECOND]["work"]["inventory"]["state"] is None
        assert regions["eu-north-1"]["work"] == {}

    def test_a_scope_without_a_record_says_why_its_scan_broke_off(self, stocked):
        of = work(scope=Scope(TARGET, "eu-north-1"))
        container().ports.work_states.request(of, 900)
        container().ports.work_states.fail(container().ports.work_states.take(of, 1, 2).lease, "MemoryError: ", 1900)
        regions = {one["region"]: one for one in get(stocked, f"/accounts/{TARGET}/regions")[1]["regions"]}
        assert regions["eu-north-1"]["errorMessage"] == "MemoryError: "
        assert regions["eu-north-1"]["work"]["inventory"]["state"] == "ERROR"

    def test_validation_is_the_probe_s(self, stocked, monkeypatch):
        asked = []

        class Probe:
            def ask(self, probe, **parameters):
                asked.append((probe, parameters))
                check = {"name": "readerRole", "subject": TARGET, "ok": False, "message": "no", "advice": None}
                return {
                    "checks": [check],
                    "stagingAccounts": [],
                    "notSeen": [],
                    "ok": False,
                    "counts": [],
                }

        container().ports.probe_function = Probe()
        assert post(stocked, f"/accounts/{TARGET}/validate", {})[1]["ok"] is False
        assert post(stocked, f"/accounts/{TARGET}/staging-accounts/discover", {})[0] == 200
        body = {"stagingAccountId": STAGING, "targetAccountId": TARGET}
        assert post(stocked, "/staging-accounts/validate", body)[1]["ok"] is False
        assert [probe for probe, _ in asked] == ["validate", "discover", "validate_staging"]


class TestStagingAccounts:
    def test_they_are_added_told_synced_and_taken_away(self, stocked):
        post(stocked, "/accounts", ACCOUNT)
        path = f"/accounts/{TARGET}/staging-accounts"
        member = {"stagingAccountId": STAGING, "includeTags": {"env": "prod"}}
        assert post(stocked, path, member)[0] == 201
        assert post(stocked, path, member)[0] == 409
        assert get(stocked, path)[1]["stagingAccounts"][0]["includeTags"] == {"env": "prod"}
        status, run = post(stocked, f"{path}/sync", {"dryRun": True})
        assert (status, run["kind"], run["plannedScopes"]) == (202, "staging", 0)
        assert stocked.delete(f"{path}/{STAGING}").json_body["stagingAccounts"] == []
        assert stocked.delete(f"{path}/{STAGING}").status_code == 404


class TestRunList:
    def test_the_latest_come_first_page_by_page(self, stocked):
        made = [post(stocked, "/syncs", {"kind": "inventory"})[1]["runId"] for _ in range(3)]
        first = get(stocked, "/syncs?limit=2")[1]
        second = get(stocked, f"/syncs?limit=2&nextToken={first['nextToken']}")[1]
        assert [run["runId"] for run in first["runs"] + second["runs"]] == made[::-1]


class TestDocument:
    def test_it_names_every_route(self, stocked):
        status, body = get(stocked, "/openapi.json")
        assert status == 200
        routes = {path: {method.lower() for method in methods} for path, methods in the_app.app.routes.items()}
        routes["/health"] = {"get"}  # API Gateway's own
        assert {path: set(methods) for path, methods in body["paths"].items()} == routes

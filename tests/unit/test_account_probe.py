"""Validation of accounts and discovery of staging accounts."""

import io
import json

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters.drs import DrsProbe
from chalicelib.adapters.function_client import FunctionClient
from chalicelib.adapters.sessions import CustomerSessions, Purpose, hub_client
from chalicelib.container import container
from chalicelib.domain.accounts import MOST_TARGETS, Access, AccountKind
from chalicelib.domain.scopes import Scope
from chalicelib.errors import (
    AccessDenied,
    DrsActiveRegionsError,
    InvalidRequest,
    NotFound,
    NotOptedIn,
    ServiceError,
    SettingError,
    Throttled,
    Uninitialized,
)
from chalicelib.events import probe as events
from sandbox.drs import moto_backend
from sandbox.drs.control import control

from ..factories import (
    HUB,
    OTHER,
    REGION,
    REGIONS,
    SECOND,
    SOURCE,
    STAGING,
    TARGET,
    account,
    arn_of,
    extended_area,
    lambda_context,
    membership,
    wire_server,
)
from ..fakes import World


class FakeProbe:
    """What customer accounts answer: an error where one is set for (operation, account, region or access)."""

    def __init__(self):
        self.errors, self.leads_into, self.listed, self.left = {}, {}, {}, 3
        self.open = set()  # "without" an ExternalId, or with a "wrong" one

    def admits(self, of, access, external_id):
        assert external_id != of.external_id
        self._meet("admits", of, access)
        return ("wrong" if external_id else "without") in self.open

    def identity(self, of, access):
        self._meet("identity", of, access)
        return self.leads_into.get(of.account_id, of.account_id)

    def probe(self, of, region):
        self._meet("probe", of, region)

    def staging_accounts(self, of, region):
        self._meet("staging_accounts", of, region)
        return self.listed.get(region, [])

    def extensible(self, target, region, staging_account_id):
        self._meet("extensible", target, region)
        return self.left

    def _meet(self, *key):
        name, of, where = key
        if error := self.errors.get((name, of.account_id, where)):
            raise error


@pytest.fixture
def world():
    world = World()
    world.add_account(TARGET)
    world.add_staging(STAGING, TARGET)
    world.add_account(SOURCE, AccountKind.SOURCE)
    world.add_account(HUB, reader_role_arn=None, writer_role_arn=None)
    world.drs.add(
        wire_server("s-1", STAGING),
        wire_server("s-2", STAGING, SECOND),
        wire_server("s-3", staging=extended_area(arn_of("s-9", OTHER), OTHER)),
    )
    world.cycle()
    return world


@pytest.fixture
def fake():
    return FakeProbe()


@pytest.fixture
def probe(world, fake):
    world.probe = fake
    return world.container.account_probe


def results(checks, name=None):
    return {check.subject if name else check.name: check.ok for check in checks if name in (None, check.name)}


class TestValidate:
    def test_each_role_and_each_region_has_its_check(self, probe):
        checks = probe.validate(TARGET)
        passed = {"readerRole": True, "writerRole": True, "externalId": True, "drsInitialized": True}
        assert results(checks) == passed
        assert {check.subject for check in checks if check.name == "externalId"} == {
            account().reader_role_arn,
            account().writer_role_arn,
        }
        assert set(results(checks, "drsInitialized")) == set(REGIONS)

    def test_a_role_that_cannot_be_assumed_ends_it_with_advice(self, probe, fake):
        fake.errors["identity", TARGET, Access.READER] = AccessDenied("not authorised")
        checks = probe.validate(TARGET)
        assert results(checks) == {"readerRole": False, "writerRole": True, "externalId": True}
        assert [check.subject for check in checks if check.name == "externalId"] == [account().writer_role_arn]
        assert TARGET in checks[0].advice

    @pytest.mark.parametrize("how", ["without", "wrong"])
    def test_a_role_that_lets_strangers_in_fails_with_advice(self, probe, fake, how):
        fake.open = {how}
        found = [check for check in probe.validate(TARGET) if check.name == "externalId"]
        assert [check.ok for check in found] == [False, False]
        assert all(how in check.message and "customer-roles.yaml" in check.advice for check in found)

    def test_where_sts_does_not_say_the_trust_is_unknown_not_fine(self, probe, fake):
        fake.errors["admits", TARGET, Access.READER] = Throttled("slow down")
        found = {check.subject: check for check in probe.validate(TARGET) if check.name == "externalId"}
        assert found[account().reader_role_arn].ok is None

    def test_a_role_that_leads_elsewhere_fails(self, probe, fake):
        fake.leads_into[TARGET] = OTHER
        assert OTHER in probe.validate(TARGET)[0].message

    @pytest.mark.parametrize(
        ("error", "ok"),
        [
            (Uninitialized("no"), None),
            (NotOptedIn("no"), None),
            (AccessDenied("no"), False),
            (Throttled("no"), False),
        ],
    )
    def test_a_region_says_how_drs_stands(self, probe, fake, error, ok):
        fake.errors["probe", TARGET, REGION] = error
        found = {check.subject: check for check in probe.validate(TARGET)}[REGION]
        assert found.ok is ok
        assert found.advice

    def test_a_source_account_needs_its_reader_only(self, probe):
        assert results(probe.validate(SOURCE)) == {"readerRole": True, "externalId": True}

    def test_the_hub_needs_no_role(self, probe):
        assert results(probe.validate(HUB))["writerRole"] is True

    def test_an_unknown_account_is_not_found(self, probe):
        with pytest.raises(NotFound):
            probe.validate("5" * 12)


class TestDiscover:
    def test_inventory_and_drs_are_asked(self, probe, fake):
        fake.listed = {REGION: [OTHER, "5" * 12], SECOND: [TARGET]}
        told = {one.staging_account_id: one for one in probe.discover(TARGET).staging_accounts}
        assert set(told) == {STAGING, OTHER, "5" * 12}
        assert (told[STAGING].extended_servers, told[STAGING].registered) == (2, True)
        assert (told[OTHER].extended_servers, told[OTHER].registered) == (1, False)
        assert told["5" * 12].extended_servers == 0

    def test_what_it_cannot_see_is_said(self, probe, fake):
        fake.errors["staging_accounts", TARGET, REGION] = Throttled("slow down")
        assert any(REGION in line and "slow down" in line for line in probe.discover(TARGET).not_seen)

    def test_a_source_account_has_no_staging_accounts(self, probe):
        with pytest.raises(InvalidRequest):
            probe.discover(SOURCE)

    def test_a_membership_across_tenants_counts_for_nothing(self, world, probe):
        world.accounts.replace(world.accounts.read(STAGING).model_copy(update={"tenant": "globex"}))
        told = {one.staging_account_id: one for one in probe.discover(TARGET).staging_accounts}
        assert not told[STAGING].registered


class TestValidateStaging:
    def test_a_good_one_is_told_with_its_counts(self, probe):
        told = probe.validate_staging(TARGET, STAGING)
        assert told.ok
        assert {(one.region, one.staging_servers, one.within_quota) for one in told.counts} == {
            (REGION, 1, True),
            (SECOND, 1, True),
        }

    @pytest.mark.parametrize(
        ("error", "ok"), [(AccessDenied("no"), False), (Uninitialized("no"), False), (ServiceError("no"), None)]
    )
    def test_trust_is_asked_of_the_target(self, probe, fake, error, ok):
        fake.errors["extensible", TARGET, REGION] = error
        told = probe.validate_staging(TARGET, STAGING)
        trust = {check.subject: check for check in told.checks if check.name == "trust"}
        assert trust[f"{STAGING} in {REGION}"].ok is ok
        assert told.ok is (ok is not False)

    def test_a_default_ebs_key_is_pointed_out(self, world, probe):
        for item in world.inventory.items.values():
            if item["accountId"] == STAGING:
                item["topology"]["originalReplicationConfiguration"]["value"]["ebsEncryption"] = "DEFAULT"
        told = probe.validate_staging(TARGET, STAGING)
        keys = [check for check in told.checks if check.name == "ebsKey"]
        assert [check.ok for check in keys] == [None, None]
        assert "default EBS key" in keys[0].message

    def test_one_without_servers_cannot_be_checked(self, world, probe):
        world.drs.servers[Scope(STAGING, REGION)].clear()
        world.drs.servers[Scope(STAGING, SECOND)].clear()
        for region in (REGION, SECOND):
            world.scan_emptied(Scope(STAGING, region))
        told = probe.validate_staging(TARGET, STAGING)
        assert results(told.checks)["servers"] is None

    def test_an_account_of_another_tenant_is_not_entered(self, world, probe, fake):
        world.accounts.replace(world.accounts.read(STAGING).model_copy(update={"tenant": "globex"}))
        fake.errors = dict.fromkeys(
            [("identity", STAGING, Access.READER), ("identity", TARGET, Access.WRITER)], OSError
        )
        with pytest.raises(InvalidRequest, match="tenant"):
            probe.validate_staging(TARGET, STAGING)

    def test_a_staging_account_of_as_many_targets_as_it_can_trust_is_told(self, world, probe):
        for number in range(MOST_TARGETS):
            world.accounts.create_membership(membership(f"{number:012d}", STAGING))
        trusted = results(probe.validate_staging(TARGET, STAGING).checks)["trustedAccounts"]
        assert trusted is False

    def test_both_must_be_what_they_are(self, probe):
        with pytest.raises(InvalidRequest):
            probe.validate_staging(TARGET, SOURCE)
        with pytest.raises(NotFound):
            probe.validate_staging(TARGET, OTHER)


class TestAdapter:
    @pytest.fixture
    def drs(self, deployed):
        moto_backend.register()
        return DrsProbe(CustomerSessions(HUB, Purpose.PROBE, 1, 1000))

    def test_drs_is_looked_at_and_nothing_changed(self, drs):
        control("POST", "/accounts", {"accountId": TARGET, "regions": {REGION: {"initialised": True}}})
        control("POST", "/accounts", {"accountId": STAGING, "trusts": [TARGET]})
        server = {"accountId": STAGING, "region": REGION, "hostname": "h"}
        control("POST", "/servers", {"servers": [server, {**server, "hostname": "i"}]})
        assert drs.identity(account(), Access.WRITER) == TARGET
        drs.probe(account(), REGION)
        with pytest.raises(Uninitialized):
            drs.probe(account(), SECOND)
        assert drs.extensible(account(), REGION, STAGING) == 2
        assert drs.staging_accounts(account(), REGION) == []

    @pytest.mark.parametrize("given", [None, "a-wrong-one"])
    def test_a_role_is_tried_as_a_stranger_would(self, drs, monkeypatch, given):
        tried = []
        monkeypatch.setattr(hub_client("sts"), "assume_role", lambda **asked: tried.append(asked))
        assert drs.admits(account(), Access.READER, given)
        assert tried[0].get("ExternalId") == given
        assert tried[0]["RoleSessionName"] == "drs-active-regions-account-probe"

    def test_a_role_that_does_not_let_strangers_in_says_no_and_a_silent_service_is_an_error(self, drs, monkeypatch):
        def answers(code):
            def answer(**_):
                raise ClientError({"Error": {"Code": code, "Message": "no"}}, "AssumeRole")

            monkeypatch.setattr(hub_client("sts"), "assume_role", answer)

        answers("AccessDenied")
        assert not drs.admits(account(), Access.READER, None)
        answers("InternalFailure")
        with pytest.raises(ServiceError):
            drs.admits(account(), Access.READER, None)


class TestClient:
    @pytest.fixture
    def answers(self, deployed, monkeypatch):
        """Have the function answer with a body, and perhaps an error of its own."""

        def answer(body, **more):
            payload = io.BytesIO(json.dumps(body).encode())
            monkeypatch.setattr(hub_client("lambda"), "invoke", lambda **_: {"Payload": payload, **more})

        return answer

    def test_the_answer_is_handed_on(self, answers):
        answers({"checks": []})
        assert FunctionClient("probe").ask(probe="validate", accountId=TARGET) == {"checks": []}

    @pytest.mark.parametrize(("code", "error"), [("NOT_FOUND", NotFound), ("INVALID_REQUEST", InvalidRequest)])
    def test_what_the_probe_found_wrong_is_the_caller_s(self, answers, code, error):
        answers({"error": code, "message": "no such account"})
        with pytest.raises(error, match="no such account"):
            FunctionClient("probe").ask(probe="validate", accountId=TARGET)

    def test_a_function_that_fails_is_an_error(self, answers):
        answers({"errorMessage": "it timed out"}, FunctionError="Unhandled")
        with pytest.raises(DrsActiveRegionsError, match="it timed out"):
            FunctionClient("probe").ask(probe="validate", accountId=TARGET)

    def test_a_function_without_the_setting_says_so(self, deployed, monkeypatch):
        monkeypatch.delenv("ACCOUNT_PROBE_FUNCTION", raising=False)
        with pytest.raises(SettingError, match="ACCOUNT_PROBE_FUNCTION"):
            _ = container().ports.probe_function


class TestHandler:
    @pytest.fixture
    def invoke(self, deployed, probe, monkeypatch):
        monkeypatch.setattr(container(), "account_probe", probe)
        return lambda event: events.probe_account(event, lambda_context())

    def test_every_probe_has_an_answer(self, invoke):
        assert invoke({"probe": "validate", "accountId": SOURCE})["checks"][0]["ok"]
        assert invoke({"probe": "discover", "accountId": TARGET})["stagingAccounts"]
        assert invoke({"probe": "validate_staging", "accountId": TARGET, "stagingAccountId": STAGING})["ok"]

    def test_an_unknown_account_or_probe_is_an_answer(self, invoke):
        assert invoke({"probe": "validate", "accountId": "5" * 12})["error"] == "NOT_FOUND"
        assert invoke({"probe": "dance"})["error"] == "INVALID_REQUEST"

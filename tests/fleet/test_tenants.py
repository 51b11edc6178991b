"""Two companies on one hub: nothing of the one reaches the other, and what is hostile is kept as it is."""

import pytest

from sandbox.fleet.description import TENANTS, read_description
from sandbox.fleet.evidence import read_product, read_truth
from sandbox.fleet.generator import HOSTILE_TEXTS, generate, in_a_tag
from sandbox.fleet.model import STAGING
from sandbox.fleet.truth import compared

from .conftest import finished

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def tenants():
    return generate(read_description(TENANTS))


@pytest.fixture(scope="module")
def evidence(tenants, tmp_path_factory):
    """The truth and what the product holds after a first cycle."""
    with finished(tenants, tmp_path_factory.mktemp("tenants")) as cloud:
        yield read_truth(cloud), read_product(cloud)


def claims(fleet, truth):
    """Return the servers that name a machine of another tenant as theirs."""
    return [
        server
        for server in truth.servers()
        if server.origin and fleet.tenant_of(server.origin["originAccountID"]) != fleet.tenant_of(server.place[0])
    ]


def test_two_tenants_are_each_as_they_should_be(tenants, evidence):
    truth, product = evidence
    report = compared(tenants, truth, product, {})
    assert report.differences == []
    assert report.checked["servers"] > len(tenants.servers)
    assert all(report.checked[kind] for kind in ("tags in DRS", "extensions", "region status", "API"))


def test_a_claim_on_another_tenants_machine_gets_nothing_of_it(tenants, evidence):
    truth, product = evidence
    claiming = claims(tenants, truth)
    assert len(claiming) >= 3
    for server in claiming:
        row = product.rows[server.key]
        assert truth.instance_of(server) is not None, "the machine is there: it is just not theirs"
        assert (row.get("instanceState"), row.get("instanceType"), row.get("sourceTags") or {}) == (None, None, {})
        assert any("not one of the tenant" in told for told in product.scans[server.place]["ec2Errors"])


def test_each_target_extends_the_servers_of_a_shared_staging_account(tenants, evidence):
    truth, _ = evidence
    [shared] = [account for account in tenants.of_kind(STAGING) if len(account.trusts) > 1]
    for target in shared.trusts:
        extended = {server.extends for server in truth.servers() if server.place[0] == target}
        originals = {server.arn for server in truth.servers() if server.place[0] == shared.account_id}
        assert originals <= extended


def test_hostile_names_and_tags_are_kept_to_the_letter(tenants, evidence):
    truth, product = evidence
    claiming = claims(tenants, truth)  # of these, one may name a hostile machine as its own: it gets no tags
    hostile = [server for server in truth.servers() if server.hostname in HOSTILE_TEXTS and server not in claiming]
    assert {server.hostname for server in hostile} == set(HOSTILE_TEXTS)
    for server in hostile:
        assert product.rows[server.key]["hostname"] == server.hostname
        assert server.tags["Name"] == in_a_tag(server.hostname)

from collections import Counter
from dataclasses import replace

import pytest

from sandbox.fleet.description import DEFAULT, ONE_ACCOUNT, TENANTS, read_description
from sandbox.fleet.generator import HOSTILE_TEXTS, arrivals, generate, in_a_tag
from sandbox.fleet.model import SOURCE, STAGING, TARGET


@pytest.fixture(scope="module")
def description():
    return read_description(DEFAULT)


@pytest.fixture(scope="module")
def default(description):
    return generate(description)


def test_the_default_fleet_is_as_large_as_it_should_be(default):
    assert len(default.regions) == 34
    assert [len(default.of_kind(kind)) for kind in (TARGET, STAGING, SOURCE)] == [3, 6, 2]
    assert len(default.servers) == 1200
    assert all(len(account.initialised) == 6 for account in default.of_kind(TARGET, STAGING))
    assert all(len(account.active) == 3 for account in default.of_kind(TARGET, STAGING))
    assert sum(member.trusted for member in default.memberships) == 5


def test_a_seed_gives_one_fleet_and_another_seed_another(description, default):
    assert generate(description) == default
    assert generate(description.model_copy(update={"seed": 1})) != default


def test_every_identifier_is_used_once(default):
    assert len({server.server_id for server in default.servers}) == len(default.servers)
    assert len({instance.instance_id for instance in default.instances}) == len(default.instances)
    assert len({account.account_id for account in default.accounts}) == len(default.accounts)
    assert len({account.external_id for account in default.accounts}) == len(default.accounts)


def test_servers_are_where_their_account_uses_drs(default):
    initialised = {(account.account_id, region) for account in default.accounts for region in account.initialised}
    assert set(default.active_scopes) <= initialised
    assert not {region for _, region in default.active_scopes} & set(default.unused_regions)


def test_origins_are_not_the_dr_region(default):
    origins = [(server.region, server.origin) for server in default.servers if server.origin]
    assert all(region != origin.region for region, origin in origins)
    kinds = {account.account_id: account.kind for account in default.accounts}
    assert {kinds[origin.account_id] for _, origin in origins} == {SOURCE, TARGET}


def test_the_special_ones_are_there(description, default):
    specials = description.servers.specials
    originals = [server for server in default.servers if server.extended_from is None]
    behind = {instance.instance_id: instance for instance in default.instances}
    assert sum(server.instance_id is None for server in originals) == specials.on_premises
    states = Counter(server.state for server in originals)
    assert (states["DISCONNECTED"], states["STALLED"]) == (specials.disconnected, specials.stalled)
    assert sum(server.direction == "FAILBACK" for server in originals) == specials.failback
    gone = [server for server in originals if server.instance_id and server.instance_id not in behind]
    assert len(gone) == specials.instance_gone
    assert sum(server.default_ebs_key for server in originals) == specials.default_ebs_key
    assert sum(server.extension_error is not None for server in originals) == specials.extension_errors
    full = [instance for instance in default.instances if len(instance.tags) > 50]
    assert len(full) == specials.full_tags


def test_extensions_are_of_trusting_accounts_in_the_same_region(default):
    servers = {server.arn: server for server in default.servers}
    trusted = {(member.staging, member.target) for member in default.memberships if member.trusted}
    extensions = [server for server in default.servers if server.extended_from]
    assert extensions
    for extension in extensions:
        original = servers[extension.extended_from]
        assert (original.account_id, extension.account_id) in trusted
        assert (original.region, original.hostname) == (extension.region, extension.hostname)


def test_arrivals_are_new_and_elsewhere_at_home(default):
    place = (default.of_kind(STAGING)[0].account_id, default.unused_regions[0])
    servers, instances = arrivals(default, place, 50, seed=4)
    assert {(server.account_id, server.region) for server in servers} == {place}
    assert not {server.server_id for server in servers} & {server.server_id for server in default.servers}
    assert {server.instance_id for server in servers} == {instance.instance_id for instance in instances}
    more = default.with_more(servers, instances)
    assert len(more.servers) == len(default.servers) + 50
    assert replace(more, servers=default.servers, instances=default.instances) == default


def test_one_account_needs_no_other():
    fleet = generate(read_description(ONE_ACCOUNT))
    (account,) = fleet.accounts
    assert (account.kind, fleet.memberships, len(fleet.servers)) == (TARGET, (), 10)
    assert {server.origin.account_id for server in fleet.servers if server.origin} == {account.account_id}
    servers, instances = arrivals(fleet, (account.account_id, "eu-west-3"), 3, seed=1)
    assert {one.account_id for one in (*servers, *instances)} == {account.account_id}


def test_a_fleet_may_be_on_premises_only():
    description = read_description(ONE_ACCOUNT)
    specials = description.servers.specials.model_copy(update={"on_premises": 10, "tags_of_others": 0})
    servers = description.servers.model_copy(update={"specials": specials})
    fleet = generate(description.model_copy(update={"servers": servers}))
    assert (len(fleet.servers), fleet.instances) == (10, ())
    assert all(server.origin is None and server.instance_id is None for server in fleet.servers)


@pytest.fixture(scope="module")
def tenants():
    return generate(read_description(TENANTS))


def test_memberships_and_machines_stay_within_a_tenant_but_for_claims(tenants):
    assert {account.tenant for account in tenants.accounts} == {"company-1", "company-2"}
    for member in tenants.memberships:
        assert tenants.tenant_of(member.target) == tenants.tenant_of(member.staging)
    machines = {instance.instance_id: instance.account_id for instance in tenants.instances}
    claims = [
        server
        for server in tenants.servers
        if server.origin and tenants.tenant_of(server.origin.account_id) != tenants.tenant_of(server.account_id)
    ]
    assert len({server.instance_id for server in claims}) in {1, 2, 3}
    assert len([server for server in claims if server.extended_from is None]) == 3
    assert all(machines[server.instance_id] == server.origin.account_id for server in claims)


def test_a_staging_account_may_have_two_targets(tenants):
    (shared,) = [
        account
        for account in tenants.of_kind(STAGING)
        if sum(member.staging == account.account_id for member in tenants.memberships) == 2
    ]
    assert set(shared.trusts) == {m.target for m in tenants.memberships if m.staging == shared.account_id}


def test_hostile_names_are_on_the_server_its_extension_and_its_instance(tenants):
    behind = {instance.instance_id: instance for instance in tenants.instances}
    hostile = [server for server in tenants.servers if server.hostname in HOSTILE_TEXTS]
    assert {server.hostname for server in hostile} == set(HOSTILE_TEXTS)
    assert all(behind[server.instance_id].tags["Name"] == in_a_tag(server.hostname) for server in hostile)

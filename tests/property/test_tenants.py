"""Nothing crosses tenants, whatever is registered and whatever a customer's DRS claims."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind

from ..factories import OTHER, REGION, SOURCE, STAGING, TARGET, arn_of, extended_area, instance, membership, wire_server
from ..fakes import World

KINDS = {
    TARGET: AccountKind.TARGET,
    STAGING: AccountKind.STAGING,
    OTHER: AccountKind.TARGET,
    SOURCE: AccountKind.SOURCE,
}
WITH_DRS = [account_id for account_id, kind in KINDS.items() if kind is not AccountKind.SOURCE]
TENANTS = ["acme", "globex"]

tenants = st.fixed_dictionaries({account_id: st.sampled_from(TENANTS) for account_id in KINDS})
pairs = st.sets(st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(list(KINDS))), max_size=8)
accounts = st.sampled_from(list(KINDS))
claims = st.lists(
    st.fixed_dictionaries(
        {
            "lists": st.sampled_from(WITH_DRS),
            "origin": accounts,
            "named": st.none() | accounts,
            "extends": st.none() | accounts,
            "reversed": st.none() | accounts,
        }
    ),
    min_size=1,
    max_size=6,
)


def marker(tenant):
    return f"bytes-of-{tenant}"


def server(number, claim, tenant):
    """A server as its account's DRS lists it: origin, ARN, extension and way back are whatever it claims."""
    name, account_id = f"s-{number}", claim["lists"]
    values = {"hostname": f"{marker(tenant)}-{number}", "tags": {"own": marker(tenant)}}
    if claim["named"]:
        values["arn"] = arn_of(name, claim["named"])
    if claim["extends"]:
        values["staging"] = extended_area(arn_of("s-0", claim["extends"]), claim["extends"])
    if claim["reversed"]:
        values["reversedDirectionSourceServerArn"] = arn_of("s-0", claim["reversed"])
    return wire_server(name, account_id, instance="i-1", origin=(claim["origin"], REGION), **values)


def foreign(text, tenant):
    return any(marker(other) in text for other in TENANTS if other != tenant)


def a_world(tenant_of, members, claimed):
    world = World()
    for account_id, kind in KINDS.items():
        tenant = tenant_of[account_id]
        world.add_account(account_id, kind, tenant=tenant)
        tagged = instance("i-1", tags={"secret": marker(tenant)}, VpcId=marker(tenant), SubnetId=marker(tenant))
        world.ec2.add(account_id, REGION, tagged)
    for target, staging in members:  # as they may be stored, registered or not
        world.accounts.create_membership(membership(target, staging))
    for number, claim in enumerate(claimed):
        listed = world.drs.servers.setdefault(Scope(claim["lists"], REGION), {})  # whatever ARN it gives
        listed[f"s-{number}"] = server(number, claim, tenant_of[claim["lists"]])
    return world


@settings(max_examples=100)
@given(tenant_of=tenants, members=pairs, claimed=claims)
def test_no_call_enters_and_no_byte_comes_from_another_tenant_s_account(tenant_of, members, claimed):
    world = a_world(tenant_of, members, claimed)
    handle, crossings = world.handle, []

    def watched(message):
        before = world.calls.snapshot()
        try:
            return handle(message)
        finally:
            entered = {account_id for _, account_id, _ in world.calls.made - before}
            mine = tenant_of[message.account_id]
            crossings.extend((message, account_id) for account_id in entered if tenant_of[account_id] != mine)

    world.handle = watched
    for kind in (*WorkKind, *WorkKind):
        world.cycle(kind)
    assert crossings == []

    for item in world.inventory.items.values():
        assert not foreign(json.dumps(item, default=str), tenant_of[item["accountId"]])
    for scope, servers in world.drs.servers.items():
        assert not foreign(json.dumps(list(servers.values()), default=str), tenant_of[scope.account_id])
    for account_id in WITH_DRS:
        staging = world.container.capacity.of_account(account_id).staging
        assert {tenant_of[one.account_id] for one in staging} <= {tenant_of[account_id]}

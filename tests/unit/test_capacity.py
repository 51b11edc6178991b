"""Capacity: bands, and what an extension run would need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.capacity import Band, band, scope_capacity
from chalicelib.domain.scopes import Scope
from chalicelib.errors import NotFound, ServiceError

from ..factories import OTHER, REGION, SCOPE, SECOND, SOURCE, STAGING, TARGET, scan_record, wire_server


@pytest.mark.parametrize(
    ("replicating", "expected"),
    [
        (None, Band.UNKNOWN),
        (0, Band.OK),
        (199, Band.OK),
        (200, Band.INFO),
        (224, Band.INFO),
        (225, Band.WARNING),
        (249, Band.WARNING),
        (250, Band.CRITICAL),
        (400, Band.CRITICAL),
    ],
)
def test_bands_begin_at_fixed_shares_of_the_limit(replicating, expected):
    assert band(replicating, 300) is expected


@given(st.integers(0, 400), st.integers(0, 400))
def test_more_servers_are_never_a_better_band(one, other):
    order = [Band.OK, Band.INFO, Band.WARNING, Band.CRITICAL]
    assert order.index(band(min(one, other), 300)) <= order.index(band(max(one, other), 300))


def test_what_was_never_scanned_is_unknown_and_not_zero():
    for scan in (None, scan_record(last_success=None, agent_count=0), scan_record(agent_count=None)):
        told = scope_capacity(SCOPE, scan)
        assert (told.replicating, told.free, told.band) == (None, None, Band.UNKNOWN)


def test_a_failed_scan_keeps_what_was_counted():
    told = scope_capacity(SCOPE, scan_record(state="ERROR", agent_count=260))
    assert (told.replicating, told.free, told.band) == (260, 40, Band.CRITICAL)


@pytest.fixture
def stocked(world):
    """A target with two staging accounts, one of which failed in one region."""
    world.add_account(TARGET)
    world.add_staging(STAGING, TARGET)
    world.add_staging(OTHER, TARGET)
    world.drs.add(
        wire_server("s-1"),
        wire_server("s-2", state="DISCONNECTED"),
        wire_server("s-3", STAGING),
        wire_server("s-4", STAGING),
        wire_server("s-5", OTHER, SECOND),
    )
    world.drs.refused = {wire_server("s-4", STAGING)["arn"]: "the default EBS key"}
    world.fault("drs:DescribeSourceServers", ServiceError("it broke"), Scope(OTHER, REGION))
    world.cycle()
    return world


def capacity(world):
    return world.container.capacity


def test_machines_are_counted_where_they_replicate(stocked):
    told = capacity(stocked).of_account(TARGET)
    assert [(one.region, one.replicating) for one in told.own] == [(REGION, 1), (SECOND, 0)]


def test_staging_accounts_are_told_apart_and_what_is_unknown_before_what_is_fine(stocked):
    told = capacity(stocked).of_account(TARGET)
    assert [(one.account_id, one.region, one.replicating) for one in told.staging] == [
        (OTHER, REGION, None),
        (STAGING, REGION, 2),
        (OTHER, SECOND, 1),
    ]


def test_a_need_is_unknown_where_one_staging_account_is(stocked):
    needs = {need.region: need for need in capacity(stocked).of_account(TARGET).needs}
    assert (needs[REGION].waiting, needs[REGION].held, needs[REGION].free) == (None, 3, 3997)
    assert needs[SECOND].waiting == 0


def test_a_need_counts_what_is_not_extended(stocked):
    stocked.heal()
    stocked.scan(Scope(OTHER, REGION))
    needs = {need.region: need for need in capacity(stocked).of_account(TARGET).needs}
    assert needs[REGION].waiting == 1


def test_a_region_is_told_scope_by_scope(stocked):
    told = capacity(stocked).of_region(REGION)
    assert [one.account_id for one in told] == [OTHER, STAGING, TARGET]
    assert capacity(stocked).regions() == [REGION, SECOND]


def test_a_source_account_has_no_capacity(stocked):
    stocked.add_account(SOURCE, AccountKind.SOURCE)
    assert capacity(stocked).of_account(SOURCE) == ([], [], [])
    with pytest.raises(NotFound):
        capacity(stocked).of_account("5" * 12)

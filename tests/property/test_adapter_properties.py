"""The properties of R14 that are about the adapters: on moto, whose tables and roles are made of the stack's own."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from threading import Barrier

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from chalicelib.adapters.calls import CALLS
from chalicelib.adapters.dynamodb import marshal, unmarshal
from chalicelib.adapters.pauses import pauses
from chalicelib.adapters.region_status_table import RegionStatusTable
from chalicelib.adapters.sessions import CustomerSessions, Purpose, hub_client, hub_session
from chalicelib.domain.accounts import Access
from chalicelib.errors import AccessDenied
from chalicelib.services.active_region_filter import ActiveRegionFilter

from ..factories import HUB, OTHER, REGIONS, SOURCE, STAGING, TARGET, account, region_status
from ..fakes import FakeClock
from ..unit import stack


@pytest.fixture(scope="module")
def status_table():
    with stack.deployed() as environment:
        yield environment["REGION_STATUS_TABLE"]


NAMES = [f"xx-test-{number:03d}" for number in range(34)]
ROWS = {(name, holds): region_status(name, int(holds)) for name in NAMES for holds in (True, False)}


@given(active=st.lists(st.booleans(), min_size=29, max_size=len(NAMES)), size=st.integers(10, 28))
def test_property_7_every_page_of_the_status_table_is_read(status_table, active, size):
    """Property 7: with more than 28 rows and small pages, all active regions are returned, not the first page's."""
    rows = {region: ROWS[region, holds] for region, holds in zip(NAMES, active, strict=False)}
    stack.fill_region_statuses(status_table, {**dict.fromkeys(NAMES), **rows})
    region_filter = ActiveRegionFilter(RegionStatusTable(status_table), lambda partition="aws": REGIONS, FakeClock())
    with stack.pages_of(size):
        found = region_filter.active_regions()
    assert found == [region for region, row in rows.items() if row.server_count]


@contextmanager
def switching_often():
    """Threads take turns after every few instructions, so that what is not guarded shows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


touches = st.lists(
    st.tuples(
        st.sampled_from([TARGET, STAGING, SOURCE]), st.sampled_from(Access), st.sampled_from(["eu-west-1", "us-east-1"])
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def sts():
    with mock_aws():
        hub_client("sts").get_caller_identity()
        yield


@given(touches=touches)
def test_property_12_one_assume_role_per_touched_account_and_role(sts, touches):
    """Property 12: a warm worker assumes each role once, and none of an account that it does not touch."""
    sessions = CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000)
    mark = CALLS.snapshot()
    for account_id, access, region in touches:
        client = sessions.client(account(account_id), access, "sts", region)
        assert client.get_caller_identity()["Arn"].split(":")[4] == account_id
    roles = {(account_id, access) for account_id, access, _ in touches}
    assert CALLS.calls_since(mark).get("sts:AssumeRole", 0) == len(roles)
    assert CALLS.calls_since(mark).get("sts:GetCallerIdentity", 0) == len(touches)


@given(workers=st.integers(2, 6))
def test_property_12_threads_that_begin_together_share_one_assume_role(sts, workers):
    """Property 12: look-ups of one account in several regions run side by side; still its role is assumed once."""
    sessions, together = CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000), Barrier(workers)
    regions = ["eu-west-1", "us-east-1", "eu-central-1", "us-west-2", "ap-south-1", "eu-north-1"]
    mark = CALLS.snapshot()

    def look_up(region):
        together.wait()
        return sessions.client(account(TARGET), Access.READER, "sts", region).get_caller_identity()["Account"]

    with switching_often(), ThreadPoolExecutor(workers) as pool:
        assert set(pool.map(look_up, regions[:workers])) == {TARGET}
    assert CALLS.calls_since(mark)["sts:AssumeRole"] == 1


@given(access=st.sampled_from(Access), service=st.sampled_from(["sts", "ec2"]))
def test_property_12_a_foreign_account_without_a_role_is_never_touched(sts, access, service):
    """Property 12: no role, no call: the hub's own credentials are never used for a foreign account (R9)."""
    bare = account(OTHER, reader_role_arn=None, writer_role_arn=None)
    mark = CALLS.snapshot()
    with pytest.raises(AccessDenied, match=f"{OTHER} has no {access} role"):
        CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000).client(bare, access, service, "eu-west-1")
    assert CALLS.calls_since(mark) == {}


@given(services=st.lists(st.sampled_from(["sts", "sqs"]), min_size=1, max_size=3))
def test_property_12_the_hub_s_own_account_needs_no_role(sts, services):
    """Property 12: the product's own account is read with the function's own role."""
    own = account(HUB, reader_role_arn=None, writer_role_arn=None)
    sessions, mark = CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000), CALLS.snapshot()
    for service in services:
        assert sessions.client(own, Access.READER, service, "eu-west-1").meta.service_model.service_name == service
    assert CALLS.calls_since(mark) == {}
    assert hub_session() is hub_session()


@given(st.integers(0, 20))
def test_pauses_are_as_many_as_tries_and_bounded(tries):
    waits = list(pauses(tries))
    assert len(waits) == tries
    assert waits[:1] == [0.0][:tries]
    assert all(0 <= wait <= min(2.0, 0.05 * 2 ** (number - 1)) for number, wait in enumerate(waits) if number)


# --- values in tables ---

FLOATS = st.floats(1e-100, 1e100) | st.floats(-1e100, -1e-100)  # DynamoDB numbers: 1E-130 to 9.9E+125
TABLE_VALUES = st.recursive(
    st.none() | st.text() | st.booleans() | st.integers(-(10**37), 10**37) | st.binary(max_size=20) | FLOATS,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
)


def without_none(value):
    """What is stored of a value: within maps, None is absent."""
    if isinstance(value, dict):
        return {name: without_none(part) for name, part in value.items() if part is not None}
    return [without_none(part) for part in value] if isinstance(value, list) else value


@given(TABLE_VALUES)
def test_a_value_survives_the_table(value):
    kept = unmarshal(marshal({"value": value}))["value"]
    assert kept == without_none(value)
    assert type(kept) is type(value) or isinstance(value, float)


@given(TABLE_VALUES)
def test_values_are_typed_as_boto3_types_them(value):
    theirs = TypeDeserializer().deserialize(marshal({"value": value})["value"])
    assert TypeSerializer().serialize(theirs) == TypeSerializer().serialize(decimals(without_none(value)))


def decimals(value):
    """The same value as boto3 takes it."""
    if isinstance(value, dict):
        return {name: decimals(part) for name, part in value.items()}
    if isinstance(value, list):
        return [decimals(part) for part in value]
    return Decimal(str(value)) if isinstance(value, float) else value


@given(TABLE_VALUES)
def test_what_boto3_typed_is_read(value):
    typed = TypeSerializer().serialize(decimals(without_none(value)))
    assert unmarshal({"value": typed})["value"] == without_none(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_no_table_holds_is_refused(value):
    with pytest.raises(TypeError, match="cannot be stored"):
        marshal({"value": [value]})


def test_a_type_that_is_never_written_is_refused():
    with pytest.raises(TypeError, match="SS"):
        unmarshal({"value": {"SS": ["a"]}})

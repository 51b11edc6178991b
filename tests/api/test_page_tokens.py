"""Page tokens: opaque, good for their own query only; pages of any size visit each server exactly once."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.servers import Position
from chalicelib.errors import InvalidRequest
from chalicelib.services import inventory_query as module
from chalicelib.services.inventory_query import Query
from chalicelib.services.page_tokens import LONGEST_TOKEN, Cursor, cursor_of, token_of

from .inventories import HUNDRED, inventories, pages, queries, wanted, world_of

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
cursors = st.builds(Cursor, texts, st.builds(Position, texts, texts))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=6,
)
QUERY = Query(region="eu-west-1")
CURSOR = Cursor("111111111111#eu-west-1", Position("s-1", "eu-west-1"))


def encoded(said):
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


def said_by(token):
    return json.loads(base64.urlsafe_b64decode(token))


@HUNDRED
@given(
    inventory=inventories, query=queries, limit=st.integers(1, 7), most=st.integers(1, 12), at_once=st.integers(1, 9)
)
def test_pages_of_any_size_visit_each_matching_server_once_whatever_the_filter(inventory, query, limit, most, at_once):
    world = world_of(inventory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_EXAMINED", most)
        patch.setattr(module, "ROWS_AT_ONCE", at_once)
        found = pages(world, query, limit)

    assert sorted(row.source_server_id for page in found for row in page.rows) == wanted(inventory, query)
    assert all(len(page.rows) <= limit for page in found)


@HUNDRED
@given(inventory=inventories, query=queries, limit=st.integers(1, 200))
def test_a_page_reads_a_bounded_number_of_rows(inventory, query, limit):
    """Whatever it filters by: what it examines, and one look further per scope."""
    world = world_of(inventory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_EXAMINED", 5)
        patch.setattr(module, "ROWS_AT_ONCE", 2)
        world.query.page(query, limit)
    assert world.inventory.rows_read <= max(5 + 2, limit + 5)


@HUNDRED
@given(query=queries, cursor=cursors)
def test_a_token_leads_back_to_its_place(query, cursor):
    token = token_of(query, cursor)
    if len(token) <= LONGEST_TOKEN:
        assert cursor_of(token, query) == cursor


@HUNDRED
@given(one=queries, other=queries, cursor=cursors)
def test_a_token_is_of_no_other_query(one, other, cursor):
    if one != other:
        with pytest.raises(InvalidRequest, match=r"^nextToken: "):
            cursor_of(token_of(one, cursor), other)


@HUNDRED
@given(garbage=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_is_refused(garbage):
    with pytest.raises(InvalidRequest, match=r"^nextToken: "):
        cursor_of(garbage, QUERY)


@HUNDRED
@given(said=json_values)
def test_other_json_is_refused(said):
    with pytest.raises(InvalidRequest, match=r"^nextToken: "):
        cursor_of(encoded(said), QUERY)


@pytest.mark.parametrize("name", ["query", "partition", "server", "region"])
@pytest.mark.parametrize("value", [None, 5, "", [], {}, True])
def test_a_token_with_another_kind_of_member_is_refused(name, value):
    said = said_by(token_of(QUERY, CURSOR))
    with pytest.raises(InvalidRequest, match=r"^nextToken: "):
        cursor_of(encoded({**said, name: value}), QUERY)


@pytest.mark.parametrize("change", ["left out", "added"])
def test_a_token_with_another_set_of_members_is_refused(change):
    said = said_by(token_of(QUERY, CURSOR))
    changed = {**said, "key": "x"} if change == "added" else {k: v for k, v in said.items() if k != "server"}
    with pytest.raises(InvalidRequest, match=r"^nextToken: "):
        cursor_of(encoded(changed), QUERY)


@HUNDRED
@given(inventory=inventories, query=queries, cursor=cursors)
def test_a_forged_place_is_refused_or_stays_within_the_query(inventory, query, cursor):
    world = world_of(inventory)
    found = []
    with suppress(InvalidRequest):
        found = world.query.page(query, 200, token_of(query, cursor)).rows
    assert {row.source_server_id for row in found} <= set(wanted(inventory, query))


def test_a_place_in_another_partition_of_an_index_is_refused():
    world = world_of([])
    query = Query(staging_account_id="222222222222")
    forged = token_of(query, Cursor("333333333333", Position("s-1", "eu-west-1")))
    with pytest.raises(InvalidRequest, match=r"^nextToken: "):
        world.query.page(query, 1, forged)

"""Queries of the inventory, page by page; stale scopes first."""

import base64
import json
from datetime import timedelta

import pytest

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.services import inventory_query as module
from chalicelib.services.inventory_query import Query
from chalicelib.services.refresh import LONGEST_WAIT_SECONDS, MOST_SCOPES

from ..factories import (
    NOW,
    OTHER,
    REGION,
    REGIONS,
    SCOPE,
    SECOND,
    SOURCE,
    STAGING,
    TARGET,
    arn_of,
    extended_area,
    instance,
    scan_record,
    wire_server,
)
from ..fakes import World


@pytest.fixture
def world():
    """Two accounts with servers in two regions, one of which extends a staging server, one of which is buried."""
    world = World()
    world.add_account(TARGET)
    world.add_account(OTHER)
    world.add_account(SOURCE, AccountKind.SOURCE)
    origin = (SOURCE, SECOND)
    world.ec2.add(*origin, instance("i-1", tags={"env": "prod"}))
    world.drs.add(
        wire_server("s-1", instance="i-1", origin=origin, tags={"team": "a"}),
        wire_server("s-2", state="STALLED"),
        wire_server("s-3", staging=extended_area(arn_of("s-9", STAGING))),
        wire_server("s-4", region=SECOND, cpus=[{"cores": 1}]),
        wire_server("s-5", OTHER),
        wire_server("s-gone"),
    )
    world.cycle()
    world.drs.remove(arn_of("s-gone"))
    world.scan()
    return world


def ids(world, query=None, limit=100):
    """Every server that a query gives, over all its pages."""
    found, token = [], None
    while True:
        page = world.query.page(query or Query(), limit, token)
        assert len(page.rows) <= limit
        found += [row.source_server_id for row in page.rows]
        token = page.next_token
        if token is None:
            return found


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
    def test_all_servers_come_by_region_account_and_id_each_once(self, world, limit):
        assert ids(world, limit=limit) == ["s-1", "s-2", "s-3", "s-5", "s-4"]

    @pytest.mark.parametrize("limit", [1, 2, 200])
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (Query(region=REGION), ["s-1", "s-2", "s-3", "s-5"]),
            (Query(region="us-west-2"), []),
            (Query(account_id=TARGET), ["s-1", "s-2", "s-3", "s-4"]),
            (Query(account_id=OTHER, region=SECOND), []),
            (Query(account_id=TARGET, region=SECOND), ["s-4"]),
            (Query(staging_account_id=STAGING), ["s-3"]),
            (Query(staging_account_id=TARGET), ["s-1", "s-2", "s-4"]),
            (Query(staging_account_id=TARGET, region=SECOND), ["s-4"]),
            (Query(source_account_id=SOURCE), ["s-1"]),
            (Query(hostname="host-s-2"), ["s-2"]),
            (Query(hostname="host-s-gone"), []),
            (Query(hostname="host-s-2", account_id=OTHER), []),
            (Query(replication_state="STALLED"), ["s-2"]),
            (Query(min_cpu_cores=5), []),
            (Query(min_cpu_cores=4, region=SECOND), ["s-4"]),
            (Query(min_ram_bytes=2**40), []),
            (Query(tags=(("env", "prod"), ("team", "a"))), ["s-1"]),
            (Query(tags=(("env", "test"),)), []),
        ],
    )
    def test_a_query_gives_what_it_asks_for(self, world, query, expected, limit):
        assert ids(world, query, limit) == expected

    def test_an_account_that_is_not_registered_is_not_found(self, world):
        with pytest.raises(NotFound, match=STAGING):
            world.query.page(Query(account_id=STAGING), 10)

    @pytest.mark.parametrize("limit", [0, -1, 201])
    def test_a_limit_out_of_bounds_is_refused(self, world, limit):
        with pytest.raises(InvalidRequest, match="limit"):
            world.query.page(Query(), limit)

    def test_a_request_examines_a_bounded_number_of_rows(self, world, monkeypatch):
        monkeypatch.setattr(module, "MOST_EXAMINED", 2)
        page = world.query.page(Query(tags=(("env", "nowhere"),)), 100)
        assert (page.rows, page.next_token is not None) == ([], True)
        assert ids(world, Query(replication_state="STALLED")) == ["s-2"]

    def test_the_page_says_which_scopes_it_was_read_from(self, world):
        page = world.query.page(Query(region=REGION), 100)
        assert [scan.scope for scan in page.scans] == [SCOPE, Scope(OTHER, REGION)]
        assert world.query.is_fresh(page.scans)


class TestTokens:
    def token(self, world, query=None):
        return world.query.page(query or Query(), 1).next_token

    def test_a_token_of_another_query_is_refused(self, world):
        with pytest.raises(InvalidRequest, match="another query"):
            world.query.page(Query(region=REGION), 1, self.token(world))

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "garbage",
            "é",
            "A" * 5000,
            base64.urlsafe_b64encode(b"{}").decode(),
            base64.urlsafe_b64encode(b"[]").decode(),
            base64.urlsafe_b64encode(b"null").decode(),
            base64.urlsafe_b64encode(b'{"scope":null,"after":null}').decode(),
            base64.urlsafe_b64encode(b'{"query":{},"scope":null,"after":5}').decode(),
            base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        ],
    )
    def test_garbage_is_refused(self, world, token):
        with pytest.raises(InvalidRequest, match="nextToken"):
            world.query.page(Query(), 1, token)

    @pytest.mark.parametrize("change", [{"partition": "nonsense"}, {"partition": ""}, {"server": ""}, {"more": 1}])
    @pytest.mark.parametrize("query", [Query(), Query(staging_account_id=TARGET)])
    def test_a_forged_token_is_refused(self, world, change, query):
        said = json.loads(base64.urlsafe_b64decode(self.token(world, query)))
        forged = base64.urlsafe_b64encode(json.dumps({**said, **change}).encode()).decode()
        with pytest.raises(InvalidRequest, match="nextToken"):
            world.query.page(query, 1, forged)

    def test_a_scope_that_became_idle_between_two_pages_is_passed_over(self, world):
        token = self.token(world)
        for server in ("s-1", "s-2", "s-3"):
            world.drs.remove(arn_of(server))
        world.scan_emptied()
        page = world.query.page(Query(), 10, token)
        assert [row.source_server_id for row in page.rows] == ["s-5", "s-4"]


class TestBytes:
    def test_a_page_of_well_tagged_servers_is_cut_and_the_next_one_goes_on(self, world):
        """AWS: 50 tags with keys of 128 and values of 256 characters; in UTF-8 up to four bytes each."""
        tags = {f"{number:02}" + "k" * 126: "\U0001f600" * 256 for number in range(50)}
        for number in range(150):
            world.drs.add(wire_server(f"s-wide-{number:03}", TARGET, SECOND, tags=tags))
        world.scan(Scope(TARGET, SECOND))
        token, seen = None, []
        while token or not seen:
            page = world.query.page(Query(account_id=TARGET, region=SECOND), 200, token)
            assert sum(len(json.dumps(row.drs_tags, ensure_ascii=False).encode()) for row in page.rows) < 5_000_000
            seen += [row.source_server_id for row in page.rows]
            token = page.next_token
        assert len(seen) == len(set(seen)) == 151


class TestOneServer:
    def test_a_living_server_and_a_tombstone_are_found(self, world):
        assert world.query.server("s-1").living
        assert not world.query.server("s-gone").living

    def test_an_unknown_server_is_not_found(self, world):
        with pytest.raises(NotFound, match="s-nobody"):
            world.query.server("s-nobody")

    def test_its_scan_record_says_how_fresh_it_is(self, world):
        assert world.query.scan_of(world.query.server("s-4")).scope == Scope(TARGET, SECOND)


class TestFreshness:
    def test_fresh_is_an_interval_and_a_grace(self, world):
        scan = scan_record(last_success=NOW)
        world.clock.now = NOW.timestamp() + 1200
        assert world.query.is_fresh([scan])
        world.clock.advance(1)
        assert not world.query.is_fresh([scan])
        assert world.query.is_fresh([scan], timedelta(hours=1))

    def test_one_stale_scope_makes_all_stale(self, world):
        assert not world.query.is_fresh([scan_record(), scan_record(last_success=None)])

    def test_fresh_scopes_ask_for_no_scan(self, world):
        ids(world)
        assert world.queue.messages == []


class TestStale:
    @pytest.fixture
    def stale(self, world):
        world.queue.messages.clear()
        world.clock.advance(3600)
        world.drs.add(wire_server("s-new"))
        return world

    def test_it_is_scanned_and_the_answer_is_what_was_found(self, stale):
        stale.refresher._sleep = lambda seconds: (stale.settle(), stale.clock.advance(seconds))
        rows = stale.query.page(Query(), 100, refresh=True).rows
        assert "s-new" in [row.source_server_id for row in rows]

    def test_reading_alone_asks_for_no_scan(self, stale):
        states = {work: (item.wanted, item.next_due_at) for work, item in stale.work_states.items.items()}
        page = stale.query.page(Query(), 100)
        assert not stale.query.is_fresh(page.scans)
        assert stale.queue.messages == []
        assert {work: (item.wanted, item.next_due_at) for work, item in stale.work_states.items.items()} == states

    def test_waiting_is_bounded_and_the_last_known_is_answered(self, stale):
        before = stale.clock()
        page = stale.query.page(Query(region=REGION), 100, refresh=True)
        assert [row.source_server_id for row in page.rows] == ["s-1", "s-2", "s-3", "s-5"]
        assert stale.clock() - before <= LONGEST_WAIT_SECONDS + 1
        assert {work.kind for work in stale.queue.works()} == {WorkKind.INVENTORY}
        assert not stale.query.is_fresh(page.scans)

    def test_a_bounded_number_of_scopes_is_scanned(self, world):
        many = [scan_record(REGIONS[0], f"{number:012d}") for number in range(20)]
        world.clock.advance(3600)
        world.refresher.refresh(many)
        assert len(world.queue.messages) == MOST_SCOPES

    def test_a_scope_that_was_just_checked_in_vain_is_not_scanned_again(self, world):
        world.clock.advance(3600)
        now = NOW + timedelta(seconds=world.clock() - NOW.timestamp() - 30)
        assert not world.refresher.refresh([scan_record(last_checked=now)])
        assert world.queue.messages == []

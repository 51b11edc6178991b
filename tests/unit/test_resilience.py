"""What keeps failing, runs out of time or comes too fast: circuit, continuation, backing off, no piling up."""

from contextlib import suppress

import pytest

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.circuit import OPENS_AFTER
from chalicelib.domain.leases import LONGEST_BACK_OFF
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import MOST_IN_A_ROW, WorkId, WorkKind
from chalicelib.errors import (
    AccessDenied,
    NotOptedIn,
    OutOfTime,
    Refused,
    ServiceError,
    TableUnavailable,
    Throttled,
    Unreachable,
)
from chalicelib.services.sync import instance_lookup
from chalicelib.services.sync.inventory import MOST_CONTINUATIONS
from chalicelib.services.work.answers import not_tried, state_after
from chalicelib.services.work.runner import LONGEST_RETRY

from ..factories import (
    CADENCE,
    EPOCH,
    OTHER,
    REDELIVER_AFTER,
    REGION,
    SCOPE,
    SECOND,
    SOURCE,
    STAGING,
    TARGET,
    instance,
    message,
    wire_server,
    work,
)
from ..fakes import LEASE_SECONDS, World

DESCRIBE, LOOK_UP, TAG = "drs:DescribeSourceServers", "ec2:DescribeInstances", "drs:TagResource"
LIST, EXTEND = "drs:ListExtensibleSourceServers", "drs:CreateExtendedSourceServer"
STAGED = Scope(STAGING, REGION)
ORIGIN = (SOURCE, SECOND)
THROTTLED = Throttled("slow down", "ThrottlingException")


@pytest.fixture
def world():
    """A target with two scanned servers on EC2, and a source account."""
    world = World()
    world.add_account(TARGET)
    world.add_account(SOURCE, AccountKind.SOURCE)
    for number in (1, 2):
        world.drs.add(wire_server(f"s-{number}", instance=f"i-{number}", origin=ORIGIN))
        world.ec2.add(*ORIGIN, instance(f"i-{number}", tags={"Name": f"web-{number}"}))
    world.scan()
    world.queue.messages.clear()
    return world


def failing(world, error=THROTTLED, times=OPENS_AFTER):
    """Let the scans of a scope fail so often, and return the last outcome."""
    rule = world.fault(DESCRIBE, error, SCOPE)
    outcomes = [world.scan() for _ in range(times)]
    world.faults.rules.remove(rule)
    return outcomes[-1]


class TestCircuit:
    def test_the_wait_grows_once_the_circuit_is_open_and_stays_bounded(self, world):
        world.fault(DESCRIBE, THROTTLED, SCOPE)
        waits = [world.scan().next_due - EPOCH for _ in range(8)]
        assert waits == [900, 900, 1800, *[LONGEST_BACK_OFF * 900] * 5]
        assert world.scans.read(SCOPE).failures == 8

    def test_the_servers_stay_in_the_inventory_and_the_region_is_shown_unhealthy(self, world):
        failing(world)
        status = world.statuses.rows[REGION]
        assert (status.active, status.healthy, status.failing_accounts) == (True, False, 1)
        assert world.inventory.living(SCOPE) == {"s-1", "s-2"}
        assert world.filter.active_regions() == [REGION]
        assert world.filter.healthy_active_regions() == []

    def test_it_comes_back_by_itself(self, world):
        failing(world)
        world.clock.advance(1800)
        world.cycle()
        assert world.scans.read(SCOPE).failures == 0
        assert world.filter.healthy_active_regions() == [REGION]

    def test_half_open_one_call_decides_whether_the_list_is_asked_for(self, world):
        failing(world)
        world.fault(DESCRIBE, THROTTLED, SCOPE, times=1)
        mark = world.calls.snapshot()
        assert world.scan().result.state is ScopeState.THROTTLED
        assert world.calls.calls_since(mark) == {DESCRIBE: 1}
        mark = world.calls.snapshot()
        assert world.scan().result.state is ScopeState.AVAILABLE
        assert world.calls.calls_since(mark)[DESCRIBE] == 2

    def test_the_service_s_own_wait_is_not_undercut(self, world):
        world.fault(DESCRIBE, Throttled("slow down", "ThrottlingException", 5000), SCOPE)
        assert world.scan().next_due == EPOCH + 5000
        assert world.scans.read(SCOPE).next_try_at.timestamp() == EPOCH + 5000

    def test_one_account_of_many_does_not_make_a_region_unhealthy(self, world):
        for account_id in (OTHER, "555555555555"):
            world.add_account(account_id)
            world.drs.add(wire_server(f"s-{account_id}", account_id))
            world.scan(Scope(account_id, REGION))
        failing(world, AccessDenied("no", "AccessDeniedException"))
        status = world.statuses.rows[REGION]
        assert (status.failing_accounts, status.active_accounts, status.healthy) == (1, 3, True)

    def test_others_are_not_held_up(self, world):
        other = Scope(OTHER, REGION)
        world.add_account(OTHER)
        world.fault(DESCRIBE, THROTTLED, SCOPE)
        for _ in range(5):
            world.cycle()
            assert world.scans.read(other).state is ScopeState.AVAILABLE
            world.clock.advance(900)

    def test_a_query_does_not_ask_for_a_scope_that_is_left_alone(self, world):
        failing(world)
        world.clock.advance(1700)
        assert not world.refresher.refresh([world.scans.read(SCOPE)])
        assert world.queue.messages == []

    def test_an_operator_s_request_is_carried_out_all_the_same(self, world):
        failing(world)
        world.sync(scopes=[SCOPE])
        world.settle()
        assert world.scans.read(SCOPE).state is ScopeState.AVAILABLE


class TestTagsBackOff:
    def run(self, world):
        return world.run_work(WorkKind.TAGS)

    def test_failures_in_a_row_lengthen_the_wait(self, world):
        world.fault(TAG, THROTTLED)
        waits = [self.run(world).next_due - EPOCH for _ in range(5)]
        assert waits == [3600, 3600, 7200, 14_400, CADENCE.probe]

    def test_half_open_one_server_decides_whether_the_others_are_tried(self, world):
        rule = world.fault(TAG, THROTTLED)
        for _ in range(OPENS_AFTER):
            self.run(world)
        mark = world.calls.snapshot()
        self.run(world)
        assert world.calls.calls_since(mark) == {TAG: 1}
        world.faults.rules.remove(rule)
        assert self.run(world).result.counts["tagged"] == 2

    def test_success_closes_it(self, world):
        rule = world.fault(TAG, THROTTLED)
        for _ in range(OPENS_AFTER):
            self.run(world)
        world.faults.rules.remove(rule)
        outcome = self.run(world)
        assert (outcome.result.failures, outcome.next_due) == (0, EPOCH + 3600)


class TestStagingBackOff:
    @pytest.fixture
    def world(self):
        world = World()
        world.add_account(TARGET)
        world.add_staging(STAGING)
        world.add_staging(OTHER)
        for account_id in (STAGING, OTHER):
            world.drs.add(*(wire_server(f"s-{account_id[0]}{number}", account_id) for number in range(10)))
            world.scan(Scope(account_id, REGION))
        world.queue.messages.clear()
        return world

    def run(self, world):
        return world.run_work(WorkKind.STAGING)

    def test_failures_in_a_row_lengthen_the_wait(self, world):
        world.fault(LIST, THROTTLED)
        waits = [self.run(world).next_due - EPOCH for _ in range(5)]
        assert waits == [300, 300, 600, 900, 900]

    def test_a_target_that_slows_us_down_is_not_asked_for_each_staging_account(self, world):
        world.fault(LIST, THROTTLED)
        mark = world.calls.snapshot()
        outcome = self.run(world)
        assert world.calls.calls_since(mark) == {LIST: 1}
        assert {problem.code for problem in outcome.result.problems} == {"ThrottlingException", "NOT_TRIED"}

    def test_nor_for_each_server(self, world):
        world.fault(EXTEND, THROTTLED)
        mark = world.calls.snapshot()
        self.run(world)
        assert world.calls.calls_since(mark)[EXTEND] <= 4
        assert world.refusals.records == {}
        world.heal()
        self.run(world)
        assert len(world.drs.extensions(SCOPE)) == 20


class TestOutOfTime:
    """Time passes with a call: `slow` makes the calls of one name take so many seconds."""

    @pytest.fixture
    def slow(self, world, monkeypatch):
        def make(name, seconds):
            meet = world.faults.meet

            def slowly(met, *arguments, **named):
                if met == name and not named.get("after_effect"):
                    world.clock.advance(seconds)
                return meet(met, *arguments, **named)

            monkeypatch.setattr(world.faults, "meet", slowly)

        return make

    def test_a_scan_whose_list_takes_too_long_goes_on_in_a_new_message(self, world, slow):
        slow(DESCRIBE, LEASE_SECONDS)
        world.work_states.request(work(), EPOCH + REDELIVER_AFTER)
        before, wanted = world.scans.read(SCOPE), world.work_states.items[work()].wanted
        outcome = world.handle(message())
        assert outcome.unfinished
        assert world.queue.messages == [message(continued=1, in_a_row=1)]
        state = world.work_states.read([work()])[work()]
        assert (state.done, state.wanted, state.lease_until) == (wanted - 1, wanted, None)
        assert world.scans.read(SCOPE) == before

    def test_one_that_never_fits_is_a_failure_in_the_end(self, world, slow):
        slow(DESCRIBE, LEASE_SECONDS)
        world.sync(scopes=[SCOPE])
        world.settle()
        scan = world.scans.read(SCOPE)
        assert (scan.state, scan.server_count, scan.failures) == (ScopeState.ERROR, 2, 1)
        assert "no time left" in scan.error_message
        assert world.calls.of("drs") == 1 + MOST_CONTINUATIONS + 1 + 2  # the first scan asked for two configurations

    def test_origins_that_could_not_be_asked_are_asked_by_the_next(self, world, slow, monkeypatch):
        monkeypatch.setattr(instance_lookup, "AT_ONCE", 1)
        elsewhere = (SOURCE, REGION)
        world.drs.add(wire_server("s-3", instance="i-3", origin=elsewhere))
        world.ec2.add(*elsewhere, instance("i-3", tags={"Name": "web-3"}))
        slow(LOOK_UP, LEASE_SECONDS - 50)
        world.work_states.request(work(), EPOCH + REDELIVER_AFTER)
        assert world.handle(message()).unfinished
        assert world.inventory.row("s-1").source_tags == {"Name": "web-1"}  # kept, not emptied
        assert world.inventory.row("s-3").instance_state is None
        monkeypatch.undo()
        world.settle()
        assert world.inventory.row("s-3").source_tags == {"Name": "web-3"}

    def test_tags_that_found_no_time_are_written_by_the_next_worker(self, world, slow):
        slow(TAG, LEASE_SECONDS - 50)
        world.sync(WorkKind.TAGS, scopes=[SCOPE])
        world.drs.add(*(wire_server(f"s-{n}", instance="i-1", origin=ORIGIN) for n in range(3, 20)))
        world.scan()
        world.settle()
        tagged = [wire["tags"].get("Name") for wire in world.drs.servers[SCOPE].values()]
        assert None not in tagged
        assert not world.returned

    def test_extensions_too(self, slow, world):
        world.add_staging(STAGING)
        world.drs.add(*(wire_server(f"s-s{number}", STAGING) for number in range(12)))
        slow(EXTEND, LEASE_SECONDS - 50)
        world.scan(STAGED)
        world.settle()
        assert len(world.drs.extensions(SCOPE)) == MOST_IN_A_ROW + 1  # one a message; the next tick begins a new row
        world.cycle(WorkKind.STAGING)
        assert len(world.drs.extensions(SCOPE)) == 12
        assert not world.returned

    def test_what_was_wanted_meanwhile_is_not_lost(self, world, slow):
        slow(DESCRIBE, LEASE_SECONDS)
        world.work_states.request(work(), EPOCH + REDELIVER_AFTER)
        world.handle(message())
        world.work_states.request(work(), EPOCH + REDELIVER_AFTER)
        world.settle()
        state = world.work_states.read([work()])[work()]
        assert state.done == state.wanted


class TestBreakingOff:
    def test_work_that_always_breaks_off_is_swept_up_ever_more_rarely(self, world, monkeypatch):
        def broken(*_):
            raise RuntimeError("no luck")

        monkeypatch.setattr(world.inventory_sync, "sync", broken)
        waits = []
        world.work_states.request(work(), EPOCH + REDELIVER_AFTER)
        for _ in range(8):
            world.queue.messages = [message()]
            world.deliver()
            waits.append(world.work_states.items[work()].next_due_at - EPOCH)
        assert waits[:2] == [REDELIVER_AFTER] * 2
        assert waits[-1] == LONGEST_RETRY * REDELIVER_AFTER
        assert waits == sorted(waits)


class TestNoPilingUp:
    def test_a_tick_while_the_last_run_waits_sends_nothing(self, world):
        world.clock.advance(900)
        world.tick()
        sent = len(world.queue.messages)
        for _ in range(5):
            world.clock.advance(300)
            world.tick()
        assert len(world.queue.messages) == sent

    @pytest.mark.parametrize("kind", list(WorkKind))
    def test_nor_where_everything_is_scanned(self, kind):
        world = World(filtering=False)
        world.add_account(TARGET)
        world.tick(kind)
        sent = world.queue.works()
        for _ in range(5):
            world.clock.advance(300)
            world.tick(kind)
        assert world.queue.works() == sent

    def test_nor_while_the_status_table_cannot_be_read(self):
        world = World()
        world.add_account(TARGET)
        world.statuses.broken = True

        def tick_of_each_kind():
            for kind in WorkKind:
                with suppress(TableUnavailable):  # let out by the resync, after the planner has done its part
                    world.tick(kind)

        tick_of_each_kind()
        sent = world.queue.works()
        for _ in range(3):
            world.clock.advance(300)
            tick_of_each_kind()
        assert sent
        assert world.queue.works() == sent
        assert len(set(sent)) == len(sent)

    def test_work_whose_message_was_lost_is_asked_for_again(self):
        world = World(filtering=False)
        world.add_account(TARGET)
        world.tick()
        lost, world.queue.messages = world.queue.messages, []
        world.clock.advance(REDELIVER_AFTER)
        world.tick()
        assert world.queue.messages == lost

    def test_work_under_way_is_not_asked_for_again(self):
        world = World(filtering=False)
        world.add_account(TARGET)
        world.tick()
        of = WorkId(WorkKind.INVENTORY, Scope(TARGET, REGION))
        taken = world.work_states.take(of, EPOCH, EPOCH + LEASE_SECONDS)
        world.clock.advance(60)
        world.queue.messages.clear()
        assert of not in world.tick().regions_used
        assert world.queue.messages == []
        assert world.work_states.holds(taken.lease)


def test_a_service_that_breaks_is_backed_off_as_well(world):
    failing(world, ServiceError("it broke", "InternalServerException"))
    assert world.scans.read(SCOPE).failing


@pytest.mark.parametrize(
    ("errors", "done", "state"),
    [
        ([], 0, ScopeState.AVAILABLE),
        ([THROTTLED], 5, ScopeState.THROTTLED),
        ([AccessDenied("no")], 0, ScopeState.ACCESS_DENIED),
        ([AccessDenied("one account does not trust")], 3, ScopeState.AVAILABLE),
        ([ServiceError("it broke", "InternalServerException")], 0, ScopeState.ERROR),
        ([ServiceError("it broke once", "InternalServerException")], 3, ScopeState.AVAILABLE),
        ([Refused("default key")], 0, ScopeState.AVAILABLE),
        ([not_tried("x"), OutOfTime("y")], 3, ScopeState.AVAILABLE),
        ([not_tried("x"), OutOfTime("y")], 0, ScopeState.ERROR),
        ([Unreachable("read timed out"), not_tried("x")], 3, ScopeState.ERROR),
        ([Unreachable("one timed out")], 3, ScopeState.AVAILABLE),
        ([NotOptedIn("no")], 0, ScopeState.ERROR),
    ],
)
def test_what_meets_one_server_says_nothing_about_its_scope(errors, done, state):
    assert state_after(errors, done) is state


class TestWaitsFromOutside:
    """A wait that a service asks for is believed up to the probe interval."""

    ENDLESS = Throttled("slow down", "ThrottlingException", 10_000_000)

    def test_of_a_scan(self, world):
        failing(world, self.ENDLESS, times=1)
        assert world.work_states.items[work()].next_due_at == EPOCH + CADENCE.probe

    def test_of_tags(self, world):
        world.fault(TAG, self.ENDLESS, SCOPE)
        world.run_work(WorkKind.TAGS)
        assert world.work_states.items[work(WorkKind.TAGS)].next_due_at == EPOCH + CADENCE.probe

    def test_of_extensions(self, world):
        world.add_staging(STAGING)
        world.drs.add(wire_server("s-s1", STAGING))
        world.scan(STAGED)
        world.fault(LIST, self.ENDLESS)
        world.run_work(WorkKind.STAGING)
        assert world.work_states.items[work(WorkKind.STAGING)].next_due_at == EPOCH + CADENCE.probe

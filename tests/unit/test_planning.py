"""Planning: what is due, what is asked for, and the runs that come of it."""

import pytest

from chalicelib.domain.accounts import AccountKind, AccountStatus
from chalicelib.domain.results import RunMode
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.errors import DrsActiveRegionsError, InvalidRequest, NotFound, ServiceError

from ..factories import EPOCH, OTHER, REGION, REGIONS, SCOPE, SECOND, SOURCE, STAGING, TARGET, wire_server, work
from ..fakes import WorkItem, World
from .observing import observing


@pytest.fixture
def world():
    """A target with a server in one region and a staging account with one in another; everything was scanned once."""
    world = World()
    world.add_account(TARGET)
    world.add_staging(STAGING, TARGET)
    world.drs.add(wire_server("s-1"), wire_server("s-2", STAGING, SECOND))
    world.cycle()
    return world


class TestTick:
    def test_active_scopes_are_due_after_the_interval_and_idle_ones_are_not(self, world):
        world.clock.advance(900)
        run = world.tick()
        assert {each.scope for each in world.queue.works()} == {SCOPE, Scope(STAGING, SECOND), Scope(TARGET, SECOND)}
        assert (run.mode, run.planned_scopes, run.probes, run.total_scopes) == (RunMode.DUE, 3, 0, 10)

    def test_nothing_is_due_before_the_interval(self, world):
        world.clock.advance(600)
        assert world.tick().planned_scopes == 0

    def test_a_tick_that_fires_a_little_early_still_plans(self, world):
        world.clock.advance(900 - 59)
        assert world.tick().planned_scopes == 3

    def test_due_times_keep_to_the_grid_however_long_the_work_takes(self, world):
        due = {each: item.next_due_at for each, item in world.work_states.items.items()}
        world.clock.advance(900)
        world.tick()
        world.clock.advance(240)
        world.settle()
        assert world.work_states.items[work()].next_due_at == due[work()] + 900

    def test_every_idle_scope_is_probed_within_its_interval(self, world):
        idle = {Scope(a, r) for a in (TARGET, STAGING) for r in REGIONS} - {
            scan.scope for scan in world.scans.records.values() if scan.active
        }
        probed = set()
        for _ in range(24):
            world.clock.advance(900)
            run = world.tick()
            probed |= {each.scope for each in world.queue.works() if each.scope in idle}
            assert run.probes == len([each for each in world.queue.works() if each.scope in idle])
            world.settle()
        assert probed == idle

    def test_a_run_is_stored_with_what_it_asked_for(self, world):
        world.clock.advance(900)
        run = world.tick()
        stored, asked = world.runs.read(run.run_id)
        assert stored == run
        assert asked[work()] == world.work_states.items[work()].wanted

    def test_a_tick_that_plans_nothing_writes_nothing(self, world):
        runs = len(world.runs.runs)
        world.tick()
        assert len(world.runs.runs) == runs

    def test_of_two_planners_one_claims(self, world):
        world.clock.advance(900)
        due = list(world.work_states.due(WorkKind.INVENTORY, int(world.clock())))
        listing = world.work_states.due
        world.work_states.due = lambda kind, until: iter(due)
        first, second = world.tick(), world.tick()
        world.work_states.due = listing
        assert (first.planned_scopes, second.planned_scopes) == (3, 0)
        assert len(world.queue.messages) == 3

    def test_tags_and_staging_of_regions_that_are_not_active_are_retired(self, world):
        gone = Scope(TARGET, REGIONS[0])
        world.work_states.items[WorkId(WorkKind.TAGS, gone)] = WorkItem(wanted=1, done=1, epoch=1, next_due_at=EPOCH)
        run = world.tick(WorkKind.TAGS)
        assert gone not in {each.scope for each in world.queue.works()}
        assert world.work_states.items[WorkId(WorkKind.TAGS, gone)].next_due_at is None
        assert run.mode is RunMode.DUE

    def test_work_that_is_still_wanted_is_settled_where_its_region_is_not_active_any_more(self, world):
        world.sync(WorkKind.TAGS, scopes=[SCOPE])
        world.queue.messages.clear()  # as a message that went to the dead-letter queue
        world.drs.remove(wire_server("s-1")["arn"])
        world.scan_emptied()
        world.clock.advance(1800)
        world.cycle(WorkKind.TAGS)
        item = world.work_states.items[work(WorkKind.TAGS)]
        assert (item.done, item.next_due_at) == (item.wanted, None)

    def test_what_was_asked_for_of_the_last_account_is_settled_when_it_is_gone(self):
        world = World()
        world.add_account()
        world.cycle()
        world.sync(WorkKind.STAGING, scopes=[SCOPE])
        world.queue.messages.clear()  # as a message that went to the dead-letter queue
        world.registry.remove(TARGET)
        world.settle()
        world.clock.advance(1800)
        assert world.cycle(WorkKind.STAGING).mode is RunMode.FALLBACK
        item = world.work_states.items[work(WorkKind.STAGING)]
        assert (item.done, item.next_due_at) == (item.wanted, None)

    def test_messages_carry_the_status_version_they_were_planned_from(self, world):
        world.clock.advance(900)
        world.tick()
        versions = {message.region: message.status_version for message in world.queue.messages}
        assert versions[REGION] == world.statuses.rows[REGION].version

    def test_a_message_that_could_not_be_sent_only_costs_time(self, world):
        world.clock.advance(900)
        world.queue.broken = True
        with pytest.raises(DrsActiveRegionsError):
            world.tick()
        world.queue.broken = False
        world.clock.advance(1800)
        assert world.tick().planned_scopes == 3

    def test_a_scope_whose_scan_failed_stays_due(self, world):
        world.fault("drs:DescribeSourceServers", ServiceError("it broke"), SCOPE)
        world.clock.advance(900)
        world.cycle()
        world.clock.advance(900)
        world.tick()
        assert SCOPE in {each.scope for each in world.queue.works()}

    def test_the_reduction_is_measured(self, world):
        world.clock.advance(900)
        with observing() as seen:
            world.tick()
            assert seen.metric("APICallReduction") == 70
            assert seen.metric("ActiveRegionCount") == 2
            assert seen.metric("RegionsSkipped") == 3
            assert any("scanning 2 active regions" in line for line in seen.lines())


class TestSweep:
    def test_work_whose_message_was_lost_comes_due_again(self, world):
        world.clock.advance(900)
        world.tick()
        world.queue.messages.clear()
        world.clock.advance(900)
        assert world.tick().planned_scopes == 0
        world.clock.advance(900)
        assert world.tick().planned_scopes == 3

    def test_work_whose_worker_died_comes_due_when_its_lease_is_over(self, world):
        world.work_states.request(work(), EPOCH + 1800)
        world.work_states.take(work(), EPOCH, EPOCH + 330)
        world.clock.advance(400)
        world.tick()
        assert work() in world.queue.works()


class TestFallbackAndKillSwitch:
    def test_an_empty_table_plans_everything_once(self):
        world = World()
        world.add_account(TARGET)
        run = world.cycle()
        assert (run.mode, run.planned_scopes, run.total_scopes) == (RunMode.FALLBACK, 5, 5)
        assert world.tick().mode is RunMode.DUE

    def test_a_fallback_of_tags_fills_the_table_too(self):
        world = World()
        world.add_account(TARGET)
        world.tick(WorkKind.TAGS)
        assert {each.kind for each in world.queue.works()} == {WorkKind.TAGS, WorkKind.INVENTORY}

    def test_the_kill_switch_plans_every_scope_at_once(self, world):
        switched = World(filtering=False)
        switched.add_account(TARGET)
        for _ in range(2):
            run = switched.cycle()
            assert (run.mode, run.planned_scopes) == (RunMode.ALL, 5)
        assert {message.status_version for message in switched.queue.messages} <= {None}

    def test_the_kill_switch_does_not_count_as_a_fallback(self):
        switched = World(filtering=False)
        with observing() as seen:
            switched.tick()
            assert seen.metric("FallbackCount") == 0

    def test_inactive_accounts_and_source_accounts_take_no_part(self):
        world = World()
        world.add_account(TARGET)
        world.add_account(OTHER, status=AccountStatus.INACTIVE)
        world.add_account(SOURCE, AccountKind.SOURCE)
        world.cycle()
        assert {scope.account_id for scope in world.calls.scopes("drs:DescribeSourceServers")} == {TARGET}


class Unwritable:
    """A port's method that fails for the first work it is given, however often it is tried."""

    def __init__(self, method):
        self.method, self.work = method, None

    def __call__(self, what, *arguments, **named):
        of = getattr(what, "work", what)
        self.work = self.work or of
        if of == self.work:
            raise RuntimeError(f"{of.key} cannot be written")
        return self.method(what, *arguments, **named)


class TestOneItemThatCannotBeWritten:
    """It costs nobody else a message, and the schedule's retry or next tick plans it."""

    def test_what_was_claimed_beside_it_is_sent_and_is_in_the_run(self, world):
        world.clock.advance(900)
        runs = set(world.runs.runs)
        claim, world.work_states.claim = world.work_states.claim, Unwritable(world.work_states.claim)
        with pytest.raises(RuntimeError, match="cannot be written"):
            world.tick()
        assert len(world.queue.messages) == 2
        (run,) = set(world.runs.runs) - runs
        assert world.runs.read(run)[0].planned_scopes == 2
        world.work_states.claim = claim
        assert world.tick().planned_scopes == 1

    def test_with_the_kill_switch_too(self):
        world = World(filtering=False)
        world.add_account()
        world.work_states.request_unless_waiting = Unwritable(world.work_states.request_unless_waiting)
        with pytest.raises(RuntimeError, match="cannot be written"):
            world.tick()
        assert len(world.queue.messages) == len(world.regions)  # the one that failed is due, and claimed

    def test_what_cannot_be_retired_keeps_nothing_from_being_planned(self, world):
        for region in REGIONS[3:]:
            gone = WorkId(WorkKind.TAGS, Scope(TARGET, region))
            world.work_states.items[gone] = WorkItem(wanted=1, done=1, epoch=1, next_due_at=EPOCH)
        world.clock.advance(3600)
        world.work_states.retire = Unwritable(world.work_states.retire)
        with pytest.raises(RuntimeError, match="cannot be written"):
            world.tick(WorkKind.TAGS)
        assert work(WorkKind.TAGS) in world.queue.works()

    def test_a_request_asks_for_the_others(self, world):
        world.work_states.request = Unwritable(world.work_states.request)
        with pytest.raises(RuntimeError, match="cannot be written"):
            world.sync()
        assert len(world.queue.messages) == 2

    def test_the_run_is_stored_where_the_messages_could_not_be_sent(self, world):
        world.clock.advance(900)
        runs = set(world.runs.runs)
        world.queue.broken = True
        with pytest.raises(DrsActiveRegionsError):
            world.tick()
        assert len(set(world.runs.runs) - runs) == 1

    def test_how_many_failed_is_said(self, world):
        def fails(*_):
            raise RuntimeError("throttled")

        world.clock.advance(900)
        world.work_states.claim = fails
        with pytest.raises(RuntimeError) as raised:
            world.tick()
        assert raised.value.__notes__ == ["and 2 more failed, the last with: RuntimeError('throttled')"]


class TestSyncOnRequest:
    def test_with_no_scope_named_it_covers_the_active_ones(self, world):
        run = world.sync()
        assert {each.scope for each in world.queue.works()} == {SCOPE, Scope(STAGING, SECOND), Scope(TARGET, SECOND)}
        assert (run.mode, run.requested_by) == (RunMode.ACTIVE, "operator")

    def test_staging_work_belongs_to_the_targets_of_active_staging_accounts(self, world):
        world.sync(WorkKind.STAGING)
        assert world.queue.works() == [WorkId(WorkKind.STAGING, Scope(TARGET, SECOND))]

    def test_named_scopes_are_asked_for_once_each_active_or_not(self, world):
        idle = Scope(TARGET, REGIONS[0])
        run = world.sync(WorkKind.TAGS, scopes=[idle, idle])
        assert [message.work for message in world.queue.messages] == [WorkId(WorkKind.TAGS, idle)]
        assert (run.mode, run.planned_scopes, run.total_scopes) == (RunMode.NAMED, 1, 10)
        assert world.queue.messages[0].status_version is None

    def test_a_dry_run_is_work_of_its_own(self, world):
        run = world.sync(WorkKind.TAGS, scopes=[SCOPE], dry_run=True)
        assert world.queue.works() == [WorkId(WorkKind.TAGS, SCOPE, dry_run=True)]
        assert run.dry_run

    def test_retrying_what_was_refused_is_passed_on_to_staging(self, world):
        target = Scope(TARGET, SECOND)
        world.sync(WorkKind.STAGING, scopes=[target], retry_refused=True)
        of = WorkId(WorkKind.STAGING, target)
        assert world.work_states.take(of, EPOCH, EPOCH + 330).lease.retry_refused

    @pytest.mark.parametrize(
        ("kind", "scope", "error", "named"),
        [
            (WorkKind.INVENTORY, Scope(OTHER, REGION), NotFound, OTHER),
            (WorkKind.INVENTORY, Scope(TARGET, "xx-nowhere-1"), InvalidRequest, "xx-nowhere-1"),
            (WorkKind.STAGING, Scope(SOURCE, REGION), InvalidRequest, SOURCE),
            (WorkKind.TAGS, Scope(SOURCE, REGION), InvalidRequest, SOURCE),
        ],
    )
    def test_a_scope_that_does_not_fit_is_named_and_nothing_is_planned(self, world, kind, scope, error, named):
        world.add_account(SOURCE, AccountKind.SOURCE)
        before = {each: item.wanted for each, item in world.work_states.items.items()}
        with pytest.raises(error, match=named):
            world.sync(kind, scopes=[SCOPE if kind is not WorkKind.STAGING else Scope(TARGET, SECOND), scope])
        assert {each: item.wanted for each, item in world.work_states.items.items()} == before
        assert world.queue.messages == []

    def test_there_is_nothing_to_try_out_in_an_inventory_sync(self, world):
        with pytest.raises(InvalidRequest, match="dryRun"):
            world.sync(dry_run=True)

    def test_two_requests_for_one_scope_are_one_more_run_of_it(self, world):
        first, second = world.sync(scopes=[SCOPE]), world.sync(scopes=[SCOPE])
        mark = world.calls.snapshot()
        world.settle()
        assert world.calls.calls_since(mark)["drs:DescribeSourceServers"] == 1
        for run in (first, second):
            assert world.run_reader.progress(run.run_id).status == "DONE"

"""Work that breaks off, whose worker dies, or that goes on and on: from the lease to what readers are told."""

from itertools import pairwise

import pytest

from chalicelib.domain.accounts import AccountStatus
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.work import MOST_IN_A_ROW, WorkId, WorkKind
from chalicelib.errors import DrsActiveRegionsError
from chalicelib.services.work.report import NEVER, Report
from chalicelib.services.work.runner import DIED, LONGEST_RETRY

from ..factories import CADENCE, EPOCH, REDELIVER_AFTER, REGION, SCOPE, TARGET, message, wire_server, work
from ..fakes import LEASE_SECONDS, Crash, FakeWorker, World

LIST = "drs:DescribeSourceServers"
WORK = work()
ENDED = Report(due=NEVER)


@pytest.fixture
def world():
    world = World()
    world.add_account()
    world.drs.add(wire_server("s-1"))
    world.cycle()
    return world


def dies(world):
    return world.fault(LIST, Crash("out of memory"), SCOPE)


def run_dying(world):
    with pytest.raises((Crash, RuntimeError)):
        world.run_work(WorkKind.INVENTORY)


def a_day(world, times=96):
    """Let the schedule fire for a day, messages come back after their visibility, and return when workers died."""
    item, deaths, came_back = world.work_states.items[WORK], [], {}
    for _ in range(times):
        world.clock.advance(CADENCE.inventory)
        now = world.clock()
        visible = [one for one, at in came_back.items() if at <= now]
        world.queue.messages += [came_back.pop(one) and one for one in visible]
        world.tick()
        before = world.calls.made[LIST, *SCOPE]
        world.settle()
        if world.calls.made[LIST, *SCOPE] > before:
            deaths.append(now)
        came_back |= dict.fromkeys(world.returned, now + REDELIVER_AFTER)
        world.returned.clear()
    return item, deaths


class TestDeaths:
    def test_work_whose_worker_dies_every_time_is_tried_ever_more_rarely(self, world):
        dies(world)
        item, deaths = a_day(world)
        gaps = [later - earlier for earlier, later in pairwise(deaths)]
        assert len(deaths) < 16, deaths
        assert gaps[-1] >= LONGEST_RETRY * REDELIVER_AFTER > gaps[0]
        assert item.next_due_at is not None

    def test_it_is_put_off_when_its_circuit_opens_and_not_begun(self, world):
        dies(world)
        for _ in range(3):
            run_dying(world)
            world.clock.advance(LEASE_SECONDS + 1)
        made = world.calls.made[LIST, *SCOPE]
        world.handle(message())
        item = world.work_states.items[WORK]
        assert world.calls.made[LIST, *SCOPE] == made
        assert (item.lease_until, item.failures, item.last_error) == (None, 3, DIED)
        assert item.next_due_at == world.clock() + 2 * REDELIVER_AFTER
        assert world.handle(message()) is None
        assert world.calls.made[LIST, *SCOPE] == made

    def test_a_death_shows_in_the_scan_record_the_region_and_the_run_and_what_is_known_stays(self, world):
        dies(world)
        for _ in range(3):
            run_dying(world)
            world.clock.advance(LEASE_SECONDS + 1)
        run = world.sync(scopes=[SCOPE])
        world.handle(world.queue.messages.pop())
        world.pump()
        record = world.scans.read(SCOPE)
        assert (record.state, record.error_message, record.server_count) == (ScopeState.ERROR, DIED, 1)
        assert record.failures == 3
        assert record.next_try_at.timestamp() == world.work_states.items[WORK].next_due_at
        assert world.statuses.read(REGION).status is ScopeState.ERROR
        assert world.run_reader.progress(run.run_id).failed == 1

    def test_the_first_good_scan_forgets_it(self, world):
        rule = dies(world)
        run_dying(world)
        world.clock.advance(LEASE_SECONDS + 1)
        world.faults.rules.remove(rule)
        world.handle(message())
        item, record = world.work_states.items[WORK], world.scans.read(SCOPE)
        assert (item.failures, item.last_error, item.lease_until) == (0, None, None)
        assert (record.state, record.failures) == (ScopeState.AVAILABLE, 0)

    @pytest.mark.parametrize("error", [Crash("out of memory"), RuntimeError("no luck")])
    def test_what_broke_off_is_done_alone(self, world, error):
        rule = world.fault(LIST, error, SCOPE)
        run_dying(world)
        world.clock.advance(LEASE_SECONDS + 1)
        world.faults.rules.remove(rule)
        made = world.calls.made[LIST, *SCOPE]
        assert world.loop.handle(message(), world.inventory_sync, LEASE_SECONDS, alone=False) is None
        assert world.calls.made[LIST, *SCOPE] == made
        assert world.queue.messages == [message(alone=True, in_a_row=1)]
        world.settle()
        assert world.calls.made[LIST, *SCOPE] == made + 1

    def test_work_that_is_given_up_is_put_off_and_wanted(self, world):
        world.work_states.request(WORK, EPOCH)
        assert world.loop.give_up(message(), "received 6 times")
        item = world.work_states.items[WORK]
        assert (item.lease_until, item.last_error) == (None, "received 6 times")
        assert item.done < item.wanted
        assert item.next_due_at == world.clock() + REDELIVER_AFTER
        assert world.scans.read(SCOPE).error_message == "received 6 times"

    def test_work_that_is_done_is_not_given_up(self, world):
        assert not world.loop.give_up(message(), "received 6 times")
        assert world.scans.read(SCOPE).state is ScopeState.AVAILABLE


class TestUnexpectedExceptions:
    @pytest.fixture(autouse=True)
    def broken(self, world):
        world.fault(LIST, RuntimeError("secret details"), SCOPE)

    def test_they_leave_a_failed_record(self, world):
        for number in (1, 2, 3):
            with pytest.raises(RuntimeError):
                world.run_work(WorkKind.INVENTORY)
            record = world.scans.read(SCOPE)
            assert (record.state, record.failures, record.server_count) == (ScopeState.ERROR, number, 1)
        assert record.error_message == "the scan broke off unexpectedly: RuntimeError"
        assert record.epoch == world.work_states.items[WORK].epoch
        world.pump()
        assert world.statuses.read(REGION).status is ScopeState.ERROR

    def test_a_scope_that_was_never_scanned_has_one_too(self):
        world = World()
        world.add_account()
        world.fault(LIST, RuntimeError("boom"), SCOPE)
        with pytest.raises(RuntimeError):
            world.run_work(WorkKind.INVENTORY)
        record = world.scans.read(SCOPE)
        assert (record.state, record.server_count, record.last_success) == (ScopeState.ERROR, 0, None)

    def test_the_exception_goes_out_where_that_cannot_be_written_either(self, world):
        world.writer.interruptions = [DrsActiveRegionsError("the table is away")]
        with pytest.raises(RuntimeError, match="secret details"):
            world.run_work(WorkKind.INVENTORY)
        item = world.work_states.items[WORK]
        assert (item.lease_until, item.failures, item.last_error) == (None, 1, "RuntimeError: secret details")

    def test_an_account_that_takes_no_part_gets_none(self, world):
        account = world.accounts.read(TARGET)
        world.accounts.replace(account.model_copy(update={"status": AccountStatus.INACTIVE}))
        before = world.scans.read(SCOPE)
        world.work_states.request(WORK, EPOCH)
        lease = world.work_states.take(WORK, int(world.clock()), int(world.clock()) + LEASE_SECONDS).lease
        world.scan_failures.record(lease, "broke off", EPOCH)
        assert world.scans.read(SCOPE) == before

    def test_nor_does_other_work(self, world):
        def fails(*_):
            raise RuntimeError("boom")

        before = world.scans.read(SCOPE)
        world.work_states.request(work(WorkKind.TAGS), EPOCH)
        with pytest.raises(RuntimeError, match="boom"):
            world.loop.handle(message(WorkKind.TAGS), FakeWorker(fails), LEASE_SECONDS)
        assert world.scans.read(SCOPE) == before


class TestRows:
    """Messages that workers send themselves."""

    def follow(self, world, ended, kind=WorkKind.TAGS, most=50):
        """Work off what the worker sends itself, and return how many messages it took."""
        of = WorkId(kind, SCOPE)
        world.queue.messages.clear()
        world.work_states.request(of, world.clock() + REDELIVER_AFTER)
        waiting, handled = [message(kind)], 0
        while waiting and handled < most:
            world.loop.handle(waiting.pop(), FakeWorker(lambda _: ended(world, of)), LEASE_SECONDS)
            handled += 1
            waiting, world.queue.messages = world.queue.messages, []
        return handled, world.work_states.items[of]

    @pytest.mark.parametrize("kind", list(WorkKind))
    @pytest.mark.parametrize("how", ["unfinished", "goes_on", "more wanted"])
    def test_end_and_leave_the_rest_to_its_due_time(self, world, kind, how):
        def ended(world, of):
            if how == "more wanted":
                world.work_states.request(of, world.clock() + REDELIVER_AFTER)
                return ENDED
            return ENDED._replace(**{how: True})

        handled, item = self.follow(world, ended, kind)
        assert handled == MOST_IN_A_ROW + 1
        assert (item.next_due_at, item.lease_until) == (world.clock(), None)
        assert (item.done or 0) < item.wanted
        world.tick(kind)
        assert message(kind) in [one.model_copy(update={"status_version": None}) for one in world.queue.messages]

    def test_a_row_that_ends_by_itself_is_not_cut(self, world):
        left = [True] * 5 + [False]
        handled, item = self.follow(world, lambda *_: ENDED._replace(unfinished=left.pop(0)))
        assert (handled, item.done) == (6, item.wanted)

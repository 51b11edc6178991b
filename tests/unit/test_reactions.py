"""What a changed scan record sets off, and region status under other writers."""

from datetime import timedelta

import pytest

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.regions import ScanChange, ScopeState, fold
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.errors import DrsActiveRegionsError
from chalicelib.services.region_status import MOST_ROUNDS, refresh_region, update_region_status

from ..factories import EPOCH, NOW, OTHER, REGION, SCOPE, STAGING, TARGET, region_status, scan_record
from ..fakes import World

TAGS = WorkId(WorkKind.TAGS, SCOPE)


@pytest.fixture
def world():
    world = World()
    world.add_account(TARGET)
    world.add_account(STAGING, AccountKind.STAGING)
    return world


def react(world, before, after):
    world.scans.put(after)
    world.scans.stream.clear()
    world.changes.handle(after.region, [ScanChange(before, after)])
    return set(world.queue.works())


class TestWork:
    def test_a_scope_that_became_active_gets_its_tags(self, world):
        assert react(world, None, scan_record()) == {TAGS}

    def test_so_does_one_that_was_idle(self, world):
        assert react(world, scan_record(server_count=0), scan_record()) == {TAGS}

    def test_newly_tagged_servers_get_their_tags(self, world):
        assert react(world, scan_record(), scan_record(tags_version=2)) == {TAGS}

    def test_new_servers_of_a_staging_account_are_extended_into_each_target(self, world):
        world.add_account(OTHER)
        for target in (TARGET, OTHER):
            world.accounts.members[target, STAGING] = None
        before, after = scan_record(account_id=STAGING), scan_record(account_id=STAGING, servers_version=2)
        staging = {WorkId(WorkKind.STAGING, Scope(target, REGION)) for target in (TARGET, OTHER)}
        assert react(world, before, after) == staging

    def test_a_steady_scan_sets_nothing_off(self, world):
        assert react(world, scan_record(), scan_record(epoch=2)) == set()

    def test_a_failed_scan_sets_nothing_off(self, world):
        assert react(world, scan_record(), scan_record(state=ScopeState.THROTTLED, epoch=2)) == set()

    def test_a_scope_that_became_idle_sets_nothing_off(self, world):
        after = scan_record(server_count=0, servers_version=2, tags_version=2)
        assert react(world, scan_record(), after) == set()
        assert world.filter.active_regions() == []

    def test_repeating_a_record_is_harmless(self, world):
        react(world, None, scan_record())
        react(world, None, scan_record())
        world.settle()
        assert world.work_states.items[TAGS].done == world.work_states.items[TAGS].wanted

    def test_asked_for_work_comes_due_should_its_message_be_lost(self, world):
        react(world, None, scan_record())
        assert world.work_states.items[TAGS].next_due_at == EPOCH + 1800

    def test_messages_carry_the_new_status_version(self, world):
        react(world, None, scan_record())
        assert world.queue.messages[0].status_version == world.statuses.rows[REGION].version == 1

    def test_work_that_cannot_be_asked_for_keeps_no_other_from_being_sent(self, world):
        for target in (TARGET, OTHER):
            world.accounts.members[target, STAGING] = None
        ask = world.work_states.request

        def asks(work, *arguments):
            if work.scope.account_id == TARGET:
                raise RuntimeError("TransactionConflictException")
            return ask(work, *arguments)

        world.work_states.request = asks
        with pytest.raises(RuntimeError, match="Conflict"):
            react(world, None, scan_record(account_id=STAGING))
        assert set(world.queue.works()) == {
            WorkId(WorkKind.TAGS, Scope(STAGING, REGION)),
            WorkId(WorkKind.STAGING, Scope(OTHER, REGION)),
        }

    def test_the_cache_is_dropped(self, world):
        world.statuses.replace(None, region_status(server_count=0))
        assert world.filter.active_regions() == []
        react(world, None, scan_record())
        assert world.filter.active_regions() == [REGION]

    def test_a_removed_record_is_folded_away(self, world):
        react(world, None, scan_record())
        world.scans.forget(SCOPE)
        world.pump()
        assert world.statuses.read(REGION) is None


class TestQuiet:
    """A scan that found nothing new: only times differ."""

    @pytest.fixture
    def reads(self, world, monkeypatch):
        """The regions whose scan records are read for a fold."""
        react(world, None, scan_record())
        reads, of_region = [], world.scans.of_region
        monkeypatch.setattr(world.scans, "of_region", lambda region: reads.append(region) or of_region(region))
        return reads

    def later(self, seconds, **values):
        when = NOW + timedelta(seconds=seconds)
        return scan_record(last_checked=when, last_success=when, epoch=2, **values)

    def test_it_folds_nothing(self, world, reads):
        react(world, scan_record(), self.later(30))
        assert (reads, world.statuses.read(REGION).version) == ([], 1)

    def test_the_moment_of_the_last_check_moves_once_a_minute(self, world, reads):
        for second, version in ((59, 1), (60, 2), (119, 2), (120, 3)):
            react(world, scan_record(), self.later(second))
            assert world.statuses.read(REGION).version == version
        assert reads == []
        row = world.statuses.read(REGION)
        assert row.last_checked == row.last_success == NOW + timedelta(seconds=120)

    @pytest.mark.parametrize(
        "change",
        [
            {"server_count": 2},
            {"replicating_count": 7},
            {"state": ScopeState.THROTTLED},
            {"error_message": "it is slow"},
            {"failures": 3},
        ],
    )
    def test_whatever_the_region_shows_is_folded(self, world, reads, change):
        react(world, scan_record(), self.later(1, **change))
        assert set(reads) == {REGION}
        assert not world.statuses.read(REGION).outdates(fold(world.scans.of_region(REGION)))

    def test_work_that_it_calls_for_is_requested_all_the_same(self, world, reads):
        world.queue.messages.clear()
        assert react(world, scan_record(), self.later(1, tags_version=2)) == {TAGS}
        assert (reads, world.queue.messages[0].status_version) == ([], 1)

    def test_a_region_without_a_row_is_folded(self, world, reads):
        world.statuses.rows.clear()
        react(world, scan_record(), self.later(1))
        assert world.statuses.read(REGION).server_count == 1

    def test_a_row_that_another_folded_meanwhile_stands(self, world, reads):
        def another():
            world.statuses.on_replace = None
            world.scans.put(scan_record(account_id=STAGING, server_count=4))
            refresh_region(REGION, world.scans, world.statuses)

        world.statuses.on_replace = another
        react(world, scan_record(), self.later(90))
        assert world.statuses.read(REGION).server_count == 5


class TestRefresh:
    def test_a_region_without_a_record_has_no_status(self, world):
        assert refresh_region(REGION, world.scans, world.statuses) is None

    def test_an_unchanged_fold_is_not_written(self, world):
        world.scans.put(scan_record())
        first = refresh_region(REGION, world.scans, world.statuses)
        assert refresh_region(REGION, world.scans, world.statuses).version == first.version == 1

    def test_the_moment_of_the_last_check_is_written_once_a_minute(self, world):
        world.scans.put(scan_record())
        refresh_region(REGION, world.scans, world.statuses)
        for second, version in ((30, 1), (59, 1), (60, 2)):
            world.scans.put(scan_record(last_checked=NOW.replace(minute=second // 60, second=second % 60)))
            assert refresh_region(REGION, world.scans, world.statuses).version == version

    def test_two_handlers_that_overlap_leave_the_newest_fold(self, world):
        world.scans.put(scan_record())

        def other_handler():
            world.statuses.on_replace = None
            world.scans.put(scan_record(account_id=STAGING, server_count=4))
            refresh_region(REGION, world.scans, world.statuses)

        world.statuses.on_replace = other_handler
        assert refresh_region(REGION, world.scans, world.statuses).server_count == 5

    def test_a_record_that_changes_after_the_fold_was_read_is_folded_too(self, world):
        world.scans.put(scan_record())

        def late_scan():
            world.statuses.on_replace = None
            world.scans.put(scan_record(server_count=9))

        world.statuses.on_replace = late_scan
        assert refresh_region(REGION, world.scans, world.statuses).server_count == 9

    def test_it_gives_up_where_others_write_all_the_time(self, world):
        world.scans.put(scan_record())
        rounds = []

        def always():
            rounds.append(1)
            present = world.statuses.rows.get(REGION) or region_status(version=0)
            world.statuses.rows[REGION] = present.model_copy(update={"version": present.version + 1})

        world.statuses.on_replace = always
        with pytest.raises(DrsActiveRegionsError, match=REGION):
            refresh_region(REGION, world.scans, world.statuses)
        assert len(rounds) == MOST_ROUNDS
        with pytest.raises(DrsActiveRegionsError, match=REGION):
            update_region_status(REGION, 1, None, world.statuses, world.clock)


class TestUpdate:
    def update(self, world, count, error=None):
        return update_region_status(REGION, count, error, world.statuses, world.clock)

    def test_a_count_is_written(self, world):
        self.update(world, 3)
        row = world.statuses.rows[REGION]
        assert (row.status, row.server_count, row.last_success, row.version) == (ScopeState.AVAILABLE, 3, NOW, 1)

    def test_an_error_keeps_the_region_active(self, world):
        self.update(world, 3)
        world.clock.advance(60)
        self.update(world, 0, "it broke")
        row = world.statuses.rows[REGION]
        assert (row.status, row.server_count, row.error_message) == (ScopeState.ERROR, 3, "it broke")
        assert row.last_success == NOW < row.last_checked

    def test_an_error_of_an_unknown_region_is_recorded(self, world):
        self.update(world, 0, "it broke")
        assert (world.statuses.rows[REGION].status, world.statuses.rows[REGION].server_count) == (ScopeState.ERROR, 0)

    def test_success_clears_the_error(self, world):
        self.update(world, 0, "it broke")
        self.update(world, 2)
        assert world.statuses.rows[REGION].error_message is None

    def test_another_writer_s_version_is_taken_into_account(self, world):
        def other_writer():
            world.statuses.on_replace = None
            self.update(world, 7)

        world.statuses.on_replace = other_writer
        self.update(world, 0, "it broke")
        assert (world.statuses.rows[REGION].server_count, world.statuses.rows[REGION].version) == (7, 2)

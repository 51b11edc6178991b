"""The resync: what should be worked on is restored from the registry and the scan records, without anybody asking."""

import pytest

from chalicelib.domain.accounts import AccountKind, AccountStatus
from chalicelib.domain.follow_up import changed_kinds, expected_work, follow_ups
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.errors import Throttled

from ..factories import (
    CADENCE,
    OTHER,
    REGION,
    REGIONS,
    SCOPE,
    SECOND,
    SOURCE,
    STAGING,
    TARGET,
    THIRD,
    account,
    instance,
    scan_record,
    wire_server,
    work,
)
from ..fakes import World

STAGED = Scope(STAGING, REGION)
TAGS, EXTENSIONS = WorkId(WorkKind.TAGS, SCOPE), WorkId(WorkKind.STAGING, SCOPE)
TICKS = CADENCE.probe // CADENCE.inventory
MINUTE, HOUR = 60, 3600


def hours(world, number):
    """Let every schedule fire for some hours, and everything settle that follows from it."""
    for minute in range(0, 60 * number, 5):
        world.clock.advance(5 * MINUTE)
        world.tick(WorkKind.STAGING)
        if minute % 15 == 0:
            world.tick(WorkKind.INVENTORY)
        if minute % 60 == 0:
            world.tick(WorkKind.TAGS)
        world.settle()
        world.redeliver()


def change(world, before, **values):
    world.registry.change(before.model_copy(update=values))


@pytest.fixture
def world():
    """A target with a server, and its staging account with one, all done."""
    world = World()
    world.add_account()
    world.add_staging()
    world.drs.add(wire_server("s-1"), wire_server("s-s1", STAGING))
    hours(world, 1)
    return world


class TestWhatFollows:
    """The pure rules."""

    def test_an_active_scan_calls_for_tags_of_its_scope_and_extension_into_each_target(self):
        scan = scan_record(account_id=STAGING)
        targets = [WorkId(WorkKind.STAGING, Scope(target, REGION)) for target in (TARGET, OTHER)]
        assert follow_ups(scan, [OTHER, TARGET]) == [WorkId(WorkKind.TAGS, STAGED), *targets]

    def test_an_idle_one_calls_for_nothing(self):
        assert follow_ups(scan_record(server_count=0), [TARGET]) == []

    def test_a_change_calls_for_what_it_changed(self):
        before = scan_record()
        assert changed_kinds(before, scan_record(epoch=2)) == set()
        assert changed_kinds(before, scan_record(tags_version=2)) == {WorkKind.TAGS}
        assert changed_kinds(before, scan_record(servers_version=2)) == {WorkKind.STAGING}
        assert changed_kinds(None, before) == {WorkKind.TAGS, WorkKind.STAGING}
        assert changed_kinds(before, scan_record(server_count=0, tags_version=2)) == set()

    def test_every_account_with_drs_is_scanned_and_only_those_that_are_active_are_changed(self):
        accounts = [
            account(TARGET),
            account(STAGING, AccountKind.STAGING, status=AccountStatus.INACTIVE),
            account(OTHER, status=AccountStatus.REMOVING),
            account(SOURCE, AccountKind.SOURCE),
        ]
        scans = [scan_record(account_id=STAGING), scan_record(account_id=OTHER)]
        expected = expected_work(REGION, accounts, scans, {STAGING: [TARGET, OTHER]})
        assert expected == {work(), work(scope=Scope(OTHER, REGION)), EXTENSIONS}


class TestWhatWasLost:
    """Nobody asks: the schedules alone bring it back."""

    def test_a_target_that_is_active_again_gets_what_appeared_meanwhile(self, world):
        target = world.accounts.read(TARGET)
        change(world, target, status=AccountStatus.INACTIVE)
        world.settle()
        world.drs.add(wire_server("s-s2", STAGING))
        hours(world, 1)
        change(world, target)
        hours(world, 7)
        assert len(world.drs.extensions(SCOPE)) == 2

    def test_tags_that_were_put_off_go_on_after_an_account_was_inactive_for_a_moment(self, world):
        world.drs.add(wire_server("s-2", instance="i-1", origin=(TARGET, REGION)))
        world.ec2.add(TARGET, REGION, instance("i-1", tags={"env": "prod"}))
        world.fault("drs:TagResource", Throttled("slow down", "ThrottlingException"), SCOPE)
        hours(world, 2)
        target = world.accounts.read(TARGET)
        change(world, target, status=AccountStatus.INACTIVE)
        world.tick(WorkKind.TAGS)
        world.settle()
        world.heal()
        change(world, target)
        world.settle()
        hours(world, 8)
        assert world.drs.get(wire_server("s-2")["arn"])["tags"] == {"env": "prod"}

    def test_a_change_that_stopped_half_way_is_finished(self, world):
        def fails(*_, **__):
            raise RuntimeError("throttled")

        target = world.accounts.read(TARGET)
        change(world, target, status=AccountStatus.INACTIVE)
        hours(world, 8)
        ask, world.work_states.request = world.work_states.request, fails
        with pytest.raises(RuntimeError):
            change(world, target)
        world.work_states.request = ask
        checked = world.scans.read(SCOPE).last_checked
        hours(world, 7)
        assert world.scans.read(SCOPE).last_checked > checked

    def test_a_region_that_aws_adds_is_scanned(self):
        world = World(regions=[REGION, SECOND])
        world.add_account()
        hours(world, 1)
        world.regions = sorted([*world.regions, THIRD])
        world.drs.add(wire_server("s-2", TARGET, THIRD))
        hours(world, 7)
        assert world.inventory.row("s-2", THIRD)

    def test_an_account_that_was_registered_during_a_tick_is_scanned(self, world):
        create = world.accounts.create

        def meanwhile(registered):
            world.tick()
            world.settle()  # its scopes are taken for those of an account that is gone
            create(registered)

        world.accounts.create = meanwhile
        world.add_account(OTHER)
        world.drs.add(wire_server("s-3", OTHER))
        hours(world, 7)
        assert world.inventory.row("s-3")

    def test_a_reaction_that_never_came_is_made_good(self, world):
        world.drs.add(wire_server("s-s2", STAGING))
        world.run_work(WorkKind.INVENTORY, STAGED)
        world.scans.stream.clear()
        world.work_states.items[EXTENSIONS].next_due_at = None
        hours(world, 7)
        assert len(world.drs.extensions(SCOPE)) == 2

    def test_region_status_that_missed_its_records_is_folded_anew(self, world):
        world.statuses.rows[REGION] = world.statuses.rows[REGION].model_copy(update={"server_count": 99})
        for _ in range(TICKS):
            world.clock.advance(CADENCE.inventory)
            world.resync.tick()
        assert world.statuses.rows[REGION].server_count == 3

    def test_a_removal_that_lost_its_work_goes_on(self, world):
        removing = world.accounts.read(TARGET).model_copy(update={"status": AccountStatus.REMOVING})
        world.accounts.accounts[TARGET] = removing
        for item in world.work_states.items.values():
            item.next_due_at = None
        hours(world, 7)
        assert world.accounts.read(TARGET) is None


class TestOneTick:
    def test_each_region_has_two_turns_in_a_probe_interval(self, world):
        turns = dict.fromkeys(REGIONS, 0)
        for _ in range(TICKS):
            world.clock.advance(CADENCE.inventory)
            for one in world.resync.tick():
                turns[one.region] += 1
        assert set(turns.values()) == {2}

    def test_a_tick_that_is_lost_loses_nobody_s_turn(self, world):
        seen = set()
        for number in range(TICKS):
            world.clock.advance(CADENCE.inventory)
            if number % 2:
                seen |= {one.region for one in world.resync.tick()}
        assert seen == set(REGIONS)

    def test_one_region_that_fails_costs_the_others_nothing(self, world, monkeypatch):
        def fails(region):
            raise RuntimeError(f"{region} cannot be read")

        of_region = world.scans.of_region
        monkeypatch.setattr(world.scans, "of_region", lambda region: (fails if region == SECOND else of_region)(region))
        world.work_states.items[work()].next_due_at = None
        failed = 0
        for _ in range(TICKS):
            world.clock.advance(CADENCE.inventory)
            try:
                world.resync.tick()
            except RuntimeError:
                failed += 1
        assert failed == 2
        assert world.work_states.items[work()].next_due_at is not None

    def test_work_that_is_put_off_beyond_any_cadence_is_brought_back(self, world):
        world.work_states.items[TAGS].next_due_at = int(world.clock()) + 100 * 24 * HOUR
        hours(world, 7)
        assert world.work_states.items[TAGS].next_due_at <= world.clock() + CADENCE.probe

    def test_what_keeps_failing_is_not_asked_for_out_of_turn(self, world):
        world.fault("drs:DescribeSourceServers", Throttled("slow down", "ThrottlingException"))
        hours(world, 3)
        assert world.scans.read(SCOPE).state is ScopeState.THROTTLED
        asked = {each: item.wanted for each, item in world.work_states.items.items()}
        for _ in range(TICKS):
            world.resync.tick()
            world.clock.advance(CADENCE.inventory)
        assert {each: item.wanted for each, item in world.work_states.items.items()} == asked

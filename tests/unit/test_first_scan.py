"""A first scan shows its servers before it asks for their replication configurations."""

import pytest

from chalicelib.domain.regions import ScanRecord
from chalicelib.domain.writes import UpdateServer
from chalicelib.errors import AccessDenied, Throttled
from chalicelib.services.sync.inventory import (
    CONFIGURATIONS_A_MESSAGE,
    CONFIGURATIONS_AT_ONCE,
    MOST_FURTHER_MESSAGES,
)
from chalicelib.services.sync.replication_configurations import CONFIGURATION_CALLS_AT_ONCE, MOST_DENIALS

from ..factories import REGION, SCOPE, STAGING, arn_of, extended_area, message, wire_server
from ..fakes import World

CONFIGURATION = "drs:GetReplicationConfiguration"


@pytest.fixture
def world():
    world = World()
    world.add_account()
    return world


def add(world, count, **values):
    world.drs.add(*(wire_server(f"s-{number:04}", **values) for number in range(count)))


def asked(world):
    return sum(number for (name, *_), number in world.calls.made.items() if name == CONFIGURATION)


def still_open(world):
    return sum(not entry.topology_complete for entry in world.telemetries.read(SCOPE).servers.values())


class TestRowsFirst:
    def test_rows_and_record_are_written_before_any_configuration_is_asked_for(self, world):
        add(world, 150)
        configuration = world.drs.replication_configuration

        def checked(*arguments):
            assert len(world.inventory.living(SCOPE)) == world.scans.read(SCOPE).server_count == 150
            return configuration(*arguments)

        world.drs.replication_configuration = checked
        world.scan()
        assert asked(world) == CONFIGURATIONS_AT_ONCE

    def test_further_messages_ask_for_the_rest(self, world):
        add(world, CONFIGURATIONS_AT_ONCE + CONFIGURATIONS_A_MESSAGE + 1)
        world.sync(scopes=[SCOPE])
        world.deliver()
        assert message(continued=1, in_a_row=1) in world.queue.messages
        world.settle()
        assert still_open(world) == 0
        assert all(row.topology.complete for row in world.inventory.of_scope(SCOPE))
        assert asked(world) == CONFIGURATIONS_AT_ONCE + CONFIGURATIONS_A_MESSAGE + 1

    def test_what_does_not_fit_into_the_time_goes_on_in_further_messages(self, world):
        add(world, 200)
        configuration = world.drs.replication_configuration

        def slow(*arguments):
            world.clock.advance(10)
            return configuration(*arguments)

        world.drs.replication_configuration = slow
        world.tick()
        world.settle()
        assert still_open(world) == 0

    def test_a_scope_is_done_as_soon_as_its_servers_are_there(self, world):
        add(world, 100)
        run = world.sync(scopes=[SCOPE])
        world.deliver()
        assert world.run_reader.progress(run.run_id).done == 1

    def test_what_the_first_message_found_is_not_forgotten_by_the_next(self, world):
        add(world, 100)
        run = world.sync(scopes=[SCOPE])
        world.settle()
        progress = world.run_reader.progress(run.run_id)
        assert (progress.counts["new"], progress.calls[CONFIGURATION]) == (100, 100)

    def test_further_messages_are_bounded(self, world, monkeypatch):
        monkeypatch.setattr("chalicelib.services.sync.inventory.CONFIGURATIONS_A_MESSAGE", 2)
        add(world, 100)
        world.tick()
        world.settle()
        assert still_open(world) == 100 - CONFIGURATIONS_AT_ONCE - 2 * MOST_FURTHER_MESSAGES
        world.clock.advance(900)
        world.cycle()
        assert still_open(world) < 100 - CONFIGURATIONS_AT_ONCE - 2 * MOST_FURTHER_MESSAGES

    def test_a_slow_service_is_left_alone_until_the_next_scan(self, world):
        add(world, 100)
        world.fault(CONFIGURATION, Throttled("slow down", "ThrottlingException"))
        world.tick()
        world.settle()
        assert asked(world) <= CONFIGURATION_CALLS_AT_ONCE


class TestDenials:
    def test_a_server_that_is_denied_does_not_stop_the_others(self, world):
        add(world, 10)
        world.fault(CONFIGURATION, AccessDenied("no", "AccessDeniedException"), subject="s-0000")
        world.scan()
        assert still_open(world) == 1

    def test_a_role_that_may_not_ask_is_not_tried_for_every_server(self, world):
        add(world, 100)
        world.fault(CONFIGURATION, AccessDenied("no", "AccessDeniedException"))
        world.tick()
        world.settle()
        assert asked(world) <= MOST_DENIALS + CONFIGURATION_CALLS_AT_ONCE

    def test_an_extension_is_never_asked_for(self, world):
        world.drs.add(wire_server("s-e", staging=extended_area(arn_of("s-9", STAGING))), wire_server("s-1"))
        world.fault(CONFIGURATION, AccessDenied("an extension has none", "AccessDeniedException"), subject="s-e")
        world.scan()
        world.scan()
        assert asked(world) == 1
        assert still_open(world) == 0


def test_the_scan_record_comes_before_the_originals(world):
    add(world, 3)
    world.scan()
    order = [type(write) for write in world.writer.written if isinstance(write, UpdateServer | ScanRecord)]
    assert order == [UpdateServer] * 3 + [ScanRecord] + [UpdateServer] * 3
    assert world.inventory.row("s-0000", REGION).topology.complete

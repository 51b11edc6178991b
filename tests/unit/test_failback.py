"""Failback topology, history, and the queries of the inventory (R12.2)."""

from datetime import timedelta

import pytest

from chalicelib import inventory_query
from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.container import container
from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.failback import events_after, failback_topology
from chalicelib.domain.history import MOST_EVENTS, Event, EventKind, trimmed
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import DrsFacts
from chalicelib.domain.topology import Learnt, Source
from chalicelib.errors import InvalidRequest, NotFound
from chalicelib.services.failback import Failback

from ..factories import (
    NOW,
    OTHER,
    REGION,
    SCOPE,
    SECOND,
    SOURCE,
    STAGING,
    TARGET,
    arn_of,
    region_status,
    row_update,
    scan_record,
    server_row,
    topology,
    wire_server,
    work,
)
from .observing import observing


def facts(**values):
    return DrsFacts(arn=arn_of("s-1"), staging_account_id=TARGET, **values)


def kinds(events):
    return [event.kind for event in events]


class TestHistory:
    def test_a_record_begins_when_it_is_first_seen(self):
        assert kinds(events_after([], None, facts(), NOW)) == [EventKind.FIRST_SEEN]

    def test_a_tombstone_that_lives_again_has_returned(self):
        assert kinds(events_after([], server_row(deleted_at=NOW), facts(), NOW)) == [EventKind.RETURNED]

    @pytest.mark.parametrize(("said", "kind"), [("DRILL", EventKind.DRILL), ("RECOVERY", EventKind.RECOVERY)])
    def test_a_launch_is_told_once(self, said, kind):
        launched = {"last_launch_type": said, "last_launch_at": "2026-03-01T11:00:00Z", "recovery_instance_id": "i-r"}
        assert kinds(events_after([], server_row(), facts(**launched), NOW)) == [kind]
        assert events_after([], server_row(**launched), facts(**launched), NOW) == []

    def test_a_reversal_is_told_once(self):
        reversed_arn = {"reversed_direction_source_server_arn": arn_of("s-2", SOURCE, SECOND)}
        assert kinds(events_after([], server_row(), facts(**reversed_arn), NOW)) == [EventKind.REVERSED]
        assert events_after([], server_row(**reversed_arn), facts(**reversed_arn), NOW) == []

    def test_the_first_event_is_always_kept(self):
        events = [Event(at=NOW + timedelta(days=day), kind=EventKind.DRILL) for day in range(MOST_EVENTS + 10)]
        kept = trimmed(events)
        assert (len(kept), kept[0], kept[-1]) == (MOST_EVENTS, events[0], events[-1])

    def test_a_scan_writes_it(self, world):
        world.add_account(TARGET)
        world.drs.add(wire_server("s-1"))
        world.scan()
        world.drs.remove(arn_of("s-1"))
        world.scan_emptied()
        assert kinds(world.inventory.row("s-1").history) == [EventKind.FIRST_SEEN, EventKind.DELETED]


class TestTopology:
    def test_both_directions_have_a_command(self):
        told = failback_topology(server_row(topology=topology()), None, aws_partition())
        assert "--region eu-west-2 --account-id 333333333333" in told.failback_command
        assert f"--region {REGION} --account-id {TARGET}" in told.reprotect_command
        assert told.failback_command.startswith("wget")

    def test_windows_has_its_own_installer(self):
        row = server_row(topology=topology(), operating_system="Microsoft Windows Server 2022")
        assert "AwsReplicationWindowsInstaller.exe" in failback_topology(row, None, aws_partition()).failback_command

    def test_what_is_unknown_is_said_and_never_guessed(self):
        unknown = topology(original_account_id=Learnt(source=Source.UNKNOWN, learnt_at=NOW))
        told = failback_topology(server_row(topology=unknown), None, aws_partition())
        assert told.failback_command is None
        assert [warning for warning in told.warnings if "original_account_id" in warning]

    def test_a_row_without_a_topology_says_so(self):
        told = failback_topology(server_row(), None, aws_partition())
        assert (told.topology, told.failback_command) == (None, None)
        assert told.warnings

    def test_a_reversed_record_s_originals_are_those_of_the_machine(self):
        original = server_row("s-1", topology=topology())
        reversed_row = server_row("s-2", SCOPE._replace(account_id=SOURCE), replication_direction="FAILBACK")
        told = failback_topology(reversed_row, original, aws_partition())
        assert (told.topology, told.original_source_server_id) == (original.topology, "s-1")

    def test_a_reversed_record_alone_says_what_it_knows(self):
        row = server_row("s-2", replication_direction="FAILBACK", source_region=SECOND, source_account_id=OTHER)
        told = failback_topology(row, None, aws_partition())
        assert told.topology.original_source_region.value == REGION
        assert told.topology.original_replication_region.value == SECOND
        assert told.original_source_server_id is None

    def test_the_history_is_that_of_both_records_in_order(self):
        first, second = (Event(at=NOW + timedelta(days=day), kind=EventKind.FIRST_SEEN) for day in (0, 1))
        told = failback_topology(
            server_row("s-2", history=[second]), server_row("s-1", history=[first]), aws_partition()
        )
        assert [event.source_server_id for event in told.history] == ["s-1", "s-2"]


class TestService:
    @pytest.fixture
    def failback(self, world):
        for update in (
            row_update(
                "s-1",
                topology=topology().item(),
                hostname="web",
                reversedDirectionSourceServerArn=arn_of("s-3"),
            ),
            row_update("s-2", hostname="web", deletedAt="2026-03-01T12:00:00.000Z"),
            row_update(
                "s-3",
                arn=arn_of("s-3"),
                replicationDirection="FAILBACK",
                reversedDirectionSourceServerArn=arn_of("s-1"),
            ),
        ):
            world.inventory.put(update)
        return Failback(world.inventory, world.accounts, aws_partition)

    def test_living_servers_and_tombstones_are_told(self, failback):
        assert failback.get_failback_topology("s-1").topology == topology()
        assert failback.get_failback_topology("s-2").deleted_at

    def test_the_other_record_is_found_by_its_arn(self, failback):
        assert failback.get_failback_topology("s-3").original_source_server_id == "s-1"

    def test_a_record_that_only_one_of_the_two_names_is_not_linked(self, world, failback):
        world.inventory.put(row_update("s-1", reversedDirectionSourceServerArn=None))
        assert failback.get_failback_topology("s-3").original_source_server_id is None

    @pytest.mark.parametrize(("tenant", "linked"), [("default", True), ("somebody-else", False), (None, False)])
    def test_a_record_is_linked_within_its_tenant_only(self, world, failback, tenant, linked):
        world.add_account(TARGET)
        if tenant:
            world.add_account(OTHER, AccountKind.SOURCE, tenant=tenant)
        theirs = Scope(OTHER, SECOND)
        mine = arn_of("s-3")
        world.inventory.put(
            row_update(
                "s-7",
                theirs,
                arn=arn_of("s-7", *theirs),
                reversedDirectionSourceServerArn=mine,
                topology=topology().item(),
            )
        )
        world.inventory.put(
            row_update("s-3", replicationDirection="FAILBACK", reversedDirectionSourceServerArn=arn_of("s-7", *theirs))
        )
        told = failback.get_failback_topology("s-3")
        assert (told.original_source_server_id == "s-7") is linked
        assert ("s-7" in str(told.history)) is False or linked

    def test_an_extension_shows_the_configuration_of_its_original(self, world, failback):
        world.add_account(TARGET)
        world.add_account(STAGING, AccountKind.STAGING)
        staged = Scope(STAGING, REGION)
        unknown = topology(original_replication_configuration=Learnt(source=Source.UNKNOWN, learnt_at=NOW))
        world.inventory.put(row_update("s-8", staged, arn=arn_of("s-8", STAGING), topology=topology().item()))
        world.inventory.put(
            row_update(
                "s-e",
                stagingStatus="EXTENDED",
                stagingSourceServerArn=arn_of("s-8", STAGING),
                topology=unknown.item(),
            )
        )
        assert failback.get_failback_topology("s-e").topology == topology()

    def test_what_is_missing_is_warned_of(self, failback):
        with observing() as seen:
            failback.get_failback_topology("s-2")
            assert "failback topology is incomplete" in seen.lines()

    def test_servers_of_a_name_come_living_ones_first(self, failback):
        assert [told.source_server_id for told in failback.of_hostname("web")] == ["s-1", "s-2"]

    def test_an_unknown_server_or_name_is_not_found(self, failback):
        with pytest.raises(NotFound, match="s-9"):
            failback.get_failback_topology("s-9")
        with pytest.raises(NotFound, match="nobody"):
            failback.of_hostname("nobody")


@pytest.mark.usefixtures("deployed")
class TestSeedModule:
    @pytest.fixture
    def stocked(self, monkeypatch):
        monkeypatch.setattr("chalicelib.services.refresh.LONGEST_WAIT_SECONDS", 0)
        container().ports.work_states.request(work(), 0)
        lease = container().ports.work_states.take(work(), 1, 2).lease
        rows = [row_update(f"s-{number}", cpuCores=number, sourceTags={"env": "prod"}) for number in range(4)]
        container().ports.writer.write(lease, [*rows, scan_record(server_count=4)])
        container().ports.statuses.replace(None, region_status(server_count=4))

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            (None, ["s-0", "s-1", "s-2", "s-3"]),
            ({"minCpuCores": 2}, ["s-2", "s-3"]),
            ({"hostname": "host-s-1"}, ["s-1"]),
            ({"tags": {"env": "prod"}, "minCpuCores": 3}, ["s-3"]),
            ({"tags": {"env": "test"}}, []),
            ({"replicationState": "STALLED"}, []),
        ],
    )
    def test_servers_are_told_by_region_and_filter(self, stocked, filters, expected):
        told = inventory_query.query_inventory_by_regions([REGION, SECOND], filters)
        assert [server["sourceServerID"] for server in told] == expected

    @pytest.mark.parametrize("filters", [{"colour": "red"}, {"tags": "env"}, {"minCpuCores": "many"}])
    def test_a_filter_that_does_not_fit_is_named(self, stocked, filters):
        with pytest.raises(InvalidRequest, match=next(iter(filters))):
            inventory_query.query_inventory_by_regions([REGION], filters)

    def test_every_page_is_read(self, stocked, monkeypatch):
        monkeypatch.setattr(inventory_query, "MOST_PER_PAGE", 1)
        assert len(inventory_query.query_inventory_by_regions([REGION])) == 4

    def test_an_old_inventory_is_not_fresh(self, stocked):
        assert not inventory_query.is_inventory_fresh()
        assert inventory_query.is_inventory_fresh(60 * 24 * 365 * 50)

    def test_nothing_scanned_is_not_fresh(self):
        assert not inventory_query.is_inventory_fresh()

    def test_the_topology_is_told(self, stocked):
        assert inventory_query.get_failback_topology("s-1").source_server_id == "s-1"

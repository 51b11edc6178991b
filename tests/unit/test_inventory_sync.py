"""Inventory sync of one scope."""

import pytest

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.extension import RefusalReason
from chalicelib.domain.regions import ScanRecord, ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import InstanceState
from chalicelib.domain.topology import Source
from chalicelib.domain.work import WorkKind
from chalicelib.domain.writes import ScopeTelemetry, UpdateServer
from chalicelib.errors import AccessDenied, LeaseLost, NotOptedIn, ServiceError, Throttled, Uninitialized
from chalicelib.services.sync.instance_lookup import INSTANCES_PER_LOOK_UP
from chalicelib.services.sync.replication_configurations import CONFIGURATION_CALLS_AT_ONCE

from ..factories import (
    EPOCH,
    NOW,
    OTHER,
    REGION,
    SCOPE,
    SECOND,
    SOURCE,
    STAGING,
    TARGET,
    arn_of,
    extended_area,
    instance,
    message,
    wire_server,
    work,
)
from ..fakes import Crash, World

DESCRIBE, LOOK_UP = "drs:DescribeSourceServers", "ec2:DescribeInstances"
CONFIGURATION = "drs:GetReplicationConfiguration"
ORIGIN = (SOURCE, SECOND)


@pytest.fixture
def world():
    """A target with one server on EC2 in another account and region, and one on premises."""
    world = World()
    world.add_account(TARGET)
    world.add_account(SOURCE, AccountKind.SOURCE)
    world.drs.add(wire_server("s-1", instance="i-1", origin=ORIGIN, tags={"team": "a"}), wire_server("s-2"))
    world.ec2.add(*ORIGIN, instance("i-1", tags={"Name": "web"}))
    return world


def scan_of(world):
    return world.scans.read(SCOPE)


def writes_of(world, scan):
    before = len(world.writer.written)
    scan()
    return world.writer.written[before:]


class TestFirstScan:
    def test_every_server_is_written_with_what_drs_and_ec2_say(self, world):
        outcome = world.scan()
        row = world.inventory.row("s-1")
        assert (row.hostname, row.drs_tags, row.source_tags) == ("host-s-1", {"team": "a"}, {"Name": "web"})
        assert (row.instance_state, row.instance_type, row.vpc_id) == (InstanceState.FOUND, "m5.large", "vpc-1")
        assert (row.account_id, row.scope, row.first_seen, row.living) == (TARGET, SCOPE.key, NOW, True)
        assert outcome.result.counts["new"] == outcome.result.counts["changed"] == 2

    def test_the_instance_is_looked_up_in_its_origin_account_and_region(self, world):
        world.scan()
        assert world.calls.scopes(LOOK_UP) == {Scope(*ORIGIN)}

    def test_a_server_without_an_instance_is_on_premises_and_asks_nobody(self, world):
        world.drs.remove(arn_of("s-1"))
        world.scan()
        assert world.inventory.row("s-2").instance_state is InstanceState.ON_PREMISES
        assert world.calls.of("ec2") == 0

    def test_the_failback_originals_are_captured(self, world):
        world.scan()
        topology = world.inventory.row("s-1").topology
        assert topology.original_account_id.value == SOURCE
        assert topology.original_source_region.value == SECOND
        assert topology.original_replication_region.value == REGION
        assert topology.original_replication_configuration.value == {"name": "default", "ebsEncryption": "CUSTOM"}
        assert world.inventory.row("s-2").topology.original_account_id.source is Source.UNKNOWN

    def test_the_record_counts_and_is_written_last_with_the_telemetry(self, world):
        world.drs.add(wire_server("s-3", state="STALLED"))
        world.scan()
        scan = scan_of(world)
        assert (scan.server_count, scan.replicating_count, scan.extended_count) == (3, 2, 0)
        assert (scan.state, scan.last_checked, scan.last_success) == (ScopeState.AVAILABLE, NOW, NOW)
        [(telemetry, record)] = [some for some in world.writer.transactions if isinstance(some[-1], ScanRecord)]
        assert isinstance(telemetry, ScopeTelemetry)
        assert isinstance(record, ScanRecord)

    def test_versions_begin(self, world):
        world.scan()
        assert (scan_of(world).servers_version, scan_of(world).tags_version) == (1, 1)

    def test_an_empty_scope_is_an_answer(self, world):
        empty = Scope(TARGET, SECOND)
        outcome = world.scan(empty)
        assert world.scans.read(empty).server_count == 0
        assert outcome.probe

    def test_a_scope_with_servers_is_due_after_the_interval(self, world):
        outcome = world.scan()
        assert (outcome.next_due, outcome.probe) == (EPOCH + 900, False)


class TestSteadyScan:
    def test_exactly_two_items_are_written_and_no_row_is_read(self, world):
        world.scan()
        world.clock.advance(900)
        world.inventory.rows_read = 0
        written = writes_of(world, world.scan)
        assert [type(write) for write in written] == [ScopeTelemetry, ScanRecord]
        assert world.inventory.rows_read == 0

    def test_one_call_for_drs_and_one_for_each_origin(self, world):
        world.scan()
        mark = world.calls.snapshot()
        outcome = world.scan()
        assert world.calls.calls_since(mark) == {DESCRIBE: 1, LOOK_UP: 1}
        assert outcome.result.calls == {DESCRIBE: 1, LOOK_UP: 1}

    def test_lag_within_its_band_and_last_seen_write_no_row(self, world):
        world.scan()
        wire = world.drs.get(arn_of("s-1"))
        wire["dataReplicationInfo"]["lagDuration"] = "PT9M59S"
        wire["lifeCycle"]["lastSeenByServiceDateTime"] = "2026-03-01T12:14:00Z"
        written = writes_of(world, world.scan)
        assert not [write for write in written if isinstance(write, UpdateServer)]
        entry = world.telemetries.read(SCOPE).servers["s-1"]
        assert (entry.lag_seconds, entry.last_seen) == (599, "2026-03-01T12:14:00Z")

    def test_versions_stay(self, world):
        world.scan()
        world.scan()
        assert (scan_of(world).servers_version, scan_of(world).tags_version) == (1, 1)
        assert scan_of(world).epoch == 2


class TestChanges:
    def test_a_changed_server_alone_is_written(self, world):
        world.scan()
        world.drs.get(arn_of("s-1"))["dataReplicationInfo"]["dataReplicationState"] = "STALLED"
        written = writes_of(world, world.scan)
        assert [write.source_server_id for write in written if isinstance(write, UpdateServer)] == ["s-1"]
        assert world.inventory.row("s-1").replication_state == "STALLED"
        assert (scan_of(world).servers_version, scan_of(world).tags_version) == (1, 1)

    def test_what_drs_no_longer_says_is_removed(self, world):
        world.drs.get(arn_of("s-1"))["recoveryInstanceId"] = "i-recovery"
        world.scan()
        del world.drs.get(arn_of("s-1"))["recoveryInstanceId"]
        world.scan()
        assert world.inventory.row("s-1").recovery_instance_id is None

    def test_changed_ec2_tags_call_for_tag_sync(self, world):
        world.scan()
        world.ec2.add(*ORIGIN, instance("i-1", tags={"Name": "renamed"}))
        world.scan()
        assert world.inventory.row("s-1").source_tags == {"Name": "renamed"}
        assert (scan_of(world).servers_version, scan_of(world).tags_version) == (1, 2)

    def test_a_server_that_is_disconnected_calls_for_tag_sync(self, world):
        world.scan()
        world.drs.get(arn_of("s-1"))["dataReplicationInfo"]["dataReplicationState"] = "DISCONNECTED"
        world.scan()
        assert scan_of(world).tags_version == 2

    def test_a_new_server_raises_both_versions(self, world):
        world.scan()
        world.drs.add(wire_server("s-3"))
        outcome = world.scan()
        assert outcome.result.counts["new"] == 1
        assert (scan_of(world).servers_version, scan_of(world).tags_version) == (2, 2)

    def test_managed_keys_of_the_tag_worker_survive_a_scan(self, world):
        world.scan()
        world.inventory.items["s-1", REGION]["managedTagKeys"] = ["Name"]
        world.drs.get(arn_of("s-1"))["tags"] = {"Name": "web"}
        world.scan()
        assert world.inventory.row("s-1").managed_tag_keys == ["Name"]

    def test_an_instance_that_is_gone_is_not_found(self, world):
        world.scan()
        world.ec2.present[Scope(*ORIGIN)].clear()
        world.scan()
        assert world.inventory.row("s-1").instance_state is InstanceState.NOT_FOUND


class TestGone:
    def test_a_server_that_is_gone_becomes_a_tombstone_with_its_topology(self, world):
        world.scan()
        topology = world.inventory.row("s-1").topology
        world.drs.remove(arn_of("s-1"))
        outcome = world.scan()
        row = world.inventory.row("s-1")
        assert (row.living, row.scope, row.topology) == (False, None, topology)
        assert outcome.result.counts["removed"] == 1
        assert world.inventory.living(SCOPE) == {"s-2"}
        assert scan_of(world).servers_version == 2

    def test_a_tombstone_is_buried_once(self, world):
        world.scan()
        world.drs.remove(arn_of("s-1"))
        world.scan()
        written = writes_of(world, world.scan)
        assert [type(write) for write in written] == [ScopeTelemetry, ScanRecord]

    def test_an_extension_that_was_removed_is_not_to_be_made_again(self, world):
        original = arn_of("s-9", STAGING)
        world.drs.add(wire_server("s-3", staging=extended_area(original)))
        world.scan()
        world.drs.remove(arn_of("s-3"))
        world.scan()
        refused = world.refusals.of_target(SCOPE)[original]
        assert (refused.reason, refused.next_try_at) == (RefusalReason.REMOVED, None)
        assert "s-3" in refused.message

    def test_an_extension_in_error_that_is_gone_may_be_tried_again(self, world):
        area = extended_area(arn_of("s-9", STAGING), status="EXTENSION_ERROR")
        world.drs.add(wire_server("s-3", staging=area))
        world.scan()
        world.drs.remove(arn_of("s-3"))
        world.scan()
        assert world.refusals.of_target(SCOPE) == {}

    def test_a_removal_is_refused_even_where_the_worker_dies_within_the_burial(self, world):
        """98 changed rows fill the first transaction up to the burial: its two writes fall on either side."""
        original = arn_of("s-9", STAGING)
        world.drs.add(wire_server("s-x", staging=extended_area(original)))
        world.drs.add(*(wire_server(f"s-1{number:03d}") for number in range(98)))
        world.scan()
        world.drs.remove(arn_of("s-x"))
        for number in range(98):
            world.drs.get(arn_of(f"s-1{number:03d}"))["agentVersion"] = "2"
        world.writer.interruptions = [None, Crash()]
        with pytest.raises(Crash):
            world.run_work(WorkKind.INVENTORY)
        world.clock.advance(1000)
        world.scan()
        assert not world.inventory.row("s-x").living
        assert world.refusals.of_target(SCOPE)[original].reason is RefusalReason.REMOVED

    def test_a_server_that_comes_back_lives_again(self, world):
        world.scan()
        first_seen = world.inventory.row("s-1").first_seen
        wire = world.drs.get(arn_of("s-1"))
        world.drs.remove(arn_of("s-1"))
        world.scan()
        world.drs.add(wire)
        world.clock.advance(900)
        world.scan()
        row = world.inventory.row("s-1")
        assert (row.living, row.scope, row.first_seen, row.deleted_at) == (True, SCOPE.key, first_seen, None)
        assert scan_of(world).servers_version == 3

    def test_the_row_of_another_account_is_not_buried(self, world):
        world.drs.add(wire_server("s-3", staging=extended_area(arn_of("s-9", STAGING))))
        world.scan()
        world.inventory.items["s-3", REGION]["accountId"] = OTHER
        world.drs.remove(arn_of("s-3"))
        world.scan()
        assert world.inventory.row("s-3").living
        assert world.refusals.of_target(SCOPE) == {}


FAILURES = [
    (ScopeState.THROTTLED, Throttled("Rate exceeded", "ThrottlingException")),
    (ScopeState.ACCESS_DENIED, AccessDenied("not authorised", "AccessDeniedException")),
    (ScopeState.NOT_OPTED_IN, NotOptedIn("not enabled", "UnrecognizedClientException")),
    (ScopeState.UNINITIALIZED, Uninitialized("not set up", "UninitializedAccountException")),
    (ScopeState.ERROR, ServiceError("it broke", "InternalServerException")),
]


class TestFailures:
    @pytest.mark.parametrize(("state", "error"), FAILURES)
    def test_a_failed_scan_keeps_counts_and_rows(self, world, state, error):
        world.scan()
        before, rows = scan_of(world), dict(world.inventory.items)
        world.clock.advance(900)
        world.fault(DESCRIBE, error)
        outcome = world.scan()
        scan = scan_of(world)
        assert (scan.state, scan.error_message) == (state, str(error))
        assert (scan.server_count, scan.replicating_count, scan.last_success) == (2, 2, before.last_success)
        assert (scan.servers_version, scan.tags_version) == (1, 1)
        assert scan.last_checked > before.last_checked
        assert world.inventory.items == rows
        assert (outcome.result.state, outcome.probe, outcome.next_due) == (state, False, EPOCH + 1800)
        assert world.statuses.rows[REGION].server_count == 2
        assert REGION in world.filter.active_regions(0)

    @pytest.mark.parametrize(("state", "error"), FAILURES)
    def test_a_scope_that_never_answered_is_probed_unless_it_should_pass(self, world, state, error):
        world.fault(DESCRIBE, error)
        outcome = world.scan()
        assert scan_of(world).state is state
        assert outcome.probe is not state.passing

    def test_not_being_set_up_is_an_answer(self, world):
        world.fault(DESCRIBE, FAILURES[3][1])
        world.scan()
        assert scan_of(world).last_success == NOW

    def test_one_scope_s_failure_leaves_another_alone(self, world):
        world.add_account(OTHER)
        theirs = Scope(OTHER, REGION)
        world.drs.add(wire_server("s-9", OTHER))
        world.scan()
        world.scan(theirs)
        world.fault(DESCRIBE, FAILURES[0][1], theirs)
        world.scan(theirs)
        world.scan()
        assert scan_of(world).state is ScopeState.AVAILABLE
        assert world.statuses.rows[REGION].server_count == 3
        assert world.statuses.rows[REGION].status is ScopeState.THROTTLED

    def test_after_the_fault_all_is_current_again(self, world):
        world.scan()
        world.fault(DESCRIBE, FAILURES[0][1])
        world.scan()
        world.heal()
        world.drs.remove(arn_of("s-1"))
        world.scan()
        assert (scan_of(world).state, scan_of(world).error_message) == (ScopeState.AVAILABLE, None)
        assert world.inventory.living(SCOPE) == {"s-2"}

    def test_an_answer_that_breaks_off_removes_nothing(self, world):
        world.scan()

        def breaks_off(account, region):
            yield world.drs.get(arn_of("s-2"))
            raise Throttled("Rate exceeded on page 2", "ThrottlingException")

        world.drs.source_servers = breaks_off
        world.scan()
        assert world.inventory.living(SCOPE) == {"s-1", "s-2"}
        assert scan_of(world).server_count == 2


class TestEc2Failures:
    def test_the_last_known_tags_stay_and_the_failure_is_reported(self, world):
        world.scan()
        world.fault(LOOK_UP, AccessDenied("not authorised", "UnauthorizedOperation"))
        world.drs.get(arn_of("s-1"))["dataReplicationInfo"]["dataReplicationState"] = "STALLED"
        outcome = world.scan()
        row = world.inventory.row("s-1")
        assert (row.source_tags, row.instance_state) == ({"Name": "web"}, InstanceState.FOUND)
        assert row.replication_state == "STALLED"
        assert [problem.code for problem in outcome.result.problems] == ["UnauthorizedOperation"]
        assert scan_of(world).ec2_errors == ["not authorised"]
        assert scan_of(world).state is ScopeState.AVAILABLE

    def test_a_failed_look_up_is_no_change(self, world):
        world.scan()
        world.fault(LOOK_UP, Throttled("slow down", "RequestLimitExceeded"))
        written = writes_of(world, world.scan)
        assert [type(write) for write in written] == [ScopeTelemetry, ScanRecord]

    def test_while_ec2_does_not_answer_no_row_is_read(self, world):
        """What EC2 said earlier counts: a server is not another one because nobody can be asked about it."""
        world.scan()
        world.fault(LOOK_UP, AccessDenied("not authorised", "UnauthorizedOperation"))
        read = world.inventory.rows_read
        world.scan()
        world.scan()
        assert world.inventory.rows_read == read

    def test_tags_are_wanted_once_ec2_answers(self, world):
        world.fault(LOOK_UP, Throttled("slow down", "RequestLimitExceeded"))
        world.scan()
        assert world.inventory.row("s-1").instance_state is None
        world.heal()
        world.scan()
        assert world.inventory.row("s-1").instance_state is InstanceState.FOUND
        assert scan_of(world).tags_version == 2
        assert scan_of(world).ec2_errors is None

    def test_an_origin_that_is_not_registered_is_named(self, world):
        world.drs.add(wire_server("s-3", instance="i-3", origin=(OTHER, REGION)))
        outcome = world.scan()
        assert [problem.code for problem in outcome.result.problems] == ["NOT_REGISTERED"]
        assert OTHER in outcome.result.problems[0].message
        assert Scope(OTHER, REGION) not in world.calls.scopes(LOOK_UP)

    def test_an_instance_of_unknown_origin_is_named(self, world):
        world.drs.add(wire_server("s-3", instance="i-3"))
        outcome = world.scan()
        assert [problem.code for problem in outcome.result.problems] == ["ORIGIN_UNKNOWN"]

    def test_one_of_several_look_ups_that_fails_leaves_its_own_servers_only(self, world):
        more = [f"i-{number}" for number in range(INSTANCES_PER_LOOK_UP)]
        world.ec2.add(*ORIGIN, *(instance(name, tags={"Name": name}) for name in more))
        world.drs.add(*(wire_server(f"s-{name}", instance=name, origin=ORIGIN) for name in more))
        world.fault(LOOK_UP, Throttled("slow down", "RequestLimitExceeded"), times=1)
        outcome = world.scan()
        states = [row.instance_state for row in world.inventory.of_scope(SCOPE)]
        assert InstanceState.NOT_FOUND not in states
        assert states.count(None) in (1, INSTANCES_PER_LOOK_UP)  # either of the two look-ups may be first
        assert [problem.code for problem in outcome.result.problems] == ["RequestLimitExceeded"]
        world.scan()
        assert None not in [row.instance_state for row in world.inventory.of_scope(SCOPE)]


class TestPages:
    def test_a_server_on_two_pages_is_one(self, world):
        wires = list(world.drs.servers[SCOPE].values())
        world.drs.source_servers = lambda account, region: iter([*wires, wires[0]])
        world.scan()
        assert scan_of(world).server_count == len(wires)
        assert world.inventory.living(SCOPE) == {wire["sourceServerID"] for wire in wires}


class TestCrashes:
    def test_a_crash_before_the_scan_record_raises_versions_next_time(self, world):
        world.scan()
        world.drs.add(wire_server("s-3"))
        world.writer.interruptions = [None, None, Crash()]
        with pytest.raises(Crash):
            world.run_work(WorkKind.INVENTORY)
        assert world.inventory.row("s-3").living
        world.clock.advance(1000)
        world.scan()
        scan = scan_of(world)
        assert (scan.servers_version, scan.tags_version, scan.epoch) == (3, 3, 3)
        assert scan.server_count == 3

    def test_a_server_that_went_during_the_crash_is_buried(self, world):
        world.scan()
        world.drs.add(wire_server("s-3"))
        world.writer.interruptions = [None, None, Crash()]
        with pytest.raises(Crash):
            world.run_work(WorkKind.INVENTORY)
        world.drs.remove(arn_of("s-3"))
        world.clock.advance(1000)
        world.scan()
        assert world.inventory.living(SCOPE) == {"s-1", "s-2"}

    def test_a_superseded_scan_writes_nothing_more(self, world):
        world.scan()
        late = world.drs.source_servers

        def slow(account, region):
            servers = list(late(account, region))
            world.drs.source_servers = late
            world.drs.add(wire_server("s-3"))
            world.clock.advance(1000)
            world.run_work(WorkKind.INVENTORY)
            return servers

        world.drs.source_servers = slow
        assert world.run_work(WorkKind.INVENTORY) is None
        assert world.inventory.living(SCOPE) == {"s-1", "s-2", "s-3"}
        assert scan_of(world).server_count == 3

    def test_a_scan_reads_its_account_once(self, world, monkeypatch):
        reads, read = [], world.accounts.read
        monkeypatch.setattr(world.accounts, "read", lambda account_id: reads.append(account_id) or read(account_id))
        world.run_work(WorkKind.INVENTORY)
        assert reads.count(TARGET) == 1

    def test_a_lost_epoch_stops_the_scan(self, world):
        world.work_states.request(work(), EPOCH)
        taken = world.work_states.take(work(), EPOCH, EPOCH + 330)
        world.work_states.take(work(), EPOCH + 331, EPOCH + 660)
        with pytest.raises(LeaseLost):
            world.inventory_sync.sync(world.context(taken, message()))
        assert scan_of(world) is None


class TestTopology:
    def test_a_configuration_that_could_not_be_had_is_asked_for_again(self, world):
        rule = world.fault(CONFIGURATION, ServiceError("not now", "InternalServerException"), subject="s-1")
        world.scan()
        assert not world.inventory.row("s-1").topology.complete
        world.faults.rules.remove(rule)
        written = writes_of(world, world.scan)
        assert world.inventory.row("s-1").topology.complete
        assert [write.source_server_id for write in written if isinstance(write, UpdateServer)] == ["s-1"]
        mark = world.calls.snapshot()
        world.scan()
        assert CONFIGURATION not in world.calls.calls_since(mark)

    @pytest.mark.parametrize("error", [AccessDenied("no", "AccessDeniedException"), Throttled("no", "Throttling")])
    def test_an_account_that_refuses_is_not_asked_for_every_server(self, world, error):
        world.drs.add(*(wire_server(f"s-1{number:03d}") for number in range(60)))
        world.fault(CONFIGURATION, error)
        mark = world.calls.snapshot()
        world.scan()
        asked = world.calls.calls_since(mark)[CONFIGURATION]
        assert asked <= CONFIGURATION_CALLS_AT_ONCE
        assert scan_of(world).server_count == 62

    def test_servers_that_keep_failing_do_not_hold_up_the_others(self, world):
        world.drs.add(*(wire_server(f"s-1{number:03d}") for number in range(40)))
        world.fault(CONFIGURATION, ServiceError("not now", "InternalServerException"))
        world.scan()
        world.heal()
        for number in range(20):
            world.fault(CONFIGURATION, ServiceError("never", "InternalServerException"), subject=f"s-1{number:03d}")
        for _ in range(4):
            world.scan()
        assert world.inventory.row("s-1039").topology.complete

    def test_what_is_known_survives_another_origin(self, world):
        world.scan()
        known = world.inventory.row("s-1").topology
        world.drs.get(arn_of("s-1"))["sourceCloudProperties"]["originRegion"] = "eu-central-1"
        world.scan()
        assert world.inventory.row("s-1").topology == known

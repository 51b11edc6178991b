"""Tag sync of one scope."""

import pytest

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.servers import content_hash
from chalicelib.domain.work import WorkKind
from chalicelib.domain.writes import ScopeTelemetry, UpdateServer
from chalicelib.errors import AccessDenied, ResourceNotFound, ServiceError, Throttled
from chalicelib.services.sync.tags import SERVERS_AT_ONCE

from ..factories import EPOCH, REGION, SOURCE, TARGET, arn_of, instance, wire_server, work
from ..fakes import Crash, World

TAG, UNTAG = "drs:TagResource", "drs:UntagResource"
ORIGIN = (SOURCE, REGION)
LOST_ANSWER = ServiceError("the answer was lost", "ReadTimeoutError")


@pytest.fixture
def world():
    """A target with one scanned server on EC2, which carries a tag of somebody else's."""
    world = World()
    world.add_account(TARGET)
    world.add_account(SOURCE, AccountKind.SOURCE)
    add(world, "s-1", {"Name": "web", "env": "prod"}, tags={"team": "a"})
    world.scan()
    world.queue.messages.clear()
    return world


def add(world, server, ec2_tags, **values):
    number = server.removeprefix("s-")
    world.drs.add(wire_server(server, instance=f"i-{number}", origin=ORIGIN, **values))
    world.ec2.add(*ORIGIN, instance(f"i-{number}", tags=ec2_tags))


def retag(world, tags, server="s-1"):
    world.ec2.add(*ORIGIN, instance(server.replace("s-", "i-"), tags=tags))
    world.scan()


def sync(world, **values):
    return world.run_work(WorkKind.TAGS, **values)


def tags_of(world, server="s-1"):
    return world.drs.get(arn_of(server))["tags"]


def codes(outcome):
    return {problem.code for problem in outcome.result.problems}


class TestSync:
    def test_ec2_s_tags_are_copied_and_others_are_left(self, world):
        outcome = sync(world)
        assert tags_of(world) == {"team": "a", "Name": "web", "env": "prod"}
        assert outcome.result.counts["tagged"] == 1
        assert world.inventory.row("s-1").managed_tag_keys == ["Name", "env"]

    def test_a_steady_run_makes_no_drs_call_and_reads_no_row(self, world):
        sync(world)
        mark, rows = world.calls.snapshot(), world.inventory.rows_read
        outcome = sync(world)
        assert world.calls.calls_since(mark) == {}
        assert world.inventory.rows_read == rows
        assert outcome.result.counts["unchanged"] == 1

    def test_the_next_scan_writes_no_row(self, world):
        sync(world)
        before = len(world.writer.written)
        world.scan()
        written = world.writer.written[before:]
        assert not [write for write in written if isinstance(write, UpdateServer)]
        assert isinstance(written[0], ScopeTelemetry)
        assert world.scans.records[work().scope].tags_version == 1

    def test_only_the_difference_is_written(self, world):
        sync(world)
        retag(world, {"Name": "web", "env": "test"})
        mark = world.calls.snapshot()
        sync(world)
        assert tags_of(world) == {"team": "a", "Name": "web", "env": "test"}
        assert world.calls.calls_since(mark) == {TAG: 1}

    def test_a_tag_of_ours_that_is_gone_from_ec2_is_removed(self, world):
        sync(world)
        retag(world, {"Name": "web"})
        sync(world)
        assert tags_of(world) == {"team": "a", "Name": "web"}
        assert world.inventory.row("s-1").managed_tag_keys == ["Name"]

    def test_aws_s_own_keys_are_not_copied(self, world):
        retag(world, {"aws:cloudformation:stack-name": "x", "AWS:y": "z", "Name": "web"})
        sync(world)
        assert tags_of(world) == {"team": "a", "Name": "web"}

    def test_what_does_not_fit_is_reported(self, world):
        retag(world, {"Name": "web", **{f"k{number:02d}": "v" for number in range(50)}})
        outcome = sync(world)
        assert len(tags_of(world)) == 50
        assert tags_of(world)["Name"] == "web"
        assert codes(outcome) == {"TAG_OVERFLOW"}
        assert "k48, k49" in outcome.result.problems[0].message
        assert outcome.result.counts["overflow"] == 1

    def test_the_next_run_is_due_after_the_interval(self, world):
        assert sync(world).next_due == EPOCH + 3600

    def test_an_overflow_is_no_reason_to_do_it_all_again(self, world):
        retag(world, {f"k{number:02d}": "v" for number in range(60)})
        sync(world)
        mark = world.calls.snapshot()
        sync(world)
        assert world.calls.calls_since(mark) == {}

    def test_a_server_that_left_the_inventory_is_left_alone(self, world):
        world.drs.remove(arn_of("s-1"))
        world.scan_emptied()
        mark = world.calls.snapshot()
        assert sync(world).result.message == "the scope is not active"
        assert world.calls.calls_since(mark) == {}


class TestSkipped:
    @pytest.mark.parametrize(
        ("code", "values"),
        [
            ("FAILBACK", {"direction": "FAILBACK"}),
            ("DISCONNECTED", {"state": "DISCONNECTED"}),
            ("ON_PREMISES", {"instance": None, "origin": None}),
            ("NOT_FOUND", {"instance": "i-gone"}),
            ("EC2_UNKNOWN", {"origin": ("555555555555", REGION)}),
        ],
    )
    def test_a_server_that_cannot_be_tagged_is_named_with_the_reason(self, world, code, values):
        world.drs.add(wire_server("s-1", **{"instance": "i-1", "origin": ORIGIN, "tags": {"team": "a"}, **values}))
        world.inventory.items.clear()
        world.telemetries.items.clear()
        world.scan()
        outcome = sync(world)
        assert codes(outcome) == {code}
        assert outcome.result.counts["skipped"] == 1
        assert "host-s-1" in outcome.result.problems[0].message
        assert tags_of(world) == {"team": "a"}

    def test_a_region_that_is_not_active_is_left_alone(self, world):
        world.statuses.rows[REGION] = world.statuses.rows[REGION].model_copy(update={"server_count": 0})
        mark = world.calls.snapshot()
        outcome = sync(world, status_version=99)
        assert outcome.result.message == "the region is not active"
        assert (outcome.next_due, world.calls.calls_since(mark)) == (None, {})


class TestDryRun:
    def test_it_says_what_would_change_and_writes_nothing(self, world):
        before = len(world.writer.written)
        outcome = sync(world, dry_run=True)
        assert outcome.result.changes == [
            {"sourceServerID": "s-1", "hostname": "host-s-1", "put": {"Name": "web", "env": "prod"}, "remove": []}
        ]
        assert (outcome.result.counts["would_tag"], outcome.next_due) == (1, None)
        assert (tags_of(world), len(world.writer.written)) == ({"team": "a"}, before)

    def test_it_does_not_stand_in_for_the_real_run(self, world):
        sync(world, dry_run=True)
        sync(world)
        assert tags_of(world)["Name"] == "web"


class TestFailures:
    def test_one_server_s_failure_leaves_the_others(self, world):
        add(world, "s-2", {"Name": "db"})
        world.scan()
        world.fault(TAG, ResourceNotFound("gone", "ResourceNotFoundException"), subject=arn_of("s-1"))
        outcome = sync(world)
        assert tags_of(world, "s-2") == {"Name": "db"}
        assert outcome.result.counts["failed"] == 1
        assert codes(outcome) == {"ResourceNotFoundException"}

    def test_a_failure_is_tried_again_in_the_next_run(self, world):
        rule = world.fault(TAG, ServiceError("broke", "InternalServerException"), times=1)
        sync(world)
        assert rule.times == 0
        sync(world)
        assert tags_of(world)["Name"] == "web"

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (Throttled("slow down", "ThrottlingException"), ScopeState.THROTTLED),
            (Throttled("slow down", "RequestLimitExceeded"), ScopeState.THROTTLED),
            (AccessDenied("no", "AccessDeniedException"), ScopeState.ACCESS_DENIED),
        ],
    )
    def test_an_account_that_refuses_or_slows_us_down_is_not_asked_for_every_server(self, world, error, state):
        for number in range(2, SERVERS_AT_ONCE + 30):
            add(world, f"s-{number}", {"Name": "x"})
        world.scan()
        world.fault(TAG, error)
        mark = world.calls.snapshot()
        outcome = sync(world)
        assert world.calls.calls_since(mark)[TAG] <= 8
        assert outcome.result.counts["failed"] == SERVERS_AT_ONCE + 29
        assert outcome.result.state is state
        assert outcome.result.tags_version is None

    def test_an_account_that_is_not_registered_is_not_touched(self, world):
        world.accounts.accounts.clear()
        mark = world.calls.snapshot()
        outcome = sync(world)
        assert (outcome.result.message, outcome.next_due) == ("the account is not active", None)
        assert world.calls.calls_since(mark) == {}


class TestOwnership:
    """What this product wrote, it removes again; whatever interrupts it in between."""

    def disowned(self, world, server="s-1"):
        """Take every tag from EC2, sync until quiet, and return what of ours is left in DRS."""
        retag(world, {}, server)
        world.heal()
        world.clock.advance(1000)
        sync(world)
        return set(tags_of(world, server)) - {"team"}

    def test_a_crash_between_drs_and_the_inventory_keeps_it(self, world):
        world.writer.interruptions = [Crash()]
        with pytest.raises(Crash):
            sync(world)
        assert tags_of(world)["Name"] == "web"
        world.clock.advance(1000)
        world.scan()
        assert self.disowned(world) == set()

    def test_an_answer_that_was_lost_keeps_it(self, world):
        world.drs.tag = _then_fail(world.drs.tag)
        sync(world)
        assert tags_of(world)["Name"] == "web"
        world.scan()
        assert self.disowned(world) == set()

    def test_a_second_crash_in_another_batch_keeps_it(self, world):
        for number in range(100, 110 + SERVERS_AT_ONCE):
            add(world, f"s-{number}", {"Name": "x"})
        world.scan()
        world.writer.interruptions = [None, Crash()]
        with pytest.raises(Crash):
            sync(world)
        last = max(server for server in world.inventory.living(work().scope))
        assert tags_of(world, last)["Name"]
        world.scan()
        for number in range(100, 110 + SERVERS_AT_ONCE):
            world.ec2.add(*ORIGIN, instance(f"i-{number}", tags={"Name": "y"}))
        world.scan()
        world.clock.advance(1000)
        world.writer.interruptions = [Crash()]
        with pytest.raises(Crash):
            sync(world)
        world.clock.advance(1000)
        assert self.disowned(world, last) == set()

    def test_a_run_that_is_throttled_before_it_gets_there_keeps_it(self, world):
        world.writer.interruptions = [Crash()]
        with pytest.raises(Crash):
            sync(world)
        for number in range(100, 100 + SERVERS_AT_ONCE):
            add(world, f"s-0{number}", {"Name": "x"})
        world.scan()
        world.clock.advance(1000)
        world.fault(TAG, Throttled("slow down", "ThrottlingException"))
        sync(world)
        world.clock.advance(1000)
        assert self.disowned(world) == set()


def _then_fail(call):
    def run(*arguments):
        call(*arguments)
        raise LOST_ANSWER

    return run


class TestAScanInBetween:
    """A scan writes the row while the tag worker is between DRS and the inventory."""

    @pytest.fixture
    def interrupted(self, world):
        """A tag run in the middle of which others change the server, and a scan finds both changes."""
        tag = world.drs.tag

        def tag_and_be_scanned(account, region, arn, tags):
            tag(account, region, arn, tags)
            world.drs.get(arn)["tags"]["owner"] = "others"
            world.drs.get(arn)["sourceProperties"]["identificationHints"]["hostname"] = "renamed"
            world.scan()

        world.drs.tag = tag_and_be_scanned
        sync(world)
        world.drs.tag = tag
        return world

    def test_what_it_found_is_not_overwritten_by_what_the_tag_worker_had_read(self, interrupted):
        interrupted.scan()
        row = interrupted.inventory.row("s-1")
        assert (row.hostname, row.drs_tags) == ("renamed", tags_of(interrupted))
        assert row.drs_hash == content_hash(row.drs())

    def test_the_tags_are_this_product_s_all_the_same(self, interrupted):
        assert interrupted.inventory.row("s-1").managed_tag_keys == ["Name", "env"]
        retag(interrupted, {})
        sync(interrupted)
        assert tags_of(interrupted) == {"team": "a", "owner": "others"}

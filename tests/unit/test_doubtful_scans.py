"""What is listed oddly, not at all, or cannot be read costs nobody else anything, and buries nothing by mistake."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.dynamodb import marshal
from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import InstanceState
from chalicelib.domain.work import WorkKind
from chalicelib.errors import UnreadableAnswer

from ..factories import OTHER, REGION, SCOPE, SOURCE, TARGET, arn_of, instance, wire_server
from ..fakes import Crash, World

LOOK_UP = "ec2:DescribeInstances"
HERE = (TARGET, REGION)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def a_world():
    world = World()
    world.add_account()
    world.drs.add(wire_server("s-1", instance="i-1", origin=HERE), wire_server("s-2"))
    world.ec2.add(*HERE, instance("i-1", tags={"env": "prod"}))
    return world


@pytest.fixture
def world():
    return a_world()


def codes(outcome):
    return [problem.code for problem in outcome.result.problems]


class TestNothingListed:
    def test_it_is_not_believed_at_once(self, world):
        world.scan()
        world.drs.servers[SCOPE].clear()
        world.clock.advance(900)
        outcome = world.scan()
        scan = world.scans.read(SCOPE)
        assert (scan.state, scan.server_count, scan.listed_nothing) == (ScopeState.ERROR, 2, True)
        assert "no servers" in scan.error_message
        assert world.inventory.living(SCOPE) == {"s-1", "s-2"}
        assert outcome.next_due == world.clock() + 900

    def test_it_is_believed_the_second_time(self, world):
        world.scan()
        world.drs.servers[SCOPE].clear()
        world.scan_emptied()
        assert world.inventory.living(SCOPE) == set()
        assert (world.scans.read(SCOPE).state, world.scans.read(SCOPE).server_count) == (ScopeState.AVAILABLE, 0)

    def test_servers_that_are_listed_again_end_the_doubt(self, world):
        world.scan()
        listed = dict(world.drs.servers[SCOPE])
        for _ in range(2):
            world.drs.servers[SCOPE].clear()
            world.scan()
            world.drs.servers[SCOPE].update(listed)
            world.scan()
        assert world.inventory.living(SCOPE) == {"s-1", "s-2"}
        assert not world.scans.read(SCOPE).listed_nothing


class TestTheIndexLags:
    def test_a_row_that_the_index_does_not_show_is_buried(self, world):
        world.scan()
        world.drs.add(wire_server("s-3"))
        world.writer.interruptions = [None, None, Crash("dies between the rows and the record")]
        with pytest.raises(Crash):
            world.run_work(WorkKind.INVENTORY)
        assert world.inventory.row("s-3").living
        world.clock.advance(400)
        world.drs.remove(arn_of("s-3"))
        of_scope = world.inventory.of_scope
        world.inventory.of_scope = lambda scope: iter(())
        world.scan()
        world.inventory.of_scope = of_scope
        assert not world.inventory.row("s-3").living
        assert world.inventory.living(SCOPE) == {"s-1", "s-2"}

    def test_a_row_of_a_first_scan_that_died_is_buried_too(self):
        world = World()
        world.add_account()
        world.drs.add(wire_server("s-1"), wire_server("s-2"))
        world.writer.interruptions = [None, None, Crash("dies between the rows and the record")]
        with pytest.raises(Crash):
            world.run_work(WorkKind.INVENTORY)
        world.clock.advance(400)
        world.drs.remove(arn_of("s-1"))
        world.inventory.of_scope = lambda scope: iter(())
        world.scan()
        assert world.inventory.living(SCOPE) == {"s-2"}


class TestUnreadable:
    def test_a_launch_time_that_is_none_costs_that_field(self, world):
        launch = {"lastLaunch": {"initiated": {"type": "DRILL", "apiCallDateTime": "yesterday"}}}
        world.drs.add(wire_server("s-3", lifeCycle=launch))
        outcome = world.scan()
        assert (world.inventory.row("s-3").last_launch_type, world.inventory.row("s-3").last_launch_at) == (
            "DRILL",
            None,
        )
        assert world.inventory.living(SCOPE) == {"s-1", "s-2", "s-3"}
        assert codes(outcome) == ["UNREADABLE"]
        assert "apiCallDateTime" in world.scans.read(SCOPE).ec2_errors[0]

    @pytest.mark.parametrize("wrong", [{"tags": ["env"]}, {"arn": None}, {"arn": "$(id)"}, {"stagingArea": "EXTENDED"}])
    def test_a_server_that_cannot_be_handled_is_kept_as_it_was_known(self, world, wrong):
        world.scan()
        before = world.inventory.row("s-1")
        world.drs.servers[SCOPE]["s-1"].update(wrong)
        outcome = world.scan()
        assert world.inventory.row("s-1") == before
        assert (world.scans.read(SCOPE).server_count, codes(outcome)) == (2, ["UNREADABLE"])

    def test_an_item_without_an_id_may_be_any_server_that_is_missing(self, world):
        world.scan()
        world.drs.servers[SCOPE]["s-1"]["sourceServerID"] = 7
        world.scan()
        assert world.inventory.living(SCOPE) == {"s-1", "s-2"}
        assert world.scans.read(SCOPE).server_count == 2

    def test_a_list_of_which_nothing_can_be_read_is_no_empty_list(self, world):
        world.drs.source_servers = lambda account, region: iter(["nonsense"])
        world.scan()
        assert (world.scans.read(SCOPE).state, world.scans.read(SCOPE).last_success) == (ScopeState.ERROR, None)

    @pytest.mark.parametrize("wrong", [{"Tags": "none"}, {"Tags": [{"Key": "env"}]}, {"State": "running"}])
    def test_an_instance_whose_tags_cannot_be_read_is_left_as_it_was_known(self, world, wrong):
        world.scan()
        world.ec2.add(*HERE, instance("i-1", **wrong))
        outcome = world.scan()
        row = world.inventory.row("s-1")
        assert (row.source_tags, row.instance_state, codes(outcome)) == (
            {"env": "prod"},
            InstanceState.FOUND,
            ["UNREADABLE"],
        )

    def test_an_instance_that_spoils_the_whole_answer_is_left_as_it_was_known_and_no_other_is(self, world):
        world.drs.add(wire_server("s-3", instance="i-3", origin=HERE))
        world.scan()
        for name in ("i-1", "i-3"):
            world.ec2.add(*HERE, instance(name, tags={"env": "test"}))
        instances = world.ec2.instances

        def spoilt(account, region, names):
            if "i-1" in names:
                raise UnreadableAnswer("EC2: invalid XML", "ResponseParserError")
            return instances(account, region, names)

        world.ec2.instances = spoilt
        told = world.scan().result
        assert [world.inventory.row(name).source_tags["env"] for name in ("s-1", "s-3")] == ["prod", "test"]
        assert [(problem.subject, problem.code) for problem in told.problems] == [("i-1", "ResponseParserError")]

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_whatever_one_record_holds_its_neighbours_are_scanned(self, data):
        world = a_world()
        world.scan()
        wire = wire_server("s-1", instance="i-1", origin=HERE)
        path, part = data.draw(st.sampled_from(list(paths(wire)))), wire
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = data.draw(anything)
        world.drs.servers[SCOPE]["s-1"] = data.draw(st.just(wire) | anything)
        world.ec2.present[Scope(*HERE)]["i-1"] = data.draw(st.just(instance("i-1")) | anything)
        world.drs.servers[SCOPE]["s-2"]["agentVersion"] = "9"
        world.scan()
        assert world.inventory.row("s-2").agent_version == "9"
        assert world.inventory.row("s-1").living
        assert world.scans.read(SCOPE).state is ScopeState.AVAILABLE
        assert all(
            json.dumps(marshal(item), ensure_ascii=False, default=str).encode()
            for item in world.inventory.items.values()
        )


def paths(part, before=()):
    """Every way to a member of a record."""
    for name, value in part.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from paths(value, (*before, name))


class TestOrigins:
    def test_servers_without_an_origin_are_one_problem_of_their_scope(self, world):
        world.drs.add(*(wire_server(f"s-o{number}", instance=f"i-{number}") for number in range(30)))
        outcome = world.scan()
        [problem] = outcome.result.problems
        assert (problem.subject, problem.code) == (SCOPE.key, "ORIGIN_UNKNOWN")
        assert "30 servers" in problem.message

    def test_an_account_of_another_tenant_is_not_asked(self, world):
        world.add_account(OTHER, AccountKind.SOURCE, tenant="somebody-else")
        world.ec2.add(OTHER, REGION, instance("i-theirs", tags={"secret": "1"}))
        world.drs.add(wire_server("s-3", instance="i-theirs", origin=(OTHER, REGION)))
        outcome = world.scan()
        assert codes(outcome) == ["ORIGIN_NOT_RELATED"]
        assert world.calls.scopes(LOOK_UP) == {Scope(*HERE)}
        assert world.inventory.row("s-3").source_tags == {}

    def test_an_account_of_the_same_tenant_is_asked(self, world):
        world.add_account(SOURCE, AccountKind.SOURCE)
        world.ec2.add(SOURCE, REGION, instance("i-3", tags={"env": "test"}))
        world.drs.add(wire_server("s-3", instance="i-3", origin=(SOURCE, REGION)))
        world.scan()
        assert world.inventory.row("s-3").source_tags == {"env": "test"}

    @pytest.mark.parametrize("hostile", ["i-*", "*", "i-1;id", "i-1\n"])
    def test_an_instance_id_that_means_more_than_one_instance_is_none(self, world, hostile):
        world.drs.add(wire_server("s-3", instance=hostile, origin=HERE))
        world.scan()
        assert world.inventory.row("s-3").source_instance_id is None


class TestTermination:
    @pytest.mark.parametrize("state", ["shutting-down", "terminated"])
    def test_what_was_known_of_the_instance_stays(self, world, state):
        world.scan()
        tags_version = world.scans.read(SCOPE).tags_version
        gone = instance("i-1", tags={}, State={"Name": state}, VpcId=None, SubnetId=None)
        world.ec2.add(*HERE, gone)
        world.scan()
        row = world.inventory.row("s-1")
        assert (row.source_tags, row.vpc_id, row.instance_status) == ({"env": "prod"}, "vpc-1", state)
        assert world.scans.read(SCOPE).tags_version == tags_version

    def test_the_tags_of_an_instance_that_runs_again_count(self, world):
        world.scan()
        world.ec2.add(*HERE, instance("i-1", State={"Name": "terminated"}))
        world.scan()
        world.ec2.add(*HERE, instance("i-1", tags={"env": "new"}))
        world.scan()
        assert world.inventory.row("s-1").source_tags == {"env": "new"}

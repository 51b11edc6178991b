"""When a run that changes servers stops, and what it costs the others."""

import pytest

from chalicelib.domain.extension_plan import rotated
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.errors import AccessDenied, OutOfTime, Refused, ServiceError, Throttled, Unreachable
from chalicelib.services.work.answers import NOT_TRIED
from chalicelib.services.work.change_calls import MOST_WITHOUT_ANSWER, ChangeCalls

from ..factories import REGION, SCOPE, STAGING, TARGET, arn_of, instance, wire_server
from ..fakes import World

TAG, EXTEND, LIST = "drs:TagResource", "drs:CreateExtendedSourceServer", "drs:ListExtensibleSourceServers"
DENIED = AccessDenied("explicit deny in an SCP", "AccessDeniedException")
HANGS = [Unreachable("read timed out", "ReadTimeoutError"), ServiceError("read timed out", "ReadTimeoutError")]


def calls(ends, out_of_time=lambda: False, **values):
    made = []

    def call(number):
        made.append(number)
        return ends.get(number)

    return ChangeCalls(call, out_of_time, 1, **values), made


class TestChangeCalls:
    def test_a_denial_of_one_is_that_one_s(self):
        change, _ = calls({0: DENIED, 3: DENIED})
        ends = change.map(range(100))
        assert [number for number, end in enumerate(ends) if end is not None] == [0, 3]
        assert change.stopped is None

    @pytest.mark.parametrize("error", [DENIED, ServiceError("it broke", "InternalServerException")])
    def test_what_meets_every_call_ends_the_run(self, error):
        change, made = calls(dict.fromkeys(range(100), error))
        ends = change.map(range(100))
        assert len(made) == MOST_WITHOUT_ANSWER
        assert {end.code for end in ends[MOST_WITHOUT_ANSWER:]} == {NOT_TRIED}
        assert change.stopped is error

    def test_a_refusal_is_an_answer(self):
        change, made = calls(dict.fromkeys(range(50), Refused("default EBS key")))
        change.map(range(50))
        assert len(made) == 50

    def test_a_call_that_hangs_first_ends_the_run(self):
        change, made = calls({0: HANGS[0]})
        change.map(range(10))
        assert made == [0]

    def test_one_that_hangs_later_is_borne_and_two_are_not(self):
        change, made = calls({3: HANGS[0], 5: HANGS[0], 6: HANGS[0]})
        change.map(range(10))
        assert made == list(range(7))

    def test_slowing_down_ends_the_run(self):
        change, made = calls({4: Throttled("slow down")})
        change.map(range(10))
        assert made == list(range(5))

    def test_nothing_is_begun_out_of_time(self):
        change, made = calls({}, out_of_time=lambda: True)
        assert all(isinstance(end, OutOfTime) for end in change.map(range(3)))
        assert made == []

    def test_patience_of_one_lets_one_call_decide(self):
        change, made = calls({0: DENIED}, patience=1)
        change.map(range(3))
        assert made == [0]

    def test_every_one_is_first_in_its_turn(self):
        assert {rotated(list(range(7)), turn)[0] for turn in range(7)} == set(range(7))
        assert rotated([], 3) == []


@pytest.mark.parametrize("error", HANGS)
class TestAServiceThatHangs:
    """Each call takes 100 seconds: botocore's four attempts."""

    def hanging(self, world, error):
        def call(*_):
            world.clock.advance(100)
            raise error

        return call

    def test_of_tags_is_left_alone_ever_longer(self, error):
        world = World()
        world.add_account()
        for number in range(60):
            world.drs.add(wire_server(f"s-{number}", instance=f"i-{number}", origin=(TARGET, REGION)))
            world.ec2.add(TARGET, REGION, instance(f"i-{number}", tags={"env": "prod"}))
        world.tick()
        world.drs.tag = self.hanging(world, error)
        world.settle()
        item = world.work_states.items[WorkId(WorkKind.TAGS, SCOPE)]
        assert (item.epoch, item.result.state, item.result.failures) == (1, ScopeState.ERROR, 1)

    def test_of_extensions_is_left_alone_ever_longer(self, error):
        world = World()
        world.add_account()
        world.add_staging()
        for number in range(40):
            world.drs.add(wire_server(f"s-{number}", STAGING))
        world.drs.extend = self.hanging(world, error)
        world.tick()
        world.settle()
        item = world.work_states.items[WorkId(WorkKind.STAGING, SCOPE)]
        assert (item.epoch, item.result.state, item.result.failures) == (1, ScopeState.ERROR, 1)


def test_one_protected_server_costs_itself_only():
    world = World()
    world.add_account()
    for number in range(200):
        world.drs.add(wire_server(f"s-{number:03}", instance=f"i-{number}", origin=(TARGET, REGION)))
        world.ec2.add(TARGET, REGION, instance(f"i-{number}", tags={"env": "prod"}))
    world.fault(TAG, DENIED, SCOPE, subject=arn_of("s-000"))
    world.cycle()
    left = [server for server, wire in world.drs.servers[SCOPE].items() if wire["tags"] == {}]
    result = world.work_states.items[WorkId(WorkKind.TAGS, SCOPE)].result
    assert left == ["s-000"]
    assert (result.counts["tagged"], result.counts["failed"]) == (199, 1)
    assert "explicit deny" in result.problems[0].message


def test_a_dry_run_says_that_a_staging_account_cannot_be_listed():
    world = World()
    world.add_account()
    world.add_staging()
    world.drs.add(wire_server("s-1", STAGING))
    world.scan(Scope(STAGING, REGION))
    world.fault(LIST, DENIED, SCOPE)
    assert world.run_work(WorkKind.STAGING, dry_run=True).result.state is ScopeState.ACCESS_DENIED

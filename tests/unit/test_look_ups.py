"""Look-ups beside a scan: early, no more of them than needed, and never half an origin."""

from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.servers import drs_facts
from chalicelib.errors import Throttled
from chalicelib.services.look_ups import INSTANCES_PER_LOOK_UP, LookUps

from ..factories import SCOPE, SOURCE, TARGET, wire_server

HERE, THERE = (SOURCE, "eu-west-2"), (TARGET, "us-east-2")


def server(number, origin=HERE):
    return drs_facts(wire_server(f"s-{number}", instance=f"i-{number}", origin=origin), SCOPE)


class Ec2:
    """Answers every look-up; notes what was asked."""

    def __init__(self):
        self.asked, self.failing = [], set()

    def __call__(self, origin, instances):
        self.asked.append((origin, instances))
        if self.failing & set(instances):
            return Throttled("slow down", "RequestLimitExceeded")
        return {name: {"InstanceId": name} for name in instances}


def test_an_origin_is_asked_as_soon_as_a_look_up_is_full():
    asked = Event()

    def ask(origin, instances):
        asked.set()
        return {}

    with LookUps(ask) as look_ups:
        for number in range(INSTANCES_PER_LOOK_UP - 1):
            look_ups.add(server(number))
        assert not asked.wait(0.05)
        look_ups.add(server(INSTANCES_PER_LOOK_UP))
        assert asked.wait(5)


@given(st.tuples(*[st.integers(0, 450)] * 3), st.randoms(use_true_random=False))
def test_no_more_look_ups_than_if_all_had_been_known_before(counts, random):
    ec2, origins = Ec2(), [one for one, count in zip((HERE, THERE, None), counts, strict=True) for _ in range(count)]
    random.shuffle(origins)
    with LookUps(ec2) as look_ups:
        for number, origin in enumerate(origins):
            look_ups.add(server(number, origin))
        found = look_ups.finish()
    for origin in (HERE, THERE):
        wanted = {f"i-{number}" for number, one in enumerate(origins) if one == origin}
        assert set(found.instances.get(origin, {})) == wanted
        assert len([asked for asked in ec2.asked if asked[0] == origin]) == -(-len(wanted) // INSTANCES_PER_LOOK_UP)
    assert len(found.problems) == origins.count(None)


def test_an_origin_of_which_one_look_up_fails_has_not_answered():
    ec2 = Ec2()
    ec2.failing = {"i-0"}
    with LookUps(ec2) as look_ups:
        for number in range(INSTANCES_PER_LOOK_UP + 1):
            look_ups.add(server(number))
        look_ups.add(server(1000, THERE))
        found = look_ups.finish()
    assert set(found.instances) == {THERE}
    [problem] = found.problems
    assert (problem.subject, problem.code) == ("EC2 of 333333333333/eu-west-2", "RequestLimitExceeded")


def test_a_server_on_premises_is_not_looked_up():
    ec2 = Ec2()
    with LookUps(ec2) as look_ups:
        look_ups.add(drs_facts(wire_server("s-1"), SCOPE))
        assert look_ups.finish() == ({}, [])
    assert ec2.asked == []


def test_of_a_scan_that_failed_nothing_more_is_asked():
    ec2, started, go_on = Ec2(), Event(), Event()

    def slow(origin, instances):
        started.set()
        go_on.wait(5)
        return ec2(origin, instances)

    def scan():
        with LookUps(slow) as look_ups:
            for number in range(20 * INSTANCES_PER_LOOK_UP):
                look_ups.add(server(number))
            assert started.wait(5)
            go_on.set()
            raise Throttled("DRS is busy", "ThrottlingException")

    with pytest.raises(Throttled):
        scan()
    assert len(ec2.asked) < 20

"""Look-ups beside a scan: early, no more of them than needed, each with the servers that it was for."""

from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import AccessDenied, Throttled, UnreadableAnswer
from chalicelib.services.sync.instance_lookup import INSTANCES_PER_LOOK_UP, InstanceLookup

from ..factories import SOURCE, TARGET

HERE, THERE = (SOURCE, "eu-west-2"), (TARGET, "us-east-2")


class Ec2:
    """Answers every look-up; notes what was asked."""

    def __init__(self):
        self.asked, self.failing = [], set()

    def __call__(self, origin, instances):
        self.asked.append((origin, instances))
        if self.failing & set(instances):
            return Throttled("slow down", "RequestLimitExceeded")
        return {name: name.encode() for name in instances}


def add(look_ups, numbers, origin=HERE):
    for number in numbers:
        look_ups.add(f"s-{number}", f"i-{number}", origin)


def test_an_origin_is_asked_as_soon_as_a_look_up_is_full():
    asked = Event()

    def ask(origin, instances):
        asked.set()
        return {}

    with InstanceLookup(ask) as look_ups:
        add(look_ups, range(INSTANCES_PER_LOOK_UP - 1))
        assert not asked.wait(0.05)
        add(look_ups, [INSTANCES_PER_LOOK_UP])
        assert asked.wait(5)


@given(st.tuples(*[st.integers(0, 450)] * 2), st.randoms(use_true_random=False))
def test_no_more_look_ups_than_if_all_had_been_known_before(counts, random):
    ec2, answers = Ec2(), []
    origins = [one for one, count in zip((HERE, THERE), counts, strict=True) for _ in range(count)]
    random.shuffle(origins)
    with InstanceLookup(ec2) as look_ups:
        for number, origin in enumerate(origins):
            add(look_ups, [number], origin)
            answers += look_ups.answered()
        answers += look_ups.finish()
    for origin in (HERE, THERE):
        wanted = {f"s-{number}": f"i-{number}" for number, one in enumerate(origins) if one == origin}
        mine = [answer for answer in answers if answer.origin == origin]
        assert len(mine) == -(-len(wanted) // INSTANCES_PER_LOOK_UP)
        assert {server: name for answer in mine for server, name in answer.servers.items()} == wanted
        assert all(set(answer.servers.values()) == set(answer.instances) for answer in mine)


def test_a_look_up_that_fails_says_which_servers_it_was_for():
    ec2 = Ec2()
    ec2.failing = {"i-0"}
    with InstanceLookup(ec2) as look_ups:
        add(look_ups, range(INSTANCES_PER_LOOK_UP + 1))
        first, second = look_ups.finish()
    assert isinstance(first.instances, Throttled)
    assert "s-0" in first.servers
    assert second.servers == {"s-200": "i-200"}
    assert second.instances == {"i-200": b"i-200"}


class Garbled:
    """An EC2 whose answers cannot be read where a poisoned instance is in them."""

    def __init__(self, *poisoned, then=None):
        self.asked, self.poisoned, self.then = [], set(poisoned), then

    def __call__(self, origin, instances):
        self.asked.append(instances)
        if self.then and len(self.asked) > 1:
            return self.then
        if self.poisoned & set(instances):
            return UnreadableAnswer("not XML", "ResponseParserError")
        return {name: name.encode() for name in instances}


def looked_up(ask, count):
    """What is said of each of so many instances, and the answers."""
    with InstanceLookup(ask) as look_ups:
        add(look_ups, range(count))
        answers = list(look_ups.finish())
    said = {}
    for answer in answers:
        for name in answer.servers.values():
            whole = isinstance(answer.instances, Exception)
            said[name] = answer.instances if whole else answer.instances.get(name)
    return said, answers


@pytest.mark.parametrize("place", [0, 99, 199])
def test_an_instance_that_spoils_the_answer_is_the_only_one_that_is_lost(place):
    ec2 = Garbled(f"i-{place}")
    said, answers = looked_up(ec2, 200)
    lost = {name for name, what in said.items() if not isinstance(what, bytes)}
    assert (len(said), lost) == (200, {f"i-{place}"})
    assert isinstance(said[f"i-{place}"], UnreadableAnswer)
    assert not any(isinstance(answer.instances, Exception) for answer in answers)  # a problem of the instance only
    assert len(ec2.asked) <= 1 + 2 * 8


@given(st.integers(1, INSTANCES_PER_LOOK_UP), st.data())
def test_however_many_spoil_it_every_instance_is_answered_for_and_calls_are_bounded(count, data):
    poisoned = data.draw(st.sets(st.integers(0, count - 1).map("i-{}".format)))
    ec2 = Garbled(*poisoned)
    said, answers = looked_up(ec2, count)
    assert sorted(said) == sorted(f"i-{number}" for number in range(count))
    assert sum(len(answer.servers) for answer in answers) == count
    assert all(isinstance(said[name], UnreadableAnswer) for name in poisoned)
    assert len(ec2.asked) <= 1 + 2 * (count - 1).bit_length()
    if len(poisoned) <= 1:
        assert {name for name in said if not isinstance(said[name], bytes)} == poisoned


def test_a_service_that_says_nothing_readable_is_soon_left_alone():
    ec2 = Garbled(*(f"i-{number}" for number in range(200)))
    _, answers = looked_up(ec2, 200)
    assert len(ec2.asked) <= 7
    assert all(isinstance(answer.instances, UnreadableAnswer) for answer in answers)


@pytest.mark.parametrize("error", [Throttled("slow down", "RequestLimitExceeded"), AccessDenied("no", "AccessDenied")])
def test_a_service_that_refuses_or_slows_us_down_is_not_asked_for_halves(error):
    ec2 = Garbled("i-3", then=error)
    said, _ = looked_up(ec2, 200)
    assert len(ec2.asked) == 2
    assert set(said.values()) == {error}

    def refuses(origin, instances):
        asked.append(instances)
        return error

    asked = []
    _, answers = looked_up(refuses, 200)
    assert (len(asked), [answer.instances for answer in answers]) == (1, [error])


def test_of_a_scan_that_failed_nothing_more_is_asked():
    ec2, started, go_on = Ec2(), Event(), Event()

    def slow(origin, instances):
        started.set()
        go_on.wait(5)
        return ec2(origin, instances)

    def scan():
        with InstanceLookup(slow) as look_ups:
            add(look_ups, range(20 * INSTANCES_PER_LOOK_UP))
            assert started.wait(5)
            go_on.set()
            raise Throttled("DRS is busy", "ThrottlingException")

    with pytest.raises(Throttled):
        scan()
    assert len(ec2.asked) < 20

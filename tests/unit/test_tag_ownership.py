"""What this product wrote is its own; what others wrote, or EC2 loses with an instance, is not."""

import pytest

from chalicelib.domain.work import WorkKind
from chalicelib.errors import AccessDenied, Throttled
from chalicelib.services.sync.tags import SERVERS_AT_ONCE

from ..factories import REGION, SCOPE, TARGET, arn_of, instance, wire_server, work
from ..fakes import World

TAG, UNTAG = "drs:TagResource", "drs:UntagResource"


@pytest.fixture
def world():
    world = World()
    world.add_account()
    return world


def add(world, server, ec2_tags, **values):
    number = server.removeprefix("s-")
    world.drs.add(wire_server(server, instance=f"i-{number}", origin=(TARGET, REGION), **values))
    retag(world, server, ec2_tags)


def retag(world, server, tags, **values):
    world.ec2.add(TARGET, REGION, instance(server.replace("s-", "i-"), tags=tags, **values))


def tags_of(world, server="s-1"):
    return world.drs.get(arn_of(server))["tags"]


def scan_and_sync(world):
    world.clock.advance(1000)
    world.scan()
    world.queue.messages.clear()
    return world.run_work(WorkKind.TAGS)


def test_tags_that_were_never_written_are_not_owned(world):
    """Time runs out after the first server: the others carry the same keys, with values of somebody else's."""
    for number in range(3):
        add(world, f"s-{number}", {"env": "prod"}, tags={"env": "others"})
    world.scan()
    tag = world.drs.tag
    world.drs.tag = lambda *call: (world.clock.advance(400), tag(*call))
    world.run_work(WorkKind.TAGS)
    world.drs.tag = tag
    left = [f"s-{number}" for number in range(3) if tags_of(world, f"s-{number}") == {"env": "others"}]
    assert len(left) == 2
    for number in range(3):
        retag(world, f"s-{number}", {})
    scan_and_sync(world)
    assert [tags_of(world, server) for server in left] == [{"env": "others"}] * 2


def test_what_others_set_in_place_of_a_call_that_was_never_made_is_theirs(world):
    """The removal is refused, so that nothing is set; others set the same tag, and EC2 drops it."""
    add(world, "s-1", {"old": "1"})
    scan_and_sync(world)
    retag(world, "s-1", {"env": "prod"})
    world.fault(UNTAG, AccessDenied("not authorised", "AccessDeniedException"), times=1)
    scan_and_sync(world)
    assert tags_of(world) == {"old": "1"}
    tags_of(world)["env"] = "prod"
    retag(world, "s-1", {})
    scan_and_sync(world)
    assert tags_of(world) == {"env": "prod"}


def test_what_others_set_where_nothing_was_tried_is_theirs(world):
    """Time runs out after the first server; others set the same tag on the second, and EC2 drops it."""
    for number in range(3):
        add(world, f"s-{number}", {"env": "prod"})
    world.scan()
    tag = world.drs.tag
    world.drs.tag = lambda *call: (world.clock.advance(400), tag(*call))
    world.run_work(WorkKind.TAGS)
    world.drs.tag = tag
    left = [f"s-{number}" for number in range(3) if not tags_of(world, f"s-{number}")]
    assert left
    for server in left:
        tags_of(world, server)["env"] = "prod"
    for number in range(3):
        retag(world, f"s-{number}", {})
    scan_and_sync(world)
    assert [tags_of(world, server) for server in left] == [{"env": "prod"}] * len(left)


def test_a_key_that_was_taken_away_is_others_when_they_set_it(world):
    add(world, "s-1", {"old": "1"})
    scan_and_sync(world)
    assert tags_of(world) == {"old": "1"}
    retag(world, "s-1", {"new": "1"})
    world.fault(TAG, Throttled("slow down", "ThrottlingException"), times=1)
    scan_and_sync(world)
    assert tags_of(world) == {}
    tags_of(world)["old"] = "1"
    scan_and_sync(world)
    scan_and_sync(world)
    assert tags_of(world) == {"old": "1", "new": "1"}


def test_a_value_that_others_set_under_a_key_of_ours_is_theirs(world):
    add(world, "s-1", {"env": "prod"})
    scan_and_sync(world)
    tags_of(world)["env"] = "others"
    retag(world, "s-1", {})
    scan_and_sync(world)
    assert tags_of(world) == {"env": "others"}


def test_ownership_of_an_earlier_version_is_kept(world):
    add(world, "s-1", {"Name": "web"}, tags={"old": "1", "Name": "web"})
    world.scan()
    world.inventory.items["s-1", REGION]["managedTagKeys"] = ["old"]
    scan_and_sync(world)
    assert tags_of(world) == {"Name": "web"}


def test_a_note_of_an_earlier_version_is_understood(world):
    """Its worker died after writing: the note names keys, without values."""
    add(world, "s-1", {"Name": "web"}, tags={"old": "1", "Name": "web"})
    world.scan()
    world.work_states.request(work(WorkKind.TAGS), 0)
    world.work_states.items[work(WorkKind.TAGS)].intent = {"s-1": ["old", "gone"]}
    scan_and_sync(world)
    assert tags_of(world) == {"Name": "web"}


def test_a_scan_that_began_before_the_write_does_not_end_ownership(world):
    """It lists the server without the tag, and ends after the write: the row shows no such tag for a while."""
    add(world, "s-1", {"env": "prod"})
    world.scan()
    world.run_work(WorkKind.TAGS)
    item = world.inventory.items["s-1", REGION]
    world.inventory.items["s-1", REGION] = {**item, "drsTags": {}, "drsHash": "as the old scan saw it"}
    retag(world, "s-1", {})
    item = world.inventory.items["s-1", REGION]
    world.inventory.items["s-1", REGION] = {**item, "sourceTags": {}}
    world.work_states.items[next(w for w in world.work_states.items if w.kind is WorkKind.TAGS)].result = None
    world.run_work(WorkKind.TAGS)
    assert world.inventory.row("s-1").managed_tag_keys == ["env"]
    scan_and_sync(world)
    assert tags_of(world) == {}


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_tags_survive_the_termination_of_their_instance(world, state):
    """EC2 takes the tags off a terminated instance while it still lists it; then the instance is listed no more."""
    add(world, "s-1", {"env": "prod", "Name": "web"})
    scan_and_sync(world)
    retag(world, "s-1", {}, State={"Name": state})
    outcome = scan_and_sync(world)
    assert {problem.code for problem in outcome.result.problems} <= {"TERMINATED"}
    assert tags_of(world) == {"env": "prod", "Name": "web"}
    world.ec2.present.clear()
    scan_and_sync(world)
    assert tags_of(world) == {"env": "prod", "Name": "web"}


def test_one_protected_batch_leaves_no_note_behind(world):
    for number in range(SERVERS_AT_ONCE + 2):
        add(world, f"s-{number:03}", {"env": "prod"})
    world.scan()
    world.fault(TAG, Throttled("slow down", "ThrottlingException"), SCOPE)
    world.run_work(WorkKind.TAGS)
    assert not any(item.intent for item in world.work_states.items.values())

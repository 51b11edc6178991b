"""Properties 4 (freshness), 9 (completeness) and 10 (fallback) of R14, through the operations of the API."""

from contextlib import contextmanager
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api.table import OPERATIONS
from chalicelib.container import providing
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.errors import AccessDenied
from chalicelib.services.refresh import LONGEST_WAIT_SECONDS, MOST_SCOPES, POLL_SECONDS

from ..factories import EPOCH, REGION, SECOND, SOURCE, TARGET, arn_of, instance, wire_server
from ..fakes import World
from .inventories import FRESH_SECONDS, HUNDRED, SCOPES, inventories, later, queries, record, servers, world_of

REQUIRED = {  # R12.4
    "sourceServerID",
    "replicationRegion",
    "replicationState",
    "hostname",
    "sourceAccountId",
    "sourceTags",
}
ages = st.integers(0, 3 * FRESH_SECONDS)


@contextmanager
def api_of(world, operation="list_servers"):
    """An operation of the API, wired to a world."""
    with providing(lambda: world.container):
        yield lambda **values: OPERATIONS[operation].answer(values, "test")


def values_of(query):
    """Return what a caller sends for `query`."""
    names = {
        "region": query.region,
        "accountId": query.account_id,
        "sourceAccountId": query.source_account_id,
        "stagingAccountId": query.staging_account_id,
        "hostname": query.hostname,
        "replicationState": query.replication_state,
        "minCpuCores": query.min_cpu_cores,
        "minRamBytes": query.min_ram_bytes,
    }
    tags = [f"{key}:{value}" for key, value in query.tags]
    return {"tag": tags, **{name: value for name, value in names.items() if value is not None}}


def with_workers(world):
    """Let the queues be worked off while an answer waits."""
    world.sleep = lambda seconds: (world.settle(), world.clock.advance(seconds))


# --- Property 4: freshness ---


@HUNDRED
@given(inventory=inventories, query=queries, age=st.integers(0, FRESH_SECONDS))
def test_property_4_a_fresh_inventory_answers_without_asking_for_a_scan(inventory, query, age):
    world = world_of(inventory)
    world.clock.advance(age)
    with api_of(world) as ask:
        page = ask(**values_of(query))

    assert world.queue.messages == []
    assert world.calls.made == {}
    assert world.clock() == EPOCH + age  # and without waiting
    assert page["source"] == "inventory"
    assert all((scope["fresh"], scope["reason"]) == (True, None) for scope in page["scopes"])


@HUNDRED
@given(
    scopes=st.lists(st.tuples(ages, st.integers(0, 200)), min_size=1, max_size=12),
    told=st.none() | st.just("THROTTLED: slow down"),
)
def test_property_4_stale_scopes_are_asked_for_within_bounds_and_marked_with_the_reason(scopes, told):
    """Each scope: when it last succeeded, and when somebody last looked. Nobody works: all that is stale stays so."""
    world = World(regions=[REGION])
    now = 10 * FRESH_SECONDS
    stale, worth = set(), set()
    for number, (age, checked) in enumerate(scopes):
        scope = Scope(f"{number:012d}", REGION)
        seen = min(age, checked)
        record(world, scope, 1, later(now - age), later(now - seen), told if seen < age else None)
        stale |= {scope} if age > FRESH_SECONDS else set()
        worth |= {scope} if age > FRESH_SECONDS and seen > 60 else set()
    world.clock.advance(now)
    with api_of(world, "query_servers") as ask:
        page = ask(region=REGION)

    asked = world.queue.works()
    assert len(asked) == min(len(worth), MOST_SCOPES)
    assert {work.scope for work in asked} <= worth
    assert {work.kind for work in asked} <= {WorkKind.INVENTORY}
    waited = world.clock() - EPOCH - now
    assert waited <= LONGEST_WAIT_SECONDS + POLL_SECONDS
    assert waited == 0 or worth
    if waited == 0:
        marked = {Scope(one["accountId"], one["region"]): one for one in page["scopes"]}
        assert {scope for scope, one in marked.items() if not one["fresh"]} == stale
    for one in page["scopes"]:
        assert one["fresh"] == (one["reason"] is None)
        assert one["asOf"] is not None


@HUNDRED
@given(failing=st.booleans(), never=st.booleans(), age=st.integers(FRESH_SECONDS + 1, 10**6))
def test_property_4_the_reason_is_the_scan_s_own_where_there_is_one(failing, never, age):
    world = World(regions=[REGION])
    record(world, Scope(TARGET, REGION), 1, None if never else later(-age), later(0), "denied" if failing else None)
    with api_of(world) as ask:
        [scope] = ask(region=REGION)["scopes"]

    overdue = "it was never scanned completely" if never else "its scan is overdue"
    assert (scope["fresh"], scope["reason"]) == (False, "denied" if failing else overdue)
    assert (scope["asOf"] is None) == never


# --- Property 9: completeness ---


@HUNDRED
@given(inventory=inventories, query=queries, limit=st.integers(1, 200))
def test_property_9_every_record_carries_the_required_fields(inventory, query, limit):
    world = world_of(inventory)
    with api_of(world) as ask:
        page = ask(**values_of(query), limit=limit)
    for server in page["servers"]:
        assert server.keys() >= REQUIRED
        assert isinstance(server["sourceTags"], dict)
        assert all(server[name] for name in ("sourceServerID", "replicationRegion", "replicationState"))


@HUNDRED
@given(
    names=st.lists(st.none() | st.text(min_size=1, max_size=20), min_size=1, max_size=5),
    at_home=st.booleans(),
    found=st.booleans(),
)
def test_property_9_a_scan_fills_them_with_what_drs_and_ec2_say(names, at_home, found):
    world = World(regions=[REGION, SECOND])
    world.add_account(TARGET)
    world.add_account(SOURCE, "source")
    origin = (TARGET if at_home else SOURCE, SECOND)
    for number, name in enumerate(names):
        wire = wire_server(f"s-{number}", instance=f"i-{number}", origin=origin)
        hints = wire["sourceProperties"]["identificationHints"]
        hints |= {"hostname": name} if name else {}
        world.drs.add(wire)
        if found:
            world.ec2.add(*origin, instance(f"i-{number}", tags={"Name": f"n{number}"}))
    world.cycle()
    with api_of(world) as ask:
        page = ask(region=REGION)

    assert len(page["servers"]) == len(names)
    for number, server in enumerate(page["servers"]):
        assert {name: server[name] for name in REQUIRED} == {
            "sourceServerID": f"s-{number}",
            "replicationRegion": REGION,
            "replicationState": "CONTINUOUS",
            "hostname": names[number] or f"host-s-{number}",
            "sourceAccountId": origin[0],
            "sourceTags": {"Name": f"n{number}"} if found else {},
        }


# --- Property 10: fallback ---


changes = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "retag", "state"]), st.integers(0, 9)), min_size=1, max_size=12
)


def apply(world, change, number):
    """Change what DRS lists in the target's scope."""
    arn = arn_of(f"s-{number}")
    known = arn in {wire["arn"] for wire in world.drs.servers.get(Scope(TARGET, REGION), {}).values()}
    if change == "add":
        world.drs.add(wire_server(f"s-{number}"))
    elif known and change == "remove":
        world.drs.remove(arn)
    elif known and change == "retag":
        world.drs.get(arn)["tags"]["env"] = f"changed-{number}"
    elif known:
        world.drs.get(arn)["dataReplicationInfo"]["dataReplicationState"] = "STALLED"


def truth(world):
    return {
        wire["sourceServerID"]: (wire["dataReplicationInfo"]["dataReplicationState"], wire["tags"])
        for wire in world.drs.servers.get(Scope(TARGET, REGION), {}).values()
    }


def topologies(world):
    return {
        key: item["topology"]["originalReplicationConfiguration"]
        for key, item in world.inventory.items.items()
        if "topology" in item
    }


def synced_world():
    world = World(regions=[REGION, SECOND])
    world.add_account(TARGET)
    world.drs.add(*[wire_server(f"s-{number}") for number in range(5)])
    world.cycle()
    return world


@HUNDRED
@given(steps=changes, age=st.integers(FRESH_SECONDS + 1, 10**6))
def test_property_10_a_fallback_brings_the_inventory_up_to_date_before_it_answers(steps, age):
    world = synced_world()
    before = topologies(world)
    for change, number in steps:
        apply(world, change, number)
    world.clock.advance(age)
    with_workers(world)
    with api_of(world, "query_servers") as ask:
        page = ask(accountId=TARGET, region=REGION)

    expected = truth(world)
    assert {one["sourceServerID"]: (one["replicationState"], one["drsTags"]) for one in page["servers"]} == expected
    assert world.inventory.living(Scope(TARGET, REGION)) == expected.keys()
    assert before.items() <= topologies(world).items()  # preserved, of what was removed as well
    assert all(scope["fresh"] for scope in page["scopes"])
    assert world.scans.read(Scope(TARGET, REGION)).last_success >= datetime.fromtimestamp(EPOCH + age, UTC)


@HUNDRED
@given(steps=changes, age=st.integers(FRESH_SECONDS + 1, 10**6))
def test_property_10_a_fallback_that_fails_answers_with_what_is_known_and_says_why(steps, age):
    world = synced_world()
    known = truth(world)
    for change, number in steps:
        apply(world, change, number)
    known = {server: (state, dict(tags)) for server, (state, tags) in known.items()}
    rows = world.snapshot()["rows"]
    world.clock.advance(age)
    world.fault("drs:DescribeSourceServers", AccessDenied("the reader role is gone", "AccessDenied"))
    with_workers(world)
    with api_of(world, "query_servers") as ask:
        page = ask(accountId=TARGET, region=REGION)

    assert world.snapshot()["rows"] == rows
    assert {one["sourceServerID"] for one in page["servers"]} == known.keys()
    [scope] = page["scopes"]
    assert (scope["fresh"], scope["state"]) == (False, "ACCESS_DENIED")
    assert "the reader role is gone" in scope["reason"]


@HUNDRED
@given(inventory=st.lists(servers, min_size=1, max_size=10), age=st.integers(FRESH_SECONDS + 1, 10**6))
def test_property_10_a_fallback_asks_active_scopes_alone(inventory, age):
    world = world_of(inventory)
    world.clock.advance(age)
    with api_of(world) as ask:
        ask()
    active = {server["scope"] for server in inventory if server["living"]}
    assert set(world.queue.works()) <= {WorkId(WorkKind.INVENTORY, scope) for scope in active}
    assert active <= set(SCOPES)

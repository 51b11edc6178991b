"""What changes: servers, tags, extensions, accounts and memberships, messages and ticks nobody asked for.

Each kind of change is a function of the world that returns whether there was something to change. All of them pick
with the world's own random numbers, so that a seed repeats the choices as far as the product's own pace allows.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sandbox.chaos.timing import QUEUES, SCHEDULES
from sandbox.chaos.world import World
from sandbox.demo.driving import INVENTORY
from sandbox.demo.driving import STAGING as STAGING_SYNC
from sandbox.demo.driving import TAGS as TAGS_SYNC
from sandbox.fleet.evidence import TrueServer
from sandbox.fleet.generator import arrivals
from sandbox.fleet.model import STAGING, TARGET, FleetMembership, FleetServer
from sandbox.fleet.planting import plant_servers, registration

STATES = ("CONTINUOUS", "STALLED", "BACKLOG", "PAUSED", "RESCAN", "INITIAL_SYNC", "DISCONNECTED")
TAGS = {
    "env": ("prod", "test", "dev"),
    "team": ("payments", "search", "logistics"),
    "patch-group": ("monday", "sunday"),
}
MOST_TAGS = 20
"""Instances with more are those whose tags do not fit: left as they are."""
MOST_SERVERS = 200
POISON = ('{"kind": "inventory"', '{"kind": "dance", "accountId": "111122223333", "region": "eu-west-1"}', "[]")

Change = Callable[[World], bool]


def servers_appear(world: World) -> bool:
    """Servers begin to replicate into a target account."""
    return _appear(world, TARGET)


def staging_servers_appear(world: World) -> bool:
    """Servers begin to replicate into a staging account: they are to be extended."""
    return _appear(world, STAGING)


def states_change(world: World) -> bool:
    """A server's replication gets into another state; its extension follows."""
    originals = [server for server in world.ordinary(world.truth()) if not server.extends]
    if not originals:
        return False
    _change(world, world.random.choice(originals), state=world.random.choice(STATES))
    return True


def hostnames_change(world: World) -> bool:
    """A machine is renamed."""
    originals = [server for server in world.ordinary(world.truth()) if not server.extends]
    if not originals:
        return False
    _change(world, world.random.choice(originals), hostname=f"renamed-{world.random.randrange(10**6)}")
    return True


def tags_change(world: World) -> bool:
    """Tags of an EC2 instance are changed, added or removed."""
    truth = world.truth()
    found = [truth.instance_of(server) for server in world.ordinary(truth)]
    instances = [instance for instance in found if instance and len(instance["tags"]) < MOST_TAGS]
    if not instances:
        return False
    instance = world.random.choice(instances)
    key = world.random.choice(sorted(TAGS))
    tags = {name: value for name, value in instance["tags"].items() if name != key}
    if world.random.random() < 0.7:
        tags[key] = f"{world.random.choice(TAGS[key])}-{world.random.randrange(100)}"
    where = {name: instance[name] for name in ("accountId", "region", "instanceId")}
    world.cloud.control("PATCH", "/ec2/instances", [{**where, "tags": tags}])
    return True


def servers_disappear(world: World) -> bool:
    """A server is disconnected and deleted, with its extension."""
    originals = [server for server in world.ordinary(world.truth()) if not server.extends]
    if not originals:
        return False
    original = world.random.choice(originals)
    _remove(world, [original])
    # Nobody can extend it any more: what is extended now was extended before
    _remove(world, [server for server in world.truth().servers() if server.extends == original.arn])
    return True


def extensions_are_removed(world: World) -> bool:
    """An extension that the product knows is removed on purpose: it must not come back by itself."""
    found = [server for server in world.ordinary(world.truth()) if server.extends and _is_known(world, server)]
    if not found:
        return False
    extension = world.random.choice(found)
    removed = (extension.place[0], extension.extends or "")
    world.fleet = replace(world.fleet, unextended=world.fleet.unextended | {removed})
    _remove(world, [extension])
    return True


def accounts_come_and_go(world: World) -> bool:
    """The spare staging account is registered and joined to a target, or removed."""
    spare = world.spare
    if spare in world.fleet.accounts:
        world.operate("remove_account", "NOT_FOUND", accountId=spare.account_id)
        for membership in [member for member in world.fleet.memberships if member.staging == spare.account_id]:
            world.over_for(membership)
        world.gone(_keys_of(world, spare.account_id))
        world.fleet = replace(world.fleet, accounts=tuple(one for one in world.fleet.accounts if one != spare))
        return True
    if "status" in world.operate("get_account", "NOT_FOUND", accountId=spare.account_id):
        return False  # still being removed, scope by scope
    world.operate("register_account", "ALREADY_EXISTS", **registration(spare))
    world.fleet = replace(world.fleet, accounts=(*world.fleet.accounts, spare))
    world.join(FleetMembership(spare.trusts[0], spare.account_id, trusted=True))
    return True


def memberships_come_and_go(world: World) -> bool:
    """A staging account is taken from its target, or given back to it."""
    now = {member.staging: member for member in world.fleet.memberships}
    former = {
        member.staging: member
        for member in world.fleet.former
        if member.staging not in now and any(one.account_id == member.staging for one in world.fleet.accounts)
    }
    if former:
        world.join(former[min(former)])
        return True
    chosen = [member for member in now.values() if member.trusted]
    if not chosen:
        return False
    world.part(world.random.choice(chosen))
    return True


def messages_are_duplicated(world: World) -> bool:
    """Wake-up calls arrive twice, for work that may or may not be wanted."""
    place = world.random.choice(world.fleet.active_scopes)
    bodies = [{"kind": kind, "accountId": place[0], "region": place[1]} for kind in ("inventory", "tags")]
    for output, body in zip(QUEUES, bodies, strict=False):
        for _ in range(2):
            _send(world, output, json.dumps(body))
    return True


def messages_are_poisoned(world: World) -> bool:
    """A message arrives that nobody can read."""
    body = world.random.choice(POISON) + " " * len(world.poison)  # each its own, to be told apart
    world.poison.add(body)
    _send(world, world.random.choice(QUEUES), body)
    return True


def syncs_are_asked_for(world: World) -> bool:
    """An operator asks for a sync of all that is active."""
    world.operate(world.random.choice((INVENTORY, TAGS_SYNC, STAGING_SYNC)))
    return True


def ticks_overlap(world: World) -> bool:
    """A schedule fires twice at the same moment."""
    function = world.cloud.outputs.resources[world.random.choice(SCHEDULES)]
    client: Any = world.cloud.hub().client("lambda")
    event = json.dumps(_tick(world)).encode()
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(client.invoke, FunctionName=function, InvocationType="Event", Payload=event) for _ in range(2)
        ]
    return all(call.result() for call in calls)


WEIGHTS: dict[Change, int] = {
    servers_appear: 10,
    staging_servers_appear: 14,
    states_change: 16,
    hostnames_change: 4,
    tags_change: 22,
    servers_disappear: 10,
    extensions_are_removed: 6,
    accounts_come_and_go: 4,
    memberships_come_and_go: 4,
    messages_are_duplicated: 5,
    messages_are_poisoned: 1,
    syncs_are_asked_for: 12,
    ticks_overlap: 4,
}


def change(world: World) -> str | None:
    """Change something, and return what kind of change it was; None where there was nothing to change."""
    kind = world.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return name_of(kind) if kind(world) else None


def name_of(kind: Change) -> str:
    """Return a kind of change in words."""
    return kind.__name__.replace("_", " ")


def calm(world: World) -> None:
    """Connect what is disconnected: tags of such servers are nobody's to write, and could not be compared."""
    for server in world.ordinary(world.truth()):
        if server.state == "DISCONNECTED" and not server.extends:
            _change(world, server, state="CONTINUOUS")


def _appear(world: World, kind: str) -> bool:
    if sum(1 for _ in world.truth().servers()) > MOST_SERVERS:
        return False
    account = world.random.choice(world.fleet.of_kind(kind))
    regions = account.active if world.random.random() < 0.8 else account.initialised
    place = (account.account_id, world.random.choice(regions))
    servers, instances = arrivals(world.fleet, place, world.random.randint(1, 3), seed=world.random.randrange(2**32))
    plant_servers(world.cloud, servers, instances)
    world.fleet = world.fleet.with_more(servers, instances)
    return True


def _change(world: World, server: TrueServer, **values: object) -> None:
    world.cloud.control("PATCH", "/servers", {"servers": [{**_named(server), **values}]})


def _remove(world: World, servers: list[TrueServer]) -> None:
    if servers:
        world.cloud.control(
            "PATCH", "/servers", {"servers": [{**_named(server), "remove": True} for server in servers]}
        )
        world.gone(server.key for server in servers)


def _named(server: TrueServer) -> dict[str, Any]:
    return {"accountId": server.place[0], "region": server.place[1], "sourceServerID": server.server_id}


def _is_known(world: World, server: TrueServer) -> bool:
    row = world.row(server.key)
    return row is not None and "deletedAt" not in row and row.get("stagingStatus") == "EXTENDED"


def _keys_of(world: World, account_id: str) -> Iterator[tuple[str, str]]:
    servers: tuple[FleetServer, ...] = world.fleet.servers
    return ((server.server_id, server.region) for server in servers if server.account_id == account_id)


def _send(world: World, output: str, body: str) -> None:
    queues: Any = world.cloud.hub().client("sqs")
    queues.send_message(QueueUrl=world.cloud.outputs.stack[output], MessageBody=body)


def _tick(world: World) -> dict[str, Any]:
    outputs = world.cloud.outputs
    return {
        "version": "0",
        "id": "00000000-0000-0000-0000-000000000000",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": outputs.hub_account,
        "time": "2026-01-01T00:00:00Z",
        "region": outputs.region,
        "resources": [],
        "detail": {},
    }

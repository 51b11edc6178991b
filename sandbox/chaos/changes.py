"""What changes: servers, tags, extensions, accounts and memberships, messages and ticks nobody asked for.

Each kind of change is a function of the world that returns whether there was something to change. All of them pick
with the world's random numbers, so that a seed repeats the choices as far as the product's own pace allows.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sandbox.chaos.timing import DEAD_LETTERS, QUEUES, SCHEDULES
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
    _change(world, world.nature.choice(originals), state=world.nature.choice(STATES))
    return True


def hostnames_change(world: World) -> bool:
    """A machine is renamed."""
    originals = [server for server in world.ordinary(world.truth()) if not server.extends]
    if not originals:
        return False
    _change(world, world.nature.choice(originals), hostname=f"renamed-{world.nature.randrange(10**6)}")
    return True


def tags_change(world: World) -> bool:
    """Tags of an EC2 instance are changed, added or removed."""
    truth = world.truth()
    found = [truth.instance_of(server) for server in world.ordinary(truth)]
    instances = [instance for instance in found if instance and len(instance["tags"]) < MOST_TAGS]
    if not instances:
        return False
    instance = world.nature.choice(instances)
    key = world.nature.choice(sorted(TAGS))
    tags = {name: value for name, value in instance["tags"].items() if name != key}
    if world.nature.random() < 0.7:
        tags[key] = f"{world.nature.choice(TAGS[key])}-{world.nature.randrange(100)}"
    where = {name: instance[name] for name in ("accountId", "region", "instanceId")}
    world.cloud.control("PATCH", "/ec2/instances", [{**where, "tags": tags}])
    return True


def servers_disappear(world: World) -> bool:
    """A server is disconnected and deleted, with its extension."""
    originals = [server for server in world.ordinary(world.truth()) if not server.extends]
    if not originals:
        return False
    original = world.nature.choice(originals)
    _remove(world, [original])
    # Nobody can extend it any more: what is extended now was extended before
    _remove(world, [server for server in world.truth().servers() if server.extends == original.arn])
    return True


def extensions_are_removed(world: World) -> bool:
    """An extension that the product knows is removed on purpose: it must not come back by itself."""
    found = [server for server in world.ordinary(world.truth()) if server.extends and _is_known(world, server)]
    if not found:
        return False
    extension = world.nature.choice(found)
    removed = (extension.place[0], extension.extends or "")
    world.amend(lambda fleet: replace(fleet, unextended=fleet.unextended | {removed}))
    _remove(world, [extension])
    return True


def accounts_come_and_go(world: World) -> bool:
    """The spare staging account is registered and joined to a target, or removed."""
    spare = world.spare
    if spare in world.fleet.accounts:
        world.amend(lambda fleet: replace(fleet, accounts=tuple(one for one in fleet.accounts if one != spare)))
        world.operate("remove_account", "NOT_FOUND", accountId=spare.account_id)
        for membership in [member for member in world.fleet.memberships if member.staging == spare.account_id]:
            world.over_for(membership)
        world.gone(_keys_of(world, spare.account_id))
        return True
    if "status" in world.operate("get_account", "NOT_FOUND", accountId=spare.account_id):
        return False  # still being removed, scope by scope
    world.operate("register_account", "ALREADY_EXISTS", **registration(spare))
    world.amend(lambda fleet: replace(fleet, accounts=(*fleet.accounts, spare)))
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
    world.part(world.operator.choice(chosen))
    return True


def messages_are_duplicated(world: World) -> bool:
    """Wake-up calls arrive twice, for work that may or may not be wanted."""
    place = world.nature.choice(world.fleet.active_scopes)
    bodies = [{"kind": kind, "accountId": place[0], "region": place[1]} for kind in ("inventory", "tags")]
    for output, body in zip(QUEUES, bodies, strict=False):
        for _ in range(2):
            _send(world, output, json.dumps(body))
    return True


def messages_are_poisoned(world: World) -> bool:
    """A message arrives that nobody can read."""
    body = world.nature.choice(POISON) + " " * len(world.poison)  # each its own, to be told apart
    world.poison.add(body)
    _send(world, world.nature.choice(QUEUES), body)
    return True


def syncs_are_asked_for(world: World) -> bool:
    """An operator asks for a sync of all that is active."""
    world.operate(world.operator.choice((INVENTORY, TAGS_SYNC, STAGING_SYNC)))
    return True


def letters_are_dead_already(world: World) -> bool:
    """A wake-up call lies in the dead-letter queue, from a worse day: it is to be redriven."""
    place = world.nature.choice(world.fleet.active_scopes)
    _send(world, DEAD_LETTERS, json.dumps({"kind": "inventory", "accountId": place[0], "region": place[1]}))
    return True


def ticks_overlap(world: World) -> bool:
    """A schedule fires twice at the same moment."""
    function = world.cloud.outputs.resources[world.nature.choice(SCHEDULES)]
    client: Any = world.cloud.hub().client("lambda")
    event = json.dumps(_tick(world)).encode()
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(client.invoke, FunctionName=function, InvocationType="Event", Payload=event) for _ in range(2)
        ]
    return all(call.result() for call in calls)


NATURE: dict[Change, int] = {
    servers_appear: 10,
    staging_servers_appear: 14,
    states_change: 16,
    hostnames_change: 4,
    tags_change: 22,
    servers_disappear: 10,
    extensions_are_removed: 6,
    messages_are_duplicated: 5,
    messages_are_poisoned: 2,
    letters_are_dead_already: 2,
    ticks_overlap: 4,
}
"""What happens by itself, by how often."""
OPERATOR: dict[Change, int] = {accounts_come_and_go: 1, memberships_come_and_go: 1, syncs_are_asked_for: 3}
"""What an operator does, by how often."""


def by_nature(world: World) -> str | None:
    """Let something happen, and return what kind of change it was; None where there was nothing to change."""
    return _change_of(world, world.nature.choices(list(NATURE), list(NATURE.values()))[0])


def by_operator(world: World) -> str | None:
    """Let the operator do something, and return what; None where there was nothing to do."""
    return _change_of(world, world.operator.choices(list(OPERATOR), list(OPERATOR.values()))[0])


def _change_of(world: World, kind: Change) -> str | None:
    return kind.__name__.replace("_", " ") if kind(world) else None


def calm(world: World) -> None:
    """Connect what is disconnected: tags of such servers are nobody's to write, and could not be compared."""
    for server in world.ordinary(world.truth()):
        if server.state == "DISCONNECTED" and not server.extends:
            _change(world, server, state="CONTINUOUS")


def _appear(world: World, kind: str) -> bool:
    if sum(1 for _ in world.truth().servers()) > MOST_SERVERS:
        return False
    with world.amending:  # an account that is taken away meanwhile gets no more servers
        account = world.nature.choice(world.fleet.of_kind(kind))
        regions = account.active if world.nature.random() < 0.8 else account.initialised
        place = (account.account_id, world.nature.choice(regions))
        servers, instances = arrivals(
            world.fleet, place, world.nature.randint(1, 3), seed=world.nature.randrange(2**32)
        )
        plant_servers(world.cloud, servers, instances)
        world.amend(lambda fleet: fleet.with_more(servers, instances))
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

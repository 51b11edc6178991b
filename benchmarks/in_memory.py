"""Fleets up to L with every table in memory: the real services on the tests' fakes, to see how cost grows.

Calls are counted by the fakes of DRS and EC2, items written by those of the tables. Servers are made up when they are
listed, so that 90,000 of them need not be kept.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any, NamedTuple

from chalicelib.domain.accounts import Account, AccountKind
from chalicelib.domain.regions import ScanRecord
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkMessage
from chalicelib.domain.writes import UpdateServer
from chalicelib.errors import Uninitialized
from chalicelib.observability import logger
from tests import factories
from tests.fakes import FakeCalls, FakeDrs, FakeEc2, FakeInventory, FakeScans, FakeWorkStates, World

from .context import say, set_aside
from .fleets import TAGS, Fleet, Shape

CHANGES = 10
CHANGED_STATE = "STALLED"


class Cost(NamedTuple):
    """What one cycle of a fleet cost."""

    calls: int
    written: int
    seconds: float
    folded: int = 0


class Growth(NamedTuple):
    """A quiet cycle of a fleet, and one in which `CHANGES` servers changed."""

    active_scopes: int
    servers: int
    steady: Cost
    changed: Cost


def grown(shape: Shape) -> Growth:
    """Return what cycles of a fleet cost."""
    logger.setLevel("ERROR")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    from chalicelib.adapters.aws_regions import drs_regions  # noqa: PLC0415  reads the environment

    with open(os.devnull, "w") as quiet, redirect_stdout(quiet):
        fleet = Fleet(shape, drs_regions())
        world = FleetWorld(fleet)
        say(f"{shape.name}, tables in memory: {fleet.active_scopes} active scopes; first and second cycle")
        world.run()
        world.run()
        set_aside()
        say(f"{shape.name}, tables in memory: a quiet cycle, and one with {CHANGES} changes")
        steady = world.run()
        world.drs.changed = {server["sourceServerID"] for server in list(fleet.servers(fleet.active[0]))[:CHANGES]}
        changed = world.run()
    servers = fleet.active_scopes * shape.servers_per_scope
    return Growth(fleet.active_scopes, servers, steady, changed)


class FleetWorld(World):
    """The services on the fakes, with a fleet's accounts and servers."""

    def __init__(self, fleet: Fleet, drs: type["MadeUpDrs"] | None = None) -> None:
        super().__init__(fleet.regions)
        self.calls = TotalCalls()
        self.drs, self.ec2 = (drs or MadeUpDrs)(fleet, self.calls, self.faults), MadeUpEc2(self.calls, self.faults)
        self.inventory, self.work_states, self.scans = IndexedInventory(), CountedWorkStates(), CountedScans()
        self.writer = type(self.writer)(self.work_states, self.inventory, self.scans, self.telemetries, self.refusals)
        for account in fleet.accounts:
            self.add_account(account.account_id, AccountKind.STAGING if account.target else AccountKind.TARGET)

    def run(self) -> Cost:
        """Let an inventory schedule fire and its work be done; return what that cost."""
        self.clock.advance(900)
        self.scans.read_for_folds = 0
        made, self.work_states.writes, self.writer.transactions = self.calls.of("drs") + self.calls.of("ec2"), 0, []
        started = time.perf_counter()
        self.scans.resyncing = True
        self.tick()
        self.scans.resyncing = False
        messages: list[WorkMessage] = self.queue.messages
        self.queue.messages = []
        for message in messages:
            self.handle(message)
        self.pump()
        self.queue.messages = []  # tags and staging are not what is measured here
        seconds = time.perf_counter() - started
        calls = self.calls.of("drs") + self.calls.of("ec2") - made
        return Cost(calls, len(self.writer.written) + self.work_states.writes, seconds, self.scans.read_for_folds)


class TotalCalls(FakeCalls):
    """Counts calls in all, not those of each piece of work: that would take longer, the more scopes there are."""

    def snapshot(self) -> Counter[tuple[str, str, str]]:
        """Return nothing to compare with."""
        return Counter()

    def calls_since(self, _: Counter[tuple[str, str, str]]) -> dict[str, int]:
        """Return no calls of a piece of work."""
        return {}


class MadeUpDrs(FakeDrs):
    """Lists a fleet's servers; those of `changed` are stalled."""

    def __init__(self, fleet: Fleet, *ports: Any) -> None:
        super().__init__(*ports)
        self._fleet = fleet
        self._active = set(fleet.active)
        self.changed: set[object] = set()

    def source_servers(self, account: Account, region: str) -> Iterator[dict[str, Any]]:
        """Yield the servers of a scope."""
        scope = Scope(account.account_id, region)
        self._call("DescribeSourceServers", scope)
        if scope not in self._active:
            raise Uninitialized("DRS is not initialised there", "UninitializedAccountException")
        origin = (account.account_id, self._fleet.origin_region(scope))
        for server in self._fleet.servers(scope):
            state = CHANGED_STATE if server["sourceServerID"] in self.changed else "CONTINUOUS"
            yield factories.wire_server(
                str(server["sourceServerID"]), *scope, instance=str(server["instanceId"]), origin=origin, state=state
            )


class MadeUpEc2(FakeEc2):
    """Knows every instance that it is asked for."""

    TAGS = {f"tag-{position}": "value" for position in range(TAGS)}

    def instances(self, account: Account, region: str, instance_ids: list[str]) -> dict[str, dict[str, Any]]:
        """Return the instances of these IDs."""
        self._calls.count("ec2:DescribeInstances", Scope(account.account_id, region))
        return {name: factories.instance(name, tags=self.TAGS) for name in instance_ids}


class IndexedInventory(FakeInventory):
    """Finds a scope's rows without looking at all others."""

    def __init__(self) -> None:
        super().__init__()
        self._of_scope: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}

    def put(self, update: UpdateServer) -> None:
        """Write a row; none of this benchmark's leaves its scope."""
        super().put(update)
        key = (update.source_server_id, update.scope.region)
        self._of_scope.setdefault(update.scope.key, {})[key] = self.items[key]

    def _by(self, attribute: str, value: str) -> list[dict[str, Any]]:
        if attribute != "scope":
            return super()._by(attribute, value)
        return [row for _, row in sorted(self._of_scope.get(value, {}).items())]


class CountedScans(FakeScans):
    """Counts the records that folds read; nothing else reads all of a region, but the resync, which has its turns."""

    def __init__(self) -> None:
        super().__init__()
        self.read_for_folds = 0
        self.resyncing = False

    def of_region(self, region: str) -> list[ScanRecord]:
        """Return a region's records."""
        found = super().of_region(region)
        self.read_for_folds += 0 if self.resyncing else len(found)
        return found


class CountedWorkStates(FakeWorkStates):
    """Counts the items that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def __getattribute__(self, name: str) -> Any:
        if name in ("request", "claim", "take", "finish", "fail", "retire", "record_intent"):
            self.writes += 1
        return super().__getattribute__(name)

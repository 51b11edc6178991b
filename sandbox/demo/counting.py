"""Judge what a cycle cost, by the simulator's own counters."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sandbox.fleet.evidence import Item, Truth
from sandbox.fleet.model import SOURCE, STAGING, TARGET, Fleet, Place

DRS_PAGE = 200
"""Servers per page of DescribeSourceServers, where nobody says otherwise (the simulated DRS's setting)."""
EC2_BATCH = 200
"""EC2: values per filter."""
CONFIGURATIONS_FIRST, CONFIGURATIONS_NEXT = 20, 400
"""Replication configurations that a server's first scan asks for, and each that goes on (docs/architecture.md)."""


class Verdict(NamedTuple):
    """One figure, what it may be, and whether it is."""

    what: str
    found: object
    allowed: str
    holds: bool


class Measured(NamedTuple):
    """What a cycle cost: calls by service, operation, account and region; written items by table output."""

    calls: list[Item]
    written: dict[str, int]

    def total(self, service: str, operation: str | None = None) -> int:
        """Return the calls of a service, or of one of its operations."""
        return sum(call["calls"] for call in self.calls if _is(call, service, operation))

    def by_operation(self, *services: str) -> dict[str, int]:
        """Return the calls to customers' services by `service:Operation`, as the product names them."""
        counted: Counter[str] = Counter()
        for call in self.calls:
            if call["service"] in services:
                counted[f"{call['service']}:{call['operation']}"] += call["calls"]
        return dict(sorted(counted.items()))


def first_cycle(measured: Measured, fleet: Fleet, truth: Truth) -> Iterator[Verdict]:
    """Yield the verdicts on the first cycle: every scope scanned once, a target's again after extensions into it."""
    targets = {account.account_id for account in fleet.of_kind(TARGET)}
    found = _scans(measured)
    once = {place: _pages(len(truth.scope(place).servers), DRS_PAGE) for place in fleet.scopes}
    others = {place: found.get(place, 0) for place in fleet.scopes if place[0] not in targets}
    expected = {place: pages for place, pages in once.items() if place[0] not in targets}
    most = {place: pages * (1 + _further(len(truth.scope(place).servers))) for place, pages in expected.items()}
    fits = all(expected[place] <= count <= most[place] for place, count in others.items())
    allowed = f"{sum(expected.values())}: each once; up to {sum(most.values())}: again for failback originals left open"
    yield Verdict("scans of staging scopes", sum(others.values()), allowed, fits)
    missed = [place for place in fleet.scopes if place not in found]
    total = sum(count for place, count in found.items() if place[0] in targets)
    allowed = "each at least once: again after an extension into it"
    yield Verdict("scans of target scopes", total, allowed, not missed and found.keys() == set(fleet.scopes))


def quiet_inventory_cycle(measured: Measured, planned: list[Place], truth: Truth) -> Iterator[Verdict]:
    """Yield the verdicts on an inventory cycle without changes (docs/data-model.md, "What a quiet cycle writes")."""
    yield from _drs(measured, planned, truth)
    yield from _ec2(measured, planned, truth)
    scopes, regions = len(planned), len({region for _, region in planned})
    yield _exactly("items written: inventory", measured.written["InventoryTableName"], 0)
    # A scope that does not use DRS has no telemetry
    answering = sum(truth.scope(place).opted_in and truth.scope(place).initialised for place in planned)
    yield _exactly("items written: telemetry", measured.written["TelemetryTableName"], answering)
    yield _exactly("items written: scan records", measured.written["ScanTableName"], scopes)
    yield _at_most(
        "items written: work-state (claim, take, finish)", measured.written["WorkStateTableName"], 3 * scopes
    )
    yield _at_most("items written: runs", measured.written["RunsTableName"], 2)
    yield _at_most("items written: region status", measured.written["RegionStatusTableName"], regions)
    yield _exactly("items written: refusals", measured.written["RefusalsTableName"], 0)
    yield _exactly("items written: accounts", measured.written["AccountsTableName"], 0)


def quiet_writer_cycle(measured: Measured, planned: int) -> Iterator[Verdict]:
    """Yield the verdicts on tag and staging cycles with nothing to do: `planned` pieces of work, in two runs."""
    for service in ("drs", "ec2", "sts"):
        yield _exactly(f"calls to {service}", measured.total(service), 0)
    yield _exactly("items written: inventory", measured.written["InventoryTableName"], 0)
    yield _at_most("items written: work-state (ask, take, finish)", measured.written["WorkStateTableName"], 3 * planned)
    yield _at_most("items written: runs", measured.written["RunsTableName"], 4)
    rest = ("TelemetryTableName", "ScanTableName", "RegionStatusTableName", "RefusalsTableName", "AccountsTableName")
    yield _exactly("items written: all others", sum(measured.written[name] for name in rest), 0)


def assumed_roles(calls: int, workers: Mapping[str, set[int]], fleet: Fleet) -> Verdict:
    """Return the verdict on all AssumeRole calls so far: at most one per account, role and warm worker (R9)."""
    roles = {
        "inventory-worker": len(fleet.of_kind(TARGET, STAGING, SOURCE)),
        "tags-worker": len(fleet.of_kind(TARGET, STAGING)),
        "staging-worker": len(fleet.of_kind(TARGET)),
    }
    most = sum(len(workers.get(name, ())) * count for name, count in roles.items())
    seen = ", ".join(f"{len(workers.get(name, ()))} {name}s x {count}" for name, count in roles.items())
    return Verdict("AssumeRole since the start", calls, f"at most {most} ({seen} roles)", calls <= most)


def own_count(reported: Mapping[str, int], measured: Measured) -> Verdict:
    """Return the verdict on the product's own count of its calls to customers' accounts."""
    services = ("drs", "ec2", "sts")
    own = {name: count for name, count in sorted(reported.items()) if name.split(":")[0] in services}
    told = measured.by_operation(*services)
    return Verdict("the product's own count of calls", _sum(own), f"{_sum(told)}, the simulator's", own == told)


def _drs(measured: Measured, planned: Iterable[Place], truth: Truth) -> Iterator[Verdict]:
    expected = {place: _pages(len(truth.scope(place).servers), DRS_PAGE) for place in planned}
    found = _scans(measured)
    allowed = f"{sum(expected.values())}: one page set per due scope"
    yield Verdict("DRS DescribeSourceServers", sum(found.values()), allowed, found == expected)
    others = measured.total("drs") - sum(found.values())
    yield _exactly("DRS, every other operation", others, 0)


def _further(servers: int) -> int:
    """Return how many further scans capture the replication configurations that the first one leaves open."""
    return math.ceil(max(0, servers - CONFIGURATIONS_FIRST) / CONFIGURATIONS_NEXT)


def _scans(measured: Measured) -> dict[Place, int]:
    """Return the calls of DescribeSourceServers by scope."""
    return {
        (call["account"], call["region"]): call["calls"]
        for call in measured.calls
        if _is(call, "drs", "DescribeSourceServers")
    }


def _ec2(measured: Measured, planned: Iterable[Place], truth: Truth) -> Iterator[Verdict]:
    """Per scope no more than one page set per origin account and region."""
    most: Counter[Place] = Counter()
    for place in planned:
        origins: Counter[Place] = Counter(
            (server.origin["originAccountID"], server.origin["originRegion"])
            for server in truth.scope(place).servers
            if server.origin and server.instance_id
        )
        for origin, servers in origins.items():
            most[origin] += _pages(servers, EC2_BATCH)
    found = {(call["account"], call["region"]): call["calls"] for call in measured.calls if _is(call, "ec2", None)}
    within = all(count <= most[origin] for origin, count in found.items())
    yield Verdict("EC2 DescribeInstances", sum(found.values()), f"at most {most.total()}, by origin and scope", within)


def _is(call: Item, service: str, operation: str | None) -> bool:
    return bool(call["service"] == service and operation in (None, call["operation"]))


def _pages(items: int, size: int) -> int:
    return max(1, math.ceil(items / size))


def _sum(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _exactly(what: str, found: int, allowed: int) -> Verdict:
    return Verdict(what, found, str(allowed), found == allowed)


def _at_most(what: str, found: int, allowed: int) -> Verdict:
    return Verdict(what, found, f"at most {allowed}", found <= allowed)

"""What a worker holds in memory while it scans a large scope."""

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import islice
from typing import Any

from benchmarks.context import Context
from benchmarks.figures import Figure, at_most
from benchmarks.fleets import Fleet, Shape
from benchmarks.in_memory import FleetWorld, MadeUpDrs
from chalicelib.adapters.aws_regions import drs_regions
from chalicelib.domain.accounts import Account
from chalicelib.domain.scopes import Scope

TITLE = "Memory of a worker"
SMALL = False
KEYS = ("worker.memory", "worker.memory.per_server")
FEWER, MANY = 1000, 3000
PAGE = 200
"""Servers that DRS lists at once, and instances that EC2 is asked for at once."""
PAGES_BYTES = 2 * PAGE * 10_000
"""A page of servers and one of instances, as parsed from JSON, at some 10 KB each."""
BYTES_PER_SERVER = 500
LAMBDA_BYTES = 512 * 2**20


def run(context: Context) -> dict[str, Figure]:
    """Return the peak of a quiet scan, and what each further server adds to it."""
    fewer, many = context.once(peak, FEWER), context.once(peak, MANY)
    per_server = (many - fewer) / (MANY - FEWER)
    how = "Python's allocations above those before the scan (tracemalloc), tables and services in memory not counted"
    return {
        "worker.memory": Figure(
            many,
            "bytes",
            f"peak of a quiet inventory scan of {MANY:,} servers; {how}",
            at_most(PAGES_BYTES + BYTES_PER_SERVER * MANY),
            {f"{FEWER} servers": fewer, "of a worker's memory": many / LAMBDA_BYTES},
        ),
        "worker.memory.per_server": Figure(
            per_server,
            "bytes per server",
            f"the slope of the peak from {FEWER:,} to {MANY:,} servers, beyond the pages that are held at once",
            at_most(BYTES_PER_SERVER),
        ),
    }


def peak(servers: int) -> int:
    """Return the bytes that a quiet scan of one scope with so many servers takes at most."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    with open(os.devnull, "w") as quiet, redirect_stdout(quiet):
        fleet = Fleet(Shape("one scope", 1, servers), drs_regions())
        world = FleetWorld(fleet, PagedDrs)
        scope = fleet.active[0]
        for _ in range(2):
            _scan(world, scope)
        tracemalloc.start()
        _scan(world, scope)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most


def _scan(world: FleetWorld, scope: Scope) -> None:
    world.clock.advance(900)
    world.scan(scope)


class PagedDrs(MadeUpDrs):
    """Lists servers page by page: those of a page are held at once."""

    def source_servers(self, account: Account, region: str) -> Iterator[dict[str, Any]]:
        """Yield the servers of a scope."""
        servers = super().source_servers(account, region)
        while page := list(islice(servers, PAGE)):
            yield from page

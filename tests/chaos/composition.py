"""The product's own container and adapters, on clients in memory.

`ChaosPorts` are the ports on AWS, with the settings of an environment. In memory are botocore's clients and the clock;
thread pools are ones whose threads take turns as Hypothesis draws. Every call of a port passes the switchboard, and
every request that an adapter makes does. Each warm process of a function has a container of its own.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from chalicelib.adapters.aws_ports import AwsPorts
from chalicelib.adapters.pauses import no_pauses
from chalicelib.adapters.sessions import hub_clients
from chalicelib.concurrency import executors
from chalicelib.container import Container, providing
from chalicelib.settings import Settings, read_settings

from .disruptions import Gated, Switchboard
from .world import ENVIRONMENT, ChaosWorld

GATED = (
    "statuses",
    "scans",
    "accounts",
    "inventory",
    "telemetries",
    "work_states",
    "refusals",
    "runs",
    "queue",
    "letters",
    "writer",
)
"""The ports of the hub whose calls can be disrupted; the writer comes after the work items that it is fenced by."""
ROWS_PER_TRANSACTION = 2


class ChaosPorts(AwsPorts):
    """The adapters on the clients of `world`, each call behind `switchboard`."""

    actions_per_transaction = ROWS_PER_TRANSACTION

    def __init__(self, settings: Settings, world: ChaosWorld, switchboard: Switchboard) -> None:
        super().__init__(settings)
        self._customers = world.customers
        self.clock, self.sleep, self.calls = world.clock, world.clock.advance, world.calls
        self.drs_regions = world.drs_regions
        for name in GATED:
            setattr(self, name, Gated(name, getattr(AwsPorts, name).func(self), switchboard))

    def sessions(self, purpose: Any) -> Any:
        return self._customers


@contextmanager
def composed(world: ChaosWorld, switchboard: Switchboard, **settings: str) -> Iterator[None]:
    """Let the functions run on the clients of `world`, each call behind `switchboard`."""
    known = read_settings({**ENVIRONMENT, **settings})
    ports = ChaosPorts(known, world, switchboard)
    containers: dict[str, Container] = {}

    def current() -> Container:
        invocation = switchboard.invocation
        name = invocation.container if invocation else ""
        return containers.setdefault(name, Container(known, ports))

    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, {"POWERTOOLS_METRICS_DISABLED": "true"}))
        stack.enter_context(hub_clients(dynamodb=world.dynamodb, sqs=world.sqs))
        stack.enter_context(no_pauses())
        stack.enter_context(executors(switchboard.turns.pool))
        stack.enter_context(providing(current))
        yield

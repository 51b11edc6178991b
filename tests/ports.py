"""One set of ports: in memory, or the adapters on the mocked stack."""

from dataclasses import dataclass
from typing import Any

from chalicelib import bootstrap

from .factories import EPOCH, work
from .fakes import World


@dataclass
class Ports:
    """What conformance is tested of."""

    work_states: Any
    writer: Any
    inventory: Any
    scans: Any
    telemetries: Any
    refusals: Any
    accounts: Any
    statuses: Any
    runs: Any
    queue: Any

    def leased(self, of=None):
        """A lease, asked for and taken."""
        self.work_states.ask(of or work(), EPOCH + 1800)
        return self.work_states.take(of or work(), EPOCH, EPOCH + 330).lease


def in_memory() -> Ports:
    """Return the fakes."""
    world = World()
    return Ports(**{name: getattr(world, name) for name in Ports.__dataclass_fields__})


def on_tables() -> Ports:
    """Return the adapters, on the stack that is deployed."""
    return Ports(
        bootstrap.work_states(),
        bootstrap.fenced_writes(),
        bootstrap.inventory(),
        bootstrap.scans(),
        bootstrap.telemetries(),
        bootstrap.refusals(),
        bootstrap.accounts(),
        bootstrap.region_statuses(),
        bootstrap.runs(),
        bootstrap.work_queue(),
    )

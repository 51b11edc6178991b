"""One set of ports: in memory, or the adapters on the mocked stack."""

from dataclasses import dataclass
from typing import Any

from chalicelib.container import container

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
        self.work_states.request(of or work(), EPOCH + 1800)
        return self.work_states.take(of or work(), EPOCH, EPOCH + 330).lease


def in_memory() -> Ports:
    """Return the fakes."""
    world = World()
    return Ports(**{name: getattr(world, name) for name in Ports.__dataclass_fields__})


def on_tables() -> Ports:
    """Return the adapters, on the stack that is deployed."""
    return Ports(
        container().ports.work_states,
        container().ports.writer,
        container().ports.inventory,
        container().ports.scans,
        container().ports.telemetries,
        container().ports.refusals,
        container().ports.accounts,
        container().ports.statuses,
        container().ports.runs,
        container().ports.queue,
    )

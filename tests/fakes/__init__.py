"""The ports in memory, and `World`: the real services on them.

The fakes keep the adapters' semantics (`tests/unit/test_ports.py` runs the same checks against both): conditions hold
in the same cases, times lose what the tables do not keep, a write under an epoch that is over is refused. What a test
wants to go wrong, it says beforehand (`fault`, `broken`, `interruptions`).
"""

from .accounts import FakeAccounts
from .customers import FakeDrs, FakeEc2, Fault, Faults
from .inventory import FakeInventory
from .limits import LARGEST_ITEM, stored_bytes
from .process import Crash, FakeCalls, FakeClock, stored
from .queues import FakeDeadLetters, FakeQueue
from .refusals_and_runs import FakeRefusals, FakeRuns
from .region_tables import FakeRegionStatuses, FakeScans, FakeTelemetries
from .work_states import FakeWorkStates, WorkItem
from .world import LEASE_SECONDS, SHORT_NAMES, FakeWorker, World
from .writer import FakeWriter

__all__ = [
    "LARGEST_ITEM",
    "LEASE_SECONDS",
    "SHORT_NAMES",
    "Crash",
    "FakeAccounts",
    "FakeCalls",
    "FakeClock",
    "FakeDeadLetters",
    "FakeDrs",
    "FakeEc2",
    "FakeInventory",
    "FakeQueue",
    "FakeRefusals",
    "FakeRegionStatuses",
    "FakeRuns",
    "FakeScans",
    "FakeTelemetries",
    "FakeWorkStates",
    "FakeWorker",
    "FakeWriter",
    "Fault",
    "Faults",
    "WorkItem",
    "World",
    "stored",
    "stored_bytes",
]

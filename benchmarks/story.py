"""What happens to a fleet, phase by phase, and what each phase cost by the simulator's count.

The phases follow each other on the same tables, as they would in an account: the first inventory cycle, what it sets
off, quiet cycles, changes. Told in a process of its own, because the product keeps its wiring while warm.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mean, median
from threading import Barrier
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.domain.work import WorkKind

from .context import say, set_aside
from .fleets import Shape

if TYPE_CHECKING:
    from .baseline import FullScan
    from .lab.product import Laboratory

LATENCY_SECONDS = 0.1
AT_ONCE = 16
QUARTER = 900
CHANGED_PER_SCOPE = 2
PAIRS = 3


class Phase(NamedTuple):
    """What one phase cost: calls by `service:Operation`, items written by table, seconds, messages worked off."""

    calls: dict[str, int]
    written: dict[str, int]
    seconds: float
    messages: int

    def of(self, *services: str, without: tuple[str, ...] = ()) -> int:
        """Return the calls to `services`, without some operations."""
        return sum(
            number for name, number in self.calls.items() if name.split(":")[0] in services and name not in without
        )


Phases = dict[str, Phase]


def growing(shape: Shape) -> Phases:
    """First and quiet cycles, changes, tags and staging of a fleet, at no latency."""
    with _teller(shape) as tell:
        lab = tell.lab
        say(f"{shape.name}: {shape.accounts} accounts, {lab.fleet.active_scopes} active scopes; first inventory cycle")
        with tell.phase("inventory.first"):
            tell.messages = lab.cycle(WorkKind.INVENTORY)
        say(f"{shape.name}: first tag sync")
        with tell.phase("tags.first"):
            tell.messages = lab.drain(WorkKind.TAGS)
        lab.waiting(WorkKind.STAGING)  # lost: the items want the work all the same, and come due later
        _settle(tell)
        say(f"{shape.name}: quiet cycles")
        for number in range(PAIRS):
            lab.advance(QUARTER)
            with tell.phase(f"inventory.steady.{number}"):
                tell.messages = lab.cycle(WorkKind.INVENTORY)
        lab.advance(3600)
        with tell.phase("tags.steady"):
            lab.tick(WorkKind.TAGS)
            tell.messages = lab.drain(WorkKind.TAGS)
        lab.cycle(WorkKind.INVENTORY)
        _changes(tell)
        _extend(tell)
        return tell.phases


def planning(shape: Shape) -> Phases:
    """One tick that plans every scope, as the first one of a new deployment does."""
    with _teller(shape) as tell:
        say(f"{shape.name}: a tick that plans {tell.lab.fleet.scopes:,} scopes")
        with tell.phase("tick"):
            tell.lab.tick(WorkKind.INVENTORY)
            tell.messages = len(tell.lab.waiting(WorkKind.INVENTORY))
        return tell.phases


def racing(shape: Shape, ready: Barrier) -> list[tuple[float, float, int]]:
    """Quiet inventory cycles at latency, of a part of a fleet, beside its other parts.

    Args:
        shape: the fleet, and which part of it.
        ready: where the parts wait for each other before each cycle.

    Returns:
        When each cycle began and ended, on the machine's monotonic clock, and its calls to DRS, EC2 and STS.
    """
    with _teller(shape) as tell:
        lab, times = tell.lab, []
        lab.cycle(WorkKind.INVENTORY)
        _settle(tell)
        for number in range(PAIRS):
            if shape.part == 0:
                say(f"{shape.name}: inventory at {LATENCY_SECONDS * 1000:.0f} ms a call, {number + 1} of {PAIRS}")
            lab.advance(QUARTER)  # all of them within three hours of the first scan: no probe disturbs
            lab.tick(WorkKind.INVENTORY)
            ready.wait()
            with lab.endpoint.latency(LATENCY_SECONDS), tell.phase("cycle"):
                started = time.monotonic()
                lab.drain(WorkKind.INVENTORY, AT_ONCE // shape.parts)
                times.append((started, time.monotonic(), 0))
            times[-1] = (*times[-1][:2], tell.phases["cycle"].of("drs", "ec2", "sts"))
            lab.pump()
        return times


def passing(shape: Shape, latency: bool) -> Phases:
    """One hour of schedules, probes, and where wanted tag cycles at latency; the full scan's cycles beside them."""
    with _teller(shape) as tell:
        lab, peer = tell.lab, tell.peer()
        say(f"{shape.name}: {shape.accounts} accounts, {lab.fleet.active_scopes} active scopes; first syncs")
        with tell.phase("inventory.first"):
            tell.messages = lab.cycle(WorkKind.INVENTORY)
        lab.drain(WorkKind.TAGS)
        lab.drain(WorkKind.STAGING)
        _settle(tell)
        _hour(tell)
        say(f"{shape.name}: the same by a scan of everything")
        for name, sync in (("inventory", peer.inventory), ("staging", peer.staging), ("tags", peer.tags)):
            with tell.phase(f"peer.{name}"):
                tell.messages = sync()
        for number in range(PAIRS if latency else 0):
            _tags_at_latency(tell, peer, number)
        say(f"{shape.name}: probes")
        tell.note("probe.interval", _probe_interval(lab))
        lab.advance(0 if latency else 4 * 3600)
        with tell.phase("probes"):
            tell.messages = lab.cycle(WorkKind.INVENTORY) - tell.lab.fleet.active_scopes
        return tell.phases


def median_of(phases: Phases, prefix: str) -> float:
    """Return the median of the seconds of the phases `prefix`.0, .1, ..."""
    return median(phase.seconds for name, phase in phases.items() if name.rpartition(".")[0] == prefix)


class _Teller:
    """Keeps the phases of one laboratory."""

    def __init__(self, lab: "Laboratory") -> None:
        self.lab = lab
        self.phases: Phases = {}
        self.messages = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        self.lab.endpoint.forget()
        self.messages = 0
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        written = {_plain(table): number for table, number in self.lab.endpoint.tables.written().items()}
        self.phases[name] = Phase(dict(self.lab.endpoint.calls()), written, seconds, self.messages)

    def note(self, name: str, seconds: float) -> None:
        """Keep a figure that is no phase."""
        self.phases[name] = Phase({}, {}, seconds, 0)

    def peer(self) -> "FullScan":
        """Return the full scan of the same accounts."""
        from chalicelib.adapters.sessions import Purpose  # noqa: PLC0415
        from chalicelib.container import container  # noqa: PLC0415

        from .baseline import FullScan  # noqa: PLC0415

        ports = container().ports
        table = ports.accounts
        accounts = table.read_all()
        memberships = [member for account in accounts for member in table.memberships(account.account_id)]
        sessions = ports.sessions(Purpose.INVENTORY)  # made as the product's are, and its own
        return FullScan(accounts, memberships, self.lab.fleet.regions, sessions, AT_ONCE)


@contextmanager
def _teller(shape: Shape) -> Iterator[_Teller]:
    from .lab.product import Laboratory  # noqa: PLC0415  sets the environment before the product reads it

    with Laboratory(shape) as lab:
        yield _Teller(lab)


def _hour(tell: _Teller) -> None:
    """Let one hour of schedules pass; no idle scope is due again so early."""
    lab = tell.lab
    say(f"{lab.fleet.shape.name}: one hour of schedules")
    lab.advance(QUARTER - 300)
    with tell.phase("hour"):
        for minute in range(0, 60, 5):
            lab.advance(300)
            if minute % 15 == 0:
                lab.cycle(WorkKind.INVENTORY)
            lab.cycle(WorkKind.STAGING)
        lab.cycle(WorkKind.TAGS)


def _tags_at_latency(tell: _Teller, peer: "FullScan", number: int) -> None:
    lab = tell.lab
    say(f"{lab.fleet.shape.name}: tags at {LATENCY_SECONDS * 1000:.0f} ms a call, pair {number + 1} of {PAIRS}")
    lab.advance(3600)
    with lab.endpoint.latency(LATENCY_SECONDS):
        with tell.phase(f"wall.tags.{number}"):
            lab.tick(WorkKind.TAGS)
            tell.messages = lab.drain(WorkKind.TAGS, AT_ONCE)
        with tell.phase(f"wall.tags.peer.{number}"):
            peer.tags()


def _settle(tell: _Teller) -> None:
    """Run one more cycle: the first one after tags were written compares the rows once."""
    tell.lab.advance(QUARTER)
    tell.lab.cycle(WorkKind.INVENTORY)
    set_aside()


def _changes(tell: _Teller) -> None:
    """Change servers: a fixed number, then some in every scope, in DRS and in EC2."""
    lab, scopes = tell.lab, tell.lab.fleet.active
    for scope in scopes[:3]:
        lab.change(scope, CHANGED_PER_SCOPE, "STALLED")
    lab.advance(QUARTER)
    with tell.phase("change.fixed"):
        tell.messages = lab.cycle(WorkKind.INVENTORY)
    for scope in scopes:
        lab.change(scope, CHANGED_PER_SCOPE, "CONTINUOUS")
        lab.change(scope, CHANGED_PER_SCOPE, "STALLED" if scope not in scopes[:3] else "CONTINUOUS")
        lab.retag(scope, CHANGED_PER_SCOPE, "changed")
    lab.advance(QUARTER)
    with tell.phase("change.servers"):
        tell.messages = lab.cycle(WorkKind.INVENTORY) + lab.drain(WorkKind.TAGS)
    with tell.phase("change.afterwards"):
        lab.advance(QUARTER)
        tell.messages = lab.cycle(WorkKind.INVENTORY) + lab.drain(WorkKind.TAGS)


def _extend(tell: _Teller) -> None:
    """Let the staging accounts' servers be extended; only the staging workers' calls are counted."""
    lab = tell.lab
    say(f"{tell.lab.fleet.shape.name}: extending {len(lab.fleet.staged)} staging scopes")
    counted: Counter[str] = Counter()
    for _ in range(100):
        lab.advance(300)
        with tell.phase("staging.round"):
            lab.tick(WorkKind.STAGING)
            tell.messages = lab.drain(WorkKind.STAGING)
        made = tell.phases.pop("staging.round").calls
        if not any(name.startswith("drs:") for name in made):
            break
        counted.update(made)
        lab.drain(WorkKind.INVENTORY)
        lab.pump()
        lab.waiting(WorkKind.STAGING)
    tell.phases["staging.first"] = Phase(dict(counted), {}, 0.0, 0)
    for _ in range(2):
        lab.advance(QUARTER)
        lab.cycle(WorkKind.INVENTORY)
        lab.drain(WorkKind.TAGS)
    lab.advance(3600)
    with tell.phase("staging.steady"):
        lab.tick(WorkKind.STAGING)
        tell.messages = lab.drain(WorkKind.STAGING)


def _probe_interval(lab: "Laboratory") -> float:
    """Return the mean seconds between two looks at an idle scope, by the due times that the product set."""
    from chalicelib.container import container  # noqa: PLC0415

    states = container().ports.work_states
    due = {one.work: one.next_due_at for one in states.due(WorkKind.INVENTORY, int(lab.now()) + 86_400) if one.probe}
    results = {work: state.result for work, state in states.read(due).items()}
    return mean(due[work] - result.finished_at.timestamp() for work, result in results.items() if result)


def _plain(table: str) -> str:
    return table.removeprefix("test-unit-")

"""One run from the first cycle to the verdict: changes, faults and killings side by side, then the ending."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

from sandbox.chaos.breaking import Breaker
from sandbox.chaos.changes import by_nature, by_operator, calm
from sandbox.chaos.ending import Ending, Watch, end
from sandbox.chaos.world import World
from sandbox.cloud.client import SandboxCloud
from sandbox.demo.driving import INVENTORY, Driver
from sandbox.fleet.model import Fleet
from sandbox.fleet.waiting import settle

FIRST_CYCLE_SECONDS = 180.0
CHANGE_SECONDS = (0.3, 1.2)
"""The pause between two changes by nature."""
OPERATOR_SECONDS = (1.0, 6.0)
"""The pause between two of the operator's."""
LOOK_SECONDS = 1.0


@dataclass
class Told:
    """What happened so far."""

    changes: Counter[str] = field(default_factory=Counter)
    episodes: list[str] = field(default_factory=list)


def first_cycle(cloud: SandboxCloud) -> None:
    """Let the product find the planted fleet, in peace."""
    driver = Driver(cloud)
    driver.finish(driver.start(INVENTORY)["runId"], FIRST_CYCLE_SECONDS)
    settle(cloud, FIRST_CYCLE_SECONDS)


class Chaos:
    """Chaos for a while on a running cloud whose fleet is planted and known to the product.

    Args:
        fleet: what was planted.
        cloud: where.
        seed: of all that is chosen at random.
    """

    def __init__(self, fleet: Fleet, cloud: SandboxCloud, seed: int) -> None:
        self.world = World(fleet, cloud, seed)
        self.breaker = Breaker(fleet, cloud, seed)
        self.told = Told()
        self._over = Event()
        self._started = time.monotonic()

    def rage(self, seconds: float, watch: Watch) -> None:
        """Change and break everything for so long, then stop breaking it.

        Raises:
            Exception: whatever went wrong with the changing or the breaking: the run says nothing then.
        """
        self.world.plant_spare()
        self._started = time.monotonic()
        self.breaker.begin(seconds)
        steps = (self._change, self._operate, self._break, self._kill)
        with ThreadPoolExecutor(len(steps)) as pool:
            loops = [pool.submit(self._loop, step) for step in steps]
            try:
                self._watch(seconds, loops, watch)
            finally:
                self._over.set()
        for loop in loops:
            loop.result()
        self.breaker.heal()
        calm(self.world)

    def end(self, watch: Watch, *, patient: bool = True) -> Ending:
        """Let everything come to rest, and compare with the truth."""
        return end(self.world, watch, patient=patient)

    def _watch(self, seconds: float, loops: list[Future[None]], watch: Watch) -> None:
        while (passed := time.monotonic() - self._started) < seconds and not any(loop.done() for loop in loops):
            hits, killed = self.breaker.hits.total(), self.breaker.killed.total()
            figures = f"{self.told.changes.total()} changes, {hits} faults hit, {killed} processes killed"
            watch(f"{passed:.0f} of {seconds:.0f} s: {figures}; {(self.told.episodes or [''])[-1]}")
            time.sleep(LOOK_SECONDS)

    def _loop(self, step: Callable[[], float]) -> None:
        """Take step after step, each of which says how long to pause."""
        while not self._over.wait(step()):
            pass

    def _change(self) -> float:
        if kind := by_nature(self.world):
            self.told.changes[kind] += 1
        return self.world.nature.uniform(*CHANGE_SECONDS)

    def _operate(self) -> float:
        if kind := by_operator(self.world):
            self.told.changes[kind] += 1
        return self.world.operator.uniform(*OPERATOR_SECONDS)

    def _break(self) -> float:
        name, seconds = self.breaker.next_episode()
        self.told.episodes.append(name)
        return seconds

    def _kill(self) -> float:
        return self.breaker.kill()

"""What every measurement is given: the profile, where to put things, and a way to say how far it is."""

import gc
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Manager, get_context
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

STARTED = time.monotonic()


class Context:
    """One run of the benchmarks.

    Attributes:
        small: whether only ratios are wanted, of small fleets, within seconds.
        out: where plots and results go.
        build: scratch space that is kept between runs.
    """

    def __init__(self, out: Path, *, small: bool = False, build: Path = Path("build/benchmarks")) -> None:
        self.small = small
        self.out = out
        self.build = build
        self._known: dict[tuple[Any, ...], Any] = {}
        for folder in (out, build):
            folder.mkdir(parents=True, exist_ok=True)

    def say(self, line: str) -> None:
        """Tell whoever waits how far it is."""
        say(line)

    def beside(self, function: Callable[..., Result], shapes: Iterable[Any]) -> list[Result]:
        """Return what `function` returns for each of `shapes`, all at the same time in an interpreter each.

        Beside its shape it is given a barrier, at which they can wait for each other.
        """
        several = list(shapes)
        with Manager() as manager, ProcessPoolExecutor(len(several), mp_context=get_context("spawn")) as pool:
            ready = manager.Barrier(len(several))
            running = [pool.submit(_timed, STARTED, function, (shape, ready)) for shape in several]
            return [one.result() for one in running]

    def once(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what `function` returns in a fresh interpreter; asked again, what it returned before."""
        key = (function, *arguments)
        if key not in self._known:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                self._known[key] = pool.submit(_timed, STARTED, function, arguments).result()
        result: Result = self._known[key]
        return result


def say(line: str) -> None:
    """Print a line with the time since the run began."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {line}", file=sys.__stdout__, flush=True)


def set_aside() -> None:
    """Have the garbage collector leave alone what is there by now.

    Tables and simulators of a whole fleet are in this process; in a worker's they are not, and would be searched again
    and again on its account.
    """
    gc.collect()
    gc.freeze()


def _timed(started: float, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    globals()["STARTED"] = started  # the monotonic clock is the machine's
    return function(*arguments)

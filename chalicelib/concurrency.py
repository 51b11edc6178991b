"""Thread pools of the product: one place that makes them, so that a test can decide whose turn it is."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

_makers: list[Callable[[int], Executor]] = [ThreadPoolExecutor]


def executor(at_once: int) -> Executor:
    """Return a new executor that runs up to `at_once` calls at the same time."""
    return _makers[-1](at_once)


@contextmanager
def executors(make: Callable[[int], Executor]) -> Iterator[None]:
    """Have `make` make every executor within the block.

    Args:
        make: returns an executor for a number of calls at the same time.
    """
    _makers.append(make)
    try:
        yield
    finally:
        _makers.pop()

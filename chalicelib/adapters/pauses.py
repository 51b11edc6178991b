"""Pauses between tries of what fails in passing."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import uniform

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 2.0
_longest = [LONGEST_SECONDS]


def pauses(tries: int) -> Iterator[float]:
    """Yield the seconds to wait before each of `tries`: none before the first, then random ones, growing to 2 at most.

    Random over the whole span, so that workers that met do not meet again (AWS: exponential backoff with full jitter).
    """
    if tries:
        yield 0.0
    for number in range(tries - 1):
        yield uniform(0, min(_longest[-1], FIRST_SECONDS * 2**number))  # noqa: S311  no secret  # nosec B311


@contextmanager
def no_pauses() -> Iterator[None]:
    """Have nothing wait within the block: time is simulated there."""
    _longest.append(0.0)
    try:
        yield
    finally:
        _longest.pop()

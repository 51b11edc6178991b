"""Pauses between tries of what fails in passing."""

from collections.abc import Iterator
from random import uniform

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 2.0


def pauses(tries: int) -> Iterator[float]:
    """Yield the seconds to wait before each of `tries`: none before the first, then random ones, growing to 2 at most.

    Random over the whole span, so that workers that met do not meet again (AWS: exponential backoff with full jitter).
    """
    if tries:
        yield 0.0
    for number in range(tries - 1):
        yield uniform(0, min(LONGEST_SECONDS, FIRST_SECONDS * 2**number))  # noqa: S311  no secret  # nosec B311

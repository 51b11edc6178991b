"""A circuit breaker per scope and kind of work: what keeps failing is tried ever more rarely, and never given up.

Closed: tried on every interval. Open, after three failures in a row: each further failure doubles the wait. Half-open,
once the wait is over: one call decides whether the rest is tried.
"""

OPENS_AFTER = 3  # failures in a row
MOST_DOUBLINGS = 10


def is_open(failures: int) -> bool:
    """Return whether `failures` in a row have opened the circuit."""
    return failures >= OPENS_AFTER


def wait(failures: int, interval: int, longest: int, retry_after: int | None = None) -> int:
    """Return how many seconds to leave alone what has failed `failures` times in a row.

    Args:
        failures: failures in a row, the newest included; 0: it did not fail.
        interval: seconds between two tries of what is healthy.
        longest: seconds; the wait grows no further than that, or than `interval` where that is longer.
        retry_after: seconds that the service asked for (DRS: `retryAfterSeconds`); never undercut.
    """
    doublings = min(max(0, failures - OPENS_AFTER + 1), MOST_DOUBLINGS)
    return max(min(interval << doublings, max(interval, longest)), retry_after or 0)

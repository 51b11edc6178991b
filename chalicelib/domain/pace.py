"""How fast requests may follow each other: a steady rate, and a burst after a pause (generic cell rate algorithm)."""


class Pace:
    """Hands out the moments of requests. Pure: the caller brings the time, and waits.

    Args:
        per_second: requests per second in the long run.
        burst: requests that may follow each other at once after a pause.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = 1 / per_second
        self._slack = (burst - 1) * self._interval
        self._due = 0.0  # when the next request would be due, had all before it been evenly spread

    def reserve(self, now: float) -> float:
        """Take the next moment; return how many seconds after `now` it is, 0 where the request may go at once."""
        moment = max(now, self._due - self._slack)
        self._due = max(self._due, moment) + self._interval
        return moment - now

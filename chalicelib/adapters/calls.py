"""Counts every AWS call of the product, by service and operation, with one botocore hook."""

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.session import Session


class CallCounter:
    """Calls that left this process, retries included."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls: Counter[str] = Counter()

    def watch(self, session: "Session") -> None:
        """Count every request that clients of `session` send."""
        session.register("before-send", self._count)  # type: ignore[arg-type]  # called by keyword

    def snapshot(self) -> Counter[str]:
        """Return the counts so far, to be handed to `since`."""
        with self._lock:
            return Counter(self._calls)

    def calls_since(self, mark: Counter[str]) -> dict[str, int]:
        """Return the calls made since `mark`, by `service:Operation`, sorted by name."""
        with self._lock:
            return dict(sorted((self._calls - mark).items()))

    def _count(self, *, event_name: str, **_: Any) -> None:
        _before_send, service, operation = event_name.split(".", 2)
        with self._lock:
            self._calls[f"{service}:{operation}"] += 1


CALLS = CallCounter()
"""The process's counter: a worker handles one piece of work at a time."""

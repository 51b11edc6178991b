"""How a client of a customer account's service treats the service: its rate, and the waits that it is asked for.

On top of botocore's standard retries, whose budget (a quota of retries per client) stays in force.
"""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from ..domain.pace import Pace
from .services import THROTTLING_CODES, retry_after_header

LONGEST_WAIT_SECONDS = 10  # a longer one is not waited for in a worker: its scope is put off instead


def paced(client: Any, per_second: float, attempts: int, sleep: Callable[[float], None] = time.sleep) -> Any:
    """Return `client`, which from now on keeps the rate and honours Retry-After.

    Args:
        client: a botocore client of one account, region and service.
        per_second: requests per second, with a burst of one second's worth.
        attempts: how often a call is tried in all.
        sleep: waits so many seconds.
    """
    client.meta.events.register("before-send", _Rate(per_second, sleep))
    service = client.meta.service_model.service_id.hyphenize()
    # botocore listens to the same event, and the first answer counts
    client.meta.events.register_first(f"needs-retry.{service}", _RetryAfter(attempts))
    return client


class _Rate:
    """Holds each request back until its moment, retries included."""

    def __init__(self, per_second: float, sleep: Callable[[float], None]) -> None:
        self._lock = Lock()
        self._pace = Pace(per_second, max(1, int(per_second)))
        self._sleep = sleep

    def __call__(self, **_: Any) -> None:
        with self._lock:
            wait = self._pace.reserve(time.monotonic())
        if wait > 0:
            self._sleep(wait)


class _RetryAfter:
    """Says what to do about a throttled call that asks for a wait: wait as long, or give up at once.

    botocore reads the answer of a handler of `needs-retry`: seconds to wait before the next try, None for its own
    judgement. There is no answer for "no further try" that every version knows: up to 1.43.2 `Endpoint._needs_retry`
    takes False for no wait, and tries for ever. Giving up is therefore the error itself, raised from here.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts

    def __call__(self, *, attempts: int, operation: Any, response: Any = None, **_: Any) -> float | None:
        """Return the seconds to wait before the next try, or None where botocore is to judge.

        Raises:
            ClientError: the answer of the service, where it is not to be asked again.
        """
        if response is None or response[1].get("Error", {}).get("Code") not in THROTTLING_CODES:
            return None
        wait = retry_after_header(response[1])
        if wait is None:
            return None
        if wait > LONGEST_WAIT_SECONDS or attempts >= self._attempts:
            raise ClientError(response[1], operation.name)
        return float(wait)

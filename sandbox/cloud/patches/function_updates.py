"""Updates of functions that are at work.

MiniStack: kills every process of a function whose code or settings change, in the middle of what it does.

AWS: what runs goes on with the code and the settings that it began with; what comes later gets the new ones
(https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).

Mended: a process that is at work is taken out of the pool, and ended when its invocation is over.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

POLL_SECONDS = 0.02


def apply() -> None:
    """Let invocations under way come to their end."""
    lambda_svc.invalidate_worker = _retire


def _retire(name: str, qualifier: str | None = None, account: str | None = None, region: str | None = None) -> None:
    """Take a function's processes out of the pool; end the idle ones at once, the others after their invocation."""
    wanted = (account, region, name, qualifier)
    with lambda_runtime._lock:
        keys = [key for key in lambda_runtime._workers if _matches(key, wanted)]
        workers = [worker for key in keys for worker in lambda_runtime._workers.pop(key) or []]
        busy = [worker for worker in workers if worker.in_use]
    lambda_runtime.kill_workers([worker for worker in workers if worker not in busy])
    if busy:
        threading.Thread(target=_end_when_done, args=(busy,), daemon=True).start()


def _matches(key: str, wanted: Sequence[str | None]) -> bool:
    return all(part in (None, found) for part, found in zip(wanted, key.split(":"), strict=True))


def _end_when_done(busy: list[Any]) -> None:
    while busy:
        time.sleep(POLL_SECONDS)
        with lambda_runtime._lock:
            done = [worker for worker in busy if not worker.in_use]
        lambda_runtime.kill_workers(done)
        busy = [worker for worker in busy if worker not in done]

"""End a function's execution environment while it is at work, as a lost host does: at once and without a word.

What follows is MiniStack's doing and as on AWS: the invocation fails. A queue's messages come back after its visibility
time-out, an asynchronous event and a stream's batch are tried again, a caller who waits is told.
"""

import asyncio
import os
import random
import re
import signal
import time
from typing import Any

from ministack.core import lambda_runtime
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat
from pydantic.alias_generators import to_camel

from sandbox.faults import Regex

LOOK_SECONDS = 0.002
"""How often is looked for an environment at work: most invocations last some milliseconds."""


class Kill(BaseModel):
    """Which environment: one of a function whose name matches `function` in full, at work for so long already.

    The request waits up to `within_seconds` for one.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    function: Regex = ".*"
    at_work_seconds: NonNegativeFloat = 0.0
    within_seconds: PositiveFloat = 5.0

    def matches(self, function: str) -> bool:
        """Return whether a function of this name is meant."""
        return re.fullmatch(self.function, function) is not None


async def kill(wanted: Kill) -> list[dict[str, Any]]:
    """End one wanted environment and return its function and process ID; nothing where none was at work in time."""
    deadline = time.monotonic() + wanted.within_seconds
    while True:
        if victims := _at_work(wanted):
            function, pid = random.choice(victims)
            os.kill(pid, signal.SIGKILL)
            return [{"function": function, "pid": pid}]
        if time.monotonic() >= deadline:
            return []
        await asyncio.sleep(LOOK_SECONDS)


def _at_work(wanted: Kill) -> list[tuple[str, int]]:
    """Return function and process ID of every wanted environment that is at work now."""
    begun = time.time() - wanted.at_work_seconds
    with lambda_runtime._lock:
        leased = [worker for pool in lambda_runtime._workers.values() for worker in pool if worker.in_use]
        return [
            (worker.func_name, worker._proc.pid)
            for worker in leased
            if wanted.matches(worker.func_name)
            and worker.last_used <= begun
            and worker._proc is not None
            and worker._proc.poll() is None
        ]

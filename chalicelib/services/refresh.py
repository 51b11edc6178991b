"""Scans stale scopes before they are answered from: a few, and not for long.

See docs/architecture.md, "Stale answers, removal, failback".
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ..domain.kinds import SCAN
from ..domain.regions import ScanRecord
from ..domain.work import WorkId
from ..observability import count, logger
from .ports import Clock, WorkStates
from .work.requests import WorkRequests

MOST_SCOPES = 5
LONGEST_WAIT_SECONDS = 5.0
POLL_SECONDS = 0.1
AGAIN_AFTER = timedelta(minutes=1)  # a scope that was just scanned, and is stale all the same, fails


class Refresher:
    """Asks for scans and waits for them. It never scans itself: who answers queries may not enter other accounts."""

    def __init__(
        self,
        work_states: WorkStates,
        requests: WorkRequests,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._work_states = work_states
        self._requests = requests
        self._clock = clock
        self._sleep = sleep

    def refresh(self, stale: list[ScanRecord]) -> bool:
        """Have up to 5 of the `stale` scopes scanned, wait up to 5 s, and return whether any scan has ended.

        A scope that keeps failing is left alone until it is to be tried again.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        worth = [scan for scan in stale if _worth_a_scan(scan, now)][:MOST_SCOPES]
        if not worth:
            return False
        count("StaleScopes", len(worth))
        logger.info(f"falling back to the DRS API for {len(worth)} stale scopes")
        return self._wait(self._requests.request_work(WorkId(SCAN, scan.scope) for scan in worth))

    def _wait(self, asked: dict[WorkId, int]) -> bool:
        until = self._clock() + LONGEST_WAIT_SECONDS
        while True:
            states = self._work_states.read(asked)
            done = [work for work, wanted in asked.items() if work in states and states[work].done >= wanted]
            if len(done) == len(asked) or self._clock() >= until:
                return bool(done)
            self._sleep(POLL_SECONDS)


def _worth_a_scan(scan: ScanRecord, now: datetime) -> bool:
    backed_off = scan.failing and scan.next_try_at is not None and scan.next_try_at > now
    return not backed_off and now - scan.last_checked > AGAIN_AFTER

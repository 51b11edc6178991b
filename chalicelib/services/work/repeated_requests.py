"""Syncs that are asked for twice: a caller who got no answer asks again with the same key, and gets the same run.

The key is written before anything is asked for, with the ID of the run that is about to begin. Whoever comes with it
again gets that run; where it was never stored, because the first attempt died half-way or planned nothing, it is begun
under the same ID. Safe to repeat: work that is wanted twice is one more run of it, and a run is stored under its ID.
"""

import hashlib
import json
from typing import Any

from ...domain.results import Run
from ...errors import InvalidRequest
from ..ports import Clock, Runs
from .planner import Planner, SyncRequest

KEY_SECONDS = 24 * 3600  # as long as a caller may reasonably try again


class RepeatedRequests:
    """Starts a sync once for each key of a caller."""

    def __init__(self, planner: Planner, runs: Runs, clock: Clock) -> None:
        self._planner = planner
        self._runs = runs
        self._clock = clock

    def sync(self, request: SyncRequest, key: str | None) -> Run:
        """Return the run of `request`: a new one, or the one that was begun with the same key within a day.

        Args:
            request: the sync; who asks is part of the key.
            key: chosen by the caller; None: every request is a new one.

        Raises:
            InvalidRequest: where the key was used for another request, or `request` does not fit.
            NotFound: where a named scope's account is not registered.
        """
        if key is None:
            return self._planner.sync(request)
        run_id, now = self._planner.new_run_id(request.kind), int(self._clock())
        caller_key = _digest([request.requested_by, key])
        before = self._runs.remember(caller_key, _digest(request), run_id, now, now + KEY_SECONDS)
        if before is None:
            return self._planner.sync(request._replace(run_id=run_id))
        if before.request != _digest(request):
            raise InvalidRequest("idempotencyKey: was used for another request; take a new one for a new request")
        found = self._runs.read(before.run_id)
        return found[0] if found else self._planner.sync(request._replace(run_id=before.run_id))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()

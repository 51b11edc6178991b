"""Sync runs: their progress, read from the work items of their scopes (R2.7, R4.5)."""

import time
from collections import Counter
from collections.abc import Callable

from ...domain.leases import WorkState
from ...domain.results import Run, RunProgress, ScopeProgress
from ...domain.work import WorkId, WorkKind
from ...errors import NotFound
from ..ports import Clock, Runs, WorkStates

LONGEST_WAIT_SECONDS = 25  # API Gateway gives an answer 29 seconds
POLL_SECONDS = 0.5


class RunReader:
    """Reads runs."""

    def __init__(
        self, runs: Runs, work_states: WorkStates, clock: Clock, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._runs = runs
        self._work_states = work_states
        self._clock = clock
        self._sleep = sleep

    def progress(self, run_id: str) -> RunProgress:
        """Return how far a run is.

        Raises:
            NotFound: where there is no such run, or its retention has passed.
        """
        found = self._runs.read(run_id)
        if found is None:
            raise NotFound(f"there is no run '{run_id}'")
        return _progress(*found, self._work_states)

    def latest(self, kind: WorkKind | None, limit: int, before: str | None = None) -> list[Run]:
        """Return up to `limit` runs, the newest first: of `kind` or of every kind, those older than `before`."""
        kinds = [kind] if kind else list(WorkKind)
        runs = [run for one in kinds for run in self._runs.latest(one, limit, before)]
        return sorted(runs, key=lambda run: run.created_at, reverse=True)[:limit]

    def wait(self, run: Run, seconds: float) -> RunProgress | None:
        """Return the progress of `run` once it is over or after `seconds`, at most 25; None: it planned nothing."""
        if not run.planned_scopes:
            return None
        until = self._clock() + min(seconds, LONGEST_WAIT_SECONDS)
        progress = self.progress(run.run_id)
        while progress.waiting and self._clock() < until:
            self._sleep(POLL_SECONDS)
            progress = self.progress(run.run_id)
        return progress


def _progress(run: Run, asked: dict[WorkId, int], work_states: WorkStates) -> RunProgress:
    states = work_states.read(asked)
    scopes, calls, counts = [], Counter[str](), Counter[str]()
    for work, wanted in sorted(asked.items()):
        scope = _scope_progress(work, wanted, states.get(work))
        scopes.append(scope)
        if scope.result:
            calls.update(scope.result.calls)
            counts.update(scope.result.counts)
    done = sum(scope.done for scope in scopes)
    failed = sum(_failed(scope) for scope in scopes)
    return RunProgress(
        run=run,
        status="DONE" if done == len(scopes) else "RUNNING",
        done=done,
        failed=failed,
        waiting=len(scopes) - done,
        calls=dict(sorted(calls.items())),
        calls_saved=max(0, run.total_scopes - len({work.scope for work in asked})),
        counts=dict(sorted(counts.items())),
        scopes=scopes,
    )


def _scope_progress(work: WorkId, wanted: int, state: WorkState | None) -> ScopeProgress:
    done = state is not None and state.done >= wanted
    return ScopeProgress(
        account_id=work.scope.account_id,
        region=work.scope.region,
        done=done,
        error=state.last_error if state and not done else None,
        result=state.result if state and done else None,
    )


def _failed(scope: ScopeProgress) -> bool:
    """Return whether a scope's work could not be done."""
    return scope.error is not None or (scope.result is not None and scope.result.failed)

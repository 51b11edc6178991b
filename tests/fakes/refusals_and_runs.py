"""Refusals and runs in memory."""

from chalicelib.domain.extension import Refusal
from chalicelib.domain.results import Remembered, Run
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind

from .process import stored


class FakeRefusals:
    """What is not to be extended now."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Refusal] = {}

    def of_target(self, target: Scope) -> dict[str, Refusal]:
        return {arn: record for (scope, arn), record in self.records.items() if scope == target.key}

    def forget(self, refusal: Refusal) -> bool:
        key = refusal.target_scope, refusal.staging_source_server_arn
        if key not in self.records or not self.is_still(refusal, key):
            return False
        del self.records[key]
        return True

    def is_still(self, seen: Refusal | None, key: tuple[str, str]) -> bool:
        """Return whether what is recorded is what was read."""
        there = self.records.get(key)
        if there is None or seen is None:
            return there is seen
        return (there.reason, there.since, there.attempts) == (seen.reason, seen.since, seen.attempts)

    def put(self, refusal: Refusal) -> None:
        self.records[refusal.target_scope, refusal.staging_source_server_arn] = stored(refusal)


class FakeRuns:
    """Sync runs."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[Run, dict[WorkId, int]]] = {}
        self.keys: dict[str, tuple[Remembered, int]] = {}  # and when it expires

    def store(self, run: Run, asked: dict[WorkId, int]) -> None:
        self.runs[run.run_id] = (stored(run), dict(asked))

    def remember(self, key: str, request: str, run_id: str, now: int, expires_at: int) -> Remembered | None:
        if key in self.keys and self.keys[key][1] > now:
            return self.keys[key][0]
        self.keys[key] = Remembered(request, run_id), expires_at
        return None

    def read(self, run_id: str) -> tuple[Run, dict[WorkId, int]] | None:
        return self.runs.get(run_id)

    def latest(self, kind: WorkKind, limit: int, before: str | None) -> list[Run]:
        runs = [run for run, _ in self.runs.values() if run.kind is kind and (before is None or _made(run) < before)]
        return sorted(runs, key=_made, reverse=True)[:limit]


def _made(run: Run) -> str:
    return str(run.item()["createdAt"])

"""What a piece of work leaves behind, and the run that asked for it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple, Self

from pydantic import NonNegativeInt

from .records import Moment, Record
from .regions import ScopeState
from .texts import fitting, json_bytes, message_text
from .work import WorkKind

MOST_REPORTED = 100  # servers named in one result; the rest is counted
MOST_REPORTED_BYTES = 100_000  # of problems, and of changes: both and the tag worker's notes fit one item of 400 KB

Calls = dict[str, int]
"""AWS calls by `service:Operation`, retries included."""


class Problem(Record):
    """One server or origin that could not be served, with the service's own message."""

    subject: str
    code: str
    message: str


class WorkResult(Record):
    """The outcome of one finished piece of work; kept on its work item until the next.

    Attributes:
        state: how the scope answered.
        tags_version: tags work: version of the scan record up to which every tag is in place.
        target_epoch: staging work: epoch of the target's scan record that it was judged by.
        failures: how many runs in a row have failed, this one included.
        counts: what was seen and done, by name, e.g. `servers`, `changed`, `removed`, `tagged`, `extended`.
        problems: at most 100, and 100 KB of them, the first by subject; `counts["problems"]` counts all, and
            `counts["problemsLeftOut"]` those that are not named.
        changes: dry run: what would be done, at most 100, and 100 KB of them; `counts["changesLeftOut"]` counts those
            that are not named.
    """

    finished_at: Moment
    epoch: NonNegativeInt
    state: ScopeState
    message: str | None = None
    calls: Calls = {}
    counts: dict[str, int] = {}
    problems: list[Problem] = []
    changes: list[dict[str, Any]] = []
    tags_version: NonNegativeInt | None = None
    target_epoch: NonNegativeInt | None = None
    failures: NonNegativeInt = 0

    @property
    def failed(self) -> bool:
        """Whether the work could not be done: not so where DRS is not used and no server is known."""
        return self.state.failure or (self.state is not ScopeState.AVAILABLE and self.counts.get("servers", 0) > 0)

    def reporting(self, problems: Iterable[Problem], changes: Iterable[dict[str, Any]] = ()) -> Self:
        """Return the result with as many of `problems` and `changes` as a work item holds, and how many there are.

        A DynamoDB item holds 400 KB; 100 changes of well-tagged servers take up to 2 MB.
        """
        found, planned = sorted(problems, key=lambda problem: problem.subject), list(changes)
        shown = [problem.model_copy(update={"message": message_text(problem.message)}) for problem in found]
        told = fitting(shown, MOST_REPORTED, MOST_REPORTED_BYTES, lambda problem: json_bytes(problem.item()))
        described = fitting(planned, MOST_REPORTED, MOST_REPORTED_BYTES, json_bytes)
        left_out = {"problemsLeftOut": len(found) - len(told), "changesLeftOut": len(planned) - len(described)}
        counts = {**self.counts, "problems": len(found), **{name: left for name, left in left_out.items() if left}}
        return self.model_copy(update={"counts": counts, "problems": told, "changes": described})


class RunMode(StrEnum):
    """How a run chose its scopes."""

    DUE = "due"
    ACTIVE = "active"
    NAMED = "named"
    ALL = "all"
    FALLBACK = "fallback"


class Run(Record):
    """One sync run. `planned_scopes` of `total_scopes` were asked for; the rest was skipped as inactive or not due."""

    run_id: str
    kind: WorkKind
    mode: RunMode
    dry_run: bool = False
    requested_by: str
    created_at: Moment
    regions_used: list[str]
    regions_skipped: NonNegativeInt
    planned_scopes: NonNegativeInt
    probes: NonNegativeInt = 0
    total_scopes: NonNegativeInt
    expires_at: int


class Remembered(NamedTuple):
    """What a caller's key was used for: a digest of the request, and the run that it began."""

    request: str
    run_id: str


class ScopeProgress(Record):
    """One scope of a run."""

    account_id: str
    region: str
    done: bool
    error: str | None = None
    result: WorkResult | None = None


class RunProgress(Record):
    """A run with what became of its scopes, read from their work items.

    Attributes:
        scopes: by account and region; where an answer cannot hold all of them, failed ones first, then waiting ones.
        scopes_left_out: how many it could not hold; every count is of all scopes.
    """

    run: Run
    status: str
    done: NonNegativeInt
    failed: NonNegativeInt
    waiting: NonNegativeInt
    calls: Calls
    calls_saved: NonNegativeInt
    counts: dict[str, int]
    scopes: list[ScopeProgress]
    scopes_left_out: NonNegativeInt = 0

    def within(self, most_bytes: int) -> Self:
        """Return the progress with so many of its scopes as take `most_bytes` of JSON together."""
        sizes = {id(scope): json_bytes(scope.model_dump(mode="json", by_alias=True)) for scope in self.scopes}
        if sum(sizes.values()) <= most_bytes:
            return self
        worst_first = sorted(self.scopes, key=lambda scope: (scope.error is None, scope.done))
        kept = fitting(worst_first, len(worst_first), most_bytes, lambda scope: sizes[id(scope)])
        return self.model_copy(update={"scopes": kept, "scopes_left_out": len(self.scopes) - len(kept)})

"""Syncs: asking for them, and how far they are."""

from http import HTTPStatus
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from ..container import container
from ..domain.accounts import AccountId
from ..domain.records import Moment, Record, iso
from ..domain.results import Calls, Run, RunMode, RunProgress
from ..domain.scopes import Scope
from ..domain.work import WorkKind
from ..errors import InvalidRequest
from ..services.work.planner import SyncRequest
from .fields import Region, RunId, Wait
from .operation import LARGEST_ANSWER, Operation, Request, routes

RunToken = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")
]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
RunLimit = Annotated[int, Field(ge=1, le=100)]


class ScopeBody(Request):
    """One scope."""

    account_id: AccountId
    region: Region


class SyncOptions(Request):
    """How to sync.

    Attributes:
        scopes: which scopes; absent: the active ones.
        dry_run: tags and staging: only say what would be done.
        retry_refused: staging: try again what was refused or removed.
        wait: seconds to wait for the summary; 0: answer at once.
        idempotency_key: chosen by the caller; the same request with the same key within a day is answered with the run
            that it began, and begins no other.
    """

    scopes: Annotated[list[ScopeBody], Field(min_length=1, max_length=1000)] | None = None
    dry_run: bool = False
    retry_refused: bool = False
    wait: Wait = 0
    idempotency_key: IdempotencyKey | None = None


class StartSync(SyncOptions):
    """A sync of one kind."""

    kind: WorkKind


class ScopeError(Record):
    """Why a scope could not be synced."""

    account_id: str
    region: str
    error: str


class SyncAnswer(Record):
    """A run; where the caller waited, also what it came to by then, under the names of R8.

    `status` says whether that is all: DONE or RUNNING.
    """

    run_id: str
    kind: WorkKind
    mode: RunMode
    dry_run: bool
    requested_by: str
    created_at: Moment
    regions_used: list[str]
    regions_skipped: int
    planned_scopes: int
    probes: int
    total_scopes: int
    status: str | None = None
    regions_scanned: int | None = None
    scopes_scanned: int | None = None
    scopes_failed: int | None = None
    scopes_skipped: int | None = None
    api_calls: int | None = None
    calls: Calls | None = None
    counts: dict[str, int] | None = None
    errors: list[ScopeError] | None = None
    total_servers: int | None = None
    region_counts: dict[str, int] | None = None


class RunRequest(Request):
    """One run."""

    run_id: RunId


class ListRuns(Request):
    """Which runs, the newest first; `next_token` of the page before."""

    kind: WorkKind | None = None
    limit: RunLimit = 20
    next_token: RunToken | None = None


class RunList(Record):
    """Runs, the newest first."""

    runs: list[SyncAnswer]
    next_token: str | None


def start_sync(request: StartSync, caller: str) -> SyncAnswer:
    """Ask for a sync."""
    return _sync(request.kind, request, caller)


def get_sync(request: RunRequest, _: str) -> RunProgress:
    """Return a run's progress, scope by scope, as far as one answer holds them."""
    return container().run_reader.progress(request.run_id).within(LARGEST_ANSWER)


def list_syncs(request: ListRuns, _: str) -> RunList:
    """Return the latest runs."""
    runs = container().run_reader.latest(request.kind, request.limit, request.next_token)
    token = iso(runs[-1].created_at) if len(runs) == request.limit else None
    return RunList(runs=[_answer(run) for run in runs], next_token=token)


def sync_answer(run: Run, wait: float) -> SyncAnswer:
    """Return a run, with what it came to where the caller waits for it."""
    progress = container().run_reader.wait(run, wait) if wait else None
    return _answer(run).model_copy(update=_summary(progress) if progress else {})


def _summary(progress: RunProgress) -> dict[str, Any]:
    """Return what a run came to, as fields of `SyncAnswer`."""
    servers: dict[str, int] = {}
    for scope in progress.scopes:
        found = scope.result.counts.get("servers", 0) if scope.result else 0
        servers[scope.region] = servers.get(scope.region, 0) + found
    told = {
        "status": progress.status,
        "regions_scanned": len({scope.region for scope in progress.scopes if scope.done}),
        "scopes_scanned": progress.done,
        "scopes_failed": progress.failed,
        "scopes_skipped": progress.calls_saved,
        "api_calls": sum(progress.calls.values()),
        "calls": progress.calls,
        "counts": progress.counts,
        "errors": [
            ScopeError(account_id=scope.account_id, region=scope.region, error=error)
            for scope in progress.scopes
            if (error := scope.error or (scope.result.message if scope.result else None))
        ],
    }
    if progress.run.kind is WorkKind.INVENTORY:
        told["total_servers"] = sum(servers.values())
        told["region_counts"] = {region: count for region, count in sorted(servers.items()) if count}
    return told


def handle_sync_source_server_inventory(options: SyncOptions, caller: str) -> SyncAnswer:
    """Sync the inventory of active scopes; with `wait`, the summary of what was found."""
    return _sync(WorkKind.INVENTORY, options, caller)


def handle_drs_tag_sync(options: SyncOptions, caller: str) -> SyncAnswer:
    """Sync EC2 tags to DRS servers of active scopes; with `wait`, the summary of what was done."""
    return _sync(WorkKind.TAGS, options, caller)


def handle_sync_staging_accounts(options: SyncOptions, caller: str) -> SyncAnswer:
    """Extend the servers of active staging accounts; with `wait`, the summary of what was done."""
    return _sync(WorkKind.STAGING, options, caller)


def _sync(kind: WorkKind, options: SyncOptions, caller: str) -> SyncAnswer:
    if options.retry_refused and kind is not WorkKind.STAGING:
        raise InvalidRequest(f"retryRefused: {kind} sync refuses nothing")
    scopes = [Scope(scope.account_id, scope.region) for scope in options.scopes] if options.scopes else None
    request = SyncRequest(kind, scopes, options.dry_run, options.retry_refused, caller)
    return sync_answer(container().repeated_requests.sync(request, options.idempotency_key), options.wait)


def _answer(run: Run) -> SyncAnswer:
    return SyncAnswer(**run.model_dump(exclude={"expires_at"}))


OPERATIONS = (
    Operation("list_syncs", ListRuns, RunList, list_syncs, "The latest syncs", "GET", "/syncs"),
    Operation(
        "start_sync",
        StartSync,
        SyncAnswer,
        start_sync,
        "Ask for a sync",
        "POST",
        "/syncs",
        status=HTTPStatus.ACCEPTED,
        changes=True,
    ),
    Operation("get_sync", RunRequest, RunProgress, get_sync, "How far a sync is", "GET", "/syncs/{runId}"),
    Operation(
        "sync_source_server_inventory",
        SyncOptions,
        SyncAnswer,
        handle_sync_source_server_inventory,
        "Inventory sync",
        changes=True,
    ),
    Operation("sync_tags", SyncOptions, SyncAnswer, handle_drs_tag_sync, "Tag sync", changes=True),
    Operation(
        "sync_staging_accounts",
        SyncOptions,
        SyncAnswer,
        handle_sync_staging_accounts,
        "Staging sync",
        changes=True,
    ),
)
blueprint = routes(OPERATIONS, __name__)

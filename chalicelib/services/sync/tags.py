"""Tag sync of one scope: EC2's tags onto the DRS servers (R2).

Works from the inventory: where nothing changed since the last complete run, one item is read and DRS is not called.
Reads the rows, plans (`domain/tag_plan.py`), and applies the plan in batches.
Safe to repeat: setting a tag again is harmless, and what this product is about to write is noted first (`intent`), so
that a worker that dies between DRS and the inventory leaves no tag without an owner (ADR 29).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from ...domain import tags
from ...domain.accounts import Account
from ...domain.extension_plan import rotated
from ...domain.records import iso
from ...domain.regions import ScanRecord
from ...domain.results import Problem
from ...domain.scopes import Scope
from ...domain.server_changes import NOT_STORED, not_stored
from ...domain.servers import ServerRow, content_hash
from ...domain.tag_ownership import Effect, Written, intent
from ...domain.tag_plan import ServerTags, plan_tags, written_of
from ...domain.texts import fitting, json_bytes
from ...domain.writes import Unwritten, UpdateServer, Write
from ...errors import (
    RowChanged,
    ServiceError,
)
from ..ports import DrsChanges, Inventory, Scans, Telemetries
from ..work.answers import not_tried
from ..work.context import WorkContext
from ..work.report import Report, Skip
from .tag_calls import TagCalls

SERVERS_AT_ONCE = 50  # one write-ahead note for so many
INTENT_BYTES = 100_000  # of that note: keys of 50 servers take up to 1.3 MB, and an item holds 400 KB
CALLS_AT_ONCE = 8

Notes = dict[str, dict[str, str]]
"""What is about to be written, or may have been: digests of tags' values, by server and key."""


class Recorded(NamedTuple):
    """The errors of a batch, by server, and the rows that could not be stored."""

    errors: list[ServiceError | None]
    unwritten: list[Unwritten]


class Applied(NamedTuple):
    """The servers of a plan that failed, and what else could not be stored."""

    failures: list[tuple[ServerRow, ServiceError]]
    unrecorded: list[Problem]


class TagSync:
    """Syncs the tags of one scope at a time."""

    def __init__(self, scans: Scans, telemetries: Telemetries, inventory: Inventory, drs: DrsChanges) -> None:
        self._scans = scans
        self._telemetries = telemetries
        self._inventory = inventory
        self._drs = drs

    def sync(self, work: WorkContext) -> Report:
        """Bring the tags of the scope's servers up to date, or say what would be done.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        scan = self._scans.read(work.scope)
        if scan is None or not scan.active:
            raise Skip("the scope is not active")
        if _in_place(work, scan):
            counts = {"servers": scan.server_count, "unchanged": scan.server_count}
            return Report(counts, tags_version=scan.tags_version)
        account = work.active_account()
        rows = self._rows(work.scope)
        plan = plan_tags(rows, work.intent, scan.epoch)
        if work.dry_run:
            changes = plan.previews()
            return Report({**plan.counts(), "would_tag": len(changes)}, plan.problems, changes)
        lost = self._keep_intent(work, rows, scan)
        kept = {one.subject: work.intent[one.subject] for one in lost}
        failures, unrecorded = self._apply(work, account, plan.open, scan, kept)
        unrecorded += [_unrecorded(one, kept[one.subject]) for one in lost if one.subject not in _subjects(failures)]
        done = len(plan.open) - len(failures)
        return Report(
            {**plan.counts(), "tagged": done, "failed": len(failures)},
            [*(_problem(row, error) for row, error in failures), *unrecorded, *plan.problems],
            errors=[error for _, error in failures],
            done=done,
            tags_version=None if failures or unrecorded else scan.tags_version,
        )

    def _rows(self, scope: Scope) -> list[ServerRow]:
        """Return the scope's living servers: the list from its telemetry, the rows from the table itself.

        A row that is filed under another account is not this scope's, whatever its DRS lists.
        """
        telemetry = self._telemetries.read(scope)
        servers = telemetry.servers if telemetry else {}
        rows = self._inventory.read((server, scope.region) for server in servers)
        mine = (row for row in rows.values() if row.living and row.account_id == scope.account_id)
        return sorted(mine, key=lambda row: row.source_server_id)

    @staticmethod
    def _keep_intent(work: WorkContext, rows: list[ServerRow], scan: ScanRecord) -> list[Unwritten]:
        """Write into the rows what a run that died was about to write, before its note is replaced by another.

        Returns the rows that cannot be written: their part of the note stays in the notes of this run.
        """
        noted = [row for row in rows if row.source_server_id in work.intent]
        writes: list[Write] = [
            _owned(row, written_of(row, work.intent[row.source_server_id], scan.epoch), scan, work.now) for row in noted
        ]
        return work.write(writes)

    def _apply(
        self, work: WorkContext, account: Account, plans: list[ServerTags], scan: ScanRecord, kept: Notes
    ) -> Applied:
        """Write the planned tags, first to DRS, then to the inventory.

        Args:
            work: the work.
            account: whose DRS it is.
            plans: what to write.
            scan: the scan record that the plans are based on.
            kept: of the note of a run that died, what could not be written into rows.
        """
        change = TagCalls(self._drs, account, work.scope.region)
        calls = work.change_calls(change, CALLS_AT_ONCE, half_open=True)
        left = rotated(plans, work.epoch if work.previous and work.previous.tags_version is None else 0)
        failures: list[tuple[ServerRow, ServiceError]] = []
        unrecorded: list[Problem] = []
        room = max(INTENT_BYTES - json_bytes(kept), INTENT_BYTES // 2)
        while left and calls.stopped is None:
            batch = fitting(left, SERVERS_AT_ONCE, room, lambda plan: json_bytes(_intent([plan])))
            left = left[len(batch) :]
            work.record_intent(_joined(kept, _intent(batch)))
            errors = calls.map(batch)
            recorded = self._record(work, batch, change, errors, scan)
            ended = list(zip(batch, recorded.errors, strict=True))
            failures += [(plan.row, error) for plan, error in ended if error is not None]
            met = {plan.row.source_server_id for plan, error in zip(batch, errors, strict=True) if error is not None}
            unrecorded += [not_stored(one) for one in recorded.unwritten if one.subject in met]
        if plans:
            work.record_intent(kept)  # what became of the rest is in the rows, or reported
        reason = calls.stopped
        return Applied(failures + [(plan.row, not_tried(str(reason))) for plan in left], unrecorded)

    @staticmethod
    def _record(
        work: WorkContext,
        plans: list[ServerTags],
        change: TagCalls,
        errors: list[ServiceError | None],
        scan: ScanRecord,
    ) -> Recorded:
        """Write down the tags that were written, and ownership where they may have been; return what failed now.

        Where a scan has written a row meanwhile, what it says stands and only ownership is written: that scan, or the
        next one, sees the tags as DRS has them.
        """
        owned: list[Write] = []
        recorded: list[Write] = []
        for plan in plans:
            effects = change.effects(plan)
            update = _owned(plan.row, plan.written_after(*effects), scan, work.now)
            done = all(effect is Effect.DONE for effect in effects)
            if done or update.values["managedTagValues"] != plan.row.managed_tag_values:
                owned.append(update)
                recorded.append(_with_tags(plan, update) if done else update)
        try:
            unwritten = work.write(recorded)
        except RowChanged:
            unwritten = work.write(owned)
        missing = {problem.subject: problem for problem in map(not_stored, unwritten)}
        ended = zip(plans, errors, strict=True)
        failed = [error or _not_stored(missing.get(plan.row.source_server_id)) for plan, error in ended]
        return Recorded(failed, unwritten)


def _in_place(work: WorkContext, scan: ScanRecord) -> bool:
    """Return whether the last run left every tag in place and no scan since found anything that calls for more."""
    last = work.previous
    return not work.dry_run and not work.intent and last is not None and last.tags_version == scan.tags_version


def _joined(kept: Notes, batch: Notes) -> Notes:
    return {**kept, **{server: {**kept.get(server, {}), **digests} for server, digests in batch.items()}}


def _subjects(failures: Iterable[tuple[ServerRow, ServiceError]]) -> set[str]:
    """Return the servers whose rows could not be written in this run."""
    return {row.source_server_id for row, error in failures if error.code == NOT_STORED}


def _unrecorded(unwritten: Unwritten, noted: dict[str, str]) -> Problem:
    """Return the problem of tags that a run that died may have written, and that their row cannot say."""
    why = f"{unwritten.reason}: not recorded as written by this product: {', '.join(sorted(noted))}"
    return not_stored(unwritten._replace(reason=why))


def _intent(plans: Iterable[ServerTags]) -> Notes:
    """Return what to note before DRS is asked: digests of the tags to be written, by server and key."""
    return {plan.row.source_server_id: intent(plan.change.put) for plan in plans if plan.change.put}


def _owned(row: ServerRow, written: Written, scan: ScanRecord, now: datetime) -> UpdateServer:
    """Return the row's update that says which tags are this product's, as of the scan that the run went by."""
    values = {
        "managedTagKeys": sorted(written),
        "managedTagValues": written,
        "managedAsOf": scan.epoch,
        "lastUpdated": iso(now),
    }
    return UpdateServer(row.source_server_id, scan.scope, values)


def _with_tags(plan: ServerTags, update: UpdateServer) -> UpdateServer:
    """Return the row's update after the change: the tags as DRS has them now, so that the next scan sees no change."""
    drs_tags = tags.applied(plan.row.drs_tags, plan.change)
    drs_hash = content_hash(plan.row.drs().model_copy(update={"drs_tags": drs_tags}))
    values = {**update.values, "drsTags": drs_tags, "drsHash": drs_hash}
    return update._replace(values=values, seen_hash=plan.row.drs_hash)


def _not_stored(problem: Problem | None) -> ServiceError | None:
    return ServiceError(problem.message, problem.code) if problem else None


def _problem(row: ServerRow, error: ServiceError) -> Problem:
    return Problem(subject=row.source_server_id, code=error.code, message=str(error))

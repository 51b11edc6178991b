"""Staging sync of one target scope: extend what its staging accounts hold (R3).

Reads the inventory first: where nothing is new, DRS is not called. Safe to repeat: what is to be extended is confirmed
with the target's own DRS, and DRS itself refuses a second extension of a server.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from typing import NamedTuple

from ..domain.accounts import Account, Membership
from ..domain.extension import Refusal, RefusalReason, admitted, candidates, refuse
from ..domain.leases import Lease, Outcome, Taken, due_again, failures_after
from ..domain.regions import ScopeState
from ..domain.results import MOST_REPORTED, Problem, WorkResult, trimmed
from ..domain.scopes import Scope
from ..domain.servers import EXTENSION_ERROR, ServerRow, Telemetry
from ..domain.work import Cadence, WorkId, WorkKind, WorkMessage
from ..errors import (
    AccessDenied,
    OutOfTime,
    QuotaExceeded,
    Refused,
    ResourceNotFound,
    ServiceError,
    Throttled,
    Uninitialized,
)
from ..observability import logger
from .active_region_filter import ActiveRegionFilter
from .answers import not_tried, out_of_time, state_after, wait_asked_for
from .asking import ask_for
from .ports import (
    Accounts,
    CallCount,
    Clock,
    DrsChanges,
    Inventory,
    Queue,
    Refusals,
    Scans,
    Telemetries,
    WorkStates,
    Writer,
)

CALLS_AT_ONCE = 4
SLOWED_DOWN = "the target slowed us down"

_REASONS: dict[type, RefusalReason] = {
    Refused: RefusalReason.REFUSED,
    AccessDenied: RefusalReason.NOT_TRUSTED,
    QuotaExceeded: RefusalReason.QUOTA,
    ResourceNotFound: RefusalReason.NOT_EXTENSIBLE,
}


class Limits(NamedTuple):
    """How much one run may extend, and how much a target scope may hold."""

    extensions_per_run: int
    servers_per_scope: int
    redeliver_after: int


class Original(NamedTuple):
    """A staging server that may be extended: where it is listed, and by which ID."""

    arn: str
    scope: Scope
    source_server_id: str


class Attempt(NamedTuple):
    """The outcome of one extension; `error` is None where it was made, or found to be there."""

    arn: str
    error: ServiceError | None


class Survey(NamedTuple):
    """What the inventory says before a run.

    Attributes:
        originals: servers of the staging accounts that may be extended, by ARN.
        extended: how many extensions the target holds.
        wanted: ARNs of the candidates.
        refused: refusals by ARN; empty where they are to be tried again.
        errors: refusals to record for extensions in error.
        outdated: ARNs that are refused, and extended all the same: their refusals are to be taken away.
        unlisted: ARNs that DRS did not list as extensible in the last run, though the target was scanned since.
        target_epoch: epoch of the target's scan record.
    """

    originals: dict[str, Original]
    extended: int
    wanted: list[str]
    refused: dict[str, Refusal]
    errors: list[Refusal]
    outdated: list[str]
    unlisted: set[str]
    target_epoch: int

    def counts(self) -> dict[str, int]:
        """Return the survey in figures."""
        return {"originals": len(self.originals), "extended_before": self.extended, "candidates": len(self.wanted)}


class Confirmation(NamedTuple):
    """What the target's DRS says of candidates.

    Attributes:
        confirmed: what it lists as extensible.
        refused: what it will not extend, with reasons.
        unlisted: what it does not list: most probably extended already, which the target's next scan shows. Only where
            it does not is that a reason to put it off.
        unanswered: staging accounts for which it did not answer.
    """

    confirmed: list[Original]
    refused: list[Refusal]
    unlisted: list[str]
    unanswered: list[Attempt]


class Choice(NamedTuple):
    """What a run extends, what it puts off with reasons, what it does not know, and how many are left."""

    confirmed: list[Original]
    put_off: list[Refusal]
    unlisted: list[str]
    unanswered: list[Attempt]
    left: int


class StagingSync:
    """Extends staging servers into one target scope at a time."""

    def __init__(
        self,
        region_filter: ActiveRegionFilter,
        accounts: Accounts,
        scans: Scans,
        telemetries: Telemetries,
        inventory: Inventory,
        refusals: Refusals,
        work_states: WorkStates,
        queue: Queue,
        writer: Writer,
        drs: DrsChanges,
        calls: CallCount,
        clock: Clock,
        cadence: Cadence,
        limits: Limits,
    ) -> None:
        self._filter = region_filter
        self._accounts = accounts
        self._scans = scans
        self._telemetries = telemetries
        self._inventory = inventory
        self._refusals = refusals
        self._work_states = work_states
        self._queue = queue
        self._writer = writer
        self._drs = drs
        self._calls = calls
        self._clock = clock
        self._cadence = cadence
        self._limits = limits

    def sync(self, taken: Taken, message: WorkMessage) -> Outcome:
        """Extend what is new in the target's staging accounts, or say what would be done.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        lease, scope = taken.lease, taken.lease.work.scope
        mark, version = self._calls.mark(), message.status_version
        if version is not None and not self._filter.is_active(scope.region, version):
            return Outcome(self._result(lease, mark, reason="the region is not active"), None)
        target = self._accounts.read(scope.account_id)
        if target is None or not target.takes_part:
            return Outcome(self._result(lease, mark, reason="the target takes no part"), None)
        memberships = self._active_memberships(scope)
        if not memberships:
            return Outcome(self._result(lease, mark, reason="none of its staging accounts is active here"), None)
        return self.auto_extend_staging_servers(taken, target, memberships, mark)

    def auto_extend_staging_servers(
        self, taken: Taken, target: Account, memberships: list[Membership], mark: object
    ) -> Outcome:
        """Extend the servers of the staging accounts of `memberships` that `target` lacks.

        Raises:
            TableUnavailable: where the inventory cannot be read: nothing is extended on a guess.
        """
        lease = taken.lease
        survey = self._survey(taken, memberships)
        if not survey.wanted:
            self._record(lease, survey)
            result = self._result(lease, mark, survey.counts(), map(_problem, survey.errors), survey=survey)
            return self._outcome(taken, result)
        choice = self._choose(target, lease.work.scope, survey, memberships)
        if lease.work.dry_run:
            return Outcome(self._rehearsed(lease, target, survey, choice, mark), None)
        return self._carried_out(taken, target, survey, choice, mark)

    def _outcome(self, taken: Taken, result: WorkResult, failed: Iterable[Attempt] = ()) -> Outcome:
        """Return the outcome of a run: due again on the next tick, or later where the target keeps failing."""
        errors = [attempt.error for attempt in failed if attempt.error]
        result = result.model_copy(update={"failures": failures_after(result.state, taken.result)})
        if taken.lease.work.dry_run:
            return Outcome(result, None)
        now, longest = int(self._clock()), self._cadence.inventory
        due = due_again(result.failures, taken.lease, now, self._cadence, longest, wait_asked_for(errors))
        return Outcome(result, due, unfinished=out_of_time(errors))

    def _survey(self, taken: Taken, memberships: list[Membership]) -> Survey:
        """Return what the inventory says of the target and its staging accounts."""
        lease, scope, now = taken.lease, taken.lease.work.scope, self._now()
        scan = self._scans.read(scope)  # before the list of extensions: the list is at least as new
        epoch = scan.epoch if scan else 0
        originals = {
            original.arn: original
            for membership in memberships
            for original in self.get_staging_account_servers(Scope(membership.staging_account_id, scope.region))
        }
        extended = self.get_extended_source_servers(scope)
        refused = {} if lease.retry_refused else self._refusals.of_target(scope)
        errors = self._extension_errors(scope, extended, refused, now)
        wanted = candidates(originals, (entry.extends for entry in extended.values()), refused, now)
        sound = {entry.extends for entry in extended.values() if entry.extension != EXTENSION_ERROR}
        listed_at = scan.last_success if scan else None
        # A refusal that is newer than the list is news to it: the scan that found the removal may be half written
        outdated = sorted(arn for arn in sound & refused.keys() if listed_at and refused[arn].since < listed_at)
        unlisted = _unlisted_before(taken.result, epoch)
        return Survey(originals, len(extended), wanted, refused, errors, outdated, unlisted, epoch)

    def _choose(self, target: Account, scope: Scope, survey: Survey, memberships: list[Membership]) -> Choice:
        """Return what is to be extended in this run: let in by tags, within quota and cap, confirmed by DRS."""
        wanted = [survey.originals[arn] for arn in survey.wanted]
        admitted_now, excluded = self._admitted(scope, wanted, memberships, survey.refused)
        fitting, over_quota = self._within_quota(scope, admitted_now, survey.refused)
        cap = self._limits.extensions_per_run
        answers = self._confirm(target, scope, fitting[:cap], survey)
        put_off = [*excluded, *over_quota, *answers.refused]
        left = max(0, len(fitting) - cap)
        return Choice(answers.confirmed, put_off, answers.unlisted, answers.unanswered, left)

    def _rehearsed(self, lease: Lease, target: Account, survey: Survey, choice: Choice, mark: object) -> WorkResult:
        """Return what would be done."""
        told = {"left": choice.left, "would_extend": len(choice.confirmed), "would_refuse": len(choice.put_off)}
        problems = [
            *map(_problem, [*survey.errors, *choice.put_off]),
            *map(_unlisted, choice.unlisted),
            *map(_failure, choice.unanswered),
        ]
        result = self._result(lease, mark, {**survey.counts(), **told}, problems, survey=survey)
        changes = [{"extend": original.arn, "into": target.account_id} for original in choice.confirmed]
        return result.model_copy(update={"changes": changes[:MOST_REPORTED]})

    def _carried_out(self, taken: Taken, target: Account, survey: Survey, choice: Choice, mark: object) -> Outcome:
        """Extend what was chosen, remember what was refused, and have the target scanned."""
        lease, scope = taken.lease, taken.lease.work.scope
        attempts = self._extend(lease, target, choice.confirmed)
        made = [attempt.arn for attempt in attempts if attempt.error is None]
        failed = [*choice.unanswered, *(attempt for attempt in attempts if attempt.error is not None)]
        refused = [*choice.put_off, *self._refused(scope, failed, survey.refused)]
        self._record(lease, survey, refused, made)
        if made or choice.unlisted:
            self._want_inventory(scope)
        refusals = [*survey.errors, *refused]
        told = {"left": choice.left, "extended": len(made), "refused": len(refusals), "failed": len(failed)}
        failures = [_failure(attempt) for attempt in failed]
        named = {failure.subject for failure in failures}
        others = [_problem(refusal) for refusal in refusals if refusal.staging_source_server_arn not in named]
        problems = [*failures, *others, *map(_unlisted, choice.unlisted)]
        state = state_after([attempt.error for attempt in failed if attempt.error], len(made))
        result = self._result(lease, mark, {**survey.counts(), **told}, problems, survey=survey, state=state)
        return self._outcome(taken, result, failed)

    def get_staging_account_servers(self, staging: Scope) -> list[Original]:
        """Return the servers of a staging scope that may be extended, from its last complete scan."""
        telemetry = self._telemetries.read(staging)
        servers = telemetry.servers if telemetry else {}
        found = [Original(entry.original, staging, server) for server, entry in servers.items() if entry.original]
        logger.info(f"Retrieved {len(found)} servers from inventory database", scope=staging.key)
        return found

    def get_extended_source_servers(self, target: Scope) -> dict[str, Telemetry]:
        """Return the extensions that a target scope holds, in error or not, by ID, from its last complete scan."""
        telemetry = self._telemetries.read(target)
        servers = telemetry.servers if telemetry else {}
        return {server: entry for server, entry in servers.items() if entry.extends}

    def extend_source_server(self, lease: Lease, target: Account, original: Original) -> Attempt:
        """Extend one server, unless the invocation is about to end."""
        if self._clock() > lease.stop_at:
            return Attempt(original.arn, OutOfTime("no time left in this run"))
        try:
            self._drs.extend(target, original.scope.region, original.arn)
        except ServiceError as error:
            return Attempt(original.arn, error)
        return Attempt(original.arn, None)

    def _active_memberships(self, scope: Scope) -> list[Membership]:
        """Return the target's memberships whose staging account holds servers in the region (R3.1)."""
        memberships = self._accounts.memberships(scope.account_id)
        scopes = [Scope(membership.staging_account_id, scope.region) for membership in memberships]
        active = {scan.account_id for scan in self._scans.of_scopes(scopes) if scan.active}
        return [membership for membership in memberships if membership.staging_account_id in active]

    def _extension_errors(
        self, scope: Scope, extended: dict[str, Telemetry], refused: dict[str, Refusal], now: datetime
    ) -> list[Refusal]:
        """Return a refusal, with the service's message, for each extension in error that has none in force (R3.6)."""
        broken = {
            server: entry.extends
            for server, entry in extended.items()
            if entry.extension == EXTENSION_ERROR and (entry.extends not in refused or refused[entry.extends].due(now))
        }
        rows = self._inventory.read((server, scope.region) for server in broken)
        return [
            refuse(
                scope,
                arn,
                RefusalReason.EXTENSION_ERROR,
                _extension_message(rows.get(server)),
                now,
                refused.get(arn),
            )
            for server, arn in sorted(broken.items())
        ]

    def _admitted(
        self, scope: Scope, originals: list[Original], memberships: list[Membership], refused: dict[str, Refusal]
    ) -> tuple[list[Original], list[Refusal]]:
        """Return which of `originals` their membership's tags let in, and a refusal for each of the others."""
        rules = {membership.staging_account_id: membership for membership in memberships}
        rows = self._inventory.read((original.source_server_id, scope.region) for original in originals)
        chosen, excluded = [], []
        for original in originals:
            row, rule = rows.get(original.source_server_id), rules[original.scope.account_id]
            if row is None or not row.living:
                continue  # gone since the scan that listed it
            if admitted({**row.drs_tags, **row.source_tags}, rule.include_tags, rule.exclude_tags):
                chosen.append(original)
            else:
                why = f"{row.hostname or row.source_server_id}: excluded by the tags of the membership"
                excluded.append(self._refuse(scope, original.arn, RefusalReason.EXCLUDED, why, refused))
        return chosen, excluded

    def _within_quota(
        self, scope: Scope, originals: list[Original], refused: dict[str, Refusal]
    ) -> tuple[list[Original], list[Refusal]]:
        """Return those for which the target scope has room; where its count is unknown, DRS itself decides."""
        scan = self._scans.read(scope)
        if scan is None or scan.last_success is None:
            return originals, []
        room = max(0, self._limits.servers_per_scope - scan.server_count)
        why = f"{scope.account_id} holds {scan.server_count} of {self._limits.servers_per_scope} servers"
        over = originals[room:]
        return originals[:room], [self._refuse(scope, o.arn, RefusalReason.QUOTA, why, refused) for o in over]

    def _confirm(self, target: Account, scope: Scope, originals: list[Original], survey: Survey) -> Confirmation:
        """Ask the target's DRS which of `originals` it lists as extensible, one staging account after another."""
        answers = Confirmation([], [], [], [])
        why = f"DRS of {target.account_id} does not list it as extensible"
        slowed_down: Throttled | None = None
        for staging_account_id in sorted({original.scope.account_id for original in originals}):
            if slowed_down:
                answers.unanswered.append(Attempt(f"staging account {staging_account_id}", not_tried(SLOWED_DOWN)))
                continue
            some = [original for original in originals if original.scope.account_id == staging_account_id]
            try:
                extensible = self._drs.extensible(target, scope.region, staging_account_id)
            except (AccessDenied, Refused, Uninitialized) as error:
                reason = RefusalReason.NOT_TRUSTED if isinstance(error, AccessDenied) else RefusalReason.REFUSED
                answers.refused.extend(self._refuse(scope, o.arn, reason, str(error), survey.refused) for o in some)
                continue
            except ServiceError as error:  # may pass: these are candidates again next time
                answers.unanswered.append(Attempt(f"staging account {staging_account_id}", error))
                slowed_down = error if isinstance(error, Throttled) else None
                continue
            answers.confirmed.extend(original for original in some if original.arn in extensible)
            for arn in (original.arn for original in some if original.arn not in extensible):
                if arn in survey.unlisted:
                    reason = RefusalReason.NOT_EXTENSIBLE
                    answers.refused.append(self._refuse(scope, arn, reason, why, survey.refused))
                else:
                    answers.unlisted.append(arn)
        return answers

    def _extend(self, lease: Lease, target: Account, originals: list[Original]) -> list[Attempt]:
        """Extend `originals`; what DRS refuses is listed again: what is not left to extend was extended meanwhile.

        Where the target slows us down, what was not begun is left to the next run.
        """
        slowed_down = Event()

        def attempt(original: Original) -> Attempt:
            if slowed_down.is_set():
                return Attempt(original.arn, not_tried(SLOWED_DOWN))
            made = self.extend_source_server(lease, target, original)
            if isinstance(made.error, Throttled):
                slowed_down.set()
            return made

        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            attempts = list(pool.map(attempt, originals))
        doubtful = [o for o, attempt in zip(originals, attempts, strict=True) if isinstance(attempt.error, Refused)]
        settled = self._settled(target, doubtful)
        return [settled.get(attempt.arn, attempt) for attempt in attempts]

    def _settled(self, target: Account, doubtful: list[Original]) -> dict[str, Attempt]:
        """Return how attempts that DRS refused really ended, by ARN, where listing again tells."""
        settled: dict[str, Attempt] = {}
        for scope in sorted({original.scope for original in doubtful}):
            try:
                left = self._drs.extensible(target, scope.region, scope.account_id)
            except ServiceError as error:
                settled |= {o.arn: Attempt(o.arn, error) for o in doubtful if o.scope == scope}
                continue
            settled |= {o.arn: Attempt(o.arn, None) for o in doubtful if o.scope == scope and o.arn not in left}
        return settled

    def _refused(self, scope: Scope, failed: list[Attempt], before: dict[str, Refusal]) -> list[Refusal]:
        """Return refusals for what DRS will not do; what may pass by itself gets none, and is tried next time."""
        return [
            self._refuse(scope, attempt.arn, reason, str(attempt.error), before)
            for attempt in failed
            if (reason := _REASONS.get(type(attempt.error)))
        ]

    def _refuse(
        self, scope: Scope, arn: str, reason: RefusalReason, message: str, before: dict[str, Refusal]
    ) -> Refusal:
        return refuse(scope, arn, reason, message, self._now(), before.get(arn))

    def _record(self, lease: Lease, survey: Survey, refused: Iterable[Refusal] = (), made: Iterable[str] = ()) -> None:
        """Remember what was refused, and forget the refusals of what is extended."""
        if lease.work.dry_run:
            return
        self._writer.write(lease, [*survey.errors, *refused])
        settled = [arn for arn in made if arn in survey.refused or lease.retry_refused]
        for arn in (*survey.outdated, *settled):
            self._refusals.forget(lease.work.scope, arn)

    def _want_inventory(self, target: Scope) -> None:
        """Have the target scope scanned, so that its extensions appear and get their tags."""
        work = WorkId(WorkKind.INVENTORY, target)
        ask_for([work], self._work_states, self._queue, int(self._clock()) + self._limits.redeliver_after)

    def _result(
        self,
        lease: Lease,
        mark: object,
        counts: dict[str, int] | None = None,
        problems: Iterable[Problem] = (),
        reason: str | None = None,
        survey: Survey | None = None,
        state: ScopeState = ScopeState.AVAILABLE,
    ) -> WorkResult:
        found = list(problems)
        return WorkResult(
            finished_at=self._now(),
            epoch=lease.epoch,
            state=state,
            message=reason,
            calls=self._calls.since(mark),
            counts={**(counts or {}), "problems": len(found)},
            problems=trimmed(found),
            target_epoch=survey.target_epoch if survey else None,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _extension_message(row: ServerRow | None) -> str:
    said = row.staging_error if row else None
    return said or "DRS reports EXTENSION_ERROR without a message"


def _problem(refusal: Refusal) -> Problem:
    return Problem(subject=refusal.staging_source_server_arn, code=refusal.reason, message=refusal.message)


def _unlisted(arn: str) -> Problem:
    why = "DRS does not list it as extensible: most probably extended already; the target is scanned to see"
    return Problem(subject=arn, code=RefusalReason.NOT_EXTENSIBLE, message=why)


def _unlisted_before(last: WorkResult | None, target_epoch: int) -> set[str]:
    """Return the ARNs that the last run found unlisted, where the target was scanned since and they still show."""
    if last is None or last.target_epoch is None or last.target_epoch >= target_epoch:
        return set()
    return {problem.subject for problem in last.problems if problem.code == RefusalReason.NOT_EXTENSIBLE}


def _failure(attempt: Attempt) -> Problem:
    code = attempt.error.code if attempt.error else ""
    return Problem(subject=attempt.arn, code=code, message=str(attempt.error))

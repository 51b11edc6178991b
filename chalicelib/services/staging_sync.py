"""Staging sync of one target scope: extend what its staging accounts hold (R3).

Reads the inventory first: where nothing is new, DRS is not called. Observes (`_survey`), plans
(`domain/extension_plan.py`), and applies (`services/extension_calls.py`), which says why that is safe to repeat.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from ..domain.accounts import Account, Membership
from ..domain.extension import Refusal, is_server_of
from ..domain.extension_plan import (
    Original,
    Survey,
    extension_errors,
    plan_extensions,
    problem,
    share,
    unlisted,
    unlisted_before,
)
from ..domain.leases import Lease, Outcome, Taken, due_again, failures_after
from ..domain.regions import ScopeState
from ..domain.results import Problem, WorkResult
from ..domain.scopes import Scope
from ..domain.server_changes import not_stored
from ..domain.servers import ServerRow, Telemetry
from ..domain.work import Cadence, WorkId, WorkKind, WorkMessage
from ..domain.writes import RefuseExtension
from ..errors import ServiceError
from ..observability import logger
from .active_region_filter import ActiveRegionFilter
from .answers import goes_on, state_after, wait_asked_for
from .asking import ask_for
from .extension_calls import Attempt, ExtensionCalls, refusals_of
from .memberships import checked_memberships
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


class Limits(NamedTuple):
    """How much one run may extend, and how much a target scope may hold."""

    extensions_per_run: int
    servers_per_scope: int
    redeliver_after: int


class Choice(NamedTuple):
    """What a run extends, what it puts off with reasons, what it does not know and why, and how many are left."""

    confirmed: list[Original]
    put_off: list[Refusal]
    unlisted: list[str]
    unanswered: list[Attempt]
    denied: list[ServiceError]
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
        self._extensions = ExtensionCalls(drs, clock)
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
        memberships, ignored = checked_memberships(self._accounts, target, self._active_memberships(scope))
        if not memberships:
            reason = "none of its staging accounts is active here"
            return _with_ignored(Outcome(self._result(lease, mark, reason=reason), None), ignored)
        return _with_ignored(self.auto_extend_staging_servers(taken, message, target, memberships, mark), ignored)

    def auto_extend_staging_servers(
        self, taken: Taken, message: WorkMessage, target: Account, memberships: list[Membership], mark: object
    ) -> Outcome:
        """Extend the servers of the staging accounts of `memberships` that `target` lacks.

        Raises:
            TableUnavailable: where the inventory cannot be read: nothing is extended on a guess.
        """
        lease = taken.lease
        survey = self._survey(lease, memberships)
        errors = extension_errors(survey, self._rows(lease, survey.broken()))
        if not survey.candidates():
            unrecorded = self._record(lease, survey, errors)
            problems = [*map(problem, errors), *unrecorded]
            result = self._result(lease, mark, survey.counts(), problems, survey=survey)
            return self._outcome(taken, result)
        choice = self._choose(taken, target, survey)
        if lease.work.dry_run:
            return Outcome(self._rehearsed(lease, target, survey, errors, choice, mark), None)
        return self._carried_out(taken, message, target, survey, errors, choice, mark)

    def get_staging_account_servers(self, staging: Scope) -> list[Original]:
        """Return the servers of a staging scope that may be extended, from its last complete scan."""
        telemetry = self._telemetries.read(staging)
        servers = telemetry.servers if telemetry else {}
        listed = [
            Original(entry.original, staging, server, entry.drs_hash + entry.ec2_hash)
            for server, entry in servers.items()
            if entry.original
        ]
        found = [original for original in listed if is_server_of(original.arn, staging)]
        if len(found) < len(listed):
            logger.warning(
                "ARNs of other accounts are not extended", scope=staging.key, ignored=len(listed) - len(found)
            )
        logger.info(f"Retrieved {len(found)} servers from inventory database", scope=staging.key)
        return found

    def get_extended_source_servers(self, target: Scope) -> dict[str, Telemetry]:
        """Return the extensions that a target scope holds, in error or not, by ID, from its last complete scan."""
        telemetry = self._telemetries.read(target)
        servers = telemetry.servers if telemetry else {}
        return {server: entry for server, entry in servers.items() if entry.extends}

    def extend_source_server(self, lease: Lease, target: Account, original: Original) -> Attempt:
        """Extend one server, unless the invocation is about to end."""
        return self._extensions.extend_source_server(lease, target, original)

    def _active_memberships(self, scope: Scope) -> list[Membership]:
        """Return the target's memberships whose staging account holds servers in the region (R3.1)."""
        memberships = self._accounts.memberships(scope.account_id)
        scopes = [Scope(membership.staging_account_id, scope.region) for membership in memberships]
        active = {scan.account_id for scan in self._scans.of_scopes(scopes) if scan.active}
        return [membership for membership in memberships if membership.staging_account_id in active]

    def _survey(self, lease: Lease, memberships: list[Membership]) -> Survey:
        """Return what the tables say of the target and its staging accounts."""
        scope = lease.work.scope
        scan = self._scans.read(scope)  # before the list of extensions: the list is at least as new
        originals = {
            original.arn: original
            for membership in memberships
            for original in self.get_staging_account_servers(Scope(membership.staging_account_id, scope.region))
        }
        extended = self.get_extended_source_servers(scope)
        recorded = self._refusals.of_target(scope)
        return Survey(scope, originals, extended, memberships, recorded, lease.retry_refused, scan, self._now())

    def _choose(self, taken: Taken, target: Account, survey: Survey) -> Choice:
        """Return what is to be extended in this run: let in by tags, confirmed by DRS, within quota and cap."""
        lease, limits = taken.lease, self._limits
        plan = plan_extensions(survey, self._rows(lease, (one.source_server_id for one in survey.candidates())))
        before = unlisted_before(taken.result, survey.target_epoch)
        found = self._extensions.confirm(lease, target, survey, plan.wanted, before)
        shared = share(survey, found.confirmed, limits.servers_per_scope, limits.extensions_per_run, lease.epoch)
        put_off = [*plan.excluded, *found.refused, *shared.over_quota]
        chosen = sorted(shared.chosen) if lease.work.dry_run else shared.chosen
        return Choice(chosen, put_off, found.unlisted, found.unanswered, found.denied, shared.left)

    def _rows(self, lease: Lease, servers: Iterable[str]) -> dict[str, ServerRow]:
        region = lease.work.scope.region
        return self._inventory.read((server, region) for server in servers)

    def _rehearsed(
        self, lease: Lease, target: Account, survey: Survey, errors: list[Refusal], choice: Choice, mark: object
    ) -> WorkResult:
        """Return what would be done."""
        told = {"left": choice.left, "would_extend": len(choice.confirmed), "would_refuse": len(choice.put_off)}
        problems = [
            *map(problem, [*errors, *choice.put_off]),
            *map(unlisted, choice.unlisted),
            *(attempt.problem() for attempt in choice.unanswered),
        ]
        met = [*choice.denied, *(attempt.error for attempt in choice.unanswered if attempt.error)]
        state = state_after(met, len(choice.confirmed))
        changes = [{"extend": original.arn, "into": target.account_id} for original in choice.confirmed]
        counts = {**survey.counts(), **told}
        return self._result(lease, mark, counts, problems, survey=survey, state=state, changes=changes)

    def _carried_out(
        self,
        taken: Taken,
        message: WorkMessage,
        target: Account,
        survey: Survey,
        broken: list[Refusal],
        choice: Choice,
        mark: object,
    ) -> Outcome:
        """Extend what was chosen, remember what was refused, and have the target scanned."""
        lease, scope = taken.lease, taken.lease.work.scope
        attempts = self._extensions.extend(lease, target, choice.confirmed)
        made = [attempt.arn for attempt in attempts if attempt.error is None]
        failed = [*choice.unanswered, *(attempt for attempt in attempts if attempt.error is not None)]
        refused = [*broken, *choice.put_off, *refusals_of(survey, failed)]
        unrecorded = self._record(lease, survey, refused, made)
        if made or choice.unlisted:
            self._want_inventory(scope)
        told = {"left": choice.left, "extended": len(made), "refused": len(refused), "failed": len(failed)}
        named = {attempt.arn for attempt in failed}
        others = [problem(refusal) for refusal in refused if refusal.staging_source_server_arn not in named]
        problems = [*(attempt.problem() for attempt in failed), *others, *map(unlisted, choice.unlisted)]
        problems += unrecorded
        errors = [*choice.denied, *(attempt.error for attempt in failed if attempt.error)]
        state = state_after(errors, len(made))
        result = self._result(lease, mark, {**survey.counts(), **told}, problems, survey=survey, state=state)
        return self._outcome(taken, result, errors, unfinished=goes_on(errors, len(made), message))

    def _record(
        self, lease: Lease, survey: Survey, refused: Iterable[Refusal], made: Iterable[str] = ()
    ) -> list[Problem]:
        """Remember what was refused, and forget the refusals of what is extended; return what could not be recorded.

        What a scan recorded since the survey stands: it may be that an extension was removed on purpose.
        """
        if lease.work.dry_run:
            return []
        recorded = survey.recorded
        unwritten = self._writer.write(
            lease, [RefuseExtension(one, recorded.get(one.staging_source_server_arn)) for one in refused]
        )
        settled = [survey.recorded[arn] for arn in made if arn in survey.recorded]
        for refusal in (*survey.outdated(), *settled):
            self._refusals.forget(refusal)
        return [not_stored(one) for one in unwritten]

    def _want_inventory(self, target: Scope) -> None:
        """Have the target scope scanned, so that its extensions appear and get their tags."""
        work = WorkId(WorkKind.INVENTORY, target)
        ask_for([work], self._work_states, self._queue, int(self._clock()) + self._limits.redeliver_after)

    def _outcome(
        self, taken: Taken, result: WorkResult, errors: Collection[ServiceError] = (), *, unfinished: bool = False
    ) -> Outcome:
        """Return the outcome of a run: due again on the next tick, or later where the target keeps failing."""
        result = result.model_copy(update={"failures": failures_after(result.state, taken.result)})
        if taken.lease.work.dry_run:
            return Outcome(result, None)
        now, longest = int(self._clock()), self._cadence.inventory
        due = due_again(result.failures, taken.lease, now, self._cadence, longest, wait_asked_for(errors))
        return Outcome(result, due, unfinished=unfinished)

    def _result(
        self,
        lease: Lease,
        mark: object,
        counts: dict[str, int] | None = None,
        problems: Iterable[Problem] = (),
        reason: str | None = None,
        survey: Survey | None = None,
        state: ScopeState = ScopeState.AVAILABLE,
        changes: Iterable[dict[str, str]] = (),
    ) -> WorkResult:
        return WorkResult(
            finished_at=self._now(),
            epoch=lease.epoch,
            state=state,
            message=reason,
            calls=self._calls.since(mark),
            counts=counts or {},
            target_epoch=survey.target_epoch if survey else None,
        ).reporting(problems, changes)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _with_ignored(outcome: Outcome, ignored: dict[str, str]) -> Outcome:
    """Return `outcome` with a problem for each staging account whose membership is ignored."""
    if not ignored:
        return outcome
    result = outcome.result
    problems = [
        Problem(subject=f"staging account {account_id}", code="MEMBERSHIP_IGNORED", message=fault)
        for account_id, fault in sorted(ignored.items())
    ]
    told = result.reporting([*problems, *result.problems], result.changes)
    in_all = result.counts.get("problems", 0) + len(problems)
    left_out = in_all - len(told.problems)
    counts = {**told.counts, "problems": in_all, **({"problemsLeftOut": left_out} if left_out else {})}
    return outcome._replace(result=told.model_copy(update={"counts": counts}))

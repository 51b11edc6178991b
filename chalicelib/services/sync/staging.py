"""Staging sync of one target scope: extend what its staging accounts hold (R3).

Reads the inventory first: where nothing is new, DRS is not called. Observes (`_survey`), plans
(`domain/extension_plan.py`), and applies (`services/sync/extension_calls.py`), which says why that is safe to repeat.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ...domain.accounts import Account, Membership
from ...domain.extension import Refusal, is_server_of
from ...domain.extension_plan import (
    Original,
    Survey,
    extension_errors,
    plan_extensions,
    problem,
    share,
    unlisted,
    unlisted_before,
)
from ...domain.kinds import SCAN
from ...domain.results import Problem
from ...domain.scopes import Scope
from ...domain.server_changes import not_stored
from ...domain.servers import ServerRow, Telemetry
from ...domain.work import WorkId
from ...domain.writes import RefuseExtension
from ...errors import ServiceError
from ...observability import logger
from ..fleet import Fleet
from ..ports import DrsChanges, Inventory, Refusals, Telemetries
from ..work.context import WorkContext
from ..work.report import Report, Skip
from ..work.requests import WorkRequests
from .extension_calls import Attempt, ExtensionCalls, refusals_of


class Limits(NamedTuple):
    """How much one run may extend, and how much a target scope may hold."""

    extensions_per_run: int
    servers_per_scope: int


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
        fleet: Fleet,
        telemetries: Telemetries,
        inventory: Inventory,
        refusals: Refusals,
        requests: WorkRequests,
        drs: DrsChanges,
        limits: Limits,
    ) -> None:
        self._fleet = fleet
        self._telemetries = telemetries
        self._inventory = inventory
        self._refusals = refusals
        self._requests = requests
        self._extensions = ExtensionCalls(drs)
        self._limits = limits

    def sync(self, work: WorkContext) -> Report:
        """Extend what is new in the target's staging accounts, or say what would be done.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        target = work.active_account()
        memberships, ignored = self._fleet.active_memberships(target, work.scope.region)
        if memberships:
            report = self.auto_extend_staging_servers(work, target, memberships)
        else:
            report = Skip("none of its staging accounts is active here").report()
        return report._replace(problems=[*_ignored(ignored), *report.problems])

    def auto_extend_staging_servers(self, work: WorkContext, target: Account, memberships: list[Membership]) -> Report:
        """Extend the servers of the staging accounts of `memberships` that `target` lacks.

        Raises:
            TableUnavailable: where the inventory cannot be read: nothing is extended on a guess.
        """
        survey = self._survey(work, memberships)
        errors = extension_errors(survey, self._rows(work, survey.broken()))
        if not survey.candidates():
            unrecorded = self._record(work, survey, errors)
            return Report(survey.counts(), [*map(problem, errors), *unrecorded], target_epoch=survey.target_epoch)
        choice = self._choose(work, target, survey)
        if work.dry_run:
            return _preview(target, survey, errors, choice)
        return self._apply(work, target, survey, errors, choice)

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

    def _survey(self, work: WorkContext, memberships: list[Membership]) -> Survey:
        """Return what the tables say of the target and its staging accounts."""
        scope = work.scope
        scan = self._fleet.scan(scope)  # before the list of extensions: the list is at least as new
        originals = {
            original.arn: original
            for membership in memberships
            for original in self.get_staging_account_servers(Scope(membership.staging_account_id, scope.region))
        }
        extended = self.get_extended_source_servers(scope)
        recorded = self._refusals.of_target(scope)
        return Survey(scope, originals, extended, memberships, recorded, work.lease.retry_refused, scan, work.now)

    def _choose(self, work: WorkContext, target: Account, survey: Survey) -> Choice:
        """Return what is to be extended in this run: let in by tags, confirmed by DRS, within quota and cap."""
        limits = self._limits
        plan = plan_extensions(survey, self._rows(work, (one.source_server_id for one in survey.candidates())))
        before = unlisted_before(work.previous, survey.target_epoch)
        found = self._extensions.confirm(work, target, survey, plan.wanted, before)
        shared = share(survey, found.confirmed, limits.servers_per_scope, limits.extensions_per_run, work.epoch)
        put_off = [*plan.excluded, *found.refused, *shared.over_quota]
        chosen = sorted(shared.chosen) if work.dry_run else shared.chosen
        return Choice(chosen, put_off, found.unlisted, found.unanswered, found.denied, shared.left)

    def _rows(self, work: WorkContext, servers: Iterable[str]) -> dict[str, ServerRow]:
        return self._inventory.read((server, work.scope.region) for server in servers)

    def _apply(
        self, work: WorkContext, target: Account, survey: Survey, broken: list[Refusal], choice: Choice
    ) -> Report:
        """Extend what was chosen, remember what was refused, and have the target scanned."""
        attempts = self._extensions.extend(work, target, choice.confirmed)
        made = [attempt.arn for attempt in attempts if attempt.error is None]
        failed = [*choice.unanswered, *(attempt for attempt in attempts if attempt.error is not None)]
        refused = [*broken, *choice.put_off, *refusals_of(survey, failed)]
        unrecorded = self._record(work, survey, refused, made)
        if made or choice.unlisted:
            self._requests.request_work([WorkId(SCAN, work.scope)])  # extensions appear, and get their tags
        done = {"left": choice.left, "extended": len(made), "refused": len(refused), "failed": len(failed)}
        named = {attempt.arn for attempt in failed}
        others = [problem(refusal) for refusal in refused if refusal.staging_source_server_arn not in named]
        return Report(
            {**survey.counts(), **done},
            [*(attempt.problem() for attempt in failed), *others, *map(unlisted, choice.unlisted), *unrecorded],
            errors=[*choice.denied, *(attempt.error for attempt in failed if attempt.error)],
            done=len(made),
            target_epoch=survey.target_epoch,
        )

    def _record(
        self, work: WorkContext, survey: Survey, refused: Iterable[Refusal], made: Iterable[str] = ()
    ) -> list[Problem]:
        """Remember what was refused, and forget the refusals of what is extended; return what could not be recorded.

        What a scan recorded since the survey stands: it may be that an extension was removed on purpose.
        """
        if work.dry_run:
            return []
        recorded = survey.recorded
        unwritten = work.write([RefuseExtension(one, recorded.get(one.staging_source_server_arn)) for one in refused])
        resolved = [survey.recorded[arn] for arn in made if arn in survey.recorded]
        for refusal in (*survey.outdated(), *resolved):
            self._refusals.forget(refusal)
        return [not_stored(one) for one in unwritten]


def _preview(target: Account, survey: Survey, broken: list[Refusal], choice: Choice) -> Report:
    """Return what would be done."""
    counts = {"left": choice.left, "would_extend": len(choice.confirmed), "would_refuse": len(choice.put_off)}
    return Report(
        {**survey.counts(), **counts},
        [
            *map(problem, [*broken, *choice.put_off]),
            *map(unlisted, choice.unlisted),
            *(attempt.problem() for attempt in choice.unanswered),
        ],
        changes=[{"extend": original.arn, "into": target.account_id} for original in choice.confirmed],
        errors=[*choice.denied, *(attempt.error for attempt in choice.unanswered if attempt.error)],
        done=len(choice.confirmed),
        target_epoch=survey.target_epoch,
    )


def _ignored(memberships: dict[str, str]) -> list[Problem]:
    """Return a problem for each staging account whose membership is ignored."""
    return [
        Problem(subject=f"staging account {account_id}", code="MEMBERSHIP_IGNORED", message=fault)
        for account_id, fault in sorted(memberships.items())
    ]

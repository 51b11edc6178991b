"""What a staging run should do, worked out from what was observed (R3). Pure: no AWS, no clock."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from .accounts import Membership
from .extension import Refusal, RefusalReason, admitted, candidates, refuse
from .regions import ScanRecord
from .results import Problem, WorkResult
from .scopes import Scope
from .servers import EXTENSION_ERROR, ServerRow, Telemetry


class Original(NamedTuple):
    """A staging server that may be extended: where it is listed, and by which ID."""

    arn: str
    scope: Scope
    source_server_id: str


class Survey(NamedTuple):
    """What the tables say of a target scope and its staging accounts before a run.

    Attributes:
        target: the target's scope.
        originals: servers of the staging accounts that may be extended, by ARN.
        extended: the extensions that the target holds, in error or not, by ID.
        refused: refusals by ARN; empty where they are to be tried again.
        scan: the target's scan record, read before `extended`: the list is at least as new.
        now: the time at which refusals are judged.
    """

    target: Scope
    originals: dict[str, Original]
    extended: dict[str, Telemetry]
    refused: dict[str, Refusal]
    scan: ScanRecord | None
    now: datetime

    @property
    def target_epoch(self) -> int:
        """The epoch of the target's scan record; 0: it was never scanned."""
        return self.scan.epoch if self.scan else 0

    def candidates(self) -> list[Original]:
        """Return what has no extension and no refusal in force, by ARN."""
        extended = (entry.extends for entry in self.extended.values())
        return [self.originals[arn] for arn in candidates(self.originals, extended, self.refused, self.now)]

    def broken(self) -> dict[str, str]:
        """Return the ARNs of the originals of extensions in error that have no refusal in force, by extension ID."""
        return {
            server: entry.extends
            for server, entry in self.extended.items()
            if entry.extension == EXTENSION_ERROR
            and (entry.extends not in self.refused or self.refused[entry.extends].due(self.now))
        }

    def outdated(self) -> list[str]:
        """Return the ARNs that are refused, and extended all the same.

        A refusal that is newer than the list is news to it: the scan that found the removal may be half written.
        """
        sound = {entry.extends for entry in self.extended.values() if entry.extension != EXTENSION_ERROR}
        listed_at = self.scan.last_success if self.scan else None
        return sorted(arn for arn in sound & self.refused.keys() if listed_at and self.refused[arn].since < listed_at)

    def counts(self) -> dict[str, int]:
        """Return the survey in figures."""
        figures = {"originals": len(self.originals), "extended_before": len(self.extended)}
        return {**figures, "candidates": len(self.candidates())}


class ExtensionPlan(NamedTuple):
    """What a run does.

    Attributes:
        wanted: what is to be extended, once DRS has confirmed it; at most the cap of a run.
        refused: what is not to be extended now, with reasons: excluded by tags, no room.
        left: how many more are to be extended in later runs.
    """

    wanted: list[Original]
    refused: list[Refusal]
    left: int


def plan_extensions(
    survey: Survey,
    rows: Mapping[str, ServerRow],
    memberships: Iterable[Membership],
    servers_per_scope: int,
    most: int,
) -> ExtensionPlan:
    """Return what to extend of the survey's candidates: let in by tags, within quota and cap.

    Args:
        survey: what the tables say.
        rows: the rows of the candidates, by source server ID; one that is gone since the scan is absent or buried.
        memberships: the target's memberships, whose tags decide.
        servers_per_scope: how many servers the target's scope may hold.
        most: how many may be extended in one run.
    """
    chosen, excluded = _let_in(survey, rows, memberships)
    fitting, over_quota = _within_quota(survey, chosen, servers_per_scope)
    return ExtensionPlan(fitting[:most], [*excluded, *over_quota], max(0, len(fitting) - most))


def extension_errors(survey: Survey, rows: Mapping[str, ServerRow]) -> list[Refusal]:
    """Return a refusal, with the service's message, for each extension in error that has none in force (R3.6).

    Args:
        survey: what the tables say.
        rows: the rows of the broken extensions, by source server ID.
    """
    reason = RefusalReason.EXTENSION_ERROR
    return [
        refusal(survey, arn, reason, _extension_message(rows.get(server)))
        for server, arn in sorted(survey.broken().items())
    ]


def refusal(survey: Survey, arn: str, reason: RefusalReason, message: str) -> Refusal:
    """Return the refusal of `arn` to record: one more in a row where it was refused for the same reason before."""
    return refuse(survey.target, arn, reason, message, survey.now, survey.refused.get(arn))


def problem(refused: Refusal) -> Problem:
    """Return a refusal as a run reports it."""
    return Problem(subject=refused.staging_source_server_arn, code=refused.reason, message=refused.message)


def unlisted(arn: str) -> Problem:
    """Return the problem of a server that DRS does not list as extensible, for the first time."""
    why = "DRS does not list it as extensible: most probably extended already; the target is scanned to see"
    return Problem(subject=arn, code=RefusalReason.NOT_EXTENSIBLE, message=why)


def unlisted_before(last: WorkResult | None, target_epoch: int) -> set[str]:
    """Return the ARNs that the last run found unlisted, where the target was scanned since and they still show."""
    if last is None or last.target_epoch is None or last.target_epoch >= target_epoch:
        return set()
    return {found.subject for found in last.problems if found.code == RefusalReason.NOT_EXTENSIBLE}


def _let_in(
    survey: Survey, rows: Mapping[str, ServerRow], memberships: Iterable[Membership]
) -> tuple[list[Original], list[Refusal]]:
    """Return which candidates their membership's tags let in, and a refusal for each of the others."""
    rules = {membership.staging_account_id: membership for membership in memberships}
    chosen, excluded = [], []
    for original in survey.candidates():
        row, rule = rows.get(original.source_server_id), rules[original.scope.account_id]
        if row is None or not row.living:
            continue  # gone since the scan that listed it
        if admitted({**row.drs_tags, **row.source_tags}, rule.include_tags, rule.exclude_tags):
            chosen.append(original)
        else:
            why = f"{row.hostname or row.source_server_id}: excluded by the tags of the membership"
            excluded.append(refusal(survey, original.arn, RefusalReason.EXCLUDED, why))
    return chosen, excluded


def _within_quota(
    survey: Survey, originals: list[Original], servers_per_scope: int
) -> tuple[list[Original], list[Refusal]]:
    """Return those for which the target scope has room; where its count is unknown, DRS itself decides."""
    scan = survey.scan
    if scan is None or scan.last_success is None:
        return originals, []
    room = max(0, servers_per_scope - scan.server_count)
    why = f"{survey.target.account_id} holds {scan.server_count} of {servers_per_scope} servers"
    over = [refusal(survey, original.arn, RefusalReason.QUOTA, why) for original in originals[room:]]
    return originals[:room], over


def _extension_message(row: ServerRow | None) -> str:
    message = row.staging_error if row else None
    return message or "DRS reports EXTENSION_ERROR without a message"

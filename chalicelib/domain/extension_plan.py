"""What a staging run should do, worked out from what was observed (R3). Pure: no AWS, no clock."""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from itertools import zip_longest
from typing import NamedTuple, TypeVar

from .accounts import Membership
from .extension import Refusal, RefusalReason, admitted, candidates, refuse
from .regions import ScanRecord
from .results import Problem, WorkResult
from .scopes import Scope
from .servers import EXTENSION_ERROR, ServerRow, Telemetry

Thing = TypeVar("Thing")


class Original(NamedTuple):
    """A staging server that may be extended: where it is listed, and by which ID.

    `content` stands for all that DRS and EC2 said of it in the last scan; it changes when one of them says otherwise.
    """

    arn: str
    scope: Scope
    source_server_id: str
    content: str = ""


class Survey(NamedTuple):
    """What the tables say of a target scope and its staging accounts before a run.

    Attributes:
        target: the target's scope.
        originals: servers of the staging accounts that may be extended, by ARN.
        extended: the extensions that the target holds, in error or not, by ID.
        memberships: the target's memberships in staging accounts with servers here.
        recorded: refusals by ARN.
        retry_refused: whether what is refused is to be tried again all the same.
        scan: the target's scan record, read before `extended`: the list is at least as new.
        now: the time at which refusals are judged.
    """

    target: Scope
    originals: dict[str, Original]
    extended: dict[str, Telemetry]
    memberships: list[Membership]
    recorded: dict[str, Refusal]
    retry_refused: bool
    scan: ScanRecord | None
    now: datetime

    @property
    def refused(self) -> dict[str, Refusal]:
        """The refusals that count in this run, by ARN: not an exclusion that was judged by other rules or tags."""
        if self.retry_refused:
            return {}
        return {arn: refusal for arn, refusal in self.recorded.items() if not self._rejudged(refusal)}

    def judged_by(self, original: Original) -> str:
        """Return the digest of what decides whether the membership's tags let `original` in."""
        rule = self.rule(original)
        text = json.dumps([rule.include_tags, rule.exclude_tags, original.content], sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def rule(self, original: Original) -> Membership:
        """Return the membership that `original` is extended under."""
        return next(one for one in self.memberships if one.staging_account_id == original.scope.account_id)

    def _rejudged(self, refusal: Refusal) -> bool:
        original = self.originals.get(refusal.staging_source_server_arn)
        excluded = refusal.reason is RefusalReason.EXCLUDED
        return excluded and original is not None and refusal.judged_by != self.judged_by(original)

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

    def outdated(self) -> list[Refusal]:
        """Return the refusals of what is extended all the same.

        A refusal that is newer than the list is news to it: the scan that found the removal may be half written.
        """
        sound = {entry.extends for entry in self.extended.values() if entry.extension != EXTENSION_ERROR}
        listed_at = self.scan.last_success if self.scan else None
        refused = self.refused
        return [refused[arn] for arn in sorted(sound & refused.keys()) if listed_at and refused[arn].since < listed_at]

    def counts(self) -> dict[str, int]:
        """Return the survey in figures."""
        figures = {"originals": len(self.originals), "extended_before": len(self.extended)}
        return {**figures, "candidates": len(self.candidates())}


class ExtensionPlan(NamedTuple):
    """What a run asks DRS about, and what it does not extend: what the membership's tags exclude."""

    wanted: list[Original]
    excluded: list[Refusal]


class Share(NamedTuple):
    """What of the confirmed is extended in this run, what finds no room in the target, and how many are left."""

    chosen: list[Original]
    over_quota: list[Refusal]
    left: int


def plan_extensions(survey: Survey, rows: Mapping[str, ServerRow]) -> ExtensionPlan:
    """Return which of the survey's candidates their membership's tags let in.

    Args:
        survey: what the tables say.
        rows: the rows of the candidates, by source server ID; one that is gone since the scan is absent or buried.
    """
    wanted, excluded = [], []
    for original in survey.candidates():
        row, rule = rows.get(original.source_server_id), survey.rule(original)
        if row is None or not row.living or row.account_id != original.scope.account_id:
            continue  # gone since the scan that listed it, or filed under another account
        if admitted({**row.drs_tags, **row.source_tags}, rule.include_tags, rule.exclude_tags):
            wanted.append(original)
        else:
            why = f"{row.hostname or row.source_server_id}: excluded by the tags of the membership"
            excluded.append(refusal(survey, original.arn, RefusalReason.EXCLUDED, why))
    return ExtensionPlan(wanted, excluded)


def share(survey: Survey, confirmed: list[Original], servers_per_scope: int, most: int, turn: int) -> Share:
    """Return what to extend of what DRS has confirmed, within the target's room and the cap of a run.

    Staging accounts take turns, and each begins at another server in each run: what fails again and again keeps
    neither its neighbours nor other accounts waiting.

    Args:
        survey: what the tables say.
        confirmed: what DRS lists as extensible.
        servers_per_scope: how many servers the target's scope may hold.
        most: how many may be extended in one run.
        turn: a number that is another one in each run.
    """
    dealt = _dealt(confirmed, turn)
    scan = survey.scan
    if scan is None or scan.last_success is None:  # its count is unknown: DRS itself decides
        return Share(dealt[:most], [], max(0, len(dealt) - most))
    room = max(0, servers_per_scope - scan.server_count)
    why = f"{survey.target.account_id} holds {scan.server_count} of {servers_per_scope} servers"
    over = [refusal(survey, original.arn, RefusalReason.QUOTA, why) for original in dealt[room:]]
    return Share(dealt[:room][:most], over, max(0, min(room, len(dealt)) - most))


def _dealt(originals: list[Original], turn: int) -> list[Original]:
    """Return `originals` in turns: one of each staging account, then the next of each."""
    accounts = sorted({original.scope.account_id for original in originals})
    hands = [rotated([o for o in originals if o.scope.account_id == account], turn) for account in accounts]
    return [original for deal in zip_longest(*rotated(hands, turn)) for original in deal if original is not None]


def rotated(things: list[Thing], turn: int) -> list[Thing]:
    """Return `things` from another one on in each turn, so that those in front do not keep the others waiting."""
    start = turn % len(things) if things else 0
    return things[start:] + things[:start]


def extension_errors(survey: Survey, rows: Mapping[str, ServerRow]) -> list[Refusal]:
    """Return a refusal, with the service's message, for each extension in error that has none in force (R3.6).

    Args:
        survey: what the tables say.
        rows: the rows of the broken extensions, by source server ID.
    """
    reason = RefusalReason.EXTENSION_ERROR
    return [
        refusal(survey, arn, reason, _extension_message(rows.get(server), survey.target))
        for server, arn in sorted(survey.broken().items())
    ]


def refusal(survey: Survey, arn: str, reason: RefusalReason, message: str) -> Refusal:
    """Return the refusal of `arn` to record: one more in a row where it was refused for the same reason before."""
    made = refuse(survey.target, arn, reason, message, survey.now, survey.refused.get(arn))
    if reason is not RefusalReason.EXCLUDED:
        return made
    return made.model_copy(update={"judged_by": survey.judged_by(survey.originals[arn])})


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


def _extension_message(row: ServerRow | None, target: Scope) -> str:
    message = row.staging_error if row and row.account_id == target.account_id else None
    return message or "DRS reports EXTENSION_ERROR without a message"

"""The calls of a staging run to the target's DRS: what may be extended, and the extensions themselves.

Safe to repeat: what is to be extended is confirmed with the target's own DRS, and DRS itself refuses a second
extension of a server.
"""

from collections.abc import Container
from typing import NamedTuple

from ...domain.accounts import Account
from ...domain.extension import Refusal, RefusalReason
from ...domain.extension_plan import Original, Survey, refusal, rotated
from ...domain.results import Problem
from ...errors import (
    AccessDenied,
    OutOfTime,
    QuotaExceeded,
    Refused,
    ResourceNotFound,
    ServiceError,
    Uninitialized,
)
from ..ports import DrsChanges
from ..work.context import WorkContext

CALLS_AT_ONCE = 4

_REASONS: dict[type, RefusalReason] = {
    Refused: RefusalReason.REFUSED,
    AccessDenied: RefusalReason.NOT_TRUSTED,
    QuotaExceeded: RefusalReason.QUOTA,
    ResourceNotFound: RefusalReason.NOT_EXTENSIBLE,
}


class Attempt(NamedTuple):
    """The outcome of one extension; `error` is None where it was made, or found to be there."""

    arn: str
    error: ServiceError | None

    def problem(self) -> Problem:
        """Return the failure as a run reports it."""
        return Problem(subject=self.arn, code=self.error.code if self.error else "", message=str(self.error))


class Confirmation(NamedTuple):
    """What the target's DRS says of candidates.

    Attributes:
        confirmed: what it lists as extensible.
        refused: what it will not extend, with reasons.
        unlisted: what it does not list: most probably extended already, which the target's next scan shows. Only where
            it does not is that a reason to put it off.
        unanswered: staging accounts for which it did not answer.
        denied: why it does not list what is in `refused`.
    """

    confirmed: list[Original]
    refused: list[Refusal]
    unlisted: list[str]
    unanswered: list[Attempt]
    denied: list[ServiceError]


class ExtensionCalls:
    """Confirms and makes extensions with the DRS of target accounts."""

    def __init__(self, drs: DrsChanges) -> None:
        self._drs = drs

    def confirm(
        self, work: WorkContext, target: Account, survey: Survey, originals: list[Original], unlisted_before: set[str]
    ) -> Confirmation:
        """Ask the target's DRS which of `originals` it lists as extensible, one staging account after another.

        A staging account that cannot be listed costs itself only, unless the target's DRS hangs or slows us down.
        """
        confirmation = Confirmation([], [], [], [], [])
        listed: dict[str, Container[str]] = {}

        def ask(staging_account_id: str) -> ServiceError | None:
            try:
                listed[staging_account_id] = self._drs.extensible(target, survey.target.region, staging_account_id)
            except ServiceError as error:
                return error
            return None

        staging_accounts = rotated(sorted({original.scope.account_id for original in originals}), work.epoch)
        ends = work.change_calls(ask, at_once=1).map(staging_accounts)
        for staging_account_id, error in zip(staging_accounts, ends, strict=True):
            of_account = [original for original in originals if original.scope.account_id == staging_account_id]
            if isinstance(error, (AccessDenied, Refused, Uninitialized)):
                reason = RefusalReason.NOT_TRUSTED if isinstance(error, AccessDenied) else RefusalReason.REFUSED
                confirmation.refused.extend(refusal(survey, o.arn, reason, str(error)) for o in of_account)
                confirmation.denied.append(error)
            elif error is not None:  # may pass: these are candidates again next time
                confirmation.unanswered.append(Attempt(f"staging account {staging_account_id}", error))
            else:
                _sort_in(confirmation, survey, of_account, listed[staging_account_id], unlisted_before)
        return confirmation

    def extend(self, work: WorkContext, target: Account, originals: list[Original]) -> list[Attempt]:
        """Extend `originals`; what DRS refuses is listed again: what is not left to extend was extended meanwhile.

        Where the target slows us down, hangs or refuses everything, what was not begun is left to the next run.
        """

        def attempt(original: Original) -> ServiceError | None:
            return self.extend_source_server(work, target, original).error

        ends = work.change_calls(attempt, CALLS_AT_ONCE).map(originals)
        attempts = [Attempt(original.arn, end) for original, end in zip(originals, ends, strict=True)]
        doubtful = [o for o, end in zip(originals, ends, strict=True) if isinstance(end, Refused)]
        resolved = self._resolved(target, doubtful)
        return [resolved.get(attempt.arn, attempt) for attempt in attempts]

    def extend_source_server(self, work: WorkContext, target: Account, original: Original) -> Attempt:
        """Extend one server, unless the invocation is about to end."""
        if work.out_of_time:
            return Attempt(original.arn, OutOfTime("no time left in this run"))
        try:
            self._drs.extend(target, original.scope.region, original.arn)
        except ServiceError as error:
            return Attempt(original.arn, error)
        return Attempt(original.arn, None)

    def _resolved(self, target: Account, doubtful: list[Original]) -> dict[str, Attempt]:
        """Return how attempts that DRS refused really ended, by ARN, where listing again tells."""
        resolved: dict[str, Attempt] = {}
        for scope in sorted({original.scope for original in doubtful}):
            try:
                left = self._drs.extensible(target, scope.region, scope.account_id)
            except ServiceError as error:
                resolved |= {o.arn: Attempt(o.arn, error) for o in doubtful if o.scope == scope}
                continue
            resolved |= {o.arn: Attempt(o.arn, None) for o in doubtful if o.scope == scope and o.arn not in left}
        return resolved


def _sort_in(
    confirmation: Confirmation,
    survey: Survey,
    originals: list[Original],
    listed: Container[str],
    unlisted_before: set[str],
) -> None:
    """Add what DRS says of one staging account's servers to `confirmation`."""
    why = f"DRS of {survey.target.account_id} does not list it as extensible"
    for original in originals:
        if original.arn in listed:
            confirmation.confirmed.append(original)
        elif original.arn in unlisted_before:
            confirmation.refused.append(refusal(survey, original.arn, RefusalReason.NOT_EXTENSIBLE, why))
        else:
            confirmation.unlisted.append(original.arn)


def refusals_of(survey: Survey, failed: list[Attempt]) -> list[Refusal]:
    """Return refusals for what DRS will not do; what may pass by itself gets none, and is tried next time."""
    return [
        refusal(survey, attempt.arn, reason, str(attempt.error))
        for attempt in failed
        if (reason := _REASONS.get(type(attempt.error)))
    ]

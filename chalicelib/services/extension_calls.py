"""The calls of a staging run to the target's DRS: what may be extended, and the extensions themselves.

Safe to repeat: what is to be extended is confirmed with the target's own DRS, and DRS itself refuses a second
extension of a server.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

from ..domain.accounts import Account
from ..domain.extension import Refusal, RefusalReason
from ..domain.extension_plan import Original, Survey, refusal
from ..domain.leases import Lease
from ..domain.results import Problem
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
from .answers import not_tried
from .ports import Clock, DrsChanges

CALLS_AT_ONCE = 4
SLOWED_DOWN = "the target slowed us down"

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
    """

    confirmed: list[Original]
    refused: list[Refusal]
    unlisted: list[str]
    unanswered: list[Attempt]


class ExtensionCalls:
    """Confirms and makes extensions with the DRS of target accounts."""

    def __init__(self, drs: DrsChanges, clock: Clock) -> None:
        self._drs = drs
        self._clock = clock

    def confirm(
        self, target: Account, survey: Survey, originals: list[Original], unlisted_before: set[str]
    ) -> Confirmation:
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
                extensible = self._drs.extensible(target, survey.target.region, staging_account_id)
            except (AccessDenied, Refused, Uninitialized) as error:
                reason = RefusalReason.NOT_TRUSTED if isinstance(error, AccessDenied) else RefusalReason.REFUSED
                answers.refused.extend(refusal(survey, original.arn, reason, str(error)) for original in some)
                continue
            except ServiceError as error:  # may pass: these are candidates again next time
                answers.unanswered.append(Attempt(f"staging account {staging_account_id}", error))
                slowed_down = error if isinstance(error, Throttled) else None
                continue
            answers.confirmed.extend(original for original in some if original.arn in extensible)
            for arn in (original.arn for original in some if original.arn not in extensible):
                if arn in unlisted_before:
                    answers.refused.append(refusal(survey, arn, RefusalReason.NOT_EXTENSIBLE, why))
                else:
                    answers.unlisted.append(arn)
        return answers

    def extend(self, lease: Lease, target: Account, originals: list[Original]) -> list[Attempt]:
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
        resolved = self._resolved(target, doubtful)
        return [resolved.get(attempt.arn, attempt) for attempt in attempts]

    def extend_source_server(self, lease: Lease, target: Account, original: Original) -> Attempt:
        """Extend one server, unless the invocation is about to end."""
        if self._clock() > lease.stop_at:
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


def refusals_of(survey: Survey, failed: list[Attempt]) -> list[Refusal]:
    """Return refusals for what DRS will not do; what may pass by itself gets none, and is tried next time."""
    return [
        refusal(survey, attempt.arn, reason, str(attempt.error))
        for attempt in failed
        if (reason := _REASONS.get(type(attempt.error)))
    ]

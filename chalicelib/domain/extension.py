"""Extension of staging servers into their target account (R3): who is a candidate, and what was refused."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import NonNegativeInt

from .records import Moment, Record
from .scopes import Scope
from .texts import message_text

FIRST_BACK_OFF = timedelta(minutes=15)
LONGEST_BACK_OFF = timedelta(hours=24)


class RefusalReason(StrEnum):
    """Why a staging server is not extended now."""

    EXTENSION_ERROR = "EXTENSION_ERROR"  # DRS made the extension and reports an error on it
    REFUSED = "REFUSED"  # DRS refused the call: default EBS key, validation
    NOT_TRUSTED = "NOT_TRUSTED"  # the staging account does not trust the target
    QUOTA = "QUOTA"  # no room in the target
    EXCLUDED = "EXCLUDED"  # by the membership's tags
    REMOVED = "REMOVED"  # its extension was deleted on purpose
    NOT_EXTENSIBLE = "NOT_EXTENSIBLE"  # DRS does not list it among what is left to extend


class Refusal(Record):
    """Why one staging server is not extended into one target scope, and when to try again.

    `next_try_at` absent means: not until somebody asks. `judged_by` is the digest of the rules and tags by which it was
    excluded: once that is another, the exclusion is outdated.
    """

    target_scope: str
    staging_source_server_arn: str
    reason: RefusalReason
    message: str
    attempts: NonNegativeInt = 1
    since: Moment
    next_try_at: Moment | None = None
    judged_by: str | None = None

    def due(self, now: datetime) -> bool:
        """Return whether it may be tried again at `now`."""
        return self.next_try_at is not None and self.next_try_at <= now


def refuse(
    target: Scope, arn: str, reason: RefusalReason, message: str, now: datetime, before: Refusal | None = None
) -> Refusal:
    """Return the refusal to record: each one in a row doubles the wait, from 15 minutes up to a day.

    A removal on purpose is not tried again by itself.
    """
    attempts = before.attempts + 1 if before and before.reason == reason else 1
    wait = min(FIRST_BACK_OFF * 2 ** min(attempts - 1, 10), LONGEST_BACK_OFF)
    return Refusal(
        target_scope=target.key,
        staging_source_server_arn=arn,
        reason=reason,
        message=message_text(message),
        attempts=attempts,
        since=before.since if before and before.reason == reason else now,
        next_try_at=None if reason is RefusalReason.REMOVED else now + wait,
    )


def candidates(
    originals: Iterable[str], extended: Iterable[str], refused: dict[str, Refusal], now: datetime
) -> list[str]:
    """Return the staging ARNs to extend, sorted: originals without an extension and without a refusal in force.

    Args:
        originals: ARNs of the servers that the staging accounts hold and that may be extended.
        extended: ARNs that the target has extended already, in error or not.
        refused: refusals by ARN.
        now: the time at which refusals are judged.
    """
    done = set(extended)
    return sorted(arn for arn in originals if arn not in done and (arn not in refused or refused[arn].due(now)))


def admitted(tags: dict[str, str], include: dict[str, str], exclude: dict[str, str]) -> bool:
    """Return whether a server with `tags` is to be extended: all of `include`, none of `exclude`; "*" is any value."""
    return all(_carries(tags, key, value) for key, value in include.items()) and not any(
        _carries(tags, key, value) for key, value in exclude.items()
    )


def _carries(tags: dict[str, str], key: str, value: str) -> bool:
    return key in tags and value in ("*", tags[key])


def is_server_of(arn: str, scope: Scope) -> bool:
    """Return whether `arn` names a source server of `scope`: a list may name others, which are not its to give away."""
    parts = arn.split(":")
    return len(parts) == 6 and parts[3:5] == [scope.region, scope.account_id] and parts[5].startswith("source-server/")

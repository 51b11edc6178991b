"""Checks of an account: each with its own result and what to do about it."""

from pydantic import NonNegativeInt

from .records import Record

TRUST_CHECK = "externalId"


class Check(Record):
    """One check.

    Attributes:
        name: what was checked, e.g. `readerRole`, `drsInitialized`.
        subject: of what: a role's ARN, a region, a staging account.
        ok: the result; None where it could not be found out.
        message: what was found.
        advice: what to do; None where nothing is to be done.
    """

    name: str
    subject: str
    ok: bool | None
    message: str
    advice: str | None = None


class Discovered(Record):
    """A staging account that a target extends from, and whether it is registered as one of the target's."""

    staging_account_id: str
    regions: list[str]
    extended_servers: NonNegativeInt | None
    registered: bool


class Discovery(Record):
    """What discovery found, and what it cannot see."""

    staging_accounts: list[Discovered]
    not_seen: list[str]


class StagingCounts(Record):
    """Servers of a staging account in one region, and what the target would hold with them; None: not known."""

    region: str
    staging_servers: NonNegativeInt | None
    target_servers: NonNegativeInt | None
    resulting_servers: NonNegativeInt | None
    within_quota: bool | None


class StagingValidation(Record):
    """Whether an account can be a staging account of a target."""

    ok: bool
    checks: list[Check]
    counts: list[StagingCounts]

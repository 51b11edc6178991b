"""Capacity of DRS per account and region (R10.3).

AWS: 300 replicating source servers per account and region. Machines are counted where they replicate: an extension
replicates in its staging account, and is not counted in the target. What is not known is unknown, never zero.
"""

from enum import StrEnum

from pydantic import NonNegativeInt

from .records import Moment, Record
from .regions import ScanRecord, ScopeState
from .scopes import Scope

REPLICATING_LIMIT = 300  # AWS Elastic Disaster Recovery, service quotas


class Band(StrEnum):
    """How full a scope is. From two thirds INFO, from three quarters WARNING, from five sixths CRITICAL."""

    OK = "OK"
    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    UNKNOWN = "UNKNOWN"


class ScopeCapacity(Record):
    """How full one scope is.

    Attributes:
        replicating: servers that replicate into the account itself; None where that is not known.
        free: slots left.
        as_of: when that was learnt.
    """

    account_id: str
    region: str
    state: ScopeState | None
    replicating: NonNegativeInt | None
    limit: NonNegativeInt
    free: NonNegativeInt | None
    band: Band
    as_of: Moment | None


def band(replicating: int | None, limit: int) -> Band:
    """Return the band of `replicating` servers within `limit`."""
    if replicating is None:
        return Band.UNKNOWN
    for level, numerator, denominator in ((Band.CRITICAL, 5, 6), (Band.WARNING, 3, 4), (Band.INFO, 2, 3)):
        if replicating * denominator >= limit * numerator:
            return level
    return Band.OK


def scope_capacity(scope: Scope, scan: ScanRecord | None, limit: int = REPLICATING_LIMIT) -> ScopeCapacity:
    """Return how full `scope` is by its scan record: what its last complete scan counted, however it stands now."""
    known = scan is not None and scan.last_success is not None
    replicating = scan.agent_count if scan is not None and known else None
    return ScopeCapacity(
        account_id=scope.account_id,
        region=scope.region,
        state=scan.state if scan else None,
        replicating=replicating,
        limit=limit,
        free=None if replicating is None else max(0, limit - replicating),
        band=band(replicating, limit),
        as_of=scan.last_success if scan else None,
    )

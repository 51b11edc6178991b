"""Work items as the table holds them: keys, and what is read from an item."""

from typing import Any

from ..domain.leases import WorkState
from ..domain.results import WorkResult
from ..domain.scopes import stable_fraction
from ..domain.work import WorkId
from ..observability import count, logger
from .stored_records import stored

SHARDS = 4  # per kind: spreads the writes of a tick over partitions of the index


def identity(work: WorkId) -> dict[str, Any]:
    """Return the values that name a piece of work in its item, as an expression's values."""
    return {
        ":kind": work.kind.value,
        ":account": work.scope.account_id,
        ":region": work.scope.region,
        ":shard": f"{work.kind}#{int(stable_fraction(work.key) * SHARDS)}",
    }


def parsed(key: str) -> WorkId | None:
    """Return the work of an item's key; None where a newer version wrote it."""
    try:
        return WorkId.parse(key)
    except ValueError as error:
        logger.error("a work item's key names no work", workId=key, reason=str(error))
        count("UnreadableWorkItems")
        return None


def state_of(item: dict[str, Any]) -> WorkState:
    """Return what an item says of its work."""
    result = item.get("result")
    return WorkState(
        work=WorkId.parse(item["workId"]),
        wanted=item.get("wanted", 0),
        done=item.get("done", 0),
        epoch=item.get("epoch", 0),
        lease_until=item.get("leaseUntil"),
        next_due_at=item.get("nextDueAt"),
        result=stored(WorkResult, result) if result else None,
        last_error=item.get("lastError"),
        failures=item.get("failures", 0),
    )

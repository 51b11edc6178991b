"""How much of a DynamoDB item or transaction a write takes, and where a list of writes is cut.

DynamoDB: an item holds 400 KB, a transaction 100 actions and 4 MB (developer guide, "Quotas"; API: TransactWriteItems).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ..domain.writes import Row, Write

ACTIONS_PER_TRANSACTION = 99  # DynamoDB: 100, one of which is the check of the epoch
BYTES_PER_TRANSACTION = 2_000_000  # DynamoDB: 4 MB of whole items, and an update writes a part of one


def item_bytes(typed: dict[str, Any]) -> int:
    """Return the size of an item, in DynamoDB's typed form (developer guide, "DynamoDB item sizes and formats")."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in typed.items())


def is_row(write: Write) -> bool:
    """Return whether a write stands for itself: where it cannot be made, the others can."""
    return isinstance(write, Row)


def transactions(writes: Iterable[tuple[Write, int]], actions: int = ACTIONS_PER_TRANSACTION) -> Iterator[list[Write]]:
    """Yield writes, given with their bytes, in as few transactions as hold them, in order.

    Rows are cut by bytes as well as by number; what has to stand or fall together is no row and is cut by number only.
    """
    batch: list[Write] = []
    left = BYTES_PER_TRANSACTION
    for write, size in writes:
        if batch and (len(batch) == actions or (is_row(write) and size > left)):
            yield batch
            batch, left = [], BYTES_PER_TRANSACTION
        batch.append(write)
        left -= size
    if batch:
        yield batch


def _value_bytes(typed: dict[str, Any]) -> int:
    ((kind, value),) = typed.items()
    match kind:
        case "S":
            return len(value.encode())
        case "B":
            return len(value)
        case "N":
            return len(value.strip("-")) // 2 + 2
        case "M":
            return 3 + len(value) + item_bytes(value)
        case "L":
            return 3 + len(value) + sum(map(_value_bytes, value))
    return 1

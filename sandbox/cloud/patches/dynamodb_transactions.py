"""The size of a transaction.

MiniStack: measures the request, so that updates of large items pass however large the items are.

AWS: "The aggregate size of the items in the transaction cannot exceed 4 MB" (DynamoDB API, TransactWriteItems): an
update counts with its whole item.

Mended: the items that updates, deletions and checks name are added to what the request itself holds.
"""

import json
from collections.abc import Iterator
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import dynamodb

LARGEST_TRANSACTION = 4 * 1024 * 1024


def apply() -> None:
    """Refuse transactions whose items are too large together."""
    transact = dynamodb._transact_write_items

    def limited(data: dict[str, Any]) -> Any:
        if len(json.dumps(data, default=str)) + sum(map(_present_bytes, _addressed(data))) > LARGEST_TRANSACTION:
            message = "Transaction request cannot include more than 4 MB of data"
            return error_response_json("ValidationException", message, 400)
        return transact(data)

    dynamodb._transact_write_items = limited


def _addressed(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the actions that name an item by its key."""
    for member in data.get("TransactItems") or []:
        yield from (action for action in member.values() if isinstance(action, dict) and "Key" in action)


def _present_bytes(action: dict[str, Any]) -> int:
    name = str(action.get("TableName", "")).rpartition("/")[2]
    table = dynamodb._tables.get(name)
    if table is None:
        return 0
    item = dynamodb._get_item_by_key(table, action["Key"])
    return int(dynamodb._item_size_bytes(item)) if item else 0

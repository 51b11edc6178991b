"""What DynamoDB refuses and moto takes: large items, large transactions, writes of an item that a transaction holds.

Developer guide, "Quotas": an item of 400 KB, a transaction of 4 MB. DynamoDB API: TransactionConflictException.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.exceptions import MockValidationException, TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType

from chalicelib.adapters import dynamodb

from ..fakes import LARGEST_ITEM, stored_bytes

LARGEST_TRANSACTION = 4_000_000
TOO_LARGE = "Item size has exceeded the maximum allowed size"


@contextmanager
def enforced() -> Iterator[None]:
    """Have moto refuse what is too large."""
    transact = DynamoDBBackend.transact_write_items
    put, update = DynamoDBBackend.put_item, DynamoDBBackend.update_item

    def limited_transaction(self: Any, transact_items: list[dict[str, Any]]) -> Any:
        sizes = [_size(self, action) for each in transact_items for action in each.values()]
        if sum(sizes) > LARGEST_TRANSACTION:
            raise MockValidationException("Transaction request cannot include more than 4 MB")
        if any(size > LARGEST_ITEM for size in sizes):
            reasons = [("ValidationError", TOO_LARGE, None) if size > LARGEST_ITEM else (None,) * 3 for size in sizes]
            raise TransactionCanceledException(reasons)
        return transact(self, transact_items)

    def limited(real: Any, values: str) -> Any:
        def write(self: Any, *arguments: Any, **named: Any) -> Any:
            given = named.get(values) or next((each for each in arguments if isinstance(each, dict)), {})
            if stored_bytes(dynamodb.unmarshal(given)) > LARGEST_ITEM:
                raise MockValidationException(TOO_LARGE)
            return real(self, *arguments, **named)

        return write

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoDBBackend, "transact_write_items", limited_transaction)
        patch.setattr(DynamoDBBackend, "put_item", limited(put, "item_attrs"))
        patch.setattr(DynamoDBBackend, "update_item", limited(update, "expression_attribute_values"))
        yield


def _size(backend: DynamoDBBackend, action: dict[str, Any]) -> int:
    """Return how large the item is that an action of a transaction leaves, at most."""
    if "Key" not in action:
        return stored_bytes(dynamodb.unmarshal(action["Item"]))
    table = backend.tables[action["TableName"]]
    key = dynamodb.unmarshal(action["Key"])
    found = table.get_item(*(action["Key"][name] and _value(action["Key"], name) for name in table.table_key_attrs))
    present = dynamodb.unmarshal(found.to_json()["Attributes"]) if found else key
    values = dynamodb.unmarshal(action.get("ExpressionAttributeValues", {})) if "UpdateExpression" in action else {}
    return stored_bytes(present) + stored_bytes(values)


def _value(key: dict[str, Any], name: str) -> Any:
    return DynamoType(key[name])


@contextmanager
def busy() -> Iterator[None]:
    """Have every other write of one item meet a transaction on its item, beginning with the first."""
    met: Counter[str] = Counter()
    inside: list[bool] = []

    def meeting(name: str, real: Any) -> Any:
        def write(self: Any, *arguments: Any, **named: Any) -> Any:
            met[name] += not inside
            if met[name] % 2 and not inside:
                raise JsonRESTError("TransactionConflictException", "Transaction is ongoing for the item")
            return real(self, *arguments, **named)

        return write

    def transact(self: Any, *arguments: Any) -> Any:
        inside.append(True)  # what a transaction itself does meets none
        try:
            return whole(self, *arguments)
        finally:
            inside.pop()

    whole = DynamoDBBackend.transact_write_items
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamodb, "pauses", lambda tries: [0.0] * tries)
        for name in ("put_item", "update_item", "delete_item"):
            patch.setattr(DynamoDBBackend, name, meeting(name, getattr(DynamoDBBackend, name)))
        patch.setattr(DynamoDBBackend, "transact_write_items", transact)
        yield

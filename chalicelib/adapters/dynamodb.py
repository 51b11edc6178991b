"""What every table adapter shares: marshalling, paging, batches, errors by code."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import retry, retry_if_result, stop_after_attempt, wait_random_exponential

from ..domain.records import iso
from ..errors import TableUnavailable
from .sessions import hub_client

Item = dict[str, Any]

BATCH_GET_LIMIT = 100  # DynamoDB: keys per BatchGetItem
_SERIALIZER = TypeSerializer()
_DESERIALIZER = TypeDeserializer()


def client() -> Any:
    """Return the DynamoDB client."""
    return hub_client("dynamodb")


def marshal(values: Item) -> dict[str, Any]:
    """Return `values` in DynamoDB's typed form."""
    return {name: _SERIALIZER.serialize(_storable(value)) for name, value in values.items()}


def unmarshal(typed: dict[str, Any]) -> Item:
    """Return a typed item as plain values; numbers as int or float."""
    return {name: _plain(_DESERIALIZER.deserialize(value)) for name, value in typed.items()}


def code(error: ClientError) -> str:
    """Return the error's code."""
    return str(error.response["Error"]["Code"])


def query(**parameters: Any) -> Iterator[Item]:
    """Yield every item of a Query, all pages."""
    return _items("query", parameters)


def scan(**parameters: Any) -> Iterator[Item]:
    """Yield every item of a Scan, all pages."""
    return _items("scan", parameters)


def get(table: str, key: Item) -> Item | None:
    """Return one item, read consistently, or None."""
    typed = client().get_item(TableName=table, Key=marshal(key), ConsistentRead=True).get("Item")
    return unmarshal(typed) if typed else None


def batch_get(table: str, keys: Iterable[Item]) -> Iterator[Item]:
    """Yield the items of `keys` that exist, read consistently, in no order."""
    for some in chunks(keys, BATCH_GET_LIMIT):
        yield from _batch_get(table, [marshal(key) for key in some])


def chunks(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield `values` in lists of at most `size`."""
    some: list[Any] = []
    for value in values:
        some.append(value)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def unavailable(table: str, error: ClientError | BotoCoreError) -> TableUnavailable:
    """Return the domain's error for a table that could not be read."""
    return TableUnavailable(f"table {table} cannot be read: {error}")


def _items(operation: str, parameters: Item) -> Iterator[Item]:
    values = parameters.pop("values", None)
    if values:
        parameters["ExpressionAttributeValues"] = marshal(values)
    for page in client().get_paginator(operation).paginate(**parameters):
        for typed in page["Items"]:
            yield unmarshal(typed)


def _batch_get(table: str, keys: list[Item]) -> list[Item]:
    left = keys
    found: list[Item] = []

    @retry(
        retry=retry_if_result(bool),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        stop=stop_after_attempt(10),
    )
    def ask() -> list[Item]:
        nonlocal left
        answer = client().batch_get_item(RequestItems={table: {"Keys": left, "ConsistentRead": True}})
        found.extend(unmarshal(typed) for typed in answer["Responses"].get(table, []))
        left = list(answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []))
        return left

    ask()
    return found


def _storable(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {name: _storable(part) for name, part in value.items() if part is not None}
    if isinstance(value, (list, tuple)):
        return [_storable(part) for part in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.value if isinstance(value, Binary) else value  # type: ignore[attr-defined]

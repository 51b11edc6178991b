"""What every table adapter shares: marshalling, paging, batches, errors by code.

Marshalling is boto3's (`boto3.dynamodb.types`) for the types that records are made of. Importing boto3 for it costs
more than a tenth of a cold start, because boto3 imports its transfers to S3.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from math import isfinite
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..domain.records import iso
from ..errors import TableUnavailable
from .pauses import pauses
from .sessions import hub_client

Item = dict[str, Any]

BATCH_GET_LIMIT = 100  # DynamoDB: keys per BatchGetItem
BATCH_GET_TRIES = 10
WRITE_TRIES = 8
TRANSACTION_CONFLICT = "TransactionConflictException"


def client() -> Any:
    """Return the DynamoDB client."""
    return hub_client("dynamodb")


def marshal(values: Item) -> dict[str, Any]:
    """Return `values` in DynamoDB's typed form; within maps, what is None is absent."""
    return {name: _typed(value) for name, value in values.items()}


def unmarshal(typed: dict[str, Any]) -> Item:
    """Return a typed item as plain values; numbers as int or float."""
    return {name: _plain(value) for name, value in typed.items()}


def code(error: ClientError) -> str:
    """Return the error's code."""
    return str(error.response["Error"]["Code"])


def refused_item(error: ClientError) -> Any:
    """Return the item that a condition refused, as DynamoDB answers with ReturnValuesOnConditionCheckFailure."""
    return error.response.get("Item") or {}


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


def write(operation: str, **parameters: Any) -> dict[str, Any]:
    """Carry out a write of one item (`put_item`, `update_item`, `delete_item`) and return DynamoDB's answer.

    While a transaction is at work on the item, DynamoDB refuses it (DynamoDB API: TransactionConflictException), and
    botocore does not try that again. Nothing was written then, so that trying again is safe.

    Raises:
        TableUnavailable: where the item was busy each time.
        ClientError: any other error.
    """
    method = getattr(client(), operation)
    for pause in pauses(WRITE_TRIES):
        time.sleep(pause)
        try:
            answer: dict[str, Any] = method(**parameters)
        except ClientError as error:
            if code(error) != TRANSACTION_CONFLICT:
                raise
        else:
            return answer
    raise TableUnavailable(f"table {parameters['TableName']}: an item was busy {WRITE_TRIES} times")


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
    for pause in pauses(BATCH_GET_TRIES):
        time.sleep(pause)
        answer = client().batch_get_item(RequestItems={table: {"Keys": left, "ConsistentRead": True}})
        found.extend(unmarshal(typed) for typed in answer["Responses"].get(table, []))
        left = list(answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", []))
        if not left:
            return found
    raise TableUnavailable(f"table {table} cannot be read: {len(left)} of {len(keys)} keys are left unprocessed")


def _typed(value: Any) -> dict[str, Any]:  # noqa: PLR0911  one per type
    """Return one value in DynamoDB's typed form (DynamoDB API: AttributeValue)."""
    match value:
        case None:
            return {"NULL": True}
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | float() if isfinite(value):
            return {"N": str(value)}
        case datetime():
            return {"S": iso(value)}
        case bytes():
            return {"B": value}
        case dict():
            return {"M": marshal({name: part for name, part in value.items() if part is not None})}
        case list() | tuple():
            return {"L": [_typed(part) for part in value]}
    raise TypeError(f"{value!r} cannot be stored in a table")


def _plain(typed: dict[str, Any]) -> Any:
    """Return the value of one in DynamoDB's typed form; sets are not used here."""
    ((kind, value),) = typed.items()
    match kind:
        case "S" | "BOOL" | "B":
            return value
        case "N":
            return _number(value)
        case "NULL":
            return None
        case "M":
            return unmarshal(value)
        case "L":
            return [_plain(part) for part in value]
    raise TypeError(f"attribute of type {kind}: not one that this product writes")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return int(number) if number.is_integer() else number

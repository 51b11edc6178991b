"""DynamoDB in memory, under the real adapters: the calls that they make, with AWS's limits and delays.

Facts (Developer Guide): "Constraints in Amazon DynamoDB" (an item 400 KB, a transaction 100 actions and 4 MB, index
keys are not empty), "Read consistency" (indexes and eventually consistent reads may be behind), "Transaction conflict
handling". Answers come in small pages, so that every list has several. Items are shared, and never changed in place.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from .expressions import Item, condition, holds, plain, updated

PAGE = 3  # items
MOST_AT_ONCE = 4  # keys that one BatchGetItem gets to
ITEM_BYTES = 400 * 1024
TRANSACTION_BYTES = 4 * 1024 * 1024
TRANSACTION_ACTIONS = 100
BEHIND_SECONDS = 1.0  # how long an index, or an eventually consistent read, may show what was before

Key = tuple[str, ...]
OnWrite = Callable[[str, Item | None, Item | None], None]


class Keys(NamedTuple):
    """The names of a key's attributes: partition and, where there is one, sort key."""

    partition: str
    sort: str | None


class Table:
    """One table: its items, and what they were a moment ago."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self.keys = _keys(definition["KeySchema"])
        self.types = {one["AttributeName"]: one["AttributeType"] for one in definition["AttributeDefinitions"]}
        self.indexes = {
            index["IndexName"]: (_keys(index["KeySchema"]), index["Projection"])
            for index in definition.get("GlobalSecondaryIndexes", [])
        }
        self.items: dict[Key, Item] = {}
        self.before: dict[Key, tuple[float, Item | None]] = {}

    def key(self, item: Item) -> Key:
        names = (self.keys.partition, self.keys.sort)
        return tuple(str(plain(item[name])) for name in names if name)

    def seen(self, now: float) -> dict[Key, Item]:
        """Return what who does not read consistently may see: of what was just written, what was before."""
        self.before = {key: old for key, old in self.before.items() if now - old[0] < BEHIND_SECONDS}
        found = dict(self.items)
        for key, (_, item) in self.before.items():
            found.pop(key, None)
            if item is not None:
                found[key] = item
        return found


class DynamoDb:
    """The client.

    Args:
        definitions: the properties of each table's resource, by its name.
        clock: epoch seconds.
        call: makes a call of that name, with what it meets.
        on_write: told of every item that has changed: table, before, after.
    """

    def __init__(
        self,
        definitions: dict[str, dict[str, Any]],
        clock: Callable[[], float],
        call: Callable[..., Any],
        on_write: OnWrite,
    ) -> None:
        self.tables = {name: Table(definition) for name, definition in definitions.items()}
        self._clock = clock
        self._call = call
        self._on_write = on_write
        self.late = True  # whether indexes are behind
        self.looked_up: Counter[str] = Counter()  # by table, how many items were asked for by their keys

    def __getattr__(self, operation: str) -> Any:
        if operation.startswith("__"):
            raise AttributeError(operation)
        real = getattr(type(self), f"do_{operation}")

        def call(**parameters: Any) -> Any:
            return self._call(f"table.{operation}", lambda: real(self, **parameters), (), {})

        self.__dict__[operation] = call
        return call

    # --- reads ---

    def do_get_item(self, TableName: str, Key: Item, ConsistentRead: bool = False) -> dict[str, Any]:
        table = self.tables[TableName]
        item = self._visible(table, ConsistentRead).get(table.key(Key))
        return {"Item": item} if item else {}

    def do_batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        ((name, wanted),) = RequestItems.items()
        table, keys = self.tables[name], wanted["Keys"]
        _valid(0 < len(keys) <= 100, "1 to 100 keys")
        _valid(len({table.key(key) for key in keys}) == len(keys), "Provided list of item keys contains duplicates")
        self.looked_up[name] += len(keys)
        there = self._visible(table, wanted.get("ConsistentRead", False))
        found = [there[table.key(key)] for key in keys[:MOST_AT_ONCE] if table.key(key) in there]
        left = {name: {**wanted, "Keys": keys[MOST_AT_ONCE:]}} if keys[MOST_AT_ONCE:] else {}
        return {"Responses": {name: found}, "UnprocessedKeys": left}

    def do_query(
        self,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: dict[str, Any],
        ExpressionAttributeNames: dict[str, str] | None = None,
        IndexName: str | None = None,
        ConsistentRead: bool = False,
        ScanIndexForward: bool = True,
        FilterExpression: str | None = None,
        **paging: Any,
    ) -> dict[str, Any]:
        table, names, values = self.tables[TableName], ExpressionAttributeNames or {}, ExpressionAttributeValues
        keys, projection = table.indexes[IndexName] if IndexName else (table.keys, {"ProjectionType": "ALL"})
        _valid(not (IndexName and ConsistentRead), "Consistent reads are not supported on global secondary indexes")
        fits = condition(KeyConditionExpression)
        rows = [item for item in self._visible(table, ConsistentRead).values() if _indexed(item, keys)]
        found = sorted((row for row in rows if fits(row, names, values)), key=lambda row: _place(row, keys, table))
        page = self._page(table, keys, found if ScanIndexForward else found[::-1], ScanIndexForward, **paging)
        kept = [item for item in page["Items"] if holds(FilterExpression, item, names, values)]
        return {**page, "Items": [_projected(item, projection, keys, table) for item in kept]}

    def do_scan(self, TableName: str, ConsistentRead: bool = False, **paging: Any) -> dict[str, Any]:
        table = self.tables[TableName]
        found = sorted(self._visible(table, ConsistentRead).values(), key=lambda row: _place(row, table.keys, table))
        return self._page(table, table.keys, found, True, **paging)

    def get_paginator(self, operation: str) -> "_Paginator":
        return _Paginator(getattr(self, operation))

    def _visible(self, table: Table, consistent: bool) -> dict[Key, Item]:
        return table.items if consistent or not self.late else table.seen(self._clock())

    @staticmethod
    def _page(
        table: Table,
        keys: Keys,
        found: list[Item],
        forward: bool,
        Limit: int | None = None,
        ExclusiveStartKey: Item | None = None,
    ) -> dict[str, Any]:
        if ExclusiveStartKey:
            start = _place(ExclusiveStartKey, keys, table)
            behind = (lambda place: place > start) if forward else (lambda place: place < start)
            found = [row for row in found if behind(_place(row, keys, table))]
        size = min(Limit or PAGE, PAGE)
        some = found[:size]
        # As DynamoDB does: a page that is full says that more may follow, whether or not it does
        last = some[-1] if len(some) == size else None
        names = {name for name in (*table.keys, *keys) if name}
        return {"Items": some, **({"LastEvaluatedKey": {n: last[n] for n in names}} if last else {})}

    # --- writes ---

    def do_put_item(self, TableName: str, Item: Item, **more: Any) -> dict[str, Any]:
        return self._write(TableName, Item, lambda _: dict(Item), **more)

    def do_delete_item(self, TableName: str, Key: Item, **more: Any) -> dict[str, Any]:
        return self._write(TableName, Key, lambda _: None, **more)

    def do_update_item(self, TableName: str, Key: Item, UpdateExpression: str, **more: Any) -> dict[str, Any]:
        return self._write(TableName, Key, _updating(Key, UpdateExpression, more), **more)

    def do_transact_write_items(self, TransactItems: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        _valid(0 < len(TransactItems) <= TRANSACTION_ACTIONS, "at most 100 actions")
        planned, reasons = [], []
        results: list[Item | None] = []
        for action in TransactItems:
            ((kind, told),) = action.items()
            table = self.tables[told["TableName"]]
            item = told.get("Item") or told["Key"]
            before = table.items.get(table.key(item))
            names, values = told.get("ExpressionAttributeNames", {}), told.get("ExpressionAttributeValues", {})
            good = holds(told.get("ConditionExpression"), before or {}, names, values)
            reasons.append({"Code": "None" if good else "ConditionalCheckFailed"})
            results.append(None)
            if kind != "ConditionCheck" and good:
                after = {
                    "Put": lambda _, told=told: dict(told["Item"]),
                    "Delete": lambda _: None,
                    "Update": _updating(item, told.get("UpdateExpression", ""), told),
                }[kind](before)
                planned.append((told["TableName"], table.key(item), before, after))
                results[-1] = after
        if any(reason["Code"] != "None" for reason in reasons):
            raise cancelled(reasons)
        places = [(name, key) for name, key, _, _ in planned]
        _valid(len(set(places)) == len(places), "Transaction request cannot include multiple operations on one item")
        _valid(sum(_size(after) for *_, after in planned) <= TRANSACTION_BYTES, "a transaction is at most 4 MB")
        large = [{"Code": "ValidationError" if _size(after) > ITEM_BYTES else "None"} for after in results]
        if any(reason["Code"] != "None" for reason in large):
            raise cancelled(large)
        for name, _, _, after in planned:
            self._check(self.tables[name], after)
        for name, key, before, after in planned:
            self._commit(name, key, before, after)
        return {}

    def _write(
        self,
        name: str,
        key_of: Item,
        change: Callable[[Item | None], Item | None],
        ConditionExpression: str | None = None,
        ExpressionAttributeNames: dict[str, str] | None = None,
        ExpressionAttributeValues: dict[str, Any] | None = None,
        ReturnValues: str = "NONE",
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        table = self.tables[name]
        key = table.key(key_of)
        before = table.items.get(key)
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        if not holds(ConditionExpression, before or {}, names, values):
            told = {"Item": before} if before and ReturnValuesOnConditionCheckFailure == "ALL_OLD" else {}
            raise error("ConditionalCheckFailedException", "The conditional request failed", **told)
        after = change(before)
        self._check(table, after)
        self._commit(name, key, before, after)
        shown = after if ReturnValues == "ALL_NEW" else before if ReturnValues == "ALL_OLD" else None
        return {"Attributes": shown} if shown else {}

    @staticmethod
    def _check(table: Table, item: Item | None) -> None:
        if item is None:
            return
        _valid(_size(item) <= ITEM_BYTES, "Item size has exceeded the maximum allowed size")
        for name, kind in table.types.items():
            if name in item:
                _valid(kind in item[name], f"Type mismatch for key {name}")
                _valid(item[name] != {"S": ""}, f"The AttributeValue for a key attribute cannot be empty: {name}")

    def _commit(self, name: str, key: Key, before: Item | None, after: Item | None) -> None:
        table = self.tables[name]
        if before == after:
            return
        if key not in table.before:
            table.before[key] = (self._clock(), before)
        if after is None:
            table.items.pop(key, None)
        else:
            table.items[key] = after
        self._on_write(name, before, after)


class _Paginator:
    def __init__(self, page: Callable[..., dict[str, Any]]) -> None:
        self._page = page

    def paginate(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            answer = self._page(**parameters, **start)
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def error(code: str, message: str, **more: Any) -> ClientError:
    """Return an error as botocore raises it."""
    return ClientError({"Error": {"Code": code, "Message": message}, **more}, "DynamoDB")


def cancelled(reasons: list[dict[str, str]]) -> ClientError:
    """Return the error of a transaction that was cancelled."""
    return error("TransactionCanceledException", "Transaction cancelled", CancellationReasons=reasons)


def _updating(key: Item, expression: str, told: dict[str, Any]) -> Callable[[Item | None], Item]:
    names, values = told.get("ExpressionAttributeNames") or {}, told.get("ExpressionAttributeValues") or {}
    return lambda before: updated(expression, before or dict(key), names, values)


def _valid(good: bool, otherwise: str) -> None:
    if not good:
        raise error("ValidationException", otherwise)


def _keys(schema: list[dict[str, str]]) -> Keys:
    by_kind = {one["KeyType"]: one["AttributeName"] for one in schema}
    return Keys(by_kind["HASH"], by_kind.get("RANGE"))


def _indexed(item: Item, keys: Keys) -> bool:
    return all(name in item for name in keys if name)


def _place(item: Item, keys: Keys, table: Table) -> tuple[Any, Key]:
    return (plain(item[keys.sort]) if keys.sort else "", table.key(item))


def _projected(item: Item, projection: dict[str, Any], keys: Keys, table: Table) -> Item:
    if projection["ProjectionType"] == "ALL":
        return item
    kept = {*table.keys, *keys, *projection.get("NonKeyAttributes", [])}
    return {name: value for name, value in item.items() if name in kept}


def _size(item: Item | None) -> int:
    """Return about how many bytes DynamoDB counts for an item."""
    return len(json.dumps(item, default=lambda value: "x" * len(value), ensure_ascii=False).encode()) if item else 0

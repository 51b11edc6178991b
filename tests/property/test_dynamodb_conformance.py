"""The chaos run's DynamoDB (`tests/chaos/dynamo.py`) answers as moto does, whatever is asked of the two.

Results and errors are compared: conditions, updates, transactions and why they are cancelled, limits, index keys.
What the product writes is made of the same expressions. Not compared is what only one of them has: late indexes and
unprocessed keys there; a transaction's conflict is a fault there, and its form is compared with AWS's own model.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from ..chaos.disruptions import conflict, failure
from ..chaos.dynamo import DynamoDb
from ..unit import dynamodb_limits, stack

TABLE = "conformance"
KEY = ("id", "place")
INDEX = "ByHost"
DEFINITION = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        *({"AttributeName": name, "AttributeType": "S"} for name in (*KEY, "host")),
        {"AttributeName": "due", "AttributeType": "N"},
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "place", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": INDEX,
            "KeySchema": [{"AttributeName": "host", "KeyType": "HASH"}, {"AttributeName": "due", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["wanted"]},
        }
    ],
}
LARGE = "stands for what is large"  # named in what Hypothesis prints, and put in place where it is asked
LARGE_BYTES = 130_000  # three of them fit into an item
VALUES: dict[str, dict[str, Any]] = {
    ":zero": {"N": "0"},
    ":one": {"N": "1"},
    ":two": {"N": "2"},
    ":a": {"S": "a"},
    ":b": {"S": "b"},
    ":empty": {"S": ""},
    ":large": {"S": LARGE},
    ":map": {"M": {"a": {"S": "b"}}},
}
NAMES = {"#status": "status", "#map": "map", "#region": "region", "#name": "note"}

CONDITIONS = [
    "attribute_not_exists(id)",
    "attribute_exists(id) AND #status <> :a",
    "attribute_not_exists(wanted) OR done = wanted OR attribute_not_exists(due) OR due <= :one",
    "attribute_exists(wanted) AND (attribute_not_exists(done) OR done < wanted) AND (due < :two OR due >= :two)",
    "(attribute_not_exists(#region) OR #region = :a) AND #name = :b",
    "#status = :a AND attribute_not_exists(host)",
    "#status <> :b",
    "wanted > :zero AND NOT attribute_exists(done)",
    "due BETWEEN :one AND :two",
    "#region IN (:a, :b)",
    "begins_with(#status, :a)",
    "#map.a = :b",
    "wanted = :a",
]
UPDATES = [
    "SET due = :one, host = :a",
    "SET due = :two, host = :b, #name = :b",
    "SET wanted = if_not_exists(wanted, :zero) + :one REMOVE #region",
    "SET refused = if_not_exists(wanted, :zero) + :one, wanted = if_not_exists(wanted, :zero) + :one",
    "SET done = :one, #status = :a REMOVE host, due",
    "ADD wanted :one, epoch :one",
    "SET #status = :b, #region = :a ADD done :two",
    "SET #map = :map",
    "SET host = :empty",
    "SET #status = :empty",
    "SET big = :large",
    "SET #region = :b REMOVE big, wanted",
]
UNSOUND = ["SET host = :empty"]  # in a transaction moto takes it
QUERIES = [
    {"KeyConditionExpression": "id = :a"},
    {"KeyConditionExpression": "id = :a AND begins_with(place, :b)"},
    {"KeyConditionExpression": "id = :b", "FilterExpression": "attribute_exists(wanted) AND wanted > :zero"},
    {"KeyConditionExpression": "host = :a", "IndexName": INDEX},
    {"KeyConditionExpression": "host = :b AND due <= :one", "IndexName": INDEX},
]

Item = dict[str, dict[str, Any]]
Answer = Any


class Ask:
    """One operation: its name, and what it is given."""

    def __init__(self, operation: str, **parameters: Any) -> None:
        self.operation = operation
        self.parameters = parameters

    def __repr__(self) -> str:
        return f"{self.operation}({self.parameters})"

    def of(self, client: Any) -> Answer:
        """Return the answer, or the error with what it says."""
        parameters = _inflated(self.parameters)
        try:
            if self.operation in ("query", "scan"):
                pages = client.get_paginator(self.operation).paginate(TableName=TABLE, **parameters)
                return _in_order([item for page in pages for item in page["Items"]], parameters)
            answer = getattr(client, self.operation)(**parameters)
        except ClientError as error:
            return _refusal(error)
        if "Responses" in answer:
            return sorted(answer["Responses"].get(TABLE, []), key=_key_of)
        return answer.get("Item") or answer.get("Attributes") or {}


def _inflated(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _inflated(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_inflated(part) for part in value]
    return "x" * LARGE_BYTES if value == LARGE else value


def _in_order(items: list[Item], parameters: dict[str, Any]) -> list[Item]:
    """Return items in the order that is promised: of equal sort keys of an index, and of a scan, any is right."""
    if "IndexName" not in parameters and "KeyConditionExpression" in parameters:
        return items
    backwards = not parameters.get("ScanIndexForward", True)
    by_key = sorted(items, key=_key_of)
    if "IndexName" not in parameters:
        return by_key
    places = [item["due"]["N"] for item in items]
    assert places == sorted(places, reverse=backwards)
    return sorted(by_key, key=lambda item: item["due"]["N"], reverse=backwards)


def _key_of(item: Item) -> list[str]:
    return [item[name]["S"] for name in KEY]


def _refusal(error: ClientError) -> Answer:
    answer = error.response
    reasons = [reason.get("Code", "None") for reason in answer.get("CancellationReasons", [])]
    return answer["Error"]["Code"], reasons, answer.get("Item")


def _told(expressions: dict[str, Any]) -> dict[str, Any]:
    """Return the expressions with the names and values that they use: DynamoDB takes no others."""
    used = set(re.findall(r"[#:]\w+", " ".join(value for value in expressions.values() if isinstance(value, str))))
    names, values = ({key: of[key] for key in sorted(used & of.keys())} for of in (NAMES, VALUES))
    return {
        **expressions,
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"ExpressionAttributeValues": values} if values else {}),
    }


def _large(most: int) -> Item:
    return {f"big {number}": VALUES[":large"] for number in range(most)}


texts = st.sampled_from(["a", "b"])
keys = st.builds(lambda id, place: {"id": {"S": id}, "place": {"S": place}}, texts, texts)
conditions = st.none() | st.sampled_from(CONDITIONS)
attributes = st.dictionaries(
    st.sampled_from(["host", "note", "status", "region"]), st.sampled_from([VALUES[":a"], VALUES[":b"]])
)
numbers = st.dictionaries(st.sampled_from(["due", "wanted", "done"]), st.sampled_from([VALUES[":one"], VALUES[":two"]]))
spoilt = st.sampled_from([{}, {}, {}, {}, {"host": VALUES[":empty"]}, {"id": VALUES[":empty"]}, _large(1), _large(4)])
large = st.sampled_from([{}, {}, _large(1), _large(4)])


def _item(key: Item, *parts: Item) -> Item:
    return {**key, **{name: value for part in parts for name, value in part.items()}}


items = st.builds(_item, keys, attributes, numbers, spoilt)
sound_items = st.builds(_item, keys, attributes, numbers, large)


def _with(condition: str | None, **expressions: Any) -> dict[str, Any]:
    return _told({**expressions, **({"ConditionExpression": condition} if condition else {})})


def _write(operation: str, returned: str) -> Callable[..., Ask]:
    def ask(condition: str | None, verbose: bool, **parameters: Any) -> Ask:
        seen = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if condition and verbose else {}
        expression = {n: parameters.pop(n) for n in ("UpdateExpression",) if n in parameters}
        shown = {"ReturnValues": returned if verbose else "NONE"}
        return Ask(operation, TableName=TABLE, **parameters, **_with(condition, **expression), **seen, **shown)

    return ask


flags = st.booleans()
puts = st.builds(_write("put_item", "ALL_OLD"), conditions, flags, Item=items)
updates = st.builds(
    _write("update_item", "ALL_NEW"), conditions, flags, Key=keys, UpdateExpression=st.sampled_from(UPDATES)
)
olds = st.builds(
    _write("update_item", "ALL_OLD"), conditions, flags, Key=keys, UpdateExpression=st.sampled_from(UPDATES)
)
deletes = st.builds(_write("delete_item", "ALL_OLD"), conditions, flags, Key=keys)
gets = st.builds(lambda key: Ask("get_item", TableName=TABLE, Key=key, ConsistentRead=True), keys)
batches = st.lists(keys, min_size=1, max_size=4).map(
    lambda some: Ask("batch_get_item", RequestItems={TABLE: {"Keys": some, "ConsistentRead": True}})
)
queries = st.builds(
    lambda query, forward: Ask("query", **_told(query), ScanIndexForward=forward), st.sampled_from(QUERIES), flags
)
actions = st.one_of(
    st.builds(
        lambda key, condition: {"ConditionCheck": {"Key": key, **_with(condition)}}, keys, st.sampled_from(CONDITIONS)
    ),
    st.builds(lambda item, condition: {"Put": {"Item": item, **_with(condition)}}, sound_items, conditions),
    st.builds(
        lambda key, condition, expression: {"Update": {"Key": key, **_with(condition, UpdateExpression=expression)}},
        keys,
        conditions,
        st.sampled_from([update for update in UPDATES if update not in UNSOUND]),
    ),
    st.builds(lambda key, condition: {"Delete": {"Key": key, **_with(condition)}}, keys, conditions),
)


def _transaction(some: list[dict[str, Any]]) -> Ask:
    return Ask(
        "transact_write_items",
        TransactItems=[{kind: {"TableName": TABLE, **told}} for action in some for kind, told in action.items()],
    )


transactions = st.lists(actions, min_size=1, max_size=4).map(_transaction)
everything = Ask("scan")
asks = st.one_of(puts, updates, olds, deletes, gets, batches, queries, transactions, transactions)


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    """The table on moto, which refuses what is too large."""
    with mock_aws(), dynamodb_limits.enforced():
        client = boto3.client("dynamodb", stack.HOME, aws_access_key_id="test", aws_secret_access_key="test")
        client.create_table(TableName=TABLE, **DEFINITION)
        yield client


def in_memory() -> DynamoDb:
    """Return the same table in memory, whose index is not behind."""
    client = DynamoDb({TABLE: DEFINITION}, lambda: 0.0, lambda name, real, *_: real(), lambda *_: None)
    client.late = False
    return client


def _is_invalid(refusal: Answer) -> bool:
    return refusal[0] == "ValidationException" or "ValidationError" in refusal[1]


def alike(one: Answer, other: Answer) -> bool:
    """Return whether two answers are the same; of two reasons to refuse a request either may be told."""
    both = isinstance(one, tuple) and isinstance(other, tuple)
    return bool(one == other or (both and any(_is_invalid(answer) for answer in (one, other))))


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(some=st.lists(asks, min_size=5, max_size=25))
def test_the_two_answer_alike(moto, some):
    stack.empty_tables()
    mine = in_memory()
    for ask in some:
        assert alike(ask.of(mine), ask.of(moto)), ask
        assert everything.of(mine) == everything.of(moto), ask


UNTYPED = {"id": VALUES[":a"], "place": VALUES[":a"], "due": VALUES[":a"]}
UNNAMED = {"id": VALUES[":a"], "place": VALUES[":a"], "host": VALUES[":empty"]}


@pytest.mark.parametrize("item", [UNTYPED, UNNAMED])
@pytest.mark.parametrize("alone", [True, False])
def test_index_keys_that_moto_takes_are_refused(item, alone):
    """Developer guide, "Constraints in Amazon DynamoDB": keys of indexes have their type, and are not empty."""
    ask = Ask("put_item", TableName=TABLE, Item=item) if alone else _transaction([{"Put": {"Item": item}}])
    assert ask.of(in_memory())[0] == "ValidationException"


@pytest.mark.parametrize("alone", [True, False])
def test_an_item_does_not_grow_beyond_400_kb(alone):
    """Moto counts what is replaced by an update as well."""
    client, key = in_memory(), dict.fromkeys(KEY, VALUES[":a"])
    assert Ask("put_item", TableName=TABLE, Item={**key, **_large(3)}).of(client) == {}
    grown = {"Key": key, **_told({"UpdateExpression": "SET big = :large"})}
    ask = Ask("update_item", TableName=TABLE, **grown) if alone else _transaction([{"Update": grown}])
    refused = (
        ("ValidationException", [], None) if alone else ("TransactionCanceledException", ["ValidationError"], None)
    )
    assert ask.of(client) == refused


@pytest.mark.parametrize("operation", ["put_item", "update_item", "delete_item", "transact_write_items", "query"])
def test_errors_are_those_of_the_operation(operation):
    """What the chaos run lets a table answer is what AWS's model of the operation names."""
    model = botocore.session.get_session().get_service_model("dynamodb")
    shapes = {shape.name for shape in model.operation_model(_camel(operation)).error_shapes}
    answers = [failure(f"table.{operation}", number) for number in range(6)]
    if operation != "query":
        answers.append(conflict(f"table.{operation}"))
    common = {"AccessDeniedException"}  # of every service, and in no model
    assert {answer.response["Error"]["Code"] for answer in answers} - common <= {*shapes, "InternalServerError"}


def _camel(operation: str) -> str:
    return "".join(word.title() for word in operation.split("_"))

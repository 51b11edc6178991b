"""Limits of DynamoDB that the product must keep; the last of them is patch `dynamodb_transactions`."""

import pytest
from botocore.exceptions import ClientError

HALF = "x" * 200_000


@pytest.fixture(scope="module")
def table(cloud):
    """A table with an index by `host`."""
    client = cloud.hub().client("dynamodb")
    client.create_table(
        TableName="limits",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "host")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "ByHost",
                "KeySchema": [{"AttributeName": "host", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    yield client
    client.delete_table(TableName="limits")


def item(number, **values):
    return {"id": {"S": str(number)}, **{name: {"S": value} for name, value in values.items()}}


def put(number, **values):
    return {"Put": {"TableName": "limits", "Item": item(number, **values)}}


def update(number, text):
    where = {"TableName": "limits", "Key": item(number)}
    return {"Update": {**where, "UpdateExpression": "SET note = :n", "ExpressionAttributeValues": {":n": {"S": text}}}}


def refusal(call, **parameters):
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    return refused.value.response["Error"]["Code"]


def test_an_item_holds_400_kb(table):
    table.put_item(TableName="limits", Item=item("fits", a=HALF, b=HALF))
    assert (
        refusal(table.put_item, TableName="limits", Item=item("large", a=HALF, b=HALF, c=HALF)) == "ValidationException"
    )
    grown = {"UpdateExpression": "SET c = :c", "ExpressionAttributeValues": {":c": {"S": HALF}}}
    assert refusal(table.update_item, TableName="limits", Key=item("fits"), **grown) == "ValidationException"


def test_a_key_of_an_index_is_not_empty(table):
    assert refusal(table.put_item, TableName="limits", Item=item("empty", host="")) == "ValidationException"
    named = {"UpdateExpression": "SET host = :h", "ExpressionAttributeValues": {":h": {"S": ""}}}
    assert refusal(table.update_item, TableName="limits", Key=item("empty"), **named) == "ValidationException"
    assert refusal(table.transact_write_items, TransactItems=[put("empty", host="")]) == "ValidationException"


def test_a_transaction_holds_100_actions(table):
    table.transact_write_items(TransactItems=[put(number) for number in range(100)])
    many = [put(number) for number in range(101)]
    assert refusal(table.transact_write_items, TransactItems=many) == "ValidationException"


def test_a_transaction_holds_4_mb_and_an_update_counts_with_its_whole_item(table):
    for number in range(12):
        table.put_item(TableName="limits", Item=item(f"row-{number}", a=HALF, b=HALF[:150_000]))
    table.transact_write_items(TransactItems=[update(f"row-{number}", "short") for number in range(10)])
    many = [update(f"row-{number}", "short") for number in range(12)]
    assert refusal(table.transact_write_items, TransactItems=many) == "ValidationException"
    large = [put(f"row-{number}", a=HALF, b=HALF[:150_000]) for number in range(12)]
    assert refusal(table.transact_write_items, TransactItems=large) == "ValidationException"


def test_a_write_may_meet_a_transaction_on_its_item(cloud, table):
    """Nothing runs at the same time here: a fault rule says when it does."""
    rule = {"service": "dynamodb", "operation": "UpdateItem", "error": "TransactionConflictException"}
    cloud.control("POST", "/faults", {"rules": [rule]})
    grown = {"UpdateExpression": "SET c = :c", "ExpressionAttributeValues": {":c": {"S": "x"}}}
    assert refusal(table.update_item, TableName="limits", Key=item("busy"), **grown) == "TransactionConflictException"

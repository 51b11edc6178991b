"""Patch `cloudformation_tables`."""

import json

import pytest
from botocore.exceptions import WaiterError

QUICK = {"Delay": 0.1, "MaxAttempts": 100}


@pytest.fixture
def formation(cloud):
    return cloud.hub().client("cloudformation")


@pytest.fixture
def dynamodb(cloud):
    return cloud.hub().client("dynamodb")


def template(name, **more):
    keys = {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }
    properties = {"TableName": name, "BillingMode": "PAY_PER_REQUEST", **keys, **more}
    return json.dumps({"Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": properties}}})


def create(formation, name, **more):
    formation.create_stack(StackName=name, TemplateBody=template(name, **more))
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=QUICK)


def test_a_table_whose_name_is_taken_is_not_replaced(formation, dynamodb, name):
    create(formation, name)
    dynamodb.put_item(TableName=name, Item={"id": {"S": "kept"}})

    formation.create_stack(StackName=f"{name}-again", TemplateBody=template(name))
    with pytest.raises(WaiterError):
        formation.get_waiter("stack_create_complete").wait(StackName=f"{name}-again", WaiterConfig=QUICK)

    assert dynamodb.scan(TableName=name)["Items"] == [{"id": {"S": "kept"}}]


def test_a_protected_table_is_not_deleted_with_its_stack(formation, dynamodb, name):
    create(formation, name, DeletionProtectionEnabled=True)

    formation.delete_stack(StackName=name)
    with pytest.raises(WaiterError):
        formation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=QUICK)

    assert formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "DELETE_FAILED"
    assert dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE"

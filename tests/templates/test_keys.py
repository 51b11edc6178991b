"""Customer managed keys: off unless a parameter names one, and then every function that needs it may use it."""

import json

import pytest

KEYS = {"UseTablesKey": ("TablesHaveAKey", "TablesKeyArn"), "UseQueuesKey": ("QueuesHaveAKey", "QueuesKeyArn")}
SERVICES = {"UseTablesKey": "dynamodb", "UseQueuesKey": "sqs"}


def users(resources, service):
    """Return the roles that may do anything with a service."""
    return {
        name
        for name, role in resources("AWS::IAM::Role").items()
        if f'"{service}:' in json.dumps(role["Policies"][0]["PolicyDocument"])
    }


@pytest.mark.parametrize("name", KEYS)
def test_exactly_the_roles_that_use_the_service_may_use_its_key_and_through_it_alone(name, template, resources):
    policy, (condition, parameter) = template["Resources"][name], KEYS[name]
    service = SERVICES[name]
    assert policy["Condition"] == condition
    assert {one["Ref"] for one in policy["Properties"]["Roles"]} == users(resources, service)
    [statement] = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Resource"] == {"Ref": parameter}
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": {"Fn::Sub": f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}"}}
    }


def test_who_sends_messages_may_make_data_keys_and_who_receives_may_decrypt(template):
    """SQS developer guide, "Key management": producers want both."""
    [statement] = template["Resources"]["UseQueuesKey"]["Properties"]["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}


def test_there_is_no_key_unless_one_is_named(template):
    for condition, parameter in KEYS.values():
        assert template["Parameters"][parameter]["Default"] == ""
        assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}

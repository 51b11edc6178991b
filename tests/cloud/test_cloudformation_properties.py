"""Patch `cloudformation_properties`."""

import pytest


@pytest.fixture
def dynamodb(cloud):
    return cloud.hub().client("dynamodb")


def test_a_tables_expiry_recovery_encryption_protection_and_tags(dynamodb):
    table = dynamodb.describe_table(TableName="sample-log")["Table"]
    recovery = dynamodb.describe_continuous_backups(TableName="sample-log")["ContinuousBackupsDescription"]

    assert dynamodb.describe_time_to_live(TableName="sample-log")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "expires",
    }
    assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert table["DeletionProtectionEnabled"] is True
    assert {"Key": "owner", "Value": "tests"} in dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]


def test_a_functions_reserved_concurrency_dead_letter_queue_and_recursion(cloud, queues):
    functions, resources = cloud.hub().client("lambda"), cloud.outputs.resources

    reserved = functions.get_function_concurrency(FunctionName=resources["Probe"])
    config = functions.get_function_configuration(FunctionName=resources["Raiser"])
    recursion = [
        functions.get_function_recursion_config(FunctionName=resources[name])["RecursiveLoop"]
        for name in ("Raiser", "Probe")
    ]
    assert recursion == ["Allow", "Terminate"]
    assert reserved["ReservedConcurrentExecutions"] == 7
    assert config["DeadLetterConfig"]["TargetArn"] == queues.arn("AsyncFailures")


def test_numbers_and_booleans_of_an_event_source_that_come_from_parameters(cloud):
    functions = cloud.hub().client("lambda")
    mapping = functions.list_event_source_mappings(FunctionName=cloud.outputs.resources["OnOther"])
    other = mapping["EventSourceMappings"][0]

    assert other["BatchSize"] == 1
    assert other["ScalingConfig"] == {"MaximumConcurrency": 4}
    off = functions.list_event_source_mappings(FunctionName=cloud.outputs.resources["OnIdle"])["EventSourceMappings"]
    assert off[0]["State"] == "Disabled"

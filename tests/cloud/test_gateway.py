"""Counted calls, counted item writes, and faults in the protocol of every kind of service."""

import time

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.cloud.client import ControlError, InvocationError

ONCE = Config(retries={"total_max_attempts": 1})


def counted(cloud, service):
    return {(call["operation"], call["account"], call["region"]): call["calls"] for call in cloud.calls(service)}


def test_calls_are_counted_once_by_service_operation_account_and_region(cloud):
    customer = cloud.session("555555555555", "ap-south-1")
    cloud.reset_calls()
    customer.client("ec2").describe_instances()
    customer.client("ec2").describe_instances()
    customer.client("lambda").list_functions()
    customer.client("cloudwatch").describe_alarms()
    customer.client("s3").list_buckets()
    with pytest.raises(ClientError):
        customer.client("drs").describe_source_servers(filters={})

    where = ("555555555555", "ap-south-1")
    assert counted(cloud, "ec2") == {("DescribeInstances", *where): 2}
    assert counted(cloud, "lambda") == {("ListFunctions", *where): 1}
    assert counted(cloud, "monitoring") == {("DescribeAlarms", *where): 1}
    assert counted(cloud, "s3") == {("ListBuckets", *where): 1}
    assert counted(cloud, "drs") == {("DescribeSourceServers", *where): 1}
    assert cloud.calls("drs")[0]["errors"] == 1


def test_item_writes_are_counted_by_table(cloud, name):
    client = cloud.hub().client("dynamodb")

    def item(number):
        return {"id": {"S": f"{name}-{number}"}}

    cloud.reset_calls()
    client.put_item(TableName="sample-bisect", Item=item(0))
    client.batch_write_item(
        RequestItems={"sample-bisect": [{"PutRequest": {"Item": item(number)}} for number in range(1, 4)]}
    )
    client.transact_write_items(
        TransactItems=[
            {"Delete": {"TableName": "sample-bisect", "Key": item(1)}},
            {"Put": {"TableName": "sample-partial", "Item": item(1)}},
            {
                "ConditionCheck": {
                    "TableName": "sample-bisect",
                    "Key": item(0),
                    "ConditionExpression": "attribute_exists(id)",
                }
            },
        ]
    )
    with pytest.raises(ClientError):
        client.delete_item(TableName="sample-bisect", Key=item(2), ConditionExpression="attribute_exists(absent)")

    assert (cloud.tables()["sample-bisect"], cloud.tables()["sample-partial"]) == (5, 1)
    counts = {item["table"]: item["attempted"] for item in cloud.control("GET", "/tables")["tables"]}
    assert counts["sample-bisect"] == 6
    cloud.reset_calls()
    assert "sample-bisect" not in cloud.tables()


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "error"),
    [
        ("dynamodb", "describe_table", {"TableName": "sample-log"}, "ProvisionedThroughputExceededException"),
        ("sqs", "list_queues", {}, "RequestThrottled"),
        ("sts", "get_caller_identity", {}, "Throttling"),
        ("ec2", "describe_instances", {}, "RequestLimitExceeded"),
        ("lambda", "list_functions", {}, "TooManyRequestsException"),
        ("cloudwatch", "describe_alarms", {}, "InternalServiceFault"),
        ("s3", "list_buckets", {}, "SlowDown"),
        ("drs", "describe_source_servers", {"filters": {}}, "ThrottlingException"),
    ],
)
def test_a_fault_reaches_the_caller_as_the_services_own_error(cloud, service, operation, arguments, error):
    rule = {"service": "monitoring" if service == "cloudwatch" else service, "account": "666666666666", "error": error}
    cloud.control("POST", "/faults", {"rules": [{**rule, "message": "slow down", "times": 1}]})
    client = cloud.session("666666666666").client(service, config=ONCE)

    with pytest.raises(ClientError) as refused:
        getattr(client, operation)(**arguments)
    assert refused.value.response["Error"] | {"Code": error} == refused.value.response["Error"]
    assert refused.value.response["Error"]["Message"] == "slow down"
    assert cloud.control("GET", "/faults")["rules"][0]["hits"] == 1


def test_latency_and_an_error_after_the_effect(cloud, name):
    cloud.control(
        "POST",
        "/faults",
        {"rules": [{"operation": "PutItem", "error": "InternalServerError", "afterEffect": True, "times": 1}]},
    )
    cloud.control("POST", "/faults", {"rules": [{"operation": "GetItem", "latencySeconds": 0.3, "times": 1}]})
    client = cloud.hub().client("dynamodb", config=ONCE)
    key = {"id": {"S": name}}

    with pytest.raises(ClientError) as refused:
        client.put_item(TableName="sample-bisect", Item=key)
    started = time.monotonic()
    found = client.get_item(TableName="sample-bisect", Key=key, ConsistentRead=True)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert found["Item"] == key
    assert time.monotonic() - started >= 0.3


def test_the_control_api_refuses_what_it_does_not_know(cloud):
    for method, path, body in (
        ("GET", "/nonsense", None),
        ("POST", "/ec2/instances", [{"instanceId": "i-1"}]),
        ("POST", "/faults", {"rules": [{"nonsense": 1}]}),
    ):
        with pytest.raises(ControlError, match=r" 40[04] "):
            cloud.control(method, path, body)


def test_a_fault_hits_only_whom_it_names(cloud, name):
    """The hub's own calls fail in its functions, and not for whoever looks on as its root."""
    probe = cloud.outputs.resources["Probe"]
    role = f".*:assumed-role/.*/{probe}"
    cloud.control(
        "POST", "/faults", {"rules": [{"service": "dynamodb", "caller": role, "error": "ValidationException"}]}
    )

    cloud.hub().client("dynamodb", config=ONCE).put_item(TableName="sample-bisect", Item={"id": {"S": name}})
    with pytest.raises(InvocationError, match="ValidationException"):
        cloud.invoke(probe, {"table": "sample-bisect"})


def test_a_fault_of_drs_hits_only_whom_it_names(cloud):
    customer = cloud.session("555555555555", "ap-south-1").client("drs", config=ONCE)
    customer.initialize_service()
    for caller, failing in (("arn:aws:sts:.*", False), (r"arn:aws:iam::5+:root", True)):
        cloud.control(
            "POST", "/faults", {"rules": [{"service": "drs", "caller": caller, "error": "ThrottlingException"}]}
        )
        if failing:
            with pytest.raises(ClientError, match="ThrottlingException"):
                customer.describe_source_servers()
        else:
            customer.describe_source_servers()


def test_an_error_has_the_members_that_its_rule_gives(cloud, name):
    reasons = [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "busy"}]
    rule = {
        "service": "dynamodb",
        "operation": "TransactWriteItems",
        "error": "TransactionCanceledException",
        "members": {"CancellationReasons": reasons},
        "afterEffect": True,
    }
    cloud.control("POST", "/faults", {"rules": [rule]})
    client = cloud.hub().client("dynamodb", config=ONCE)
    item = {"id": {"S": name}}
    with pytest.raises(client.exceptions.TransactionCanceledException) as caught:
        client.transact_write_items(TransactItems=[{"Put": {"TableName": "sample-bisect", "Item": item}}])
    assert caught.value.response["CancellationReasons"] == reasons
    assert client.get_item(TableName="sample-bisect", Key=item)["Item"] == item

"""Patch `ec2_describe_instances`, and instances given through the control API."""

import time

import pytest
from botocore.exceptions import ClientError

ACCOUNT, REGION = "222222222222", "eu-west-3"


def identifier(number):
    return f"i-{number:017x}"


@pytest.fixture(scope="module")
def ec2(cloud):
    instances = [
        {
            "accountId": ACCOUNT,
            "region": REGION,
            "instanceId": identifier(number),
            "tags": {"Name": f"server-{number}"},
            "instanceType": "m6i.xlarge",
            "availabilityZone": f"{REGION}b",
            "privateIp": f"10.1.{number // 250}.{number % 250}",
            "state": "running",
        }
        for number in range(1200)
    ]
    started = time.monotonic()
    assert cloud.control("POST", "/ec2/instances", instances) == {"put": 1200}
    assert time.monotonic() - started < 2
    return cloud.session(ACCOUNT, REGION).client("ec2")


def described(pages):
    return [instance for page in pages for item in page["Reservations"] for instance in item["Instances"]]


def test_an_instance_is_described_as_it_was_given(ec2):
    [instance] = described([ec2.describe_instances(InstanceIds=[identifier(7)])])

    assert instance["Placement"]["AvailabilityZone"] == f"{REGION}b"
    assert instance["Tags"] == [{"Key": "Name", "Value": "server-7"}]
    assert (instance["InstanceType"], instance["State"]["Name"]) == ("m6i.xlarge", "running")
    assert instance["PrivateIpAddress"] == "10.1.0.7"


def test_line_ends_in_a_tag_arrive_as_they_were_given(cloud):
    tags = {"Name": "line\nbreak\r\nforged: yes"}
    instance_id = identifier(5000)
    one = {"accountId": "555555555555", "region": REGION, "instanceId": instance_id, "tags": tags}
    cloud.control("POST", "/ec2/instances", [one])
    client = cloud.session("555555555555", REGION).client("ec2")
    [instance] = described([client.describe_instances(InstanceIds=[instance_id])])

    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == tags


def test_the_identifier_filter_returns_those_that_exist_and_no_other(ec2):
    wanted = [identifier(1), identifier(2), identifier(99999)]
    found = described([ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": wanted}])])

    assert [instance["InstanceId"] for instance in found] == wanted[:2]


def test_filtered_instances_come_in_pages_without_loss_or_repetition(ec2):
    wanted = [identifier(number) for number in range(120)]
    pages = list(
        ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-id", "Values": wanted}], PaginationConfig={"PageSize": 50}
        )
    )
    assert [len(described([page])) for page in pages] == [50, 50, 20]
    assert [instance["InstanceId"] for instance in described(pages)] == wanted


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"Filters": [{"Name": "nonsense", "Values": ["1"]}]}, "InvalidParameterValue"),
        ({"InstanceIds": ["i-0000000000000ffff"]}, "InvalidInstanceID.NotFound"),
        ({"InstanceIds": [identifier(1)], "MaxResults": 5}, "InvalidParameterCombination"),
        (
            {"MaxResults": 5, "NextToken": "bm9uc2Vuc2U="},
            "InvalidNextToken",
        ),  # checkov:skip=CKV_SECRET_6:says "nonsense"
    ],
)
def test_what_aws_refuses_is_refused(ec2, request_, code):
    with pytest.raises(ClientError) as refused:
        ec2.describe_instances(**request_)
    assert refused.value.response["Error"]["Code"] == code


def test_tags_and_state_change_and_show_in_the_truth(cloud, ec2):
    where = {"accountId": ACCOUNT, "region": REGION}
    changes = [
        {**where, "instanceId": identifier(1000), "tags": {"Name": "renamed"}},
        {**where, "instanceId": identifier(1001), "state": "terminated"},
        {**where, "instanceId": "i-00000000000fffff", "state": "stopped"},
    ]
    assert cloud.control("PATCH", "/ec2/instances", changes) == {"changed": 2}

    found = described([ec2.describe_instances(InstanceIds=[identifier(1000), identifier(1001)])])
    truth = {item["instanceId"]: item for item in cloud.control("GET", "/ec2/instances")["instances"]}
    assert found[0]["Tags"] == [{"Key": "Name", "Value": "renamed"}]
    assert found[1]["State"] == {"Code": 48, "Name": "terminated"}
    assert truth[identifier(1000)]["tags"] == {"Name": "renamed"}
    assert truth[identifier(1001)]["state"] == "terminated"


def test_another_account_sees_none_of_them(cloud, ec2):
    other = cloud.session("333333333333", REGION).client("ec2")
    assert described([other.describe_instances()]) == []

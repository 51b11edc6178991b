"""Patch `sqs_batch_actions`."""

import json

import pytest
from botocore.exceptions import ClientError

HUB = "111111111111"


@pytest.fixture
def sender(cloud, queues, name):
    """An SQS client that may send to one queue and nothing else."""
    iam, sts = cloud.hub().client("iam"), cloud.hub().client("sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queues.arn("AsyncFailures")}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=policy)
    credentials = sts.assume_role(RoleArn=f"arn:aws:iam::{HUB}:role/{name}", RoleSessionName="test")["Credentials"]
    return cloud.hub().client(
        "sqs",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def test_a_batch_needs_the_permission_of_the_single_operation(sender, queues, name):
    entries = [{"Id": "1", "MessageBody": name}]

    assert sender.send_message_batch(QueueUrl=queues.url("AsyncFailures"), Entries=entries)["Successful"]
    with pytest.raises(ClientError) as refused:
        sender.send_message_batch(QueueUrl=queues.url("Other"), Entries=entries)
    assert refused.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}

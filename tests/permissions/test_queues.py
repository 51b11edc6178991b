"""Queues refuse other accounts and plain HTTP, whatever the caller's own policy says."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.integration.customers import HUB, TARGET
from tests.integration.stack import QUEUES


@pytest.fixture(scope="module")
def almighty(world):
    """A session of a role of the hub that may do everything."""
    sts = world.cloud.hub().client("sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"}, "Action": "sts:AssumeRole"}
    grant = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    trusted, granted = (json.dumps({"Version": "2012-10-17", "Statement": [one]}) for one in (trust, grant))
    arn = world.iam.create_role(RoleName="almighty", AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    world.iam.put_role_policy(RoleName="almighty", PolicyName="all", PolicyDocument=granted)
    credentials = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return world.cloud.hub().client(
        "sqs",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


@pytest.mark.parametrize("queue", QUEUES)
def test_another_account_is_refused(world, queue):
    foreign = world.cloud.session(TARGET, "us-east-1").client("sqs")
    with pytest.raises(ClientError, match="AccessDenied"):
        foreign.send_message(QueueUrl=world.stack.url(queue), MessageBody="x")


@pytest.mark.parametrize("queue", QUEUES)
def test_another_account_is_refused_even_where_somebody_lets_it_in(world, queue):
    """An Allow that is added to the policy, by mistake or on purpose, does not help it."""
    url, sqs = world.stack.url(queue), world.cloud.hub().client("sqs")
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    document = json.loads(before)
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    document["Statement"].append(anybody)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(document)})
    try:
        test_another_account_is_refused(world, queue)
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": before})


@pytest.mark.parametrize("queue", QUEUES)
def test_plain_http_is_refused_even_to_those_who_may_do_everything(world, almighty, queue):
    url = world.stack.url(queue)
    assert almighty.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]

    def plain(request, **_):
        request.headers.add_header("x-forwarded-proto", "http")

    almighty.meta.events.register("before-sign.sqs", plain)
    try:
        with pytest.raises(ClientError, match="explicit deny"):
            almighty.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    finally:
        almighty.meta.events.unregister("before-sign.sqs", plain)

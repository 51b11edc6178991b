"""Who asks, and how: a role is trusted by its ARN with its path, and a queue refuses plain HTTP and foreign callers."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.cloud.test_access import CUSTOMER, HUB, client, create_role

PATH = "/sample/dev/worker/"
SERVED = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"}, "Action": "sts:AssumeRole"}


@pytest.fixture(scope="module")
def worker(cloud):
    """A role at a path of the hub, and its credentials."""
    iam, sts = cloud.hub().client("iam"), cloud.hub().client("sts")
    allowed = [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"},
        {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"},
    ]
    document = {"Version": "2012-10-17", "Statement": [SERVED]}
    role = iam.create_role(RoleName="pathed", Path=PATH, AssumeRolePolicyDocument=json.dumps(document))["Role"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName="pathed", PolicyName="allowed", PolicyDocument=policy)
    return sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]


@pytest.mark.parametrize(
    ("pattern", "let_in"),
    [
        (f"arn:aws:iam::{HUB}:role{PATH}*", True),
        (f"arn:aws:iam::{HUB}:role/other/*", False),
        (f"arn:aws:sts::{HUB}:assumed-role/pathed/*", False),
    ],
)
def test_a_session_is_known_by_its_roles_arn(cloud, worker, name, pattern, let_in):
    iam = cloud.session(CUSTOMER).client("iam")
    nothing = [{"Effect": "Deny", "Action": "*", "Resource": "*"}]
    create_role(iam, name, {"AWS": f"arn:aws:iam::{HUB}:root"}, nothing, {"ArnLike": {"aws:PrincipalArn": pattern}})

    def assume():
        client(cloud, "sts", worker).assume_role(RoleArn=f"arn:aws:iam::{CUSTOMER}:role/{name}", RoleSessionName="test")

    if let_in:
        assume()
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            assume()


def test_a_queue_may_refuse_plain_http(cloud, worker, name):
    url = queue(cloud, name, {"Bool": {"aws:SecureTransport": "false"}})
    sqs = client(cloud, "sqs", worker, "us-east-1")

    assert sqs.send_message(QueueUrl=url, MessageBody="encrypted")["MessageId"]
    sqs.meta.events.register("before-sign.sqs", lambda request, **_: request.headers.add_header(*PLAIN))
    with pytest.raises(ClientError, match="explicit deny"):
        sqs.send_message(QueueUrl=url, MessageBody="plain")


PLAIN = ("x-forwarded-proto", "http")


def test_callers_with_an_identity_are_no_service(cloud, worker, name):
    url = queue(cloud, name, {"Bool": {"aws:PrincipalIsAWSService": "false"}})
    with pytest.raises(ClientError, match="explicit deny"):
        client(cloud, "sqs", worker, "us-east-1").send_message(QueueUrl=url, MessageBody="x")


def queue(cloud, name, refused):
    sqs = cloud.hub().client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*", "Condition": refused}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})
    return url

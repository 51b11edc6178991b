"""IAM, as MiniStack enforces it without a patch: the product's security rests on it."""

import json

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sandbox.cloud.client import InvocationError

HUB, CUSTOMER = "111111111111", "444444444444"


@pytest.fixture(scope="module")
def caller(cloud):
    """A role of the hub that may assume roles and call one path of the API, and its credentials."""
    iam, sts = cloud.hub().client("iam"), cloud.hub().client("sts")
    allowed = [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"},
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:*:*:*/api/GET/*"},
    ]
    create_role(iam, "caller", {"AWS": f"arn:aws:iam::{HUB}:root"}, allowed)
    return sts.assume_role(RoleArn=f"arn:aws:iam::{HUB}:role/caller", RoleSessionName="test")["Credentials"]


def create_role(iam, name, principal, statements, condition=None):
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition or {}}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=policy)


@pytest.fixture(scope="module")
def reader(cloud):
    """A role in a customer's account, trusted to the hub with an external ID."""
    iam = cloud.session(CUSTOMER).client("iam")
    statements = [{"Effect": "Allow", "Action": ["drs:DescribeSourceServers", "ec2:Describe*"], "Resource": "*"}]
    condition = {"StringEquals": {"sts:ExternalId": "secret"}}
    create_role(iam, "reader", {"AWS": f"arn:aws:iam::{HUB}:root"}, statements, condition)
    return f"arn:aws:iam::{CUSTOMER}:role/reader"


def client(cloud, service, credentials, region="eu-west-1"):
    return cloud.hub().client(
        service,
        region_name=region,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def code_of(refused):
    return refused.value.response["Error"]["Code"]


def test_a_function_runs_as_its_role_and_talks_to_the_cloud_only(cloud):
    probe = cloud.outputs.resources["Probe"]
    seen = cloud.invoke(probe, {"identity": True})

    assert seen["endpoint"] == cloud.outputs.endpoint
    assert seen["identity"].endswith(f"/{probe}")
    assert f"{HUB}:assumed-role/sample-ProbeRole" in seen["identity"]
    assert seen["environment"] == {}


def test_a_function_may_do_only_what_its_policy_allows(cloud):
    with pytest.raises(InvocationError, match="not authorized to perform: dynamodb:PutItem"):
        cloud.invoke(cloud.outputs.resources["Probe"], {"table": "sample-partial"})


@pytest.mark.parametrize("external_id", [{}, {"ExternalId": "wrong"}])
def test_a_role_is_refused_without_its_external_id(cloud, caller, reader, external_id):
    with pytest.raises(ClientError) as refused:
        client(cloud, "sts", caller).assume_role(RoleArn=reader, RoleSessionName="test", **external_id)
    assert code_of(refused) == "AccessDenied"


def test_an_assumed_role_sees_its_own_account_and_does_only_what_it_may(cloud, caller, reader):
    sts = client(cloud, "sts", caller)
    credentials = sts.assume_role(RoleArn=reader, RoleSessionName="test", ExternalId="secret")["Credentials"]
    cloud.control(
        "POST", "/accounts", {"accountId": CUSTOMER, "regions": {"eu-west-1": {"optedIn": True, "initialised": True}}}
    )
    drs = client(cloud, "drs", credentials)
    cloud.reset_calls()

    assert drs.describe_source_servers(filters={})["items"] == []
    with pytest.raises(ClientError) as refused:
        drs.delete_source_server(sourceServerID="s-00000000000000000")
    assert code_of(refused) == "AccessDeniedException"
    assert [(call["operation"], call["account"], call["region"], call["calls"]) for call in cloud.calls("drs")] == [
        ("DeleteSourceServer", CUSTOMER, "eu-west-1", 1),
        ("DescribeSourceServers", CUSTOMER, "eu-west-1", 1),
    ]


def test_the_api_wants_a_signature_and_a_permission(cloud, caller):
    credentials = Credentials(caller["AccessKeyId"], caller["SecretAccessKey"], caller["SessionToken"])

    assert cloud.api("POST", "signed", {"a": 1}).json() == {"ok": True, "body": {"a": 1}}
    assert cloud.api("GET", "signed", signed=False).status_code == 403
    assert cloud.api("GET", "signed", credentials=credentials).status_code == 200
    assert cloud.api("POST", "signed", {}, credentials=credentials).status_code == 403

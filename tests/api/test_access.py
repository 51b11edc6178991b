"""Who may call the API: every route but health needs a signature, and a policy that allows it."""

import json
import re

import pytest
from botocore.credentials import Credentials

from chalicelib.api.openapi import document
from chalicelib.api.table import OPERATIONS

GIVEN = {
    "accountId": "222222222222",
    "stagingAccountId": "333333333333",
    "region": "eu-west-1",
    "runId": "some-run",
    "sourceServerId": "s-00000000000000000",
}
PROTECTED = [
    (method.upper(), re.sub(r"{(\w+)}", lambda name: GIVEN[name[1]], path).lstrip("/"))
    for path, item in document(OPERATIONS.values())["paths"].items()
    for method in item
    if path != "/health"
]
each_route = pytest.mark.parametrize(("method", "path"), PROTECTED, ids=[" ".join(one) for one in PROTECTED])


@pytest.fixture(scope="module")
def users(deployed):
    """Two users of the hub account: one may invoke the API, one may do everything else."""
    iam = deployed.cloud.hub().client("iam")
    statements = {
        "allowed": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}],
        "not-allowed": [{"Effect": "Allow", "NotAction": "execute-api:*", "Resource": "*"}],
    }
    made = {}
    for name, statement in statements.items():
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        made[name] = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    return made


def status(deployed, method, path, **how):
    body = {} if method in ("POST", "PUT") else None
    return deployed.cloud.api(method, path, body, **how).status_code


def test_no_route_was_forgotten():
    assert len(PROTECTED) == sum(bool(one.path) for one in OPERATIONS.values())  # without health, with the document


def test_health_is_open(deployed):
    assert status(deployed, "GET", "health", signed=False) == 200


@each_route
def test_an_unsigned_request_is_refused(deployed, method, path):
    assert status(deployed, method, path, signed=False) == 403


@each_route
def test_a_signature_with_a_wrong_secret_is_refused(deployed, users, method, path):
    wrong = Credentials(users["allowed"].access_key, "not-the-secret")
    assert status(deployed, method, path, credentials=wrong) == 403


@each_route
def test_who_may_not_invoke_the_api_is_refused(deployed, users, method, path):
    assert status(deployed, method, path, credentials=users["not-allowed"]) == 403


@each_route
def test_who_may_invoke_the_api_is_not(deployed, users, method, path):
    """Else the others would be refused for another reason."""
    assert status(deployed, method, path, credentials=users["allowed"]) != 403


def test_the_signature_of_another_request_is_refused(deployed, users):
    signed = deployed.cloud._signed("GET", f"{deployed.cloud.outputs.api_url}/regions", None, {}, users["allowed"])
    response = deployed.cloud.api("GET", "accounts", signed=False, headers=signed)
    assert response.status_code == 403


def test_an_unknown_access_key_is_refused(deployed):
    nobody = Credentials("AKIAIOSFODNN7EXAMPLE", "secret")  # checkov:skip=CKV_SECRET_2:AWS's own example
    assert status(deployed, "GET", "regions", credentials=nobody) == 403

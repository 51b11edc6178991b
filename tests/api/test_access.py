"""Who may call the API: every route but health needs a signature, and a policy that allows it."""

import json
import re

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

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
        "viewer": None,
        "operator": None,
        # Somebody who may do everything, but for what the operator's policy forbids
        "powerful operator": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    managed = {"viewer": "ViewerPolicyArn", "operator": "OperatorPolicyArn", "powerful operator": "OperatorPolicyArn"}
    made = {}
    for name, statement in statements.items():
        user = name.replace(" ", "-")
        iam.create_user(UserName=user)
        if statement:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
            iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=policy)
        if name in managed:
            iam.attach_user_policy(UserName=user, PolicyArn=deployed.cloud.outputs.stack[managed[name]])
        key = iam.create_access_key(UserName=user)["AccessKey"]
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


def test_no_question_changes_anything_or_enters_an_account():
    for operation in OPERATIONS.values():
        if operation.method == "GET":
            assert not operation.audited, operation.name


@each_route
def test_a_viewer_asks_questions_and_no_more(deployed, users, method, path):
    answered = status(deployed, method, path, credentials=users["viewer"])
    assert (answered == 403) is (method != "GET")


@each_route
def test_an_operator_may_do_everything(deployed, users, method, path):
    assert status(deployed, method, path, credentials=users["operator"]) != 403


def invoke(deployed, credentials, function, event):
    """Return the answer of a function, or the code of the refusal."""
    key = {"aws_access_key_id": credentials.access_key, "aws_secret_access_key": credentials.secret_key}
    outputs = deployed.cloud.outputs
    client = boto3.client("lambda", outputs.region, endpoint_url=outputs.endpoint, **key)
    try:
        answer = client.invoke(FunctionName=outputs.resources[function], Payload=json.dumps(event).encode())
    except ClientError as error:
        return error.response["Error"]["Code"]
    return json.loads(answer["Payload"].read())


QUESTION, CHANGE = {"operation": "list_regions"}, {"operation": "sync_tags"}


def test_a_viewer_may_invoke_what_answers_questions(deployed, users):
    assert "regions" in invoke(deployed, users["viewer"], "OperationsRead", QUESTION)
    assert invoke(deployed, users["viewer"], "OperationsRead", CHANGE)["error"] == "UNKNOWN_OPERATION"
    assert invoke(deployed, users["viewer"], "Operations", QUESTION) == "AccessDeniedException"


def test_an_operator_may_invoke_both(deployed, users):
    assert "regions" in invoke(deployed, users["operator"], "OperationsRead", QUESTION)
    assert "runId" in invoke(deployed, users["operator"], "Operations", CHANGE)


@pytest.mark.parametrize("function", ["APIHandler", "AccountProbe", "Maintenance"])
@pytest.mark.parametrize("user", ["viewer", "operator", "powerful operator"])
def test_nobody_goes_past_the_api_with_a_caller_of_his_own_making(deployed, users, user, function):
    forged = {"httpMethod": "GET", "path": "/regions", "requestContext": {"identity": {"userArn": "arn:somebody:else"}}}
    assert invoke(deployed, users[user], function, forged) == "AccessDeniedException"

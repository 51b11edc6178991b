"""The REST API: who may call it, pages of servers, runs."""

import json
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials

from .customers import STAGING, TARGET, scope
from .waiting import eventually

REGIONS = ("eu-west-1", "us-east-2")
PROTECTED = [("GET", "regions"), ("GET", "servers"), ("POST", "syncs"), ("GET", "syncs/some-run")]


@pytest.fixture
def user(deployed):
    """Make a user of the hub account with a policy, and return its credentials."""
    iam = deployed.cloud.hub().client("iam")

    def make(action):
        iam.create_user(UserName="caller")
        if action:
            statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName="caller", PolicyName="own", PolicyDocument=document)
        key = iam.create_access_key(UserName="caller")["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    yield make
    for name in iam.list_user_policies(UserName="caller")["PolicyNames"]:
        iam.delete_user_policy(UserName="caller", PolicyName=name)
    for key in iam.list_access_keys(UserName="caller")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="caller", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="caller")


@pytest.fixture
def servers(stack, customers):
    """Seven servers in four scopes."""
    customers.register()
    planted = [
        *customers.plant(TARGET, REGIONS[0], 3),
        *customers.plant(TARGET, REGIONS[1], 1),
        *customers.plant(STAGING, REGIONS[0], 1),
        *customers.plant(STAGING, REGIONS[1], 2),
    ]
    stack.scan(*[(account, region) for account in (TARGET, STAGING) for region in REGIONS])
    return planted


def get(stack, path):
    response = stack.cloud.api("GET", path)
    assert response.status_code == 200, response.text
    return response.json()


def pages(stack, query, limit):
    token = ""
    while token is not None:
        page = get(stack, f"servers?limit={limit}{query}" + (f"&nextToken={quote(token)}" if token else ""))
        assert len(page["servers"]) <= limit
        yield page
        token = page["nextToken"]


def test_health_is_open(deployed):
    response = deployed.cloud.api("GET", "health", signed=False)
    assert (response.status_code, response.json()) == (200, {"status": "OK"})


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_an_unsigned_request_is_refused(deployed, method, path):
    assert deployed.cloud.api(method, path, signed=False).status_code == 403


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_a_signature_with_a_wrong_secret_is_refused(deployed, user, method, path):
    credentials = user("execute-api:Invoke")
    wrong = Credentials(credentials.access_key, "not-the-secret")
    assert deployed.cloud.api(method, path, credentials=wrong).status_code == 403


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_an_unknown_key_is_refused(deployed, method, path):
    nobody = Credentials("AKIAIOSFODNN7EXAMPLE", "secret")  # checkov:skip=CKV_SECRET_2:AWS's own example
    assert deployed.cloud.api(method, path, credentials=nobody).status_code == 403


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_a_user_without_permission_is_refused(deployed, user, method, path):
    assert deployed.cloud.api(method, path, credentials=user("s3:ListBucket")).status_code == 403


def test_a_user_with_permission_is_let_in(deployed, user):
    assert deployed.cloud.api("GET", "regions", credentials=user("execute-api:Invoke")).status_code == 200


def test_pages_hold_each_server_exactly_once(stack, servers):
    wanted = sorted(server.server_id for server in servers)
    for limit in (1, 2, 3, 7, 100):
        found = [server["sourceServerID"] for page in pages(stack, "", limit) for server in page["servers"]]
        assert sorted(found) == wanted, limit


def test_pages_of_every_query_hold_its_servers_exactly_once(stack, servers):
    queries = {
        f"&region={REGIONS[0]}": lambda server: server.region == REGIONS[0],
        f"&accountId={STAGING}": lambda server: server.account_id == STAGING,
        f"&accountId={TARGET}&region={REGIONS[1]}": lambda s: (s.account_id, s.region) == (TARGET, REGIONS[1]),
        f"&stagingAccountId={STAGING}": lambda server: server.account_id == STAGING,
    }
    for query, kept in queries.items():
        found = [server["sourceServerID"] for page in pages(stack, query, 2) for server in page["servers"]]
        assert sorted(found) == sorted(server.server_id for server in servers if kept(server)), query


def test_a_server_is_shown_with_what_ec2_and_drs_say(stack, servers):
    shown = {server["sourceServerID"]: server for server in get(stack, "servers")["servers"]}
    server = servers[0]
    body = shown[server.server_id]

    assert body["sourceTags"] == server.ec2_tags
    assert body["drsTags"] == {"agent": "theirs", **server.ec2_tags}
    assert (body["hostname"], body["replicationRegion"], body["replicationState"]) == (
        server.hostname,
        server.region,
        "CONTINUOUS",
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("limit=201", "limit"),
        ("accountId=12", "accountId"),
        ("region=Mars", "region"),
        ("nextToken=abc", "nextToken"),
        ("sort=hostname", "sort"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_by_name(deployed, query, field):
    response = deployed.cloud.api("GET", f"servers?{query}")

    assert (response.status_code, response.json()["error"]) == (400, "INVALID_REQUEST")
    assert response.json()["message"].startswith(f"{field}:")


def test_a_token_of_another_query_is_refused(stack, servers):
    token = get(stack, "servers?limit=1")["nextToken"]
    response = stack.cloud.api("GET", f"servers?limit=1&region={REGIONS[0]}&nextToken={quote(token)}")

    assert response.status_code == 400
    assert "nextToken" in response.json()["message"]


def test_a_sync_is_accepted_and_can_be_followed_to_its_end(stack, servers):
    response = stack.cloud.api("POST", "syncs", {"kind": "inventory"})
    assert response.status_code == 202
    run = response.json()
    assert run["plannedScopes"] == 4

    progress = eventually(lambda: (seen := get(stack, f"syncs/{run['runId']}"))["status"] == "DONE" and seen)
    assert (progress["done"], progress["waiting"], progress["failed"]) == (4, 0, 0)
    assert progress["counts"]["servers"] == len(servers)
    assert {(part["accountId"], part["region"]) for part in progress["scopes"]} == {
        (account, region) for account in (TARGET, STAGING) for region in REGIONS
    }


def test_a_sync_of_named_scopes_touches_these_alone(stack, servers):
    stack.forget_calls()
    body = {"kind": "inventory", "scopes": [scope(TARGET, REGIONS[1])], "wait": 20}
    answer = stack.cloud.api("POST", "syncs", body).json()

    assert answer["regionCounts"] == {REGIONS[1]: 1}
    assert stack.calls("drs") == {("drs", "DescribeSourceServers", TARGET, REGIONS[1]): 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{not json", "body"),
        ([], "body"),
        ({}, "kind"),
        ({"kind": "everything"}, "kind"),
        ({"kind": "tags", "dryRun": "perhaps"}, "dryRun"),
        ({"kind": "tags", "wait": -1}, "wait"),
        ({"kind": "tags", "scopes": "all"}, "scopes"),
        ({"kind": "tags", "scopes": [{"region": "eu-west-1"}]}, "scopes.0.accountId"),
        ({"kind": "tags", "color": "red"}, "color"),
        ({"kind": "inventory", "dryRun": True}, "dryRun"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_by_name(deployed, body, field):
    response = deployed.cloud.api("POST", "syncs", body)

    assert (response.status_code, response.json()["error"]) == (400, "INVALID_REQUEST")
    assert response.json()["message"].startswith(f"{field}:")


def test_an_unknown_run_is_not_found(deployed):
    response = deployed.cloud.api("GET", "syncs/no-such-run")
    assert (response.status_code, response.json()["error"]) == (404, "NOT_FOUND")


def test_an_unknown_account_is_not_found(deployed):
    for response in (
        deployed.cloud.api("GET", "servers?accountId=999999999999"),
        deployed.cloud.api("POST", "syncs", {"kind": "tags", "scopes": [scope("999999999999", "eu-west-1")]}),
    ):
        assert (response.status_code, response.json()["error"]) == (404, "NOT_FOUND")

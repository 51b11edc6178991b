"""The cloud's front door: what a page in a browser, or a program without the secret, can do. Nothing."""

import json
import stat
from dataclasses import replace

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sandbox.cloud import deployment
from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.outputs import SECRET_HEADER

ROLE = "arn:aws:iam::111111111111:role/planted"
FUNCTION = {
    "FunctionName": "planted",
    "Runtime": "python3.11",
    "Role": ROLE,
    "Handler": "index.handler",
    "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="},
}
ATTACK = [
    ("/", "Action=CreateRole&Version=2010-05-08&RoleName=planted&AssumeRolePolicyDocument={}"),
    ("/2015-03-31/functions", json.dumps(FUNCTION)),
    ("/2015-03-31/functions/planted/invocations", "{}"),
]
"""What a page can send without asking first: POST with a content type that is safelisted (Fetch standard)."""

FROM_A_PAGE = [
    {"Origin": "https://example.com", "Referer": "https://example.com/", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Referer": "https://example.com/"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "rebound.example.com"},
    {"Authorization": "Basic eDp5"},
    {},
]


@pytest.fixture
def http(cloud):
    with httpx.Client(base_url=cloud.outputs.endpoint, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("headers", FROM_A_PAGE, ids=lambda headers: "+".join(headers) or "nothing")
def test_a_page_cannot_make_and_run_a_function(cloud, http, headers):
    for path, body in ATTACK:
        sent = {"Content-Type": "text/plain", **headers}
        response = http.post(path, content=body, headers=sent)
        assert response.status_code == 403, path
        assert not [name for name in response.headers if name.startswith("access-control-")]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        cloud.hub().client("lambda").get_function(FunctionName="planted")


@pytest.mark.parametrize("headers", FROM_A_PAGE[:6], ids="+".join)
def test_what_comes_from_a_page_is_refused_with_the_secret_too(cloud, http, headers):
    known = {SECRET_HEADER: cloud.outputs.secret_access_key}
    assert http.get("/_sim/health", headers=known).status_code == 200
    assert http.get("/_sim/health", headers={**known, **headers}).status_code == 403


@pytest.mark.parametrize("path", ["/_sim/health", "/_sim/truth", "/_ministack/health", "/_localstack/health", "/"])
@pytest.mark.parametrize("secret", [None, "", "wrong"])
def test_what_nobody_signed_needs_the_secret(http, path, secret):
    headers = {} if secret is None else {SECRET_HEADER: secret}
    response = http.get(path, headers=headers)
    assert response.status_code == 403
    assert "outputs.json" in response.json()["error"]


def test_preflights_are_refused(http):
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    response = http.options("/2015-03-31/functions", headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("account", ["111111111111", "222222222222", "test"])
def test_a_root_signs_with_the_secret_of_this_start(cloud, account):
    assert deployment.session(cloud.outputs, account).client("sts").get_caller_identity()
    stranger = replace(cloud.outputs, secret_access_key="local")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        deployment.session(stranger, account).client("sts").get_caller_identity()


def test_a_body_that_was_not_signed_is_refused(cloud, http):
    key = Credentials(cloud.outputs.access_key_id, cloud.outputs.secret_access_key)
    url, body = f"{cloud.outputs.endpoint}/", "Action=GetCallerIdentity&Version=2011-06-15"
    signed = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    SigV4Auth(key, "sts", cloud.outputs.region).add_auth(signed)
    assert http.post("/", content=body, headers=dict(signed.headers)).status_code == 200
    assert http.post("/", content=body + "&x=y", headers=dict(signed.headers)).status_code == 403


def test_only_this_user_reads_the_state(cloud, tmp_path):
    path = tmp_path / "outputs.json"
    cloud.outputs.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SandboxCloud.from_file(path).outputs == cloud.outputs
    replace(cloud.outputs, pid=1).write(path)  # written over: still nobody else's
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

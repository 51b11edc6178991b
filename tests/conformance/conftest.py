"""The two clouds that must behave alike: moto in this process, and MiniStack in a process of its own."""

import json
import os
import socket
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import boto3
import pytest
import requests
import urllib3
from botocore.config import Config
from moto import mock_aws

from sandbox.drs import moto_backend
from sandbox.drs.control import control
from sandbox.drs.validation import violations

TARGET, STAGING, STRANGER = "111111111111", "222222222222", "333333333333"
REGION = "eu-west-1"

ROOT = Path(__file__).parents[2]
HTTP = urllib3.PoolManager()
SESSION = boto3.Session(region_name=REGION)


def require_conformant(http_response, parsed, model, **_):
    """Every success of every test: the body has nothing that the model does not know, and satisfies its constraints."""
    if http_response.status_code >= 300 or model.output_shape is None:
        return
    members = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
    assert json.loads(http_response.content or b"{}") == members
    assert list(violations(model.output_shape, members)) == []


@lru_cache(maxsize=256)
def drs_client(endpoint, account, region, checked, timeout):
    config = Config(
        retries={"total_max_attempts": 1}, parameter_validation=checked, read_timeout=timeout, max_pool_connections=20
    )
    keys = {"aws_access_key_id": account, "aws_secret_access_key": "test"}
    client = SESSION.client("drs", region, endpoint_url=endpoint, config=config, **keys)
    client.meta.events.register("after-call.drs", require_conformant)
    return client


def _authorization(account, region=REGION):
    credential = f"Credential={account}/20260101/{region}/drs/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"}


class MotoCloud:
    endpoint = None

    def raw(self, method, path, body, account):
        # By `requests`, which moto intercepts as well.
        url = f"https://drs.{REGION}.amazonaws.com{path}"
        answer = requests.request(method, url, data=body, headers=_authorization(account), timeout=10)
        return answer.status_code, answer.headers, answer.content

    def control(self, method, path, body=None):
        return control(method, path, body)


class HttpCloud:
    def __init__(self, endpoint):
        self.endpoint = endpoint

    def raw(self, method, path, body, account):
        answer = HTTP.request(method, self.endpoint + path, body=body, headers=_authorization(account))
        return answer.status, answer.headers, answer.data

    def control(self, method, path, body=None):
        answer = HTTP.request(method, f"{self.endpoint}/_sim{path}", json=body or {})
        return answer.status, answer.json()


class Cloud:
    """What a test sees: clients of any account, and the control API."""

    def __init__(self, host):
        self._host = host
        self.endpoint = host.endpoint

    def client(self, account=TARGET, region=REGION, *, checked=True, timeout=10):
        """A DRS client; with checked=False botocore sends what the model forbids. Every success is checked."""
        return drs_client(self.endpoint, account, region, checked, timeout)

    def raw(self, method, path, body=b"", account=TARGET):
        """Status, headers and body of a request that botocore would not send."""
        return self._host.raw(method, path, body, account)

    def control(self, method, path, body=None):
        """The answer of the control API, which must accept."""
        status, answer = self._host.control(method, path, body)
        assert status == 200, answer
        return answer

    def refused(self, method, path, body=None):
        """The fields that the control API complains of."""
        status, answer = self._host.control(method, path, body)
        assert status == 400, answer
        return [item["field"] for item in answer["fields"]]

    def account(self, account=TARGET, region=REGION, *, trusts=None, opted_in=True, initialised=True):
        regions = {region: {"optedIn": opted_in, "initialised": initialised}}
        self.control("POST", "/accounts", {"accountId": account, "regions": regions, "trusts": trusts})

    def servers(self, count=1, account=STAGING, region=REGION, *, force=False, **spec):
        """Add servers host-0, host-1, ... and return their IDs and ARNs."""
        specs = [{"accountId": account, "region": region, "hostname": f"host-{i}", **spec} for i in range(count)]
        return self.control("POST", "/servers", {"servers": specs, "force": force})["servers"]

    def change(self, server_id, account=STAGING, region=REGION, **changes):
        key = {"accountId": account, "region": region, "sourceServerID": server_id}
        self.control("PATCH", "/servers", {"servers": [{**key, **changes}]})

    def fault(self, **rule):
        self.control("POST", "/faults", {"rules": [rule]})

    def calls(self, operation):
        counted = self.control("GET", "/calls?service=drs")["calls"]
        return [(count["calls"], count["errors"]) for count in counted if count["operation"] == operation]


@pytest.fixture(scope="session")
def sandbox_endpoint():
    """The endpoint of a cloud with DRS and `/_sim/`: DRS_SANDBOX_ENDPOINT where one runs, else one of our own."""
    if running := os.environ.get("DRS_SANDBOX_ENDPOINT"):
        yield running
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_ACCOUNT_ID": TARGET,
        "PYTHONPATH": str(ROOT),
    }
    script = Path(__file__).with_name("ministack_with_drs.py")
    process = subprocess.Popen([sys.executable, str(script)], cwd=ROOT, env={**os.environ, **settings})
    try:
        yield _answering(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answering(endpoint, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if HTTP.request("GET", f"{endpoint}/_ministack/health", retries=False).status == 200:
                return endpoint
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"MiniStack does not answer (exit code {process.poll()})")


@pytest.fixture(params=["moto", "ministack"])
def cloud(request):
    """An empty cloud, twice: every test that asks for it runs against both adapters."""
    if request.param == "ministack":
        yield emptied(Cloud(HttpCloud(request.getfixturevalue("sandbox_endpoint"))))
        return
    moto_backend.register()
    with mock_aws():
        yield Cloud(MotoCloud())


@pytest.fixture
def http_cloud(sandbox_endpoint):
    """An empty cloud that is reached over HTTP."""
    return emptied(Cloud(HttpCloud(sandbox_endpoint)))


def emptied(cloud):
    cloud.control("POST", "/reset")
    return cloud


@pytest.fixture
def extendable(cloud):
    """TARGET may extend the servers of STAGING."""
    cloud.account(TARGET)
    cloud.account(STAGING, trusts=[TARGET])
    return cloud

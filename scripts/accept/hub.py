"""The deployed hub, asked as an operator asks it: its REST API, signed with the caller's credentials."""

import io
import json
import re
import time
import zipfile
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from sandbox.cloud.outputs import SECRET_HEADER
from scripts.accept.verdicts import FailedError
from scripts.deploy.functions import FUNCTION
from scripts.deploy.smoke import rest_api_url
from scripts.deploy.stack import Stack

HTTP_SECONDS = 60.0
THIS_MACHINE = ("127.0.0.1", "localhost")
SHIPPED = re.compile(r"botocore-([0-9][0-9.]*)\.dist-info/|botocore/__init__\.py$")


class Hub:
    """A hub.

    Args:
        session: the hub's account and region, with permission to call its API.
        stack_name: of its CloudFormation stack.
        poll_seconds: how often it is asked how far a run is.
    """

    def __init__(self, session: boto3.Session, stack_name: str, poll_seconds: float = 2.0) -> None:
        self.session = session
        self.stack = Stack(session.client("cloudformation"), stack_name)
        self._poll_seconds = poll_seconds

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return what the API answers.

        Raises:
            FailedError: it refuses.
        """
        content = b"" if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        request = AWSRequest(method=method, url=f"{self._url}{path}", data=content, headers=headers)
        SigV4Auth(self._credentials, "execute-api", self.session.region_name).add_auth(request)
        answer = httpx.request(
            method, f"{self._url}{path}", content=content, headers=dict(request.headers.items()), timeout=HTTP_SECONDS
        )
        if answer.is_error:
            raise FailedError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def finished(self, run_id: str, patience_seconds: float) -> dict[str, Any]:
        """Return a run's progress once all of its scopes are done.

        Raises:
            FailedError: they are not, after that time.
        """
        until = time.monotonic() + patience_seconds
        while True:
            progress: dict[str, Any] = self.call("GET", f"/syncs/{run_id}")
            if progress["status"] != "RUNNING":
                return progress
            if time.monotonic() > until:
                raise FailedError(f"{run_id}: {progress['waiting']} scopes still wait after {patience_seconds:.0f} s")
            time.sleep(self._poll_seconds)

    def versions(self) -> str:
        """Return what the API's function runs: its runtime, and the botocore of its package, if it has one."""
        name = self.stack.resources(FUNCTION)["APIHandler"]
        function = self.session.client("lambda").get_function(FunctionName=name)
        location = function["Code"]["Location"]
        code = httpx.get(location, headers=self._key_to(location), timeout=HTTP_SECONDS)
        code.raise_for_status()
        return f"{function['Configuration']['Runtime']}, botocore {shipped_botocore(code.content)}"

    def _key_to(self, location: str) -> dict[str, str]:
        """Return what the local cloud wants to see of who follows one of its addresses; nobody else is shown it."""
        return {SECRET_HEADER: self._credentials.secret_key} if urlsplit(location).hostname in THIS_MACHINE else {}

    @cached_property
    def _url(self) -> str:
        return rest_api_url(self.session, self.stack)

    @cached_property
    def _credentials(self) -> Any:
        credentials = self.session.get_credentials()
        if credentials is None:
            raise FailedError("no credentials to sign with")
        return credentials


def shipped_botocore(package: bytes) -> str:
    """Return the version of botocore that a package brings, or whose it is where it brings none."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        found = [match for name in archive.namelist() if (match := SHIPPED.search(name))]
    versions = [match.group(1) for match in found if match.group(1)]
    if versions:
        return versions[0]
    return "of the package, version not told" if found else "of Lambda's runtime"

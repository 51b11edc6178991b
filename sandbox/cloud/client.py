"""A small client of the local cloud, for tests and the demo."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from sandbox.cloud import deployment
from sandbox.cloud.outputs import SECRET_HEADER, Outputs

TIMEOUT_SECONDS = 60.0
LONGEST_INVOCATION_SECONDS = 900


class ControlError(Exception):
    """The control API refused a request; the message carries its answer."""


class InvocationError(Exception):
    """A function raised; the message carries its error."""


@dataclass(frozen=True)
class SandboxCloud:
    """A running cloud, seen from outside."""

    outputs: Outputs

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the cloud whose launcher wrote `path`.

        Raises:
            FileNotFoundError: no cloud runs there.
        """
        outputs = Outputs.read(path)
        if outputs is None:
            raise FileNotFoundError(f"{path}: no cloud runs there")
        return cls(outputs)

    def session(self, account_id: str, region: str | None = None) -> boto3.Session:
        """Return a boto3 session of `account_id`'s root, whose clients talk to this cloud."""
        return deployment.session(self.outputs, account_id, region)

    def hub(self) -> boto3.Session:
        """Return the boto3 session of the hub account's root."""
        return self._hub

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to the control API (`path` with or without `/_sim`) and return its JSON content.

        Raises:
            ControlError: it was refused.
        """
        path = path if path.startswith("/_sim") else f"/_sim/{path.lstrip('/')}"
        secret = {SECRET_HEADER: self.outputs.secret_access_key}
        content = None if body is None else json.dumps(body).encode()
        response = self._http.request(method, path, headers=secret, content=content)
        if response.is_error:
            raise ControlError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def calls(self, service: str | None = None) -> list[dict[str, Any]]:
        """Return the AWS API calls since the last reset: service, operation, account, region, calls, errors."""
        counted: list[dict[str, Any]] = self.control("GET", "/_sim/calls")["calls"]
        return [call for call in counted if service in (None, call["service"])]

    def reset_calls(self) -> None:
        """Forget the counted calls and item writes."""
        self.control("DELETE", "/_sim/calls")

    def tables(self) -> dict[str, int]:
        """Return the items written since the last reset, by name of the hub's table."""
        counts = self.control("GET", "/_sim/tables")["tables"]
        return {count["table"]: count["written"] for count in counts if count["accountId"] == self.outputs.hub_account}

    def api(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        signed: bool = True,
        headers: dict[str, str] | None = None,
        credentials: Credentials | None = None,
    ) -> httpx.Response:
        """Send a request to the stack's REST API and return the response, whatever its status.

        Args:
            method: HTTP method.
            path: below the stage, with its query string.
            body: JSON content; bytes are sent as they are.
            signed: with SigV4, as `execute-api`.
            headers: to add.
            credentials: whose signature; the hub's root by default.

        Raises:
            ValueError: the stack has no REST API.
        """
        if self.outputs.api_url is None:
            raise ValueError("the stack has no REST API")
        url = f"{self.outputs.api_url}/{path.lstrip('/')}"
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {**({"content-type": "application/json"} if content is not None else {}), **(headers or {})}
        if signed:
            sent = self._signed(method, url, content, sent, credentials)
        return self._http.request(method, url, content=content, headers=sent)

    def invoke(self, function_name: str, payload: object = None) -> Any:
        """Invoke a function of the hub, wait, and return what it returned.

        Raises:
            InvocationError: it raised.
        """
        response = self._lambda.invoke(FunctionName=function_name, Payload=json.dumps(payload).encode())
        result = json.loads(response["Payload"].read() or b"null")
        if "FunctionError" in response:
            raise InvocationError(f"{function_name}: {result}")
        return result

    def _signed(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: dict[str, str],
        credentials: Credentials | None,
    ) -> dict[str, str]:
        root = Credentials(self.outputs.access_key_id, self.outputs.secret_access_key)
        request = AWSRequest(method=method, url=url, data=content, headers=headers)
        SigV4Auth(credentials or root, "execute-api", self.outputs.region).add_auth(request)
        return dict(request.headers.items())

    @cached_property
    def _hub(self) -> boto3.Session:
        return self.session(self.outputs.hub_account)

    @cached_property
    def _lambda(self) -> Any:
        return self._hub.client("lambda", config=Config(read_timeout=LONGEST_INVOCATION_SECONDS))

    @cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(base_url=self.outputs.endpoint, trust_env=False, timeout=TIMEOUT_SECONDS)

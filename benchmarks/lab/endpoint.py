"""Answers botocore's requests in this process, counts them, and makes them wait."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore import handlers
from botocore.awsrequest import AWSResponse

from sandbox.drs import shared
from sandbox.drs.frontend import Request
from sandbox.faults import FaultRule

from .ec2 import Ec2
from .sqs import Sqs
from .sts import Sts, account_of
from .tables import Tables

HUB, HOME = "111111111111", "us-east-1"
CUSTOMER_SERVICES = ("drs", "ec2", "sts")
_CREDENTIAL = re.compile(rb"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/")


class Endpoint:
    """AWS, as one process sees it. The simulated services count; nobody else is asked."""

    def __init__(self, external_ids: dict[str, str]) -> None:
        self.ec2, self.sts, self.sqs, self.tables = Ec2(), Sts(external_ids), Sqs(), Tables(HUB, HOME)
        shared.reset()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Answer for every botocore session that is made meanwhile.

        As the last of the handlers: those that count requests before they leave are called all the same.
        """
        entry = ("before-send", self._answer, handlers.REGISTER_LAST)
        handlers.BUILTIN_HANDLERS.append(entry)
        try:
            yield
        finally:
            handlers.BUILTIN_HANDLERS.remove(entry)

    @contextmanager
    def latency(self, seconds: float) -> Iterator[None]:
        """Make every call to a customer account's service, and to STS, wait."""
        services = "|".join(CUSTOMER_SERVICES)
        shared.FAULTS.add([FaultRule(service=services, latency_seconds=seconds)])
        try:
            yield
        finally:
            shared.FAULTS.reset()

    def calls(self) -> Counter[str]:
        """Return the calls since `forget`, by `service:Operation`."""
        counted: Counter[str] = Counter()
        for count in shared.CALLS.counts():
            counted[f"{count.service}:{count.operation}"] += count.calls
        return counted

    def forget(self) -> None:
        """Forget calls and item writes."""
        shared.CALLS.reset()
        self.tables.writes.reset()

    def _answer(self, *, request: Any, event_name: str, **_: Any) -> AWSResponse:
        _before_send, service, operation = event_name.split(".", 2)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        status, answered, content = self._dispatch(service, operation, request, headers, body)
        return AWSResponse(request.url, status, answered, _Body(content))

    def _dispatch(
        self, service: str, operation: str, request: Any, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        credential = _CREDENTIAL.search(headers["authorization"].encode())
        if credential is None:
            raise LookupError(f"{service}:{operation} is not signed")
        account, region = account_of(credential["key"].decode()), credential["region"].decode()
        if service == "drs":
            reply = shared.FRONTEND.answer_blocking(_drs_request(account, region, request, body))
            return reply.status, dict(reply.headers), reply.body
        wait = shared.FAULTS.decide(service, operation, account, region).latency_seconds
        if wait:
            time.sleep(wait)
        status, content = self._hub_or_ec2(service, operation, account, region, headers, body)
        shared.CALLS.record(service, operation, account, region, error=status >= 400)
        return status, {}, content

    def _hub_or_ec2(
        self, service: str, operation: str, account: str, region: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        match service:
            case "ec2":
                return self.ec2.answer(account, region, body)
            case "sts":
                return self.sts.answer(body)
            case "sqs":
                return self.sqs.answer(operation, body)
            case "dynamodb":
                return self.tables.answer(operation, headers, body)
        raise LookupError(f"{service} is not simulated here")


class _Body:
    """A response's body, as urllib3 gives it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._content


def _drs_request(account: str, region: str, request: Any, body: bytes) -> Request:
    parts = urlsplit(request.url)
    return Request(account, region, request.method, unquote(parts.path), parse_qs(parts.query), body)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

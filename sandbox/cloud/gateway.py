"""Every AWS request on its way into the cloud: counted, made to suffer the faults in force, then dispatched.

The simulated DRS counts and fails its own calls (its unit tests need the same without a cloud), so its requests pass
through here untouched, except those that IAM refused before DRS saw them: they reached the cloud, and are counted.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from ministack import app as ministack_app
from ministack.core import iam_actions, router
from ministack.core.iam_evaluator import request_caller_arn
from ministack.core.responses import get_account_id

from sandbox.cloud.table_writes import TableWrites
from sandbox.faults import CallLog, Fault, FaultRules

Headers = dict[str, str]
Query = dict[str, list[str]]
Response = tuple[int, Headers, Any]
Handler = Callable[[str, str, Headers, bytes, Query], Awaitable[Response]]

SELF_COUNTING = frozenset({"drs"})
STATUS_BY_CODE = (
    (re.compile("Internal"), 500),
    (re.compile("Unavailable|RequestLimitExceeded|SlowDown"), 503),
    (re.compile("TooManyRequests"), 429),
    (re.compile("AccessDenied|Unauthorized|UnrecognizedClient|InvalidClientTokenId|ExpiredToken|OptIn"), 403),
)
"""The status with which AWS sends an error code, where a fault rule does not say (others: 400)."""

_counted_itself: ContextVar[list[bool]] = ContextVar("counted_itself")


class Gateway:
    """Counts calls and item writes, and applies fault rules, in front of MiniStack's dispatcher."""

    def __init__(self, calls: CallLog, faults: FaultRules, writes: TableWrites) -> None:
        self.calls = calls
        self.faults = faults
        self.writes = writes

    def install(self) -> None:
        """Put this gateway in front of MiniStack's dispatcher and mark the services that count for themselves."""
        dispatch = ministack_app._dispatch_service_request

        async def counted(
            method: str, path: str, headers: Headers, body: bytes, query: Query, request_id: str
        ) -> Response:
            async def inner() -> Response:
                response: Response = await dispatch(method, path, headers, body, query, request_id)
                return response

            return await self._pass(inner, method, path, headers, body, query, request_id)

        ministack_app._dispatch_service_request = counted
        for service in SELF_COUNTING & ministack_app.SERVICE_HANDLERS.keys():
            ministack_app.SERVICE_HANDLERS[service] = _marking(ministack_app.SERVICE_HANDLERS[service])

    async def _pass(
        self,
        dispatch: Callable[[], Awaitable[Response]],
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        query: Query,
        request_id: str,
    ) -> Response:
        parameters = ministack_app._routing_params(method, path, headers, body, query)
        service = router.detect_service(method, path, headers, parameters)
        account, region = get_account_id(), router.extract_region(headers, query)
        if service in SELF_COUNTING:
            counted = [False]
            _counted_itself.set(counted)
            response = await dispatch()
            if counted[0]:
                return response
            operation = operation_of(service, method, path, headers, parameters)
        else:
            operation = operation_of(service, method, path, headers, parameters)
            caller = request_caller_arn(headers, query)
            fault = self.faults.decide(service, operation, account, region, caller)
            response = await _with_fault(fault, dispatch, service, headers, request_id)
        self._record(service, operation, account, region, body, failed=response[0] >= 400)
        return response

    def _record(self, service: str, operation: str, account: str, region: str, body: bytes, *, failed: bool) -> None:
        self.calls.record(service, operation, account, region, error=failed)
        if service == "dynamodb":
            self.writes.record(operation, account, region, body, succeeded=not failed)


def _marking(handler: Handler) -> Handler:
    async def marked(method: str, path: str, headers: Headers, body: bytes, query: Query) -> Response:
        if (counted := _counted_itself.get(None)) is not None:
            counted[0] = True
        return await handler(method, path, headers, body, query)

    return marked


async def _with_fault(
    fault: Fault,
    dispatch: Callable[[], Awaitable[Response]],
    service: str,
    headers: Headers,
    request_id: str,
) -> Response:
    await asyncio.sleep(fault.latency_seconds)
    if fault.error and not fault.after_effect:
        return _error(fault, service, headers, request_id)
    response = await dispatch()
    await asyncio.sleep(fault.latency_after_seconds)
    return _error(fault, service, headers, request_id) if fault.error else response


def _error(fault: Fault, service: str, headers: Headers, request_id: str) -> Response:
    """Return the fault's error in the encoding of the request's protocol (MiniStack's own renderer of refusals)."""
    code = fault.error or ""
    _, response_headers, body = iam_actions.access_denied_response(
        service, "", "", request_id, error_code=code, message=fault.message, headers=headers
    )
    status = fault.status or next((status for pattern, status in STATUS_BY_CODE if pattern.search(code)), 400)
    if fault.members:
        body = _with_members(body, fault.members)
    retry_after = {} if fault.retry_after_seconds is None else {"Retry-After": str(fault.retry_after_seconds)}
    return status, {**response_headers, **retry_after, "x-amzn-requestid": request_id}, body


def _with_members(body: bytes, members: Mapping[str, Any]) -> bytes:
    """Return an error's body with further members of its shape; only the protocols with JSON can carry them."""
    return json.dumps({**json.loads(body), **members}).encode()


def operation_of(
    service: str, method: str, path: str, headers: Mapping[str, str], query: Mapping[str, Sequence[str]]
) -> str:
    """Return the name of the operation that a request calls, as botocore spells it; method and path where unknown."""
    if target := headers.get("x-amz-target", ""):
        return target.rsplit(".", 1)[-1]
    if action := query.get("Action"):
        return action[0]
    if rpc := re.search(r"/operation/(\w+)$", path):
        return rpc[1]
    return _rest_operation(service, method, path, query) or f"{method} {path}"


def _rest_operation(service: str, method: str, path: str, query: Mapping[str, Sequence[str]]) -> str | None:
    """Return the most specific route of botocore's models that fits: most literal path, then most query members.

    S3 tells some operations apart by host name only; the plainer one has the shorter name.
    """
    best: tuple[tuple[int, int, int], str] | None = None
    for model in iam_actions._BOTOCORE_SERVICE_MAP.get(service) or [service]:
        for verb, pattern, name, specificity, required in iam_actions._load_botocore_routes(model):
            if verb != method or not pattern.match(path.rstrip("/") or "/"):
                continue
            if all(key in query and (not value or value in query[key]) for key, value in required.items()):
                rank = (specificity, len(required), -len(name))
                best = max(best, (rank, name)) if best else (rank, name)
    return best[1] if best else None

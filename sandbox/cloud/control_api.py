"""The control API under `/_sim/`: the cloud's own requests, and the simulated DRS's for everything else.

The cloud's own: `GET health`, `GET tables`, `GET|DELETE decisions`, `GET|POST|PATCH ec2/instances`, `POST schedules`,
`POST workers/kill`.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pydantic import ValidationError

from sandbox.cloud import ec2_instances, schedules, workers
from sandbox.cloud.iam_decisions import IamDecisions
from sandbox.cloud.table_writes import TableWrites
from sandbox.drs.control import control as drs_control

PREFIX = "/_sim/"
FORGETTING = {("DELETE", "/_sim/calls"), ("POST", "/_sim/reset")}
"""Requests to the simulated DRS that reset the call log; the counts of item writes go with it."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]


def mounted(inner: AsgiApp, writes: TableWrites, decisions: IamDecisions) -> AsgiApp:
    """Return `inner` with the control API in front of it."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await inner(scope, receive, send)
            return
        query = scope.get("query_string", b"").decode()
        body = await _body(receive)
        status, content = await answer(scope["method"], scope["path"].rstrip("/"), query, body, writes, decisions)
        await _send_json(send, status, content)

    return app


async def answer(
    method: str, path: str, query: str, body: bytes, writes: TableWrites, decisions: IamDecisions
) -> Answer:
    """Return status and content of a control request."""
    try:
        match method, path:
            case "GET", "/_sim/health":
                return 200, {"pid": os.getpid()}
            case "GET", "/_sim/tables":
                return 200, {"tables": writes.counts()}
            case "GET", "/_sim/decisions":
                return 200, {"decisions": decisions.counts()}
            case "DELETE", "/_sim/decisions":
                decisions.reset()
                return 200, {}
            case "GET", "/_sim/ec2/instances":
                return 200, {"instances": ec2_instances.truth()}
            case "POST", "/_sim/ec2/instances":
                return 200, {"put": ec2_instances.put(ec2_instances.Instances.validate_json(body))}
            case "PATCH", "/_sim/ec2/instances":
                return 200, {"changed": ec2_instances.change(ec2_instances.Changes.validate_json(body))}
            case "POST", "/_sim/schedules":
                return 200, {"due": schedules.make_due(schedules.Due.model_validate_json(body))}
            case "POST", "/_sim/workers/kill":
                return 200, {"killed": await workers.kill(workers.Kill.model_validate_json(body))}
        content = json.loads(body) if body else None
    except (ValidationError, ValueError) as error:
        return 400, {"error": str(error)}
    if (method, path) in FORGETTING:
        writes.reset()
    return drs_control(method, f"{path}?{query}" if query else path, content)


async def _body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _send_json(send: Send, status: int, content: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})

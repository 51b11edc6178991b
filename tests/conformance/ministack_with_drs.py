"""A MiniStack with the simulated DRS and its control API, and nothing else: what the conformance suite needs."""

import asyncio
import json
import os

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack
from ministack.core import router

from sandbox.drs import ministack_service
from sandbox.drs.control import control


def register():
    ministack._loaded_modules["drs"] = ministack_service
    ministack.SERVICE_REGISTRY["drs"] = {"module": "drs"}
    ministack.SERVICE_HANDLERS["drs"] = ministack._lazy_handler("drs")
    router.SERVICE_PATTERNS["drs"] = {"credential_scope": "drs", "host_patterns": [r"^drs\."]}


async def app(scope, receive, send):
    if scope["type"] != "http" or not scope["path"].startswith("/_sim/"):
        await ministack.app(scope, receive, send)
        return
    body = await _body(receive)
    query = scope["query_string"].decode()
    status, answer = control(scope["method"], f"{scope['path']}?{query}", json.loads(body or b"{}"))
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def _body(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


if __name__ == "__main__":
    register()
    config = Config()
    config.bind = [f"{os.environ['BIND_HOST']}:{os.environ['GATEWAY_PORT']}"]
    config.graceful_timeout = 0.2
    asyncio.run(serve(app, config))

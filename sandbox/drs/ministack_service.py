"""The simulated DRS as a service module of MiniStack: callers, accounts, regions and IAM are MiniStack's.

The launcher registers this module under the name `drs`; nothing of MiniStack is patched here.
"""

import asyncio
from collections.abc import Mapping, Sequence

from ministack.core.iam_evaluator import request_caller_arn
from ministack.core.responses import get_account_id, get_region

from sandbox.drs import shared
from sandbox.drs.errors import Reply
from sandbox.drs.frontend import Request
from sandbox.drs.shared import CALLS, CLOUD, FAULTS

__all__ = ["CALLS", "CLOUD", "FAULTS", "get_state", "handle_request", "load_persisted_state", "reset"]


async def handle_request(
    method: str, path: str, headers: Mapping[str, str], body: bytes, query_params: Mapping[str, Sequence[str]]
) -> tuple[int, dict[str, str], bytes]:
    """Answer one request of the caller that MiniStack has identified (signature of every MiniStack service)."""
    request = Request(
        get_account_id(),
        get_region(),
        method,
        path,
        query_params,
        body,
        caller=request_caller_arn(dict(headers), dict(query_params)),
    )
    reply = await _answer(request)
    return reply.status, dict(reply.headers), reply.body


async def _answer(request: Request) -> Reply:
    answer = shared.FRONTEND.answer(request)
    while True:
        try:
            seconds = next(answer)
        except StopIteration as finished:
            reply: Reply = finished.value
            return reply
        await asyncio.sleep(seconds)


def reset() -> None:
    """Forget everything, when MiniStack is reset."""
    shared.reset()


def get_state() -> None:
    """Nothing is persisted: the sandbox is ephemeral."""


def load_persisted_state(data: object) -> None:
    """Nothing was persisted."""

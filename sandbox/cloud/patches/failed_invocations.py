"""Invocations in which the handler raised.

MiniStack: ends the execution environment, so that the next invocation is a cold start with empty caches; names the
error `Runtime.HandlerError`, whatever was raised.

AWS: keeps the environment unless the process died or timed out; `errorType` is the exception's class, `stackTrace` its
frames (https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html).

Mended: the process is kept while it lives, and the type is read from the last line of the traceback.
"""

import re
import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

UNNAMED = "Runtime.HandlerError"
EXCEPTION_LINE = re.compile(r"^(?:[\w]+\.)*(\w+)(?::|$)")
REAP_SECONDS = lambda_runtime._REAP_GRACE

_held = threading.local()


def apply() -> None:
    """Keep the process of a handler that raised, and name the error after the exception."""
    _keep_the_environment()
    _name_the_error()


def _keep_the_environment() -> None:
    """Hold back the end of the process that `Worker.invoke` asks for, until it is known why it asked."""
    signal, collect, invoke = lambda_runtime._signal, lambda_runtime._collect, lambda_runtime.Worker.invoke

    def hold_or_signal(process: Any) -> None:
        if getattr(_held, "active", False):
            _held.process = process
        else:
            signal(process)

    def hold_or_collect(process: Any, deadline: float) -> None:
        if not getattr(_held, "active", False):
            collect(process, deadline)

    def invoke_and_keep(worker: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        _held.active, _held.process = True, None
        try:
            response: dict[str, Any] = invoke(worker, *arguments, **options)
        finally:
            _held.active = False
        process = _held.process
        if process is not None and "trace" in response and process.poll() is None:
            worker._proc = process
        elif process is not None:
            signal(process)
            collect(process, time.monotonic() + REAP_SECONDS)
        return response

    lambda_runtime._signal, lambda_runtime._collect = hold_or_signal, hold_or_collect
    lambda_runtime.Worker.invoke = invoke_and_keep


def _name_the_error() -> None:
    execute = lambda_svc._execute_function_warm

    def execute_and_name(*arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = execute(*arguments)
        body, lines = result.get("body"), str(result.get("log") or "").strip().splitlines()
        if result.get("error") and lines and isinstance(body, dict) and body.get("errorType") == UNNAMED:
            if found := EXCEPTION_LINE.match(_exception_line(lines)):
                body["errorType"] = found[1]
            body["stackTrace"] = [line for line in lines if line.startswith("  ")]
        return result

    lambda_svc._execute_function_warm = execute_and_name


def _exception_line(lines: list[str]) -> str:
    """Return the line behind the last frame of the traceback; a message may have several lines."""
    frames = [number for number, line in enumerate(lines) if line.startswith("  ")]
    following = frames[-1] + 1 if frames else 0
    return lines[min(following, len(lines) - 1)]

"""The front door of the simulated DRS: one request in, one answer out, with faults and the log of calls.

The adapters differ in how they learn the caller and how they wait, and in nothing else.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.drs.core import DrsCloud
from sandbox.drs.errors import DrsError, Reply
from sandbox.drs.routing import parameters, route
from sandbox.drs.service_model import SERVICE
from sandbox.faults import CallLog, Fault, FaultRules

UNKNOWN_OPERATION = "Unknown"

Answer = Generator[float, None, Reply]


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose caller is known; `path` is percent-decoded, `caller` an ARN, where the host knows it."""

    account: str
    region: str
    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    body: bytes
    caller: str = ""


class Frontend:
    """A cloud with its faults and its call log."""

    def __init__(self, cloud: DrsCloud, faults: FaultRules, calls: CallLog) -> None:
        self._cloud = cloud
        self._faults = faults
        self._calls = calls

    def answer(self, request: Request) -> Answer:
        """Yield the seconds to wait before going on, each time; return the answer at the end.

        An adapter waits as its host allows: `asyncio.sleep` in an event loop, `time.sleep` in a thread.
        """
        name = _operation_name(request)
        fault = self._faults.decide(SERVICE, name, request.account, request.region, request.caller)
        failed = True  # a caller who leaves during the wait has seen no success
        try:
            reply = yield from self._suffering(fault, request)
            failed = reply.status >= 400
        finally:
            self._calls.record(SERVICE, name, request.account, request.region, error=failed)
        return reply

    def _suffering(self, fault: Fault, request: Request) -> Answer:
        failure = _failure(fault)
        if fault.latency_seconds:
            yield fault.latency_seconds
        if failure is not None and not fault.after_effect:
            return failure
        reply = self._operation(request)
        if fault.latency_after_seconds:
            yield fault.latency_after_seconds
        return failure or reply

    def answer_blocking(self, request: Request, sleep: Callable[[float], None] = time.sleep) -> Reply:
        """Return the answer, waiting in the calling thread."""
        answer = self.answer(request)
        while True:
            try:
                sleep(next(answer))
            except StopIteration as finished:
                reply: Reply = finished.value
                return reply

    def _operation(self, request: Request) -> Reply:
        try:
            operation, labels = route(request.method, request.path)
            params = parameters(operation, labels, request.query, request.body)
        except DrsError as error:
            return error.reply()
        return self._cloud.operation(operation.name, request.account, request.region, params)


def _operation_name(request: Request) -> str:
    try:
        return route(request.method, request.path)[0].name
    except DrsError:
        return UNKNOWN_OPERATION


def _failure(fault: Fault) -> Reply | None:
    if fault.error is None:
        return None
    members = {"retryAfterSeconds": fault.retry_after_seconds, **fault.members}
    error = DrsError(fault.error, fault.message, status=fault.status, **members)
    return error.reply()

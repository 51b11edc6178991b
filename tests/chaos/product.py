"""The product as a whole: its handlers, called as Lambda calls them, on a `ChaosWorld`.

Nothing in here knows what is right; it only hands events over and does with the answers what SQS, DynamoDB streams and
EventBridge would do.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

from chalicelib.container import container
from chalicelib.domain.dead_letters import DeadLetterQueue, work_of
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.events import maintenance, queues, schedules, streams
from chalicelib.services.work.planner import SyncRequest

from ..fakes import Crash
from .disruptions import Invocation, Switchboard
from .ledger import Violation, must
from .shard import MOST_RETRIES, Record, Shard
from .sqs import Message
from .world import ChaosWorld

INVOCATION_SECONDS = 300
INVOCATION_TAKES = 0.5  # seconds that go by with each; indexes are behind for longer
SQS_BATCH = 5
ASYNC_RETRIES = 2
SQS_HANDLERS = {
    WorkKind.INVENTORY: queues.inventory_worker,
    WorkKind.TAGS: queues.tags_worker,
    WorkKind.STAGING: queues.staging_worker,
}
SCHEDULES = {
    WorkKind.INVENTORY: schedules.inventory_schedule,
    WorkKind.TAGS: schedules.tags_schedule,
    WorkKind.STAGING: schedules.staging_schedule,
}
TICK = {
    "version": "0",
    "id": "tick",
    "account": "999999999999",
    "region": "us-east-1",
    "detail": {},
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "time": "2026-03-01T12:00:00Z",
    "resources": [],
}


class Product:
    """The functions and their event sources."""

    def __init__(self, world: ChaosWorld, switchboard: Switchboard) -> None:
        self._world = world
        self._switchboard = switchboard
        self._requests = count(1)
        self.retries: list[tuple[WorkKind, int]] = []
        self.busy_shards: set[str] = set()
        for shard in self.shards.values():
            shard.given_up = self._give_up
        self.invocations = 0

    # --- schedules ---

    def tick(self, kind: WorkKind, attempt: int = 0) -> bool:
        """Let a schedule fire; one that fails is tried again, as Lambda does with asynchronous invocations."""
        ended, _ = self._invoke(f"{kind}-schedule", lambda: SCHEDULES[kind](TICK, self._context()))
        if not ended and attempt < ASYNC_RETRIES:
            self.retries.append((kind, attempt + 1))
        elif not ended:
            self._world.schedule_failures.send(json.dumps(TICK))
        return ended

    def retry_ticks(self) -> None:
        retries, self.retries = self.retries, []
        for kind, attempt in retries:
            self.tick(kind, attempt)

    # --- queues ---

    def deliver(
        self,
        kind: WorkKind,
        choose: Callable[[list[Message]], list[Message]] | None = None,
        seconds_left: int = INVOCATION_SECONDS,
    ) -> int:
        """Deliver one batch of the queue of `kind`; return how many messages it had.

        Args:
            kind: which queue.
            choose: which of the visible messages, and in which order; the first five where it is not given.
            seconds_left: of the invocation.
        """
        queue = self._world.queues[kind]
        visible = queue.visible()
        batch = queue.receive((choose(visible) if choose else visible)[:SQS_BATCH])
        if not batch:
            return 0
        event = {"Records": [message.record() for message in batch]}
        context = self._context(seconds_left)
        with self._at_work(f"{kind}-worker", seconds_left) as invocation:
            invocation.messages = [(message.body, message.received) for message in batch]
            ended, answer = self._run(lambda: SQS_HANDLERS[kind](event, context))
            failed = [item["itemIdentifier"] for item in answer["batchItemFailures"]] if ended else None
            if failed is not None:
                must(failed or not invocation.unsent, f"SQS refused {invocation.unsent}, and nothing was said to fail")
                self._nothing_lost(invocation, [one for one in event["Records"] if one["messageId"] in failed])
        for record in event["Records"]:
            if failed is not None and record["messageId"] not in failed:
                queue.delete(record["receiptHandle"])
        return len(batch)

    @staticmethod
    def _nothing_lost(invocation: Invocation, failed: list[Record]) -> None:
        """For each lease that was given back undone, a message about its work is named as failed, or was buried."""
        bodies = [*(record["body"] for record in failed), *invocation.gave_up]
        named = Counter(work for body in bodies if (work := work_of(body)))
        for work, leases in Counter(lease.work for lease in invocation.gave_back).items():
            must(named[work] >= leases, f"{work.key} failed, and its message was answered as worked off")

    # --- the stream ---

    def pump(self, region: str, size: int = 100) -> bool:
        """Deliver the next records of the shard of `region`; False where there are none, or it is being worked."""
        shard = self.shards[region]
        if region in self.busy_shards or not shard.waiting:
            return False
        self.busy_shards.add(region)
        try:
            shard.deliver(size, self._hand_over)
        finally:
            self.busy_shards.discard(region)
        return True

    def _hand_over(self, records: list[Record]) -> list[str] | None:
        event = {"Records": records}
        with self._at_work("scan-stream") as invocation:
            ended, answer = self._run(lambda: streams.scan_stream(event, self._context()))
            named = [item["itemIdentifier"] for item in answer["batchItemFailures"]] if ended else None
            failed = invocation.failed_calls
            must(named != [] or not failed, f"{failed} failed, and the records were answered as done")
            must(named != [] or not invocation.unsent, f"SQS refused {invocation.unsent}, and nothing was said to fail")
        return named

    def _give_up(self, record: Record) -> None:
        """Tell the on-failure queue, as Lambda does: where in the stream, not what."""
        context = {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": MOST_RETRIES + 1}
        number = record["dynamodb"]["SequenceNumber"]
        self._world.ledger.given_up.append(number)
        place = {"startSequenceNumber": number, "endSequenceNumber": number, "batchSize": 1}
        self._world.stream_failures.send(json.dumps({"requestContext": context, "DDBStreamBatchInfo": place}))

    @property
    def shards(self) -> dict[str, Shard]:
        return self._world.shards

    # --- operators ---

    def operator(self, action: Callable[[], Any]) -> bool:
        """Do what an operator asks for, in the API function; return whether it was answered with success."""
        ended, _ = self._invoke("api", action)
        return ended

    def ask(self, kind: WorkKind, scopes: list[Scope] | None, **more: Any) -> bool:
        """Ask for a sync."""
        return self.operator(lambda: container().planner.sync(SyncRequest(kind, scopes, **more)))

    def redrive(self, queue: DeadLetterQueue) -> bool:
        """Have dead letters made good; what can never be worked off stays."""
        event = {"task": "redrive_dead_letters", "queue": queue, "limit": 100, "discard": False}
        ended, _ = self._invoke("maintenance", lambda: maintenance.maintain(event, self._context()))
        return ended

    # --- until nothing waits ---

    def drain(self, most: int = 2_000) -> None:
        """Deliver messages and records until none waits that could be delivered now."""
        for _ in range(most):
            delivered = [self.deliver(kind) for kind in WorkKind]
            pumped = [self.pump(region) for region in self.shards]
            if not any(delivered) and not any(pumped):
                return
        raise AssertionError(f"still busy after {most} rounds")

    # --- invocations ---

    def _invoke(self, function: str, call: Callable[[], Any]) -> tuple[bool, Any]:
        with self._at_work(function) as invocation:
            ended, answer = self._run(call)
            must(not ended or not invocation.unsent, f"SQS refused {invocation.unsent}, and {function} ended well")
            return ended, answer

    @contextmanager
    def _at_work(self, function: str, seconds: float = INVOCATION_SECONDS) -> Iterator[Invocation]:
        stack = self._switchboard.stack
        taken = sum(invocation.function == function for invocation in stack)
        self._world.clock.advance(INVOCATION_TAKES)
        now = self._world.clock()
        invocation = Invocation(function, f"{function}-{taken}", now, until=now + seconds)
        stack.append(invocation)
        self.invocations += 1
        try:
            yield invocation
        finally:
            stack.pop()
            if Violation.seen and not stack:
                raise AssertionError(Violation.seen[0])

    @staticmethod
    def _run(call: Callable[[], Any]) -> tuple[bool, Any]:
        """Return whether the invocation ended well, and its answer."""
        try:
            return True, call()
        except (Exception, Crash):  # noqa: BLE001  Lambda sees that it failed, not why
            return False, None

    def _context(self, seconds: float = INVOCATION_SECONDS) -> Any:
        until = self._world.clock() + seconds
        clock = self._world.clock
        return SimpleNamespace(
            function_name="chaos",
            aws_request_id=f"request-{next(self._requests)}",
            memory_limit_in_mb=512,
            invoked_function_arn="arn:aws:lambda:us-east-1:999999999999:function:chaos",
            get_remaining_time_in_millis=lambda: max(0, int((until - clock()) * 1000)),
        )

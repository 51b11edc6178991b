"""SQS in memory: visibility, receive counts, redrive to a dead-letter queue, at-least-once delivery."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from chalicelib.domain.dead_letters import DeadLetter, DeadLetterQueue, Received, work_of
from chalicelib.domain.work import WorkKind, WorkMessage

from ..factories import body_of
from ..fakes import FakeClock

SEND_LIMIT = 10  # SQS: entries per SendMessageBatch
VISIBILITY_SECONDS = 1800
MOST_RECEIVES = 8  # maxReceiveCount of the template; the workers bury what fails before that


@dataclass
class Message:
    """A message, as its queue keeps it."""

    message_id: str
    body: str
    visible_at: float
    received: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)
    sent_at: float = 0.0

    @property
    def receipt(self) -> str:
        """The receipt handle of the last receive."""
        return f"{self.message_id}/{self.received}"

    def record(self) -> dict[str, Any]:
        """Return the message as Lambda hands it to a function."""
        return {
            "messageId": self.message_id,
            "receiptHandle": self.receipt,
            "body": self.body,
            "attributes": {"ApproximateReceiveCount": str(self.received)},
            "messageAttributes": {
                name: {**value, "stringValue": value["StringValue"], "dataType": "String"}
                for name, value in self.attributes.items()
            },
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:999999999999:work",
            "awsRegion": "us-east-1",
        }


class SqsQueue:
    """One standard queue."""

    def __init__(self, clock: FakeClock, dead_letters: "SqsQueue | None" = None) -> None:
        self._clock = clock
        self._dead_letters = dead_letters
        self._numbers = count(1)
        self.messages: list[Message] = []
        self.deleted: list[Message] = []

    def send(self, body: str, attributes: dict[str, Any] | None = None) -> None:
        self.messages.append(
            Message(
                f"m-{id(self)}-{next(self._numbers)}", body, self._clock(), 0, dict(attributes or {}), self._clock()
            )
        )

    def visible(self) -> list[Message]:
        """Return the messages that a receive would find; those received too often go to the dead-letter queue."""
        now = self._clock()
        seen = [message for message in self.messages if message.visible_at <= now]
        if self._dead_letters is None:
            return seen
        for message in seen:
            if message.received >= MOST_RECEIVES:
                self.messages.remove(message)
                self._dead_letters.messages.append(message)
        return [message for message in seen if message.received < MOST_RECEIVES]

    def receive(self, messages: Iterable[Message]) -> list[Message]:
        """Hand `messages`, which are visible, to a consumer."""
        taken = list(messages)
        for message in taken:
            message.received += 1
            message.visible_at = self._clock() + VISIBILITY_SECONDS
        return taken

    def delete(self, receipt: str) -> None:
        """Delete a message, by the handle of any of its receives."""
        for message in self._of(receipt):
            self.messages.remove(message)
            self.deleted = [*self.deleted[-20:], message]

    def change_visibility(self, receipt: str, seconds: int) -> None:
        for message in self._of(receipt):
            message.visible_at = self._clock() + seconds

    def deliver_again(self, number: int) -> bool:
        """Make a message visible that is being handled, or was deleted: delivery is at least once."""
        known = [*self.deleted, *(message for message in self.messages if message.received)]
        if not known:
            return False
        message = known[number % len(known)]
        if message not in self.messages:
            self.messages.append(message)
        message.visible_at = self._clock()
        message.received = min(message.received, MOST_RECEIVES - 1)
        return True

    def _of(self, receipt: str) -> list[Message]:
        name = receipt.rpartition("/")[0]
        return [message for message in self.messages if message.message_id == name]


class InMemoryDeadLetters:
    """The port to the dead-letter queues."""

    def __init__(self, queues: dict[DeadLetterQueue, SqsQueue], clock: FakeClock) -> None:
        self._queues = queues
        self._clock = clock

    def receive(self, queue: DeadLetterQueue, most: int) -> list[Received]:
        letters = self._queues[queue]
        return [self._received(queue, message) for message in letters.receive(letters.visible()[: min(most, 10)])]

    def delete(self, queue: DeadLetterQueue, received: Received) -> None:
        self._queues[queue].delete(received.receipt_handle)

    def put_back(self, queue: DeadLetterQueue, received: Iterable[Received]) -> None:
        for one in received:
            self._queues[queue].change_visibility(one.receipt_handle, 0)

    def waiting(self, queue: DeadLetterQueue) -> int:
        return len(self._queues[queue].visible())

    def _received(self, queue: DeadLetterQueue, message: Message) -> Received:
        work = work_of(message.body)
        letter = DeadLetter(
            message_id=message.message_id,
            queue=queue,
            reason=message.attributes.get("reason", {}).get("StringValue", "nobody said"),
            body=message.body,
            sent_at=datetime.fromtimestamp(self._clock(), UTC),
            received=message.received,
            work=work.key if work else None,
        )
        return Received(letter, message.receipt, message.body)


class InMemoryWorkQueue:
    """The port to the work queues."""

    def __init__(self, clock: FakeClock) -> None:
        self.dead_letters = SqsQueue(clock)
        self.queues = {kind: SqsQueue(clock, self.dead_letters) for kind in WorkKind}

    def send(self, messages: Iterable[WorkMessage]) -> None:
        for message in messages:
            self.queues[message.kind].send(body_of(message))

    def send_to_dlq(self, body: str, kind: WorkKind, reason: str) -> None:
        told = {"reason": reason[:1000] or "unknown", "queue": str(kind)}
        attributes = {name: {"DataType": "String", "StringValue": text} for name, text in told.items()}
        self.dead_letters.send(body or "(empty)", attributes)

    def retry_in(self, kind: WorkKind, receipt_handle: str, seconds: int) -> None:
        self.queues[kind].change_visibility(receipt_handle, seconds)

"""The dead-letter queues in SQS."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ..domain.dead_letters import LONGEST_BODY_TOLD, DeadLetter, DeadLetterQueue, Received, work_of
from .dynamodb import chunks
from .sessions import hub_client

RECEIVE_LIMIT = 10  # SQS: messages per ReceiveMessage, entries per batch
HIDDEN_SECONDS = 120  # while a letter is in hand; longer than the function that holds it may run

# Who puts a message there says why: the workers (`reason`), EventBridge (`ERROR_MESSAGE`), Lambda (`ErrorMessage`)
REASONS = ("reason", "ERROR_MESSAGE", "ErrorMessage")


class DeadLetterQueues:
    """Receives, deletes and puts back dead letters.

    Args:
        urls: queue URL by queue.
    """

    def __init__(self, urls: dict[DeadLetterQueue, str]) -> None:
        self._urls = urls

    def receive(self, queue: DeadLetterQueue, most: int) -> list[Received]:
        """Return up to 10 letters, at most `most`; nobody else sees them for two minutes. Empty: there are none."""
        found = self._receive(queue, most, wait_seconds=0)
        if not found and self.waiting(queue):
            # A short poll asks a sample of SQS's servers, a long one all of them
            found = self._receive(queue, most, wait_seconds=1)
        return [_received(queue, message) for message in found]

    def _receive(self, queue: DeadLetterQueue, most: int, wait_seconds: int) -> list[dict[str, Any]]:
        answer = hub_client("sqs").receive_message(
            QueueUrl=self._urls[queue],
            MaxNumberOfMessages=min(most, RECEIVE_LIMIT),
            VisibilityTimeout=HIDDEN_SECONDS,
            WaitTimeSeconds=wait_seconds,
            AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def delete(self, queue: DeadLetterQueue, received: Received) -> None:
        """Delete a letter in hand. Safe to repeat."""
        hub_client("sqs").delete_message(QueueUrl=self._urls[queue], ReceiptHandle=received.receipt_handle)

    def put_back(self, queue: DeadLetterQueue, received: Iterable[Received]) -> None:
        """Let others see letters in hand again; where that fails, they do after two minutes."""
        for some in chunks(received, RECEIVE_LIMIT):
            entries = [
                {"Id": str(number), "ReceiptHandle": one.receipt_handle, "VisibilityTimeout": 0}
                for number, one in enumerate(some)
            ]
            hub_client("sqs").change_message_visibility_batch(QueueUrl=self._urls[queue], Entries=entries)

    def waiting(self, queue: DeadLetterQueue) -> int:
        """Return how many letters SQS believes to be there for others to see."""
        name = "ApproximateNumberOfMessages"
        answer = hub_client("sqs").get_queue_attributes(QueueUrl=self._urls[queue], AttributeNames=[name])
        return int(answer["Attributes"][name])


def _received(queue: DeadLetterQueue, message: dict[str, Any]) -> Received:
    attributes, body = message["Attributes"], message["Body"]
    work = work_of(body) if queue is DeadLetterQueue.WORK else None
    letter = DeadLetter(
        message_id=message["MessageId"],
        queue=queue,
        reason=_reason(message),
        body=body[:LONGEST_BODY_TOLD],
        sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        received=int(attributes["ApproximateReceiveCount"]),
        work=work.key if work else None,
    )
    return Received(letter, message["ReceiptHandle"], body)


def _reason(message: dict[str, Any]) -> str:
    told = message.get("MessageAttributes", {})
    for name in REASONS:
        if name in told:
            return str(told[name]["StringValue"])
    return _condition(message["Body"]) or "nobody said: SQS moved it after too many receives; see the worker's log"


def _condition(body: str) -> str | None:
    """Return why Lambda gave a batch of stream records up (`requestContext.condition`), where the body says it."""
    try:
        context = json.loads(body)["requestContext"]
        return f"{context['condition']} after {context['approximateInvokeCount']} invocations"
    except (ValueError, TypeError, KeyError):
        return None

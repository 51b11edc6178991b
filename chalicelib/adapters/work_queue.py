"""The work queues: wake-up calls out, messages that do not parse to the dead-letter queue."""

from collections.abc import Iterable

from ..concurrency import executor
from ..domain.work import WorkKind, WorkMessage
from ..errors import DrsActiveRegionsError
from .dynamodb import chunks
from .sessions import hub_client

SEND_LIMIT = 10  # SQS: entries per SendMessageBatch
SENDS_AT_ONCE = 8


class WorkQueue:
    """Sends wake-up calls; one queue per kind of work.

    Args:
        urls: queue URL by kind.
        dead_letter_url: where messages go that do not parse.
    """

    def __init__(self, urls: dict[WorkKind, str], dead_letter_url: str) -> None:
        self._urls = urls
        self._dead_letter_url = dead_letter_url

    def send(self, messages: Iterable[WorkMessage]) -> None:
        """Send `messages`, in batches, several at once; a batch that fails keeps none of the others back.

        Raises:
            DrsActiveRegionsError: where SQS took some of them only. Their work comes due again by itself.
        """
        by_kind: dict[WorkKind, list[WorkMessage]] = {}
        for message in messages:
            by_kind.setdefault(message.kind, []).append(message)
        batches = [(self._urls[kind], batch) for kind, some in by_kind.items() for batch in chunks(some, SEND_LIMIT)]
        with executor(SENDS_AT_ONCE) as pool:
            sent = [pool.submit(self._send_batch, *batch) for batch in batches]
        for one in sent:  # all of them have ended: the pool waits, and `map` would cancel what follows a failure
            one.result()

    def send_to_dlq(self, body: str, kind: WorkKind, reason: str) -> None:
        """Put a message of the queue of `kind` into the dead-letter queue, with the reason as an attribute."""
        told = {"reason": reason[:1000] or "unknown", "queue": str(kind)}
        hub_client("sqs").send_message(
            QueueUrl=self._dead_letter_url,
            MessageBody=body or "(empty)",
            MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in told.items()},
        )

    def retry_in(self, kind: WorkKind, receipt_handle: str, seconds: int) -> None:
        """Make a received message of the queue of `kind` visible again in `seconds`."""
        hub_client("sqs").change_message_visibility(
            QueueUrl=self._urls[kind], ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )

    def _send_batch(self, url: str, messages: list[WorkMessage]) -> None:
        entries = [
            {"Id": str(number), "MessageBody": message.model_dump_json(by_alias=True, exclude_none=True)}
            for number, message in enumerate(messages)
        ]
        failed = hub_client("sqs").send_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
        if failed:
            raise DrsActiveRegionsError(f"SQS refused {len(failed)} of {len(entries)} messages: {failed[0]}")

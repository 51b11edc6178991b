"""A DynamoDB stream and its event source mapping in memory: one shard per region, in order, with Lambda's retries.

What Lambda does (AWS, "Using AWS Lambda with DynamoDB", "Partial batch response"): a batch whose handler raises is
halved and tried again; one that is answered in part is split at the first record named, and tried again from there, as
it is; a batch that failed too often goes to the on-failure queue, and the shard goes on behind it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .expressions import Item

MOST_RETRIES = 5
BATCH = 100

Record = dict[str, Any]


def stream_record(number: int, before: Item | None, after: Item | None) -> Record:
    """Return a change of a scan record as Lambda hands it to the function."""
    either = after or before
    assert either is not None
    images = {"NewImage": after, "OldImage": before}
    return {
        "eventID": str(number),
        "eventName": "MODIFY" if before and after else "INSERT" if after else "REMOVE",
        "dynamodb": {
            "Keys": {name: either[name] for name in ("region", "accountId")},
            "SequenceNumber": str(number),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **{name: image for name, image in images.items() if image},
        },
    }


@dataclass
class Shard:
    """Records in order, and how far the function has come; `given_up` is told of what failed too often."""

    records: list[Record] = field(default_factory=list)
    position: int = 0
    limit: int = BATCH
    attempts: int = 0
    given_up: Callable[[Record], None] = lambda record: None

    @property
    def waiting(self) -> bool:
        return self.position < len(self.records)

    def add(self, record: Record) -> None:
        self.records.append(record)

    def rewind(self, by: int) -> None:
        """Deliver the last records again: an iterator that went back, or a batch whose answer was lost."""
        self.position = max(0, self.position - by)

    def deliver(self, size: int, handler: Callable[[list[Record]], list[str] | None]) -> None:
        """Hand the next records, at most `size`, to `handler`.

        Args:
            size: how many have gathered.
            handler: returns the sequence numbers that failed; None where the invocation failed as a whole.
        """
        start, batch = self.position, self.records[self.position : self.position + min(size, self.limit)]
        failed = handler(batch)
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        if failed == []:
            self._go_on(start + len(batch))
        elif failed is None:
            self._retry(start, len(batch))
        else:
            first = min((numbers.index(number) for number in failed), default=0)
            if first:
                self._go_on(start + first)
            self._retry_as_it_is(start + first, len(batch) - first)

    def _retry_as_it_is(self, start: int, size: int) -> None:
        """Try again from a record that was named: the batch is split there, and nowhere else."""
        self.position, self.limit = min(self.position, start), size
        self.attempts += 1
        if self.attempts > MOST_RETRIES:
            for record in self.records[start : start + size]:
                self.given_up(record)
            self._go_on(start + size)

    def _go_on(self, position: int) -> None:
        self.position, self.limit, self.attempts = max(self.position, position), BATCH, 0

    def _retry(self, start: int, size: int) -> None:
        self.position = min(self.position, start)
        if size > 1:
            self.limit = max(1, size // 2)
            return
        self.attempts += 1
        if self.attempts > MOST_RETRIES:
            self.given_up(self.records[start])
            self._go_on(start + 1)

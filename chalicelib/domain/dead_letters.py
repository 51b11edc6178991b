"""Dead letters: what could not be processed, and why; what redriving each kind means."""

from enum import StrEnum
from typing import NamedTuple

from pydantic import ValidationError

from .records import Moment, Record
from .work import WorkId, WorkMessage

LONGEST_BODY_TOLD = 2000  # characters of a body that are shown


class DeadLetterQueue(StrEnum):
    """The dead-letter queues.

    WORK: messages that do not parse, and work that failed time after time. STREAM: batches of scan records that could
    not be reacted to. SCHEDULES: ticks that could not be delivered or planned.
    """

    WORK = "work"
    STREAM = "stream"
    SCHEDULES = "schedules"


class DeadLetter(Record):
    """One message of a dead-letter queue, as it is told.

    Attributes:
        reason: why it is there, as far as who put it there said so.
        work: the work that it asks for, where it does: `kind#accountId#region`.
        received: how often it was looked at since.
    """

    message_id: str
    queue: DeadLetterQueue
    reason: str
    body: str
    sent_at: Moment
    received: int
    work: str | None = None


class Received(NamedTuple):
    """A dead letter in hand: until it is deleted or put back, nobody else sees it for a while."""

    letter: DeadLetter
    receipt_handle: str
    body: str


def work_of(body: str) -> WorkId | None:
    """Return the work that a message asks for; None where it can never be worked off."""
    try:
        return WorkMessage.model_validate_json(body).work
    except ValidationError:
        return None

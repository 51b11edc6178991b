"""The history of one server's record: what happened to it since it was first seen (R13)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .records import Moment, Record

MOST_EVENTS = 50  # of one record; the first, which says where it came from, is always kept


class EventKind(StrEnum):
    """What happened to a record."""

    FIRST_SEEN = "FIRST_SEEN"
    DRILL = "DRILL"
    RECOVERY = "RECOVERY"
    REVERSED = "REVERSED"
    DELETED = "DELETED"
    RETURNED = "RETURNED"


class Event(Record):
    """One thing that happened to a record, and when: as DRS says, or when a scan noticed it."""

    at: Moment
    kind: Annotated[EventKind | str, Field(union_mode="left_to_right")]  # a newer version's stays as it is
    detail: str | None = None


def trimmed(history: list[Event]) -> list[Event]:
    """Return the first and the newest events, 50 at most."""
    return history if len(history) <= MOST_EVENTS else [history[0], *history[1 - MOST_EVENTS :]]

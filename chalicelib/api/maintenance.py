"""Maintenance: dead letters, and bringing the tables up to each other."""

from typing import Annotated, Any

from pydantic import Field

from ..container import container
from ..domain.dead_letters import DeadLetter, DeadLetterQueue
from ..domain.records import Record
from ..services.reconciliation import Reconciliation
from .fields import Region
from .operation import Operation, Request, RunsIn, routes

MOST_LETTERS = 100  # a call

LetterLimit = Annotated[int, Field(ge=1, le=MOST_LETTERS)]


class LettersRequest(Request):
    """Letters of one dead-letter queue."""

    queue: DeadLetterQueue = DeadLetterQueue.WORK
    limit: LetterLimit = 20


class RedriveRequest(LettersRequest):
    """Which letters to redrive; `discard`: delete those that can never be worked off."""

    limit: LetterLimit = MOST_LETTERS
    discard: bool = False


class ReconcileRequest(Request):
    """Where to begin: `nextPart` of the answer before; absent: at the beginning."""

    part: Region | None = None


class LetterList(Record):
    """Dead letters, in no order; they stay where they are."""

    dead_letters: list[DeadLetter]


class RedriveAnswer(Record):
    """What became of dead letters.

    Attributes:
        redriven: their work was asked for again, or their loss was made good; they are deleted.
        discarded: they could never be worked off and are deleted, as asked.
        left: they can never be worked off, and stay.
        more: whether there may be more: call again.
        reconciliation: stream failures: what was mended.
    """

    redriven: list[DeadLetter]
    discarded: list[DeadLetter]
    left: list[DeadLetter]
    more: bool
    reconciliation: Reconciliation | None


def list_dead_letters(request: LettersRequest, _: str) -> LetterList:
    """Tell the letters of a dead-letter queue."""
    return LetterList.of(_done("list_dead_letters", request))


def redrive_dead_letters(request: RedriveRequest, _: str) -> RedriveAnswer:
    """Have dead letters made good."""
    return RedriveAnswer.of(_done("redrive_dead_letters", request))


def reconcile(request: ReconcileRequest, _: str) -> Reconciliation:
    """Bring region status, due times and asked-for work up to what the tables hold, as far as time allows."""
    return Reconciliation.of(_done("reconcile", request))


def _done(task: str, request: Request) -> dict[str, Any]:
    return container().ports.maintenance_function.ask(task=task, **request.model_dump(mode="json"))


OPERATIONS = (
    Operation(
        "list_dead_letters",
        LettersRequest,
        LetterList,
        list_dead_letters,
        "Dead letters",
        "GET",
        "/dead-letters",
        runs_in=RunsIn.MAINTENANCE,
    ),
    Operation(
        "redrive_dead_letters",
        RedriveRequest,
        RedriveAnswer,
        redrive_dead_letters,
        "Redrive dead letters",
        "POST",
        "/dead-letters/redrive",
        changes=True,
        runs_in=RunsIn.MAINTENANCE,
    ),
    Operation(
        "reconcile",
        ReconcileRequest,
        Reconciliation,
        reconcile,
        "Bring the tables up to each other",
        "POST",
        "/reconcile",
        changes=True,
        runs_in=RunsIn.MAINTENANCE,
    ),
)
blueprint = routes(OPERATIONS, __name__)

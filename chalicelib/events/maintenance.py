"""The maintenance function: invoked by the API with `{"task": ...}`; redrives dead letters, reconciles the tables."""

from collections.abc import Callable
from typing import Any

from chalice import Blueprint

from ..adapters.aws_regions import botocore_version, region_counts
from ..api.answers import error_body
from ..container import container
from ..domain.dead_letters import DeadLetterQueue
from ..errors import DrsActiveRegionsError, InvalidRequest
from ..observability import observed

blueprint = Blueprint(__name__)

Body = dict[str, Any]


@blueprint.lambda_function(name="maintenance")
@observed
def maintain(event: Body, _: Any) -> Body:
    """Carry out the task that `event` names; what the caller can do something about is an answer."""
    task = TASKS.get(str(event.get("task")))
    try:
        if task is None:
            raise InvalidRequest(f"task: unknown; known are {', '.join(sorted(TASKS))}")
        return task(event)
    except DrsActiveRegionsError as error:
        body, _status = error_body(error)
        return body


def _list(event: Body) -> Body:
    letters = container().dead_letters.list(DeadLetterQueue(event["queue"]), event["limit"])
    return {"deadLetters": [letter.model_dump(mode="json", by_alias=True) for letter in letters]}


def _redrive(event: Body) -> Body:
    done = container().dead_letters.redrive(DeadLetterQueue(event["queue"]), event["limit"], discard=event["discard"])
    told = {
        name: [letter.model_dump(mode="json", by_alias=True) for letter in letters]
        for name, letters in (("redriven", done.redriven), ("discarded", done.discarded), ("left", done.left))
    }
    mended = done.reconciliation.model_dump(mode="json", by_alias=True) if done.reconciliation else None
    return {**told, "more": done.more, "reconciliation": mended}


def _versions(_: Body) -> Body:
    return {"botocore": botocore_version(), "regions": region_counts()}


def _reconcile(event: Body) -> Body:
    return container().reconciler.reconcile(event.get("part")).model_dump(mode="json", by_alias=True)


TASKS: dict[str, Callable[[Body], Body]] = {
    "list_dead_letters": _list,
    "redrive_dead_letters": _redrive,
    "reconcile": _reconcile,
    "versions": _versions,
}

"""Work queues: each message wakes a worker for one scope.

A message that does not parse goes to the dead-letter queue at once. One whose work fails comes back after a while,
longer each time, and goes there in the end; it never holds up the others of its batch. Both carry why. SQS's own
redrive (`maxReceiveCount` in the template) is left for the case that not even that can be done.
"""

from collections.abc import Callable
from typing import Any

from chalice import Blueprint
from chalice.app import SQSEvent
from pydantic import ValidationError

from ..bootstrap import inventory_sync, staging_sync, tag_sync, work_loop, work_queue
from ..domain.work import WorkKind, WorkMessage
from ..observability import logger, observed
from ..services.work_loop import Worker

LEASE_MARGIN_SECONDS = 30  # a lease outlives the invocation that holds it by this much
LEAST_SECONDS = 45  # what has to be left of an invocation when another piece of work is begun
FIRST_RETRY_SECONDS = 20
MOST_TRIES = 5

blueprint = Blueprint(__name__)

Received = dict[str, Any]
"""A message as Lambda hands it over."""


@blueprint.on_sqs_message(queue="inventory-work", batch_size=5, name="inventory_worker")
@observed
def inventory_worker(event: SQSEvent) -> dict[str, Any]:
    """Sync the inventory of each message's scope."""
    return _work_off(event, WorkKind.INVENTORY, lambda: inventory_sync().sync)


@blueprint.on_sqs_message(queue="tags-work", batch_size=5, name="tags_worker")
@observed
def tags_worker(event: SQSEvent) -> dict[str, Any]:
    """Sync the tags of each message's scope."""
    return _work_off(event, WorkKind.TAGS, lambda: tag_sync().sync)


@blueprint.on_sqs_message(queue="staging-work", batch_size=5, name="staging_worker")
@observed
def staging_worker(event: SQSEvent) -> dict[str, Any]:
    """Extend the staging servers of each message's target scope."""
    return _work_off(event, WorkKind.STAGING, lambda: staging_sync().sync)


def _work_off(event: SQSEvent, kind: WorkKind, worker: Callable[[], Worker]) -> dict[str, Any]:
    """Work a batch off; what fails is named in the answer, so that only it comes back."""
    records = event.to_dict()["Records"]
    if not records:
        worker()  # a deployment's smoke test: everything is wired, and nothing done
    failed = [
        record["messageId"]
        for record in records
        if not _worked_off(record, kind, worker, event.context.get_remaining_time_in_millis() // 1000)
    ]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _worked_off(record: Received, kind: WorkKind, worker: Callable[[], Worker], seconds_left: int) -> bool:
    """Return whether a message is done with; the others of its batch go on where it is not."""
    try:
        _handle(record, kind, worker(), seconds_left)
    except Exception:  # noqa: BLE001  named as failed in the answer: SQS hands it out again, and buries it in the end
        logger.exception("work is to be tried again", kind=kind, messageId=record["messageId"])
        return False
    return True


def _handle(record: Received, kind: WorkKind, worker: Worker, seconds_left: int) -> None:
    message = _message(record, kind)
    if message is None:
        return
    received = int(record["attributes"].get("ApproximateReceiveCount", 1))
    if received > MOST_TRIES:
        _bury(record, kind, f"its worker died: received {received} times without an answer")
        return
    if seconds_left < LEAST_SECONDS:
        work_queue().send([message])  # a wake-up call like any other; this one is done with
        return
    try:
        work_loop().handle(message, worker, seconds_left + LEASE_MARGIN_SECONDS)
    except Exception as error:
        if received >= MOST_TRIES:
            _bury(record, kind, f"{type(error).__name__}: {error}")
            return
        work_queue().retry_in(kind, record["receiptHandle"], FIRST_RETRY_SECONDS * received)
        raise


def _message(record: Received, kind: WorkKind) -> WorkMessage | None:
    """Return the message of `record`; None where it can never be worked off, and went to the dead-letter queue."""
    try:
        message = WorkMessage.model_validate_json(record["body"])
    except ValidationError as error:
        reason = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    else:
        if message.kind is kind:
            return message
        reason = f"kind: {message.kind} work in the {kind} queue"
    _bury(record, kind, reason)
    return None


def _bury(record: Received, kind: WorkKind, reason: str) -> None:
    """Put a message into the dead-letter queue, with the reason. Its work is still wanted, and comes due again."""
    logger.error("a message goes to the dead-letter queue", reason=reason, kind=kind, body=record["body"][:1000])
    work_queue().bury(record["body"], kind, reason)

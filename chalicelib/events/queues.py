"""Work queues: each message wakes a worker for one scope.

A message that does not parse goes to the dead-letter queue at once. One whose work fails comes back after a while,
longer each time, and goes there in the end; it never holds up the others of its batch. Both carry why. SQS's own
redrive (`maxReceiveCount` in the template) is left for the case that not even that can be done.

A worker that dies (out of memory or time) takes its batch with it. So whatever came back, or is known to have broken
off, is worked off behind the others, and one such an invocation: what its worker's death costs is itself.
"""

from typing import Any

from chalice import Blueprint
from chalice.app import SQSEvent
from pydantic import ValidationError

from ..container import container
from ..domain.work import WorkKind, WorkMessage
from ..observability import logger, observed

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
    return _work_off(event, WorkKind.INVENTORY)


@blueprint.on_sqs_message(queue="tags-work", batch_size=5, name="tags_worker")
@observed
def tags_worker(event: SQSEvent) -> dict[str, Any]:
    """Sync the tags of each message's scope."""
    return _work_off(event, WorkKind.TAGS)


@blueprint.on_sqs_message(queue="staging-work", batch_size=5, name="staging_worker")
@observed
def staging_worker(event: SQSEvent) -> dict[str, Any]:
    """Extend the staging servers of each message's target scope."""
    return _work_off(event, WorkKind.STAGING)


def _work_off(event: SQSEvent, kind: WorkKind) -> dict[str, Any]:
    """Work a batch off; what fails is named in the answer, so that only it comes back."""
    records = event.to_dict()["Records"]
    if not records:
        container().workers[kind]()  # a deployment's smoke test: everything is wired, and nothing done
    doubtful = [record for record in records if _is_doubtful(record)]
    others = [record for record in records if record not in doubtful]

    def worked_off(record: Received, *, alone: bool = False, later: bool = False) -> bool:
        seconds_left = 0 if later else event.context.get_remaining_time_in_millis() // 1000
        return _worked_off(record, kind, seconds_left, alone=alone)

    failed = [record for record in others if not worked_off(record, alone=len(records) == 1)]
    failed += [record for record in doubtful[1:] if not worked_off(record, later=True)]
    failed += [record for record in doubtful[:1] if not worked_off(record, alone=True)]
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in failed]}


def _is_doubtful(record: Received) -> bool:
    """Return whether the worker of a message may die of it: it came back, or its work broke off the last time."""
    return _times_received(record) > 1 or _is_to_be_alone(record)


def _is_to_be_alone(record: Received) -> bool:
    try:
        return WorkMessage.model_validate_json(record["body"]).alone
    except ValidationError:
        return False


def _times_received(record: Received) -> int:
    return int(record["attributes"].get("ApproximateReceiveCount", 1))


def _worked_off(record: Received, kind: WorkKind, seconds_left: int, *, alone: bool) -> bool:
    """Return whether a message is done with; the others of its batch go on where it is not."""
    try:
        _handle(record, kind, seconds_left, alone=alone)
    except Exception:  # noqa: BLE001  named as failed in the answer: SQS hands it out again, and buries it in the end
        logger.exception("work is to be tried again", kind=kind, messageId=record["messageId"])
        return False
    return True


def _handle(record: Received, kind: WorkKind, seconds_left: int, *, alone: bool) -> None:
    message = _message(record, kind)
    if message is None:
        return
    received = _times_received(record)
    if received > MOST_TRIES:
        reason = f"its worker died: received {received} times without an answer"
        if container().work_runner.give_up(message, reason):  # else it was done meanwhile, for another message
            _send_to_dlq(record, kind, reason)
        return
    if seconds_left < LEAST_SECONDS:
        _send_again(message)
        return
    try:
        worker = container().workers[kind]()
        container().work_runner.handle(message, worker, seconds_left + LEASE_MARGIN_SECONDS, alone=alone)
    except Exception as error:
        if received >= MOST_TRIES:
            _send_to_dlq(record, kind, f"{type(error).__name__}: {error}")
            return
        container().ports.queue.retry_in(kind, record["receiptHandle"], FIRST_RETRY_SECONDS * received)
        raise


def _send_again(message: WorkMessage) -> None:
    """Have a further invocation do the work: by a message like any other, this one is done with.

    After too many in a row it is left to its due time: it is wanted, and the planner asks again for what is due.
    """
    if message.may_be_followed:
        container().ports.queue.send([message.again()])
    else:
        logger.warning("left until it comes due: too many messages in a row", work=message.work.key)


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
    _send_to_dlq(record, kind, reason)
    return None


def _send_to_dlq(record: Received, kind: WorkKind, reason: str) -> None:
    """Put a message into the dead-letter queue, with the reason. Its work is still wanted, and comes due again."""
    logger.error("a message goes to the dead-letter queue", reason=reason, kind=kind, body=record["body"][:1000])
    container().ports.queue.send_to_dlq(record["body"], kind, reason)

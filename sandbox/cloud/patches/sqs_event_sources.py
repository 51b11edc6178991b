"""Queues as event sources of functions.

MiniStack: after an invocation that raised, the whole mapping rests for a second, so that one poison message slows its
queue down to a batch a second; an unreadable partial-batch response counts as success and its messages are deleted; an
idle poller notices a message after up to 50 ms.

AWS: the other messages go on; a partial-batch response that is malformed or names an unknown message is a failure of
the whole batch (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html); messages are noticed at
once by long polling.

Mended: no rest (failed messages stay invisible for the queue's visibility time-out in any case), the response is read
strictly, a gap of 2 ms. MaximumConcurrency, visibility and redrive are right in MiniStack. Left out: batches of more
than 10 messages, MaximumBatchingWindowInSeconds, scaling up by steps.
"""

from typing import Any

from ministack.services import lambda_svc, sqs

from sandbox.cloud.patches.dynamodb_streams import reported_failures

IDLE_GAP_SECONDS = 0.002
REST_SECONDS = 0.0


def apply() -> None:
    """Replace what happens with a batch of messages, and the pauses of the poller."""
    lambda_svc._run_sqs_batch = _run_batch
    lambda_svc._ESM_IDLE_WAKE_GAP_SECONDS = IDLE_GAP_SECONDS
    lambda_svc._ESM_BACKOFF_SECONDS = REST_SECONDS


def _run_batch(
    mapping: dict[str, Any],
    function: dict[str, Any],
    event: dict[str, Any],
    batch: list[dict[str, Any]],
    queue_url: str,
    _queue_name: str,
) -> None:
    """Invoke the function for `batch` and delete the messages that succeeded; the others come back."""
    result = lambda_svc._execute_function(function, event)
    failed = _failed_messages(mapping, batch, result)
    handles = {message["receipt_handle"] for message in batch if message["id"] not in failed}
    sqs._delete_messages_for_esm(queue_url, handles)
    mapping["LastProcessingResult"] = f"{len(handles)} records OK, {len(failed)} failed"


def _failed_messages(mapping: dict[str, Any], batch: list[dict[str, Any]], result: dict[str, Any]) -> set[str]:
    everything = {str(message["id"]) for message in batch}
    if result.get("error"):
        return everything
    if "ReportBatchItemFailures" not in (mapping.get("FunctionResponseTypes") or []):
        return set()
    reported = reported_failures(result.get("body"))
    return set(reported) if reported is not None and set(reported) <= everything else everything

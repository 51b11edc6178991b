"""Events that reach functions asynchronously, from EventBridge rules above all.

MiniStack: a rule's target function is run once; when it raises, the event is gone. A target that does not exist
swallows the event, whatever DeadLetterConfig the target has. A function's dead-letter queue receives a record of the
failure instead of the event.

AWS: the function is invoked asynchronously: two more tries, then the event goes to the function's dead-letter queue
and a record of it to its on-failure destination
(https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html). An event that cannot be delivered
to its target goes to the target's dead-letter queue, with the reason in the message's attributes
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html).

Mended: all three. The pauses between tries are seconds instead of minutes. Left out: a target's RetryPolicy, because a
local target is either there or not.
"""

import json
from typing import Any

from ministack.core.arn import parse_arn
from ministack.core.responses import new_uuid
from ministack.services import eventbridge, lambda_svc, sqs

Attributes = dict[str, str]


def apply() -> None:
    """Deliver rules' events asynchronously, and what cannot be delivered to dead-letter queues."""
    eventbridge._dispatch_to_lambda = _dispatch_to_function
    _keep_undeliverable_events()
    _send_events_to_dead_letter_queues()


def _dispatch_to_function(arn: str, payload: str) -> None:
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if function and config:
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))


def _keep_undeliverable_events() -> None:
    invoke = eventbridge._invoke_target

    def invoke_or_keep(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
        if _exists(target["Arn"]):
            invoke(target, event, rule, view)
        elif dead_letters:
            view = view or eventbridge._pattern_event_view(event)
            _send(
                dead_letters,
                json.dumps(view.event_with_detail()),
                {
                    "RULE_ARN": rule.get("Arn", ""),
                    "TARGET_ARN": target["Arn"],
                    "ERROR_CODE": "NO_RESOURCE",
                    "ERROR_MESSAGE": "The target does not exist",
                    "RETRY_ATTEMPTS": "0",
                },
            )

    eventbridge._invoke_target = invoke_or_keep


def _exists(target_arn: str) -> bool:
    service = parse_arn(target_arn).service
    if service == "lambda":
        return lambda_svc._get_func_record_for_ref(target_arn)[0] is not None
    return service != "sqs" or sqs._queue_by_arn(target_arn) is not None


def _send_events_to_dead_letter_queues() -> None:
    route = lambda_svc._route_async_failure

    def route_to_both(target_arn: str, name: str, event: Any, result: dict[str, Any]) -> None:
        function = lambda_svc._functions.get(name) or {}
        dead_letters = (function.get("config", {}).get("DeadLetterConfig") or {}).get("TargetArn")
        if dead_letters and parse_arn(dead_letters).service == "sqs":
            body = result.get("body")
            message = body.get("errorMessage", "") if isinstance(body, dict) else ""
            attributes = {"RequestID": new_uuid(), "ErrorCode": "200", "ErrorMessage": str(message)[:1024]}
            _send(dead_letters, json.dumps(event), attributes)
        if target_arn != dead_letters:
            route(target_arn, name, event, result)

    lambda_svc._route_async_failure = route_to_both


def _send(queue_arn: str, body: str, attributes: Attributes) -> None:
    """Send a message as an AWS service does, past the caller's permissions."""
    if (queue := sqs._queue_by_arn(queue_arn)) is not None:
        values = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}
        sqs._act_send_message({"MessageBody": body, "MessageAttributes": values}, queue["url"])

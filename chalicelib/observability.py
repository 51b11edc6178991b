"""Logs and metrics: structured logs, metrics in CloudWatch's embedded metric format (R7)."""

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from .domain.texts import neutral

SERVICE = "drs-active-regions"
NAMESPACE = "DRSOrchestration"

Handler = TypeVar("Handler", bound=Callable[..., Any])


def _line(record: dict[str, Any]) -> str:
    """Return a log record as one line of JSON, without characters that move a cursor or turn the text around.

    Names, tags and messages come from customers. Line breaks and tabs stay where they are JSON's own escapes.
    """
    return json.dumps(_neutral(record), default=str, ensure_ascii=False, separators=(",", ":"))


def _neutral(value: Any) -> Any:
    if isinstance(value, str):
        return neutral(value, lines=True)
    if isinstance(value, dict):
        return {neutral(str(name)): _neutral(part) for name, part in value.items()}
    return [_neutral(part) for part in value] if isinstance(value, list | tuple) else value


logger = Logger(service=SERVICE, json_serializer=_line)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
logging.getLogger("botocore").setLevel(logging.WARNING)  # below, it logs requests: ExternalIds and credentials


def count(name: str, value: float = 1) -> None:
    """Add to the count metric `name`."""
    metrics.add_metric(name, MetricUnit.Count, value)


def percent(name: str, value: float) -> None:
    """Add to the percent metric `name`."""
    metrics.add_metric(name, MetricUnit.Percent, value)


def milliseconds(name: str, value: float) -> None:
    """Add to the duration metric `name`."""
    metrics.add_metric(name, MetricUnit.Milliseconds, value)


def count_calls(calls: dict[str, int]) -> None:
    """Emit the AWS calls of one piece of work as `APICalls`, by service and operation."""
    for name, value in calls.items():
        service, operation = name.split(":", 1)
        with single_metric("APICalls", MetricUnit.Count, value, namespace=NAMESPACE) as metric:
            metric.add_dimension("awsService", service)
            metric.add_dimension("operation", operation)


def identify(request_id: str | None) -> None:
    """Name the invocation in every further log line: CloudTrail records it under this ID, with who made it."""
    if request_id:
        logger.append_keys(function_request_id=request_id)  # Powertools' own name for it


def observed(handler: Handler) -> Handler:
    """Name the invocation in the log, and write the metrics that `handler` collected when it ends, however it ends."""

    @wraps(handler)
    def run(*arguments: Any, **named: Any) -> Any:
        identify(_request_id(arguments))
        try:
            return handler(*arguments, **named)
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()

    return cast(Handler, run)


def _request_id(arguments: tuple[Any, ...]) -> str | None:
    """Return the ID of the invocation, from Lambda's context or Chalice's event that carries it."""
    contexts = (getattr(argument, "context", argument) for argument in arguments)
    return next((str(context.aws_request_id) for context in contexts if hasattr(context, "aws_request_id")), None)

"""Logs and metrics: structured logs, metrics in CloudWatch's embedded metric format (R7)."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

SERVICE = "drs-active-regions"
NAMESPACE = "DRSOrchestration"

Handler = TypeVar("Handler", bound=Callable[..., Any])

logger = Logger(service=SERVICE)
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


def observed(handler: Handler) -> Handler:
    """Write the metrics that `handler` collected when it ends, however it ends."""

    @wraps(handler)
    def run(*arguments: Any, **named: Any) -> Any:
        try:
            return handler(*arguments, **named)
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()

    return cast(Handler, run)

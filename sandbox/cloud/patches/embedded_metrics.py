"""Metrics that functions print in CloudWatch's embedded metric format.

MiniStack: writes the lines to the log only.

AWS: turns them into metrics
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

Mended: every line of a function's output that holds the format is recorded, with MiniStack's time of arrival.
"""

import json
from collections.abc import Iterator
from typing import Any

from ministack.services import cloudwatch, lambda_svc

MARK = '"CloudWatchMetrics"'


def apply() -> None:
    """Record the metrics of every invocation's output before it goes to the log."""
    emit = lambda_svc._emit_lambda_logs

    def emit_and_record(function: dict[str, Any], request_id: str, text: str, *more: Any, **options: Any) -> None:
        for document in _documents(text or ""):
            _record(document)
        emit(function, request_id, text, *more, **options)

    lambda_svc._emit_lambda_logs = emit_and_record


def _documents(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if MARK not in line:
            continue
        try:
            yield json.loads(line[line.index("{") :])
        except ValueError:
            continue


def _record(document: dict[str, Any]) -> None:
    for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document.get(name, "")) for name in names}
            for metric in directive.get("Metrics", []):
                _record_values(document, directive.get("Namespace", ""), metric, dimensions)


def _record_values(
    document: dict[str, Any], namespace: str, metric: dict[str, Any], dimensions: dict[str, str]
) -> None:
    found = document.get(metric["Name"], [])
    for value in found if isinstance(found, list) else [found]:
        cloudwatch.record_metric(namespace, metric["Name"], value, metric.get("Unit", "None"), dimensions)

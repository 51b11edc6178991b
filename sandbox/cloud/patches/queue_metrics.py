"""CloudWatch metrics of queues, and alarms on them.

MiniStack: has no AWS/SQS metrics; evaluates alarms only when somebody puts a metric, and takes every metric of that
name for the alarm's, whatever its dimensions.

AWS: reports the depth of every active queue once a minute
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html), and
an alarm is about one set of dimensions.

Mended: depth, messages in flight and age of the oldest message, sampled every two seconds and recorded when they
change or a minute has passed; alarms are evaluated with every sample, on their own dimensions. Left out:
TreatMissingData (a metric without data changes no state), and the counts of sent, received and deleted messages.
"""

import logging
import operator
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, sqs

NAMESPACE = "AWS/SQS"
SAMPLE_SECONDS = 2.0
REPEAT_SECONDS = 60.0
BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanOrEqualToThreshold": operator.le,
    "LessThanThreshold": operator.lt,
}

logger = logging.getLogger("sandbox.metrics")


def apply() -> None:
    """Start sampling, and let alarms see their own dimensions only."""
    cloudwatch._evaluate_alarm = _evaluate
    threading.Thread(target=_Sampler().run, daemon=True, name="queue-metrics").start()


class _Sampler:
    def __init__(self) -> None:
        self._recorded: dict[tuple[str, ...], tuple[float, float]] = {}

    def run(self) -> None:
        while True:
            time.sleep(SAMPLE_SECONDS)
            try:
                self._sample()
            except Exception:
                logger.exception("sampling failed and goes on")

    def _sample(self) -> None:
        for (account_id, region, _), queue in sqs._queues.all_items():
            with request_scope(account_id, region):
                for name, value, unit in _measured(queue):
                    self._record((account_id, region, queue["name"], name), value, unit)
        for account_id, region in {key[:2] for key, _ in cloudwatch._alarms.all_items()}:
            with request_scope(account_id, region):
                cloudwatch._evaluate_all_alarms()

    def _record(self, key: tuple[str, str, str, str], value: float, unit: str) -> None:
        last, at = self._recorded.get(key, (None, 0.0))
        if value != last or time.monotonic() - at > REPEAT_SECONDS:
            self._recorded[key] = (value, time.monotonic())
            cloudwatch.record_metric(NAMESPACE, key[3], value, unit, {"QueueName": key[2]})


def _measured(queue: dict[str, Any]) -> Iterator[tuple[str, float, str]]:
    now = time.time()
    messages = list(queue["messages"])
    visible = sum(message["visible_at"] <= now for message in messages)
    in_flight = sum(message["visible_at"] > now and message["receive_count"] > 0 for message in messages)
    oldest = min((message["sent_at"] for message in messages), default=now)
    yield "ApproximateNumberOfMessagesVisible", visible, "Count"
    yield "ApproximateNumberOfMessagesNotVisible", in_flight, "Count"
    yield "ApproximateAgeOfOldestMessage", int(now - oldest), "Seconds"


def _evaluate(alarm: dict[str, Any]) -> None:
    """Compare the recent points of the alarm's own dimensions with its threshold, and act on a change of state."""
    dimensions = {item["Name"]: item["Value"] for item in alarm.get("Dimensions") or []}
    key = (alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions))
    since = time.time() - alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1)
    points = [point for point in cloudwatch._metrics.get(key) or [] if point["Timestamp"] >= since]
    breaches = BREACHES.get(alarm.get("ComparisonOperator", ""))
    if not points or breaches is None:
        return
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points)
    before, after = alarm["StateValue"], "ALARM" if breaches(value, alarm["Threshold"]) else "OK"
    if before == after:
        return
    reason = f"Threshold Crossed: {statistic} {value} {alarm['ComparisonOperator']} {alarm['Threshold']}"
    alarm.update(StateValue=after, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, after, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, after, reason)
    cloudwatch._evaluate_parent_alarms(alarm)

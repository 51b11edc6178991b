"""Patch `queue_metrics`."""

from .waiting import eventually


def test_a_message_in_a_dead_letter_queue_raises_its_alarm_and_no_other(cloud, queues):
    queues.send("WorkDeadLetters", "dead")

    client = cloud.hub().client("cloudwatch")

    def states():
        alarms = client.describe_alarms(AlarmNames=["sample-dead-letters", "sample-nothing-idle"])["MetricAlarms"]
        found = {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
        return found if found["sample-dead-letters"] == "ALARM" else None

    assert eventually(states) == {"sample-dead-letters": "ALARM", "sample-nothing-idle": "OK"}

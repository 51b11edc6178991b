"""Patch `asynchronous_invocations`."""

import json

import pytest


@pytest.fixture
def events(cloud):
    return cloud.hub().client("events")


def put(events, ident, **detail):
    entry = {"Source": "sample.custom", "DetailType": "test", "Detail": json.dumps({"id": ident, **detail})}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_a_rules_function_is_tried_three_times_and_its_failure_recorded(events, log, queues, name):
    put(events, name, fail=True)

    record = json.loads(queues.receive("AsyncFailures", name)["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestPayload"]["detail"]["id"] == name
    assert len(log.of("bus", f"{name}#")) == 3


def test_a_functions_dead_letter_queue_receives_the_event_itself(cloud, log, queues, name):
    raiser = cloud.outputs.resources["Raiser"]
    cloud.hub().client("lambda").invoke(
        FunctionName=raiser, InvocationType="Event", Payload=json.dumps({"id": name}).encode()
    )

    message = queues.receive("AsyncFailures", name)
    assert json.loads(message["Body"]) == {"id": name}
    assert "always" in message["MessageAttributes"]["ErrorMessage"]["StringValue"]


def test_an_event_without_a_target_goes_to_the_targets_dead_letter_queue(events, queues, name):
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    missing = f"arn:aws:lambda:us-east-1:111111111111:function:{name}"
    target = {"Id": "1", "Arn": missing, "DeadLetterConfig": {"Arn": queues.arn("AsyncFailures")}}
    events.put_targets(Rule=name, Targets=[target])

    events.put_events(Entries=[{"Source": name, "DetailType": "test", "Detail": "{}"}])

    message = queues.receive("AsyncFailures", f'"source": "{name}"')
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == missing


def test_a_disabled_rule_does_not_fire_until_it_is_enabled(cloud, events, log, name):
    rule = next(rule["Name"] for rule in events.list_rules()["Rules"] if "OnBus" in rule["Name"])
    events.disable_rule(Name=rule)
    put(events, f"{name}-disabled")
    events.enable_rule(Name=rule)
    put(events, f"{name}-enabled")

    log.wait_for("bus", f"{name}-enabled")
    assert log.of("bus", f"{name}-disabled") == []

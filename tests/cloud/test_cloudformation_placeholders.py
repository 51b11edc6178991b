"""Patch `cloudformation_placeholders`: without it the sample's stack is refused, and no test of this folder runs."""


def test_types_that_ministack_does_not_know_are_part_of_the_stack(cloud):
    assert {"Saved", "Combined", "BusPolicy", "Math"} <= cloud.outputs.resources.keys()


def test_a_composite_alarm_is_a_real_one(cloud):
    found = (
        cloud.hub().client("cloudwatch").describe_alarms(AlarmNames=["sample-combined"], AlarmTypes=["CompositeAlarm"])
    )
    assert found["CompositeAlarms"][0]["AlarmRule"] == 'ALARM("sample-dead-letters")'


def test_the_policy_of_a_bus_is_kept(cloud):
    assert "members" in cloud.hub().client("events").describe_event_bus()["Policy"]

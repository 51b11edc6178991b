"""Patch `scheduled_rules`, and schedules made due through the control API."""

import time

UNPATCHED_SECONDS = 10


def due(cloud):
    return cloud.control("POST", "/schedules", {"accountId": "111111111111", "rule": "Tick"})["due"]


def test_a_schedule_that_is_due_fires_at_once_and_a_disabled_one_never(cloud, log):
    events = cloud.hub().client("events")
    [rule] = due(cloud)
    log.wait_for("tick", seconds=UNPATCHED_SECONDS)

    events.disable_rule(Name=rule)
    fired = len(log.of("tick"))
    assert due(cloud) == []
    time.sleep(2.5)
    assert len(log.of("tick")) == fired

    events.enable_rule(Name=rule)
    for expected in (fired + 1, fired + 2):
        started = time.monotonic()
        log.wait_for("tick", count=expected)
        assert time.monotonic() - started < UNPATCHED_SECONDS / 3
        due(cloud)

"""Killed execution environments: what was under way fails, and comes back as the event's source promises."""

import json
import threading

import pytest

from sandbox.cloud.client import ControlError


@pytest.fixture
def kill(cloud):
    def kill_one(function, **wanted):
        return cloud.control("POST", "/workers/kill", {"function": function, **wanted})["killed"]

    return kill_one


def functions(cloud, logical):
    return cloud.outputs.resources[logical]


def test_a_caller_who_waits_is_told(cloud, kill):
    client, fragile = cloud.hub().client("lambda"), functions(cloud, "Fragile")
    first = json.loads(client.invoke(FunctionName=fragile)["Payload"].read())
    answers = []

    def call():
        answers.append(client.invoke(FunctionName=fragile, Payload=json.dumps({"sleep": 5}).encode()))

    calling = threading.Thread(target=call)
    calling.start()
    killed = kill(fragile, atWorkSeconds=0.2)
    calling.join()
    after = json.loads(client.invoke(FunctionName=fragile)["Payload"].read())

    assert killed == [{"function": fragile, "pid": first["pid"]}]
    assert answers[0]["FunctionError"] == "Unhandled"
    assert after["invocations"] == 1


def test_messages_come_back_after_the_visibility_time_out(queues, cloud, kill, log, name):
    queues.send("Work", json.dumps({"id": name, "sleep": 1}))
    assert kill(functions(cloud, "OnWork"), atWorkSeconds=0.3, withinSeconds=10)
    (entry,) = log.wait_for(f"sqs#{name}")
    assert entry["receives"] == "2"


def test_a_batch_of_a_stream_is_tried_again(cloud, kill, log, name):
    table = cloud.hub().resource("dynamodb").Table("sample-partial")
    table.put_item(Item={"id": name, "sleep": 1})
    assert kill(functions(cloud, "OnPartial"), atWorkSeconds=0.3, withinSeconds=10)
    assert log.wait_for("stream", name)


def test_nothing_is_killed_where_nothing_is_at_work(cloud, kill):
    assert kill("no-such-function", withinSeconds=0.1) == []
    with pytest.raises(ControlError):
        kill("[", withinSeconds=0.1)

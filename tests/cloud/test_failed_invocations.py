"""Patch `failed_invocations`."""

import json

import pytest


@pytest.fixture
def invoke(cloud):
    client, probe = cloud.hub().client("lambda"), cloud.outputs.resources["Fragile"]

    def invoke_probe(**event):
        answer = client.invoke(FunctionName=probe, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read()), answer.get("FunctionError")

    return invoke_probe


def test_the_environment_survives_an_exception_which_is_named(invoke):
    first, _ = invoke()
    error, kind = invoke(**{"raise": "two\nlines"})
    after, _ = invoke()

    assert kind == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("FragileError", "two\nlines")
    assert any("fragile" in line for line in error["stackTrace"])
    assert after["pid"] == first["pid"]
    assert after["invocations"] == 3


def test_the_environment_does_not_survive_a_timeout_or_its_own_end(invoke):
    first, _ = invoke()
    error, _ = invoke(sleep=5)
    second, _ = invoke()
    assert error["errorType"] == "Sandbox.Timedout"
    assert second["pid"] != first["pid"]
    assert second["invocations"] == 1

    assert invoke(exit=3)[1] == "Unhandled"
    assert invoke()[0]["invocations"] == 1

"""Patch `function_updates`."""

import threading
import time

SLEEP_SECONDS = 2


def test_an_update_lets_an_invocation_come_to_its_end(cloud):
    probe, functions = cloud.outputs.resources["Probe"], cloud.hub().client("lambda")
    variables = functions.get_function_configuration(FunctionName=probe)["Environment"]["Variables"]
    answers = []
    cloud.invoke(probe, {})

    call = threading.Thread(target=lambda: answers.append(cloud.invoke(probe, {"sleep": SLEEP_SECONDS})))
    call.start()
    time.sleep(SLEEP_SECONDS / 4)
    functions.update_function_configuration(
        FunctionName=probe, Environment={"Variables": {**variables, "NEW_PROXY": "yes"}}
    )
    later = cloud.invoke(probe, {})
    call.join()
    functions.update_function_configuration(FunctionName=probe, Environment={"Variables": variables})

    assert [answer["environment"] for answer in answers] == [{}]
    assert later["environment"] == {"NEW_PROXY": "yes"}

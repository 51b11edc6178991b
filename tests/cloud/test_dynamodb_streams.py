"""Patch `dynamodb_streams`."""

import json
import time

import pytest

from .waiting import eventually


@pytest.fixture
def put(cloud):
    """Put items into a table in one transaction, so that they come as one batch."""
    client = cloud.hub().client("dynamodb")

    def put_all(table, *identifiers, **attributes):
        values = {key: {"N": str(value)} for key, value in attributes.items()}
        items = [{"Put": {"TableName": table, "Item": {"id": {"S": item}, **values}}} for item in identifiers]
        client.transact_write_items(TransactItems=items)

    return put_all


def failure_of(queues, sequence):
    return json.loads(queues.receive("StreamFailures", sequence)["Body"])


@pytest.mark.parametrize("table", ["sample-partial", "sample-bisect"])
def test_only_the_poison_record_is_given_up_and_nothing_behind_it_is_lost(put, log, queues, name, table):
    good = [f"good-{name}-{number}" for number in range(4)]
    put(table, *good[:2], f"bad-{name}", *good[2:])

    def all_seen():
        return {entry["id"] for entry in log.of("stream", f"good-{name}")} == set(good)

    eventually(all_seen)
    tries = log.wait_for("stream", f"bad-{name}", count=2)
    record = failure_of(queues, tries[0]["sequence"])
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["DDBStreamBatchInfo"]["batchSize"] == 1
    assert record["DDBStreamBatchInfo"]["startSequenceNumber"] == tries[0]["sequence"]


def test_records_behind_a_failed_one_keep_their_order(put, log, name):
    put("sample-partial", f"bad-{name}")
    late = [f"late-{name}-{number:02}" for number in range(12)]
    for identifier in late:
        put("sample-partial", identifier)

    seen = log.wait_for("stream", f"late-{name}", count=len(late))
    assert list(dict.fromkeys(entry["id"] for entry in seen)) == late


def test_a_slow_stream_handler_does_not_hold_up_queues(put, log, queues, name):
    queues.send("Work", json.dumps({"id": f"{name}-warm"}))
    log.wait_for(f"sqs#{name}-warm")
    put("sample-partial", f"slow-{name}", sleep=1.5)
    time.sleep(0.3)

    sent = time.time()
    queues.send("Work", json.dumps({"id": name}))
    handled = log.wait_for(f"sqs#{name}")[0]
    assert float(handled["received"]) - sent < 0.7
    assert log.of("stream", f"slow-{name}") == []
    log.wait_for("stream", f"slow-{name}")


def test_a_batching_window_gathers_records(cloud, put, log, name):
    functions = cloud.hub().client("lambda")
    mapping = functions.list_event_source_mappings(FunctionName=cloud.outputs.resources["OnBisect"])
    identifier = mapping["EventSourceMappings"][0]["UUID"]
    functions.update_event_source_mapping(UUID=identifier, MaximumBatchingWindowInSeconds=1)
    try:
        for number in range(3):
            put("sample-bisect", f"gathered-{name}-{number}")
            time.sleep(0.1)
        seen = log.wait_for("stream", f"gathered-{name}", count=3)
    finally:
        functions.update_event_source_mapping(UUID=identifier, MaximumBatchingWindowInSeconds=0)
    assert {int(entry["size"]) for entry in seen} == {3}

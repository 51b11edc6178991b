"""What the sample's functions do: leave a trace in the log table, sleep or fail as the input asks."""

import json
import os
import time
from functools import cache

import boto3


@cache
def log_table():
    return boto3.resource("dynamodb").Table(os.environ["LOG_TABLE"])


def log(kind, ident, **more):
    now = time.time()
    log_table().put_item(
        Item={"pk": kind, "sk": f"{ident}#{now:.6f}", "at": str(now), "pid": os.getpid(), "id": ident, **more}
    )


def probe(event):
    if event.get("metric"):
        print(json.dumps(embedded_metric(event["metric"])))  # noqa: T201 - that is how the format is emitted
    if event.get("table"):
        boto3.resource("dynamodb").Table(event["table"]).put_item(Item={"id": "probe"})
    time.sleep(event.get("sleep", 0))
    return {
        "endpoint": os.environ.get("AWS_ENDPOINT_URL"),
        "identity": boto3.client("sts").get_caller_identity()["Arn"] if event.get("identity") else None,
        "environment": {name: value for name, value in os.environ.items() if "proxy" in name.lower()},
    }


class FragileError(Exception):
    pass


invocations = 0


def fragile(event):
    global invocations  # noqa: PLW0603 - what an execution environment keeps
    invocations += 1
    if "exit" in event:
        os._exit(event["exit"])
    if "raise" in event:
        raise FragileError(event["raise"])
    time.sleep(event.get("sleep", 0))
    return {"pid": os.getpid(), "invocations": invocations}


def embedded_metric(value):
    return {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {"Namespace": "Sample", "Dimensions": [["service"]], "Metrics": [{"Name": "Things", "Unit": "Count"}]}
            ],
        },
        "service": "sample",
        "Things": [value],
    }


def messages(records):
    failed = []
    for record in records:
        body = json.loads(record["body"])
        received = time.time()
        time.sleep(body.get("sleep", 0))
        if not body.get("quiet"):
            count = record["attributes"]["ApproximateReceiveCount"]
            kind = body.get("kind") or f"sqs#{body['id']}"
            log(kind, body["id"], receives=count, received=str(received))
        if body.get("raise"):
            raise RuntimeError(body["id"])
        if body.get("fail"):
            failed.append({"itemIdentifier": record["messageId"]})
        if body.get("nonsense"):
            return {"batchItemFailures": [{"itemIdentifier": ""}]}
    return {"batchItemFailures": failed}


def records(batch, partial):
    failed = []
    for record in batch:
        ident = record["dynamodb"]["Keys"]["id"]["S"]
        received = time.time()
        new = record["dynamodb"].get("NewImage", {})
        time.sleep(float(new.get("sleep", {}).get("N", 0)))
        log("stream", ident, sequence=record["dynamodb"]["SequenceNumber"], received=str(received), size=len(batch))
        if ident.startswith("bad"):
            if not partial:
                raise RuntimeError(ident)
            failed.append({"itemIdentifier": record["dynamodb"]["SequenceNumber"]})
            break
    return {"batchItemFailures": failed} if partial else None

"""The deployed stack as the tests see it: its tables, queues, functions and rules."""

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache

from boto3.dynamodb.types import TypeSerializer

from .waiting import eventually

WORK_QUEUES = ("InventoryWork", "TagsWork", "StagingWork")
QUEUES = (*WORK_QUEUES, "WorkDeadLetters", "ScheduleFailures", "StreamFailures")
TABLES = (
    "InventoryTable",
    "ScanTable",
    "TelemetryTable",
    "AccountsTable",
    "WorkStateTable",
    "RefusalsTable",
    "RunsTable",
    "RegionStatusTable",
)
CUSTOMER_SERVICES = ("drs", "ec2", "sts")
QUIET_SECONDS = 30.0
SCHEDULED_EVENT = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "111111111111",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}


class Stack:
    """The stack of one cloud."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.sqs = cloud.hub().client("sqs")
        self.functions = cloud.hub().client("lambda")
        self._tables = cloud.hub().resource("dynamodb")

    # --- functions ---

    def invoke(self, function, payload):
        return self.cloud.invoke(self.name(function), payload)

    def operate(self, operation, **body):
        """Invoke an operation and return its answer; a sync waits for its summary unless told otherwise."""
        patience = {"wait": 25} if operation.startswith("sync_") else {}
        return self.invoke("Operations", {"operation": operation, **patience, **body})

    def scan(self, *scopes):
        """Sync the inventory of `scopes` and let everything happen that follows; return the summary."""
        named = [{"accountId": account_id, "region": region} for account_id, region in scopes]
        summary = self.operate("sync_source_server_inventory", scopes=named)
        self.settle()
        return summary

    def tick(self, function):
        """Invoke a schedule's function as EventBridge does."""
        self.invoke(function, SCHEDULED_EVENT)

    def recycle(self, *functions):
        """End the warm workers of `functions`: the next invocation starts cold."""
        for function in functions:
            name = self.name(function)
            size = self.functions.get_function_configuration(FunctionName=name)["MemorySize"]
            self.functions.update_function_configuration(FunctionName=name, MemorySize=size)

    def replay(self, function, item, times):
        """Hand a stream handler the record of an unchanged item, `times` over in one batch."""
        typed = {name: TypeSerializer().serialize(value) for name, value in item.items()}
        keys = {name: typed[name] for name in ("region", "accountId")}
        records = [
            {
                "eventID": str(number),
                "eventName": "MODIFY",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1",
                "dynamodb": {
                    "Keys": keys,
                    "NewImage": typed,
                    "OldImage": typed,
                    "SequenceNumber": str(number),
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "eventSourceARN": self.mapping(function)["EventSourceArn"],
            }
            for number in range(times)
        ]
        answer = self.invoke(function, {"Records": records})
        assert answer == {"batchItemFailures": []}

    @contextmanager
    def environment(self, function, **changes):
        """Change environment variables of a function for a while; this starts it cold, twice."""
        name = self.name(function)
        before = self.functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        self.functions.update_function_configuration(FunctionName=name, Environment={"Variables": before | changes})
        try:
            yield
        finally:
            self.functions.update_function_configuration(FunctionName=name, Environment={"Variables": before})

    def mapping(self, function):
        """Return the event source mapping of a function; it has exactly one."""
        [mapping] = self.functions.list_event_source_mappings(FunctionName=self.name(function))["EventSourceMappings"]
        return mapping

    @contextmanager
    def paused(self, function):
        """Detach a function from its event source for a while."""
        identifier = self.mapping(function)["UUID"]
        self.functions.update_event_source_mapping(UUID=identifier, Enabled=False)
        try:
            yield
        finally:
            self.functions.update_event_source_mapping(UUID=identifier, Enabled=True)

    @contextmanager
    def scheduled(self, function):
        """Switch the rule of a schedule's function on for a while; its name is handed out."""
        events = self.cloud.hub().client("events")
        arn = self.functions.get_function_configuration(FunctionName=self.name(function))["FunctionArn"]
        [rule] = events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
        events.enable_rule(Name=rule)
        try:
            yield rule
        finally:
            events.disable_rule(Name=rule)

    def logged(self, function, text):
        """Return the log lines of a function that hold `text`."""
        logs = self.cloud.hub().client("logs")
        group = f"/aws/lambda/{self.name(function)}"
        return [
            event["message"]
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            for event in page["events"]
            if text in event["message"]
        ]

    def metric(self, name, **dimensions):
        """Return the sum of a metric's points so far; without dimensions, those that the product gives every metric."""
        now = datetime.now(UTC)
        points = (
            self.cloud.hub()
            .client("cloudwatch")
            .get_metric_statistics(
                Namespace="DRSOrchestration",
                MetricName=name,
                Dimensions=[
                    {"Name": key, "Value": value}
                    for key, value in (dimensions or {"service": "drs-active-regions"}).items()
                ],
                StartTime=now - timedelta(minutes=30),
                EndTime=now + timedelta(minutes=5),
                Period=3600,
                Statistics=["Sum"],
            )["Datapoints"]
        )
        return sum(point["Sum"] for point in points)

    # --- tables ---

    def name(self, logical):
        return self.cloud.outputs.resources[logical]

    @cache  # noqa: B019  lives as long as the session
    def table(self, logical):
        return self._tables.Table(self.name(logical))

    def items(self, logical):
        table, found, start = self.table(logical), [], {}
        while True:
            page = table.scan(ConsistentRead=True, **start)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def empty(self, logical):
        table = self.table(logical)
        keys = [part["AttributeName"] for part in table.key_schema]
        with table.batch_writer() as batch:
            for item in self.items(logical):
                batch.delete_item(Key={key: item[key] for key in keys})

    def statuses(self):
        """Return the region status rows by region."""
        return {row["region"]: row for row in self.items("RegionStatusTable")}

    def active(self):
        """Return the counts of the active regions."""
        return {region: int(row["serverCount"]) for region, row in self.statuses().items() if row["serverCount"]}

    def scan_record(self, account_id, region):
        return self.table("ScanTable").get_item(Key={"region": region, "accountId": account_id}).get("Item")

    def make_active(self, account_id, region):
        """Write the scan record of a scope that holds a server."""
        self.table("ScanTable").put_item(
            Item={
                "region": region,
                "accountId": account_id,
                "state": "AVAILABLE",
                "serverCount": 1,
                "replicatingCount": 1,
                "lastChecked": "2026-01-01T00:00:00.000Z",
                "lastSuccess": "2026-01-01T00:00:00.000Z",
            }
        )

    def work(self, kind, account_id, region):
        key = {"workId": f"{kind}#{account_id}#{region}"}
        return self.table("WorkStateTable").get_item(Key=key, ConsistentRead=True).get("Item")

    def runs(self, kind):
        """Return the runs of a kind, in the order of time."""
        found = [item for item in self.items("RunsTable") if item["part"] == "RUN" and item["kind"] == kind]
        return sorted(found, key=lambda run: run["createdAt"])

    def let_time_pass(self, kind):
        """Make every planned work of `kind` due, as if its interval had passed."""
        for item in self.items("WorkStateTable"):
            if item["workId"].startswith(f"{kind}#") and "nextDueAt" in item:
                self.table("WorkStateTable").update_item(
                    Key={"workId": item["workId"]},
                    UpdateExpression="SET nextDueAt = :now",
                    ExpressionAttributeValues={":now": int(time.time())},
                )

    # --- queues ---

    def url(self, queue):
        return self.cloud.outputs.resources[queue]

    def send(self, queue, *bodies):
        """Send messages, in one batch; bodies that are not text are sent as JSON."""
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        entries = [{"Id": str(number), "MessageBody": text} for number, text in enumerate(texts)]
        self.sqs.send_message_batch(QueueUrl=self.url(queue), Entries=entries)

    def waiting(self, queue):
        """Return how many messages a queue holds, those in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=names)["Attributes"]
        return sum(int(answer[name]) for name in names)

    def received(self, queue, count, seconds=15.0):
        """Wait for `count` messages, take them off the queue and return them."""
        taken = []

        def look():
            answer = self.sqs.receive_message(
                QueueUrl=self.url(queue), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.url(queue), ReceiptHandle=message["ReceiptHandle"])
                taken.append(message)
            return taken if len(taken) >= count else None

        return eventually(look, seconds)

    def held(self, queue, count):
        """Wait for `count` messages, in the order they come, and leave them in flight."""
        taken = []

        def look():
            answer = self.sqs.receive_message(QueueUrl=self.url(queue), MaxNumberOfMessages=10)
            taken.extend(answer.get("Messages", []))
            return taken if len(taken) >= count else None

        return eventually(look)

    # --- faults and calls of customer accounts' services ---

    def fault(self, **rule):
        self.cloud.control("POST", "/faults", {"rules": [rule]})

    def heal(self):
        self.cloud.control("DELETE", "/faults")

    def forget_calls(self):
        self.cloud.reset_calls()

    def calls(self, *services):
        """Return the calls to customer accounts' services, by (service, operation, account, region)."""
        return {
            (call["service"], call["operation"], call["account"], call["region"]): call["calls"]
            for call in self.cloud.calls()
            if call["service"] in (services or CUSTOMER_SERVICES)
        }

    def regions_called(self, service="drs"):
        return {region for (_, _, _, region) in self.calls(service)}

    # --- between tests ---

    def settle(self):
        """Wait until nothing moves: no message, no unread stream record, none that follows from either."""
        eventually(lambda: self._idle() and self._stream_is_read() and self._idle(), QUIET_SECONDS)

    def wipe(self):
        """Bring the stack back to the state of a new deployment."""
        idle = any(not row["serverCount"] for row in self.statuses().values())
        for queue in QUEUES:
            self.sqs.purge_queue(QueueUrl=self.url(queue))
        for table in TABLES[:-1]:
            self.empty(table)
        eventually(self._stream_is_read)
        self.empty("ScanTable")
        self.empty("RegionStatusTable")  # last: what the stream handler still had to do is done
        # versions of status rows begin anew: who remembers a region as idle would take it for current
        self.recycle("APIHandler", *(("TagsWorker", "StagingWorker") if idle else ()))
        self.cloud.control("POST", "/reset")

    def _idle(self):
        return not any(self.waiting(queue) for queue in WORK_QUEUES)

    def _stream_is_read(self):
        """Put a record behind all others and wait for its effect: the stream has one shard, and is read in order."""
        region, moment = "zz-mark-1", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        self.table("ScanTable").put_item(
            Item={
                "region": region,
                "accountId": "000000000000",
                "state": "ERROR",
                "errorMessage": moment,
                "serverCount": 0,
                "lastChecked": moment,
            }
        )
        eventually(lambda: self.statuses().get(region, {}).get("errorMessage") == moment)
        self.table("ScanTable").delete_item(Key={"region": region, "accountId": "000000000000"})
        self.table("RegionStatusTable").delete_item(Key={"region": region})
        return True

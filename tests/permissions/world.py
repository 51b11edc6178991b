"""The deployed stack, one function and one event at a time: nothing is woken by itself."""

import json
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache, cached_property
from itertools import count
from time import time
from urllib.parse import urlencode

from chalicelib.api.table import OPERATIONS
from chalicelib.domain.accounts import Membership
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from sandbox.cloud.client import InvocationError
from tests.integration.customers import HUB, KINDS, SOURCE, STAGING, TARGET, account
from tests.integration.stack import TABLES, Stack

from .matrix import Permission, functions, resource_name

REGION, ORIGIN_REGION = "eu-west-1", "us-west-1"
AGENT, STAGED = "s-000000000000000a1", ("s-000000000000000b1", "s-000000000000000b2")
KEYS = {
    "InventoryTable": ("sourceServerID", "replicationRegion"),
    "ScanTable": ("region", "accountId"),
    "TelemetryTable": ("scope",),
    "AccountsTable": ("accountId", "record"),
    "WorkStateTable": ("workId",),
    "RefusalsTable": ("targetScope", "stagingSourceServerArn"),
    "RunsTable": ("runId", "part"),
    "RegionStatusTable": ("region",),
}
WORKERS = {"inventory-worker": "inventory", "tags-worker": "tags", "staging-worker": "staging"}
SEEN_BY_NOBODY = ("scan-stream", *WORKERS)


def logical(function):
    """Return a function's name in the template."""
    return "APIHandler" if function == "api" else "".join(part.capitalize() for part in function.split("-"))


class Failed(Exception):
    """The scenario did not come to what it has to come to."""


class World:
    """What the scenarios need: states to start from, events to send, policies to cut."""

    def __init__(self, cloud, deployed=None):
        self.cloud = cloud
        self.stack = deployed or Stack(cloud)
        self.iam = cloud.hub().client("iam")
        self.dynamodb = cloud.hub().client("dynamodb")
        self.states = {}
        self._ids = count(1)
        self._planted = False

    # --- states ---

    def prepare(self):
        """Detach the functions from their events, and make the states that scenarios start from."""
        for function in SEEN_BY_NOBODY:
            mapping = self.stack.mapping(logical(function))["UUID"]
            self.stack.functions.update_event_source_mapping(UUID=mapping, Enabled=False)
        for table in TABLES:
            self.stack.empty(table)
        self.plant()
        for account_id in KINDS:
            self.put("AccountsTable", {**account(account_id).item(), "record": "ACCOUNT"})
        member = Membership(account_id=TARGET, staging_account_id=STAGING)
        self.put("AccountsTable", {**member.item(), "record": f"STAGING#{STAGING}"})
        self.keep("registered")
        for account_id in (TARGET, STAGING):
            self.work("inventory-worker", account_id)
            self.fold(account_id)
        self.keep("scanned")
        self.work("staging-worker", TARGET)
        self.work("inventory-worker", TARGET)
        self.fold(TARGET)
        self.keep("extended")

    def plant(self):
        """Bring the customers' DRS and EC2 into their first state: one agent in the target, two in the staging."""
        self._planted = True
        self.cloud.control("POST", "/reset")
        for account_id in (TARGET, STAGING):
            regions = {REGION: {"initialised": True}}
            self.cloud.control("POST", "/accounts", {"accountId": account_id, "regions": regions, "trusts": [TARGET]})
        servers = [self._server(TARGET, AGENT), *(self._server(STAGING, server) for server in STAGED)]
        self.cloud.control("POST", "/servers", {"servers": servers})
        instances = [
            {
                "accountId": SOURCE,
                "region": ORIGIN_REGION,
                "instanceId": server["instanceId"],
                "tags": {"Name": server["hostname"]},
            }
            for server in servers
        ]
        self.cloud.control("POST", "/ec2/instances", instances)

    def start(self, state):
        """Bring everything into a state that was kept."""
        if not self._planted:
            self.plant()
        for table, wanted in self.states[state].items():
            now = {self._key(table, item): item for item in self.stack.items(table)}
            with self.stack.table(table).batch_writer() as batch:
                for key in now.keys() - wanted.keys():
                    batch.delete_item(Key=dict(zip(KEYS[table], key, strict=True)))
                for key, item in wanted.items():
                    if now.get(key) != item:
                        batch.put_item(Item=item)

    def keep(self, state):
        """Keep the tables as they are."""
        self.states[state] = {table: {self._key(table, i): i for i in self.stack.items(table)} for table in TABLES}

    def put(self, table, item):
        self.stack.table(table).put_item(Item=item)

    def item(self, table, *key):
        return (
            self.stack.table(table)
            .get_item(Key=dict(zip(KEYS[table], key, strict=True)), ConsistentRead=True)
            .get("Item")
        )

    def change(self, table, key, **values):
        """Set (or, with None, remove) attributes of an item."""
        self.put(table, {name: v for name, v in (self.item(table, *key) | values).items() if v is not None})

    # --- events ---

    def want(self, function, account_id=TARGET, region=REGION):
        """Ask for a worker's work, as the planner does, without its message; return the work."""
        work = WorkId(WorkKind(WORKERS[function]), Scope(account_id, region))
        self.stack.table("WorkStateTable").update_item(
            Key={"workId": work.key},
            UpdateExpression="SET accountId = :account, #region = :region, done = if_not_exists(done, :zero),"
            " epoch = if_not_exists(epoch, :zero) ADD wanted :one",
            ExpressionAttributeNames={"#region": "region"},
            ExpressionAttributeValues={":account": account_id, ":region": region, ":zero": 0, ":one": 1},
        )
        return work

    def work(self, function, account_id=TARGET, region=REGION, **message):
        """Have a worker do its work of a scope; return its work item afterwards."""
        work = self.want(function, account_id, region)
        body = {"kind": WORKERS[function], "accountId": account_id, "region": region, **message}
        self.deliver(function, json.dumps(body))
        return self.item("WorkStateTable", work.key)

    def deliver(self, function, body, receipt="none", received=1):
        """Hand a worker one message.

        Raises:
            Failed: where it could not work it off.
        """
        self._planted = False  # workers change DRS
        record = {
            "messageId": str(next(self._ids)),
            "receiptHandle": receipt,
            "body": body,
            "attributes": {"ApproximateReceiveCount": str(received)},
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:us-east-1:{HUB}:work",
            "awsRegion": "us-east-1",
        }
        answer = self.invoke(function, {"Records": [record]})
        if answer["batchItemFailures"]:
            raise Failed(f"{function} did not work off {body}")

    def fails(self, function, body, receipt):
        """Hand a worker a message whose work fails."""
        try:
            self.deliver(function, body, receipt)
        except (Failed, InvocationError):  # Powertools raises where a whole batch failed
            return
        raise AssertionError(f"{function} worked off {body}")

    def fold(self, *account_ids, region=REGION, gone=False):
        """Hand the stream's function the scan records of accounts, as new (or, `gone`, as removed)."""
        records = []
        for account_id in account_ids:
            image = {"NewImage": self._typed("ScanTable", region, account_id)} if not gone else {}
            keys = {"region": {"S": region}, "accountId": {"S": account_id}}
            number = str(next(self._ids))
            records.append({"eventID": number, "dynamodb": {"Keys": keys, "SequenceNumber": number, **image}})
        if (answer := self.invoke("scan-stream", {"Records": records})) != {"batchItemFailures": []}:
            raise Failed(f"scan-stream: {answer}")

    def invoke(self, function, payload):
        return self.stack.invoke(logical(function), payload)

    def ask(self, function, operation, **body):
        """Have an operation carried out, over REST or by direct invocation; return its answer.

        Raises:
            Failed: where the answer is an error.
        """
        answer = self._rest(operation, body) if function == "api" else self._direct(function, operation, body)
        if "error" in answer or "Code" in answer:
            raise Failed(f"{operation}: {answer}")
        return answer

    def _direct(self, function, operation, body):
        return self.invoke(function, {"operation": operation, **body})

    def _rest(self, name, body):
        operation = OPERATIONS[name]
        path = operation.path.format(**body)
        rest = {key: value for key, value in body.items() if f"{{{key}}}" not in operation.path}
        if operation.method in ("POST", "PUT"):
            return self.cloud.api(operation.method, path, rest).json()
        return self.cloud.api(operation.method, f"{path}?{urlencode(rest)}" if rest else path).json()

    def tick(self, schedule):
        """Invoke a schedule's function as EventBridge does."""
        self.stack.tick(logical(schedule))

    def due(self, kind):
        """Make the target's work of `kind` due."""
        work = self.want(f"{kind}-worker")
        self.stack.table("WorkStateTable").update_item(
            Key={"workId": work.key},
            UpdateExpression="SET nextDueAt = :now, dueShard = :shard",
            ExpressionAttributeValues={":now": int(time()), ":shard": f"{kind}#0"},
        )

    def retag(self, account_id, server, tags):
        arn = f"arn:aws:drs:{REGION}:{account_id}:source-server/{server}"
        self.cloud.session(account_id, REGION).client("drs").tag_resource(resourceArn=arn, tags=tags)

    @contextmanager
    def denied_in(self, account_ids, role, action):
        """Deny an action to a role of customers' accounts for a while."""
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        clients = [self._iam_of(account_id) for account_id in account_ids]
        for iam in clients:
            iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=document)
        try:
            yield
        finally:
            for iam in clients:
                iam.delete_role_policy(RoleName=role, PolicyName="denied")

    @cache  # noqa: B019  lives as long as the session
    def _iam_of(self, account_id):
        return self.cloud.session(account_id).client("iam")

    def tags_in_drs(self, account_id, server):
        return self._in_drs(account_id)[server]["tags"]

    def extended(self):
        """Return the IDs of the staging servers that the target has extended, sorted."""
        arns = (one.get("stagingArea", {}).get("stagingSourceServerArn") for one in self._in_drs(TARGET).values())
        return sorted(arn.rsplit("/", 1)[-1] for arn in arns if arn)

    def cold(self, function):
        """End a function's warm workers: what they hold in memory (credentials, region status) is gone."""
        self.stack.recycle(logical(function))

    def waiting(self, queue):
        return self.stack.waiting(queue)

    # --- policies ---

    @cached_property
    def roles(self):
        """The role name of each function."""
        get = self.stack.functions.get_function_configuration
        return {
            function: get(FunctionName=self.stack.name(logical(function)))["Role"].rsplit("/", 1)[-1]
            for function in functions()
        }

    @cached_property
    def policies(self):
        """The one inline policy of each function's role: its name and document as deployed."""
        found = {}
        for function, role in self.roles.items():
            [name] = self.iam.list_role_policies(RoleName=role)["PolicyNames"]
            document = self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            found[function] = name, json.loads(document) if isinstance(document, str) else document
        return found

    @cached_property
    def arns(self):
        """The ARN (or pattern) of each resource that policies name."""
        found = {}
        for function, path in functions().items():
            written = json.loads(path.read_text())["Statement"]
            for file, deployed in zip(written, self.policies[function][1]["Statement"], strict=True):
                for resource, arn in zip(file["Resource"], deployed["Resource"], strict=True):
                    found[resource_name(resource)] = arn
        return found

    @contextmanager
    def without(self, function, permission):
        """Take one permission from a function's role for a while."""
        name, document = self.policies[function]
        role, arn = self.roles[function], self.arns[permission.resource]
        cut = json.dumps({**document, "Statement": list(_without(document["Statement"], permission.action, arn))})
        self.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=cut)
        try:
            yield
        finally:
            self.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))

    def decisions(self, function, *, allowed):
        """Return what a function's role was allowed, or denied, since the last reset."""
        return {
            Permission(one["action"], self._named(one["action"], one["resource"], function))
            for one in self.cloud.control("GET", "/decisions")["decisions"]
            if one["role"] == self.roles[function] and one["allowed"] is allowed
        }

    def forget_decisions(self):
        self.cloud.control("DELETE", "/decisions")

    def _named(self, action, arn, function):
        names = [name for name, pattern in self.arns.items() if name != "*" and fnmatchcase(arn, pattern)]
        return names[0] if len(names) == 1 else arn

    # --- details ---

    def _server(self, account_id, server):
        return {
            "accountId": account_id,
            "region": REGION,
            "sourceServerID": server,
            "hostname": f"host-{server[-2:]}",
            "instanceId": f"i-{server[2:]}",
            "originAccountId": SOURCE,
            "originRegion": ORIGIN_REGION,
            "originAvailabilityZone": f"{ORIGIN_REGION}a",
            "state": "CONTINUOUS",
            "tags": {"agent": "theirs"},
        }

    def _in_drs(self, account_id):
        truth = self.cloud.control("GET", f"/truth?accountId={account_id}&region={REGION}")
        servers = (server["record"] for scope in truth["scopes"] for server in scope["servers"])
        return {server["sourceServerID"]: server for server in servers}

    def _key(self, table, item):
        return tuple(item[name] for name in KEYS[table])

    def _typed(self, table, *key):
        names = dict(zip(KEYS[table], ({"S": part} for part in key), strict=True))
        return self.dynamodb.get_item(TableName=self.stack.name(table), Key=names)["Item"]


def _without(statements, action, arn):
    """Yield `statements` such that `action` on `arn` is granted no more, and everything else still is."""
    for statement in statements:
        if action not in statement["Action"] or arn not in statement["Resource"]:
            yield statement
            continue
        if others := [one for one in statement["Action"] if one != action]:
            yield {**statement, "Action": others}
        if elsewhere := [one for one in statement["Resource"] if one != arn]:
            yield {**statement, "Sid": f"{statement['Sid']}Elsewhere", "Action": [action], "Resource": elsewhere}

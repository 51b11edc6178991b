"""Permissions: nothing by wildcard, readers cannot write, no ARN by hand."""

import json
import re

import pytest
import yaml

from sandbox.cloud.packaging import REPO
from scripts.authorization.__main__ import check
from scripts.authorization.reference import Reference

CONFIG = json.loads((REPO / ".chalice" / "config.json").read_text())
FILES = sorted((REPO / ".chalice").glob("policy-*.json"))
REFERENCE = Reference()
ARN_BY_HAND = re.compile(r"arn:aws[a-z-]*:")
ACCOUNT_BY_HAND = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
CHANGES_CUSTOMERS = {"TagsWorker", "StagingWorker"}
ONLY_READ_THE_INVENTORY = {
    "APIHandler",
    "Operations",
    "OperationsRead",
    "InventorySchedule",
    "TagsSchedule",
    "StagingSchedule",
    "ScanStream",
    "Maintenance",
}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as their arguments."""


def argument(loader, _, node):
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", argument)


def has_no_resource(action):
    """Return whether AWS authorises an action on everything or on nothing (Service Authorization Reference)."""
    [found] = REFERENCE.actions(action)
    return not found.arn_formats


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements_of(path):
    return json.loads(path.read_text())["Statement"]


def within(value, key):
    """Yield every value of `key`, however deep."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == key:
                yield part
            yield from within(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from within(part, key)


@pytest.fixture(scope="module")
def granted(functions, resources):
    """Statements of each function's role."""
    roles = resources("AWS::IAM::Role")
    return {
        name: [
            statement
            for policy in roles[function["Role"]["Fn::GetAtt"][0]]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        for name, function in functions.items()
    }


def actions(statements):
    return {action for statement in statements for action in as_list(statement["Action"])}


def test_every_policy_file_is_used():
    stage = CONFIG["stages"]["dev"]
    used = {
        stage["iam_policy_file"],
        *(f["iam_policy_file"] for f in stage["lambda_functions"].values() if "iam_policy_file" in f),
    }
    assert {path.name for path in FILES} == used


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_action_is_a_wildcard_and_nothing_is_allowed_but_what_is_named(path):
    for statement in statements_of(path):
        assert statement["Effect"] == "Allow"
        assert "NotAction" not in statement
        assert "NotResource" not in statement
        assert not [action for action in as_list(statement["Action"]) if "*" in action], statement["Sid"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_all_resources_are_meant_only_where_there_are_none_to_name(path):
    for statement in statements_of(path):
        if "*" in as_list(statement["Resource"]):
            assert all(map(has_no_resource, as_list(statement["Action"]))), statement["Sid"]
            assert "NoResources" in statement["Sid"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_function_writes_its_own_log_alone(path, functions):
    [resource] = [as_list(s["Resource"]) for s in statements_of(path) if "logs:PutLogEvents" in as_list(s["Action"])]
    [name] = {function["FunctionName"]["Fn::Sub"] for function in functions.values()} & {
        re.search(r"/aws/lambda/([^:]+):\*$", resource[0]["Fn::Sub"]).group(1)
    }
    assert name == path.stem.replace("policy-", "${Project}-${Stage}-")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_statement_says_what_it_is_for(path):
    sids = [statement["Sid"] for statement in statements_of(path)]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]{3,}", sid) for sid in sids)


def test_policies_of_the_templates_have_no_wildcard_either(template):
    own = [yaml.load(path.read_text(), Loader) for path in sorted((REPO / "infra").glob("*.y*ml"))]
    statements = [part for found in within([template, *own], "Statement") for part in as_list(found)]
    for statement in [one[1] if isinstance(one, list) else one for one in statements]:  # [condition, then, else]
        if statement["Effect"] == "Deny":
            continue  # the more, the better
        if "Principal" in statement and all(one.startswith("kms:") for one in as_list(statement["Action"])):
            continue  # a key's own policy: "*" is that key, and without kms:* nobody could ever change it
        assert not [action for action in as_list(statement["Action"]) if "*" in action], statement
        if statement.get("Resource") == "*":
            assert all(map(has_no_resource, as_list(statement["Action"]))), statement


def test_aws_knows_every_action_resource_and_condition_key_of_every_policy(template_file):
    files = [*FILES, REPO / ".chalice" / "resources.yaml", *sorted((REPO / "infra").glob("*.y*ml"))]
    assert check([template_file, *files]) == []


def test_readers_cannot_assume_writers_and_writers_cannot_assume_readers(granted):
    assumed = {
        name: {
            resource["Fn::Sub"].rsplit("/", 1)[-1]
            for s in found
            if "sts:AssumeRole" in actions([s])
            for resource in s["Resource"]
        }
        for name, found in granted.items()
    }
    assert assumed["InventoryWorker"] == {"${ReaderRoleName}"}
    assert {name for name, roles in assumed.items() if "${WriterRoleName}" in roles} <= CHANGES_CUSTOMERS | {
        "AccountProbe"
    }
    assert all(assumed[name] == {"${WriterRoleName}"} for name in CHANGES_CUSTOMERS)
    assert not assumed["APIHandler"]


def test_who_only_reads_the_inventory_cannot_write_it(granted):
    for name in ONLY_READ_THE_INVENTORY:
        writing = [
            statement["Sid"]
            for statement in granted[name]
            if "InventoryTable" in json.dumps(statement["Resource"])
            and {a for a in actions([statement]) if not re.match(r"dynamodb:(Get|BatchGet|Query)", a)}
        ]
        assert writing == [], name


def test_the_inventory_is_never_scanned(granted):
    for name, found in granted.items():
        for statement in found:
            if "InventoryTable" in json.dumps(statement["Resource"]):
                assert "dynamodb:Scan" not in actions([statement]), name


def test_no_function_may_call_customers_services_with_its_own_role(granted):
    for name, found in granted.items():
        assert not {action for action in actions(found) if action.startswith(("drs:", "ec2:", "iam:"))}, name


def test_only_who_reads_a_queue_may_take_messages_off_it(granted):
    consumers = {
        (name, resource["Fn::GetAtt"][0])
        for name, found in granted.items()
        for statement in found
        if "sqs:ReceiveMessage" in actions([statement])
        for resource in statement["Resource"]
    }
    assert consumers == {
        ("InventoryWorker", "InventoryWork"),
        ("TagsWorker", "TagsWork"),
        ("StagingWorker", "StagingWork"),
        ("Maintenance", "WorkDeadLetters"),
        ("Maintenance", "ScheduleFailures"),
        ("Maintenance", "StreamFailures"),
    }


def test_no_arn_is_written_by_hand():
    sources = [
        path
        for folder in (".chalice", "chalicelib", "infra")
        for path in (REPO / folder).rglob("*")
        if path.suffix in (".py", ".json", ".yaml", ".yml") and "deployments" not in path.parts
    ]
    assert sources
    found = [
        f"{path.relative_to(REPO)}: {line.strip()}"
        for path in [*sources, REPO / "app.py"]
        for line in path.read_text().splitlines()
        if ARN_BY_HAND.search(line)
    ]
    assert found == []


def test_no_account_is_written_by_hand():
    for path in [*FILES, REPO / ".chalice" / "resources.yaml", *(REPO / "infra").glob("*.y*ml")]:
        assert not ACCOUNT_BY_HAND.search(path.read_text()), path.name


def test_who_answers_questions_may_write_nothing():
    allowed = {
        action for one in statements_of(REPO / ".chalice" / "policy-operations-read.json") for action in one["Action"]
    }
    beyond_reading = {action for action in allowed if not re.search(r":(Get|BatchGet|Query|Scan)", action)}
    assert beyond_reading == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }


def test_viewers_and_operators_may_not_invoke_what_stands_behind_the_api(resources):
    policies = resources("AWS::IAM::ManagedPolicy")
    for name in ("ViewerPolicy", "OperatorPolicy"):
        [denied] = [one for one in policies[name]["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
        assert {"Fn::GetAtt": ["APIHandler", "Arn"]} in denied["Resource"], name
        assert "lambda:InvokeFunction" in denied["Action"]

"""No ExternalId and no credential turns up where it does not belong, whatever goes right or wrong."""

import json
import re

import pytest

from tests.integration.customers import KINDS, TARGET, external_id
from tests.integration.stack import QUEUES, TABLES

from .matrix import functions
from .scenarios import SCENARIOS, newcomer
from .world import REGION, Failed, logical

FLOWS = [
    ("api", "registers_an_account"),
    ("operations", "registers_an_account"),
    ("api", "lists_accounts"),
    ("operations", "has_an_account_validated"),
    ("inventory-worker", "enters_an_account_for_the_first_time"),
    ("tags-worker", "enters_an_account_for_the_first_time"),
    ("staging-worker", "enters_an_account_for_the_first_time"),
    ("account-probe", "validates_a_staging_account"),
]
MARKERS = [*map(external_id, KINDS), newcomer("target")["externalId"]]
CREDENTIALS = re.compile(
    r"SecretAccessKey|SessionToken|aws_secret|aws_session|X-Amz-Security-Token|\bASIA[0-9A-Z]{16}\b", re.I
)
BAD = {"kind": "unheard of", "partition": "aws-cn", "externalId": f"{external_id(TARGET)} and a blank"}


@pytest.fixture(scope="module")
def told(world):
    """All that was answered while the stack did its work, met bad rows, and was asked badly."""
    answers = []
    for function, name in FLOWS:
        SCENARIOS[name](world, function)
    for function in ("api", "operations"):
        bad = [newcomer("target") | change for change in ({"kind": "x"}, {"readerRoleArn": "arn:aws:iam::1:role/x"})]
        answers += [refused(world, function, "register_account", **body) for body in bad]
        world.ask(function, "register_account", **newcomer("source"))
        again = newcomer("source")
        answers.append(refused(world, function, "register_account", **again))
        answers.append(world.ask(function, "change_account", **again))
        answers.append(world.ask(function, "get_account", accountId=again["accountId"]))
        world.ask(function, "remove_account", accountId=again["accountId"])
    for name, value in BAD.items():
        world.start("scanned")
        world.change("AccountsTable", (TARGET, "ACCOUNT"), **{name: value})
        for function in ("inventory-worker", "tags-worker", "staging-worker"):
            world.want(function)
            body = {"kind": function.partition("-")[0], "accountId": TARGET, "region": REGION}
            world.fails(function, json.dumps(body), "none")
        operations = ("get_account", "list_account_regions", "validate_account")
        answers += [failed(world, operation, accountId=TARGET) for operation in operations]
    return "\n".join(map(str, answers))


def refused(world, function, operation, **body):
    with pytest.raises(Failed) as answer:
        world.ask(function, operation, **body)
    return answer.value


def failed(world, operation, **body):
    response = world.cloud.api("GET" if operation != "validate_account" else "POST", path(operation, **body))
    assert response.status_code >= 400
    return response.text


def path(operation, accountId):
    ending = {"list_account_regions": "/regions", "validate_account": "/validate"}
    return f"accounts/{accountId}{ending.get(operation, '')}"


def leaks(text):
    return [marker for marker in MARKERS if marker in text] + CREDENTIALS.findall(text)


def test_no_answer_tells_them(told):
    assert "registered" in told  # something was told
    assert leaks(told) == []


@pytest.mark.parametrize("function", functions())
def test_no_log_tells_them(world, told, function):
    lines = world.stack.logged(logical(function), "")
    assert lines or function.endswith(("schedule", "maintenance"))  # which are told no ExternalId at all
    assert leaks("\n".join(lines)) == []


@pytest.mark.parametrize("table", [table for table in TABLES if table != "AccountsTable"])
def test_no_table_but_the_registry_holds_them(world, told, table):
    assert leaks(str(world.stack.items(table))) == []


@pytest.mark.parametrize("queue", QUEUES)
def test_no_message_holds_them(world, told, queue):
    answer = world.stack.sqs.receive_message(
        QueueUrl=world.stack.url(queue), MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
    )
    assert leaks(str(answer.get("Messages", []))) == []


def test_the_search_finds_what_it_looks_for(world, told):
    """The registry does hold them."""
    assert leaks(str(world.stack.items("AccountsTable")))

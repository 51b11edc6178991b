"""The stack's tables and queues on moto, made from the stack's own definitions, so that the two cannot drift."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends

from chalicelib import container
from chalicelib.adapters import dynamodb
from chalicelib.domain.regions import RegionStatus

from ..factories import HUB

RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.yaml"
HOME = "us-east-1"


class _Template(yaml.SafeLoader):
    """YAML with CloudFormation's short functions: `!Ref X` is {"Ref": "X"}."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: loader.construct_mapping(node, deep=True)}


_Template.add_multi_constructor("!", _function)


@cache
def template() -> dict[str, Any]:
    """Return the resources that the stack merges into Chalice's template."""
    return yaml.load(RESOURCES.read_text(), _Template)


def environment() -> dict[str, str]:
    """Create every table and queue of the stack; return the environment that its functions get."""
    names = {name: _create(definition) for name, definition in template()["Resources"].items()}
    parameters = {name: str(value.get("Default", "")) for name, value in template()["Parameters"].items()}
    known = {**names, **parameters, "AWS::AccountId": HUB}
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    return {name: _value(value, known) for name, value in variables.items()}


def _value(value: Any, known: dict[str, str]) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "Sub" in value:
        return re.sub(r"\$\{(.+?)\}", lambda found: known[found.group(1)], value["Sub"])
    return known[value["Ref"]]


@contextmanager
def deployed() -> Iterator[dict[str, str]]:
    """A mocked account with the stack's tables and queues; the environment is returned, not set."""
    with mock_aws():
        forget_wiring()
        yield environment()
    forget_wiring()


@contextmanager
def pages_of(size: int) -> Iterator[None]:
    """Queries and scans of the table adapters come in pages of `size` items."""
    client = dynamodb.client()
    real = client.get_paginator

    class Small:
        def __init__(self, operation: str) -> None:
            self._paginator = real(operation)

        def paginate(self, **parameters: Any) -> Any:
            return self._paginator.paginate(**parameters, PaginationConfig={"PageSize": size})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "get_paginator", Small)
        yield


def fill_region_statuses(table: str, rows: dict[str, RegionStatus | None]) -> None:
    """Write the rows of these regions at once, and delete those that are None: the adapter writes them one by one."""
    requests = [
        {"PutRequest": {"Item": _typed(row)}} if row else {"DeleteRequest": {"Key": {"region": {"S": region}}}}
        for region, row in rows.items()
    ]
    for some in dynamodb.chunks(requests, 25):
        _client("dynamodb").batch_write_item(RequestItems={table: some})


@cache
def _typed(row: RegionStatus) -> dict[str, Any]:
    return dynamodb.marshal(row.item())


def empty_tables() -> None:
    """Take every item out of every table, at once: moto copies whole tables for each transaction."""
    for backend in dynamodb_backends.values():
        for table in backend[HOME].tables.values():
            table.items.clear()


def forget_wiring() -> None:
    """Have the container made anew when it is next needed."""
    container.forget()


def _create(resource: dict[str, Any]) -> str:
    properties = resource["Properties"]
    if resource.get("Type") == "AWS::DynamoDB::Table":
        return _create_table(properties)
    if resource.get("Type") == "AWS::SQS::Queue":
        queue = _client("sqs").create_queue(QueueName=_name(properties["QueueName"]))
        return str(queue["QueueUrl"])
    return ""


def _create_table(properties: dict[str, Any]) -> str:
    members = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    stream = properties.get("StreamSpecification")
    table = _name(properties["TableName"])
    _client("dynamodb").create_table(
        TableName=table,
        **{name: properties[name] for name in members if name in properties},
        **({"StreamSpecification": {"StreamEnabled": True, **stream}} if stream else {}),
    )
    return table


@cache
def _client(service: str) -> Any:
    """Return a client; made once, because making one takes longer than what it is asked here."""
    return boto3.client(service, HOME, aws_access_key_id="test", aws_secret_access_key="test")


def _name(sub: dict[str, str]) -> str:
    return sub["Sub"].replace("${Project}", "test").replace("${Stage}", "unit")

"""Templates and policies: their statements, with CloudFormation's intrinsics resolved as far as a check needs.

A name that is only known when a stack is deployed is replaced by its parameter's or resource's name, so that only the
wildcards of a policy itself are wildcards.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Resources = Mapping[str, str]
"""Types of resources by their logical names."""

PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "111122223333",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
}
ARNS = {
    ("AWS::DynamoDB::Table", "Arn"): "arn:aws:dynamodb:us-east-1:111122223333:table/{name}",
    ("AWS::DynamoDB::Table", "StreamArn"): "arn:aws:dynamodb:us-east-1:111122223333:table/{name}/stream/1",
    ("AWS::SQS::Queue", "Arn"): "arn:aws:sqs:us-east-1:111122223333:{name}",
    ("AWS::Serverless::Function", "Arn"): "arn:aws:lambda:us-east-1:111122223333:function:{name}",
    ("AWS::S3::Bucket", "Arn"): "arn:aws:s3:::{name}",
    ("AWS::KMS::Key", "Arn"): "arn:aws:kms:us-east-1:111122223333:key/{name}",
}
"""ARNs by the resource's type and the attribute that returns them (CloudFormation, template reference)."""
PLACEHOLDER = re.compile(r"\$\{([^!}][^}]*)\}")


class UnresolvedError(Exception):
    """An intrinsic of which nothing is known; the message names it."""


@dataclass(frozen=True)
class Statement:
    """One statement of a policy.

    Attributes:
        place: file and path in it, for messages.
        body: the statement, its conditional parts taken apart.
    """

    place: str
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its place and Sid."""
        return f"{self.place}: {self.body.get('Sid', 'without Sid')}"

    def values(self, key: str) -> list[Any]:
        """Return the values of an element that holds one or several."""
        value = self.body.get(key, [])
        return value if isinstance(value, list) else [value]


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as their long ones."""


def _intrinsic(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


def read(path: Path) -> Any:
    """Return a template or policy file's content."""
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)  # noqa: S506 - a safe loader


def resource_types(document: Any) -> dict[str, str]:
    """Return the types of a template's resources by their logical names; nothing for a policy file."""
    resources = document.get("Resources", {}) if isinstance(document, dict) else {}
    return {name: resource["Type"] for name, resource in resources.items() if "Type" in resource}


def statements(place: str, node: Any) -> Iterator[Statement]:
    """Yield every statement within a document, however deep; each branch of an `Fn::If` counts."""
    if isinstance(node, dict):
        if node.get("Effect") in ("Allow", "Deny") and {"Action", "NotAction"} & node.keys():
            yield Statement(place, {key: _branches(value) for key, value in node.items()})
            return
        for name, part in node.items():
            yield from statements(f"{place} {name}" if name[:1].isupper() and "::" not in name else place, part)
    elif isinstance(node, list):
        for part in node:
            yield from statements(place, part)


def _branches(value: Any) -> Any:
    """Return an element with each `Fn::If` replaced by what its branches say; those of conditions are merged."""
    if isinstance(value, list):
        return [found for part in value for found in _alternatives(part)]
    alternatives = _alternatives(value)
    if isinstance(value, dict) and "Fn::If" in value and not all(isinstance(one, dict) for one in alternatives):
        return alternatives
    merged = {key: part for one in alternatives if isinstance(one, dict) for key, part in one.items()}
    return {key: _branches(part) for key, part in merged.items()} if isinstance(value, dict) else value


def _alternatives(value: Any) -> list[Any]:
    if not (isinstance(value, dict) and "Fn::If" in value):
        return [] if value == {"Ref": "AWS::NoValue"} else [value]
    return [found for branch in value["Fn::If"][1:] for found in _alternatives(branch)]


def resolve(value: Any, resources: Resources) -> str:
    """Return the ARN, or pattern of ARNs, that an intrinsic or a string stands for.

    Raises:
        UnresolvedError: nothing is known of it.
    """
    match value:
        case str():
            return value
        case {"Fn::Sub": [str(text), dict(given)]}:
            return PLACEHOLDER.sub(lambda found: str(given.get(found[1])) or _named(found[1], resources), text)
        case {"Fn::Sub": str(text)}:
            return PLACEHOLDER.sub(lambda found: _named(found[1], resources), text)
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return _attribute(name, attribute, resources)
        case {"Ref": str(name)} if name.endswith("KeyArn"):
            return _attribute(name, "Arn", {name: "AWS::KMS::Key"})
    raise UnresolvedError(f"what {json.dumps(value)} stands for is not known")


def _named(name: str, resources: Resources) -> str:
    if name in PSEUDO_PARAMETERS:
        return PSEUDO_PARAMETERS[name]
    logical, _, attribute = name.partition(".")
    return _attribute(logical, attribute, resources) if attribute else name


def _attribute(name: str, attribute: str, resources: Resources) -> str:
    arn = ARNS.get((resources.get(name, ""), attribute))
    if arn is None:
        raise UnresolvedError(f"what {name}.{attribute} stands for is not known")
    return arn.format(name=name)

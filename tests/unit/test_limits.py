"""Everything that a caller sends is bounded: no text, list, number or map without a limit."""

import re

import pytest

from chalicelib.api.operation import LARGEST_BODY
from chalicelib.api.table import OPERATIONS

MODELS = sorted({operation.request for operation in OPERATIONS.values()}, key=lambda model: model.__name__)
UNBOUNDED = re.compile(r"(?<!\\)[*+]|\{\d*,\}")
MOST = 1000


def unbounded(schema, definitions, where):
    """Yield what of a JSON schema has no limit."""
    if "$ref" in schema:
        yield from unbounded(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions, where)
        return
    for part in ("anyOf", "allOf", "oneOf"):
        for number, option in enumerate(schema.get(part, [])):
            yield from unbounded(option, definitions, f"{where}|{number}")
    if "enum" in schema or "const" in schema:
        return
    match schema.get("type"):
        case "string":
            if "maxLength" not in schema and (UNBOUNDED.search(schema.get("pattern", "*"))):
                yield f"{where}: text"
        case "integer" | "number":
            if not {"maximum", "exclusiveMaximum"} & set(schema) or not {"minimum", "exclusiveMinimum"} & set(schema):
                yield f"{where}: number"
        case "array":
            if schema.get("maxItems", MOST + 1) > MOST:
                yield f"{where}: list"
            yield from unbounded(schema["items"], definitions, f"{where}[]")
        case "object":
            yield from of_object(schema, definitions, where)


def of_object(schema, definitions, where):
    for name, field in schema.get("properties", {}).items():
        yield from unbounded(field, definitions, f"{where}.{name}")
    others = schema.get("additionalProperties")
    if not isinstance(others, dict):
        if others is not False:
            yield f"{where}: unknown fields"
        return
    if "maxProperties" not in schema:
        yield f"{where}: map"
    keys = schema.get("propertyNames", {"type": "string"})
    yield from unbounded({"type": "string", **keys}, definitions, f"{where} (keys)")
    yield from unbounded(others, definitions, f"{where} (values)")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_of_a_request_is_bounded(model):
    schema = model.model_json_schema(by_alias=True)
    assert list(unbounded(schema, schema.get("$defs", {}), model.__name__)) == []


def test_the_largest_body_holds_the_largest_request():
    assert MOST * len('{"accountId": "123456789012", "region": "ap-southeast-99"},') < LARGEST_BODY


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "string", "pattern": "^[a-z]+$"},
        {"type": "integer", "minimum": 0},
        {"type": "array", "items": {"type": "boolean"}},
        {"type": "array", "maxItems": 3, "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"type": "boolean"}},
        {"type": "object", "properties": {}},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
    ],
    ids=str,
)
def test_what_is_not_bounded_is_found(schema):
    assert list(unbounded(schema, {}, "it"))

"""The OpenAPI document: valid, complete, up to date; direct invocation has the same operations and models."""

import json
import re
from pathlib import Path

import pytest
import schemathesis
from jsonschema import Draft202012Validator

from app import app
from chalicelib.api.openapi import document
from chalicelib.api.operation import Request
from chalicelib.api.table import OPERATIONS
from chalicelib.domain.records import Record
from chalicelib.events.operations import operations
from scripts.openapi import main

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
ROUTED = [operation for operation in OPERATIONS.values() if operation.path]
SEEDS_NAMES = {"sync_source_server_inventory", "sync_tags", "sync_staging_accounts"}


@pytest.fixture(scope="module")
def spec():
    return document(OPERATIONS.values())


def described(spec):
    return {(method.upper(), path): told for path, item in spec["paths"].items() for method, told in item.items()}


def schemas(part):
    """Yield every JSON schema within a part of the document."""
    if isinstance(part, dict):
        if "schema" in part:
            yield part["schema"]
        for value in part.values():
            yield from schemas(value)
    elif isinstance(part, list):
        for value in part:
            yield from schemas(value)


def references(part):
    return set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(part)))


def test_the_document_is_openapi_3_1(spec):
    assert spec["openapi"].startswith("3.1.")
    assert {"title", "version"} <= spec["info"].keys()
    for told in described(spec).values():
        assert {"operationId", "responses"} <= told.keys()
        assert all(re.fullmatch(r"[1-5]\d\d", status) for status in told["responses"])
        assert all("description" in response for response in told["responses"].values())


def test_the_document_fits_the_schema_of_openapi_3_1(spec):
    schemathesis.openapi.from_dict(spec).validate()


def test_every_schema_is_json_schema_2020_12(spec):
    for schema in [*schemas(spec["paths"]), *spec["components"]["schemas"].values()]:
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(spec):
    known = {f"#/components/schemas/{name}" for name in spec["components"]["schemas"]}
    assert references(spec) <= known


def test_every_schema_is_used(spec):
    known = {f"#/components/schemas/{name}" for name in spec["components"]["schemas"]}
    assert known <= references(spec)


def test_path_parameters_are_those_of_the_path(spec):
    for (_, path), told in described(spec).items():
        declared = [one["name"] for one in told["parameters"] if one["in"] == "path"]
        assert sorted(declared) == sorted(re.findall(r"{(\w+)}", path))
        assert all(one["required"] for one in told["parameters"] if one["in"] == "path")


def test_operation_ids_are_unique(spec):
    names = [told["operationId"] for told in described(spec).values()]
    assert len(names) == len(set(names))


def test_every_route_of_the_app_is_described_and_no_other(spec):
    registered = {(method, path) for path, methods in app.routes.items() for method in methods}
    assert described(spec).keys() == registered | {("GET", "/health")}  # which API Gateway answers by itself


def test_health_alone_is_open(spec):
    assert [key for key, told in described(spec).items() if told.get("security") == []] == [("GET", "/health")]
    assert spec["security"] == [{"sigv4": []}]


def test_the_committed_document_is_up_to_date():
    assert main(["--check", str(COMMITTED)]) == 0


def test_an_outdated_document_is_noticed(tmp_path, spec, capsys):
    old = tmp_path / "openapi.json"
    old.write_text(json.dumps({**spec, "paths": {}}))
    assert main(["--check", str(old)]) == 1
    assert "out of date" in capsys.readouterr().err


@pytest.mark.parametrize("operation", ROUTED, ids=lambda operation: operation.name)
def test_direct_invocation_takes_what_the_route_takes(spec, operation):
    """The members of path, query and body together are the fields of the one model."""
    told = spec["paths"][operation.path][operation.method.lower()]
    given = {one["name"] for one in told["parameters"]}
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    given |= body.get("properties", {}).keys()

    assert given == {field.alias for field in operation.request.model_fields.values()}


@pytest.mark.parametrize("operation", ROUTED, ids=lambda operation: operation.name)
def test_the_route_answers_with_the_operation_s_model(spec, operation):
    told = spec["paths"][operation.path][operation.method.lower()]
    answer = told["responses"][str(int(operation.status))]["content"]["application/json"]["schema"]["$ref"]
    fields = {field.serialization_alias or field.alias for field in operation.response.model_fields.values()}

    assert spec["components"]["schemas"][answer.rpartition("/")[2]]["properties"].keys() == fields


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_every_operation_refuses_unknown_fields_by_direct_invocation(operation):
    """Without AWS: what does not fit is refused before anything is touched."""
    answer = operations({"operation": operation.name, "noSuchField": 1}, None)

    assert answer["error"] == "INVALID_REQUEST"
    assert "noSuchField" in [one["field"] for one in answer["details"]]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_every_operation_has_a_strict_request_a_named_answer_and_a_summary(operation):
    assert issubclass(operation.request, Request)
    assert operation.request.model_config["extra"] == "forbid"
    assert issubclass(operation.response, Record)
    assert operation.summary


def test_only_the_seed_s_names_have_no_route():
    assert {name for name, operation in OPERATIONS.items() if not operation.path} == SEEDS_NAMES


def test_what_changes_something_is_logged_and_what_does_not_is_not():
    assert {one.name for one in ROUTED if one.audited} == {one.name for one in ROUTED if one.method != "GET"}
    assert {name for name, one in OPERATIONS.items() if one.audited and one not in ROUTED} == SEEDS_NAMES

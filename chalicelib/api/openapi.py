"""The OpenAPI 3.1 document, made from the table of operations, and the route that serves it."""

from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from chalice import Blueprint, IAMAuthorizer, Response
from pydantic.json_schema import models_json_schema

from ..observability import observed
from .answers import ErrorBody
from .operation import Operation

PATH = "/openapi.json"
SCHEMAS = "#/components/schemas/{model}"
REFUSALS = {"400": "What was asked does not fit", "404": "Not found", "409": "Exists already", "503": "Unavailable"}
FRAMEWORK_ERRORS = {
    "403": "Not authorised (API Gateway)",
    "415": "The body is not application/json (Chalice)",
}


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of those of `operations` that have a route."""
    routed = [operation for operation in operations if operation.path]
    models = [(operation.response, "serialization") for operation in routed]
    models += [(operation.request, "validation") for operation in routed]
    names, schemas = models_json_schema(
        [*dict.fromkeys(models), (ErrorBody, "serialization")],  # type: ignore[list-item]  # literal modes
        ref_template=SCHEMAS,
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in routed:
        request = names[(operation.request, "validation")]
        answer = names[(operation.response, "serialization")]
        described = _operation(operation, schemas["$defs"][_name(request)], answer)
        paths.setdefault(str(operation.path), {})[str(operation.method).lower()] = described
    paths[PATH] = {"get": _itself()}
    asked = {_name(names[(operation.request, "validation")]) for operation in routed}
    shown = {name: schema for name, schema in sorted(schemas["$defs"].items()) if name not in asked}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DRS active regions",
            "version": "0.1.0",
            "description": "A complete, fresh inventory of AWS Elastic Disaster Recovery over many accounts.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": shown,
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4, service execute-api",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
        "security": [{"sigv4": []}],
    }


def routes_of(operations: Iterable[Operation]) -> Blueprint:
    """Return the blueprint of `GET /openapi.json`."""
    blueprint = Blueprint(__name__)
    described = cache(partial(document, tuple(operations)))  # made when it is first asked for, and kept

    @blueprint.route(PATH, methods=["GET"], authorizer=IAMAuthorizer())
    @observed
    def get_openapi() -> Response:
        return Response(body=described())

    return blueprint


def _operation(operation: Operation, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Return the description of one operation; its request's schema is taken apart into path, query and body."""
    properties: dict[str, Any] = request.get("properties", {})
    required = set(request.get("required", []))
    in_path = {name for name in properties if f"{{{name}}}" in str(operation.path)}
    has_body = operation.method in ("POST", "PUT") and bool(properties.keys() - in_path)
    in_query = set() if has_body else properties.keys() - in_path
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            {
                "name": name,
                "in": "path" if name in in_path else "query",
                "required": name in in_path or name in required,
                "schema": _given(schema),
            }
            for name, schema in properties.items()
            if name in in_path or name in in_query
        ],
        "responses": {
            str(int(operation.status)): _content("Done", answer),
            **{status: _content(why, {"$ref": SCHEMAS.format(model="ErrorBody")}) for status, why in REFUSALS.items()},
            **{status: {"description": why} for status, why in FRAMEWORK_ERRORS.items()},
        },
    }
    if has_body:
        body = {name: schema for name, schema in properties.items() if name not in in_path}
        schema = {**request, "properties": body, "required": sorted(required - in_path)}
        needed = bool(required - in_path)
        described["requestBody"] = {"required": needed, "content": {"application/json": {"schema": schema}}}
    if operation.open:
        described["security"] = []
    return described


def _itself() -> dict[str, Any]:
    return {
        "operationId": "get_openapi",
        "summary": "This document",
        "parameters": [],
        "responses": {
            "200": _content("Done", {"type": "object"}),
            **{status: {"description": why} for status, why in FRAMEWORK_ERRORS.items()},
        },
    }


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter that is given: absent ones are absent, never null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    told = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    if "default" in schema and schema["default"] is not None:
        told["default"] = schema["default"]
    return {**told, **kinds[0]} if len(kinds) == 1 else {**told, **({"anyOf": kinds} if kinds else {})}


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]

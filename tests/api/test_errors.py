"""Errors on their way out: one code per cause, one body, over REST and by direct invocation alike."""

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from chalicelib import errors
from chalicelib.api.answers import STATUS, ErrorBody, error_body
from chalicelib.api.operation import parsed
from chalicelib.api.table import OPERATIONS
from chalicelib.container import providing
from chalicelib.errors import (
    AlreadyExists,
    DrsActiveRegionsError,
    InvalidRequest,
    LeaseLost,
    NotFound,
    RowChanged,
    ServiceError,
    SettingError,
    TableUnavailable,
)
from chalicelib.events.operations import operations

from ..unit.stack import deployed

KNOWN = [
    (InvalidRequest, "INVALID_REQUEST", 400),
    (NotFound, "NOT_FOUND", 404),
    (AlreadyExists, "ALREADY_EXISTS", 409),
    (TableUnavailable, "TABLE_UNAVAILABLE", 503),
]
SECRET = "known-to-us-alone"


@pytest.fixture
def deployed_on_moto(monkeypatch):
    """A function's environment: an account's tenant and roles are named by it."""
    with deployed() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.parametrize(("kind", "code", "status"), KNOWN)
def test_each_error_has_its_code_and_status(kind, code, status):
    body, found = error_body(kind("what is wrong"))
    assert (body, found) == ({"error": code, "message": "what is wrong", "details": None}, status)


def test_no_two_causes_share_a_code():
    codes = [code for code, _ in STATUS.values()]
    assert len(codes) == len(set(codes))


def test_the_fields_that_do_not_fit_are_named():
    details = [{"field": "limit", "problem": "too large"}]
    body, _ = error_body(InvalidRequest("limit: too large", details))
    assert body["details"] == details


@pytest.mark.parametrize(
    "error",
    [
        DrsActiveRegionsError("broken"),
        SettingError("X: missing"),
        LeaseLost("over"),
        *[kind("denied") for kind in ServiceError.__subclasses__()],
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_caller_can_mend_is_no_answer_but_a_failure(error):
    """A failure is logged, counted and answered with 500 by the framework; an answer would hide it."""
    with pytest.raises(type(error)):
        error_body(error)


def test_every_error_of_the_product_was_thought_of():
    told = {kind for kind, _, _ in KNOWN} | {DrsActiveRegionsError, SettingError, LeaseLost, RowChanged, ServiceError}
    told |= set(ServiceError.__subclasses__())
    every = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, DrsActiveRegionsError)}
    assert every == told


@pytest.mark.parametrize("kind", KNOWN, ids=lambda known: known[1])
def test_direct_invocation_answers_with_the_same_body(kind):
    error = kind[0]("what is wrong")

    class Broken:
        def account(self, _):
            raise error

    broken = SimpleNamespace(account_registry=Broken())
    with providing(lambda: broken):
        answer = operations({"operation": "get_account", "accountId": "111111111111"}, None)
    assert answer == error_body(error)[0]


@pytest.mark.parametrize(
    ("name", "values", "fields"),
    [
        ("list_servers", {"limit": "0"}, ["limit"]),
        ("list_servers", {"limit": "many", "region": "Mars"}, ["region", "limit"]),
        ("get_server", {"sourceServerId": "s-1"}, ["sourceServerId"]),
        ("start_sync", {"kind": "tags", "scopes": [{"region": "eu-west-1"}]}, ["scopes.0.accountId"]),
        ("add_staging_account", {"accountId": "1" * 12}, ["stagingAccountId"]),
        ("list_syncs", {"nextToken": "yesterday"}, ["nextToken"]),
    ],
)
def test_every_field_that_does_not_fit_is_in_the_details(name, values, fields):
    with pytest.raises(InvalidRequest) as caught:
        parsed(OPERATIONS[name].request, values)
    assert sorted(one["field"] for one in caught.value.details) == sorted(fields)
    assert all(field in str(caught.value) for field in fields)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"externalId": SECRET + "\u00e9"},
        {"externalId": SECRET, "kind": "no such"},
        {"externalId": SECRET, "readerRoleArn": "arn:aws:iam::222222222222:role/other"},
        {"externalId": SECRET, "writerRoleArn": "arn:aws-cn:iam::111111111111:role/other"},
    ],
)
def test_a_secret_that_does_not_fit_is_not_repeated(spoilt, deployed_on_moto):
    values = {"accountId": "1" * 12, "name": "one", "kind": "target", **spoilt}
    body = operations({"operation": "register_account", **values}, None)
    assert body["error"] == "INVALID_REQUEST"
    assert SECRET not in str(body)
    assert "input_value" not in str(body)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_fields_have_one_spelling_only(operation):
    """A second, undocumented spelling would pass by what goes by the name: the log leaves `externalId` out."""
    for name, field in operation.request.model_fields.items():
        if name != field.alias:
            with pytest.raises(InvalidRequest) as caught:
                parsed(operation.request, {name: None})
            assert name in [one["field"] for one in caught.value.details]


def test_an_error_body_has_exactly_its_three_members():
    assert ErrorBody.model_json_schema(by_alias=True)["properties"].keys() == {"error", "message", "details"}
    with pytest.raises(ValidationError):
        ErrorBody(error="X")

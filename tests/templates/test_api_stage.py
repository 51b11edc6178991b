"""The API in API Gateway: its stage, what it answers by itself, and how much it lets through."""

import json

import pytest

from chalicelib.api.operation import RunsIn
from chalicelib.api.table import OPERATIONS

HEALTH = "/~1health"
COSTLY = {
    (operation.method, operation.path)
    for operation in OPERATIONS.values()
    if operation.method == "POST" and operation.runs_in is not RunsIn.ITSELF
}
"""What enters customer accounts, or has whole tables read."""


@pytest.fixture(scope="module")
def api(resources):
    [found] = resources("AWS::Serverless::Api").values()
    return found


@pytest.fixture(scope="module")
def paths(api):
    return api["DefinitionBody"]["paths"]


@pytest.fixture(scope="module")
def deployed(translated):
    """Resources as CloudFormation gets them from SAM."""
    return translated["Resources"]


def of_type(deployed, kind):
    return [resource["Properties"] for resource in deployed.values() if resource["Type"] == kind]


def test_there_is_one_stage(deployed):
    """SAM makes a second one, called "Stage", for a document whose version it was not told."""
    names = [stage["StageName"] for stage in of_type(deployed, "AWS::ApiGateway::Stage")]
    names += [one["StageName"] for one in of_type(deployed, "AWS::ApiGateway::Deployment") if "StageName" in one]
    assert names == ["api"]


def test_health_wakes_no_function(paths):
    integration = paths["/health"]["get"]["x-amazon-apigateway-integration"]
    assert integration["type"] == "mock"
    assert "uri" not in integration
    [response] = integration["responses"].values()
    assert json.loads(response["responseTemplates"]["application/json"]) == {"status": "OK"}
    assert json.loads(integration["requestTemplates"]["application/json"]) == {
        "statusCode": int(response["statusCode"])
    }


def test_every_other_route_wants_a_signature_before_it_wakes_a_function(paths):
    open_routes = [
        (path, method) for path, item in paths.items() for method, one in item.items() if not one.get("security")
    ]
    assert open_routes == [("/health", "get")]


def test_requests_are_throttled_by_parameter(api, paths, template):
    settings = {(one["HttpMethod"], one["ResourcePath"]): one for one in api["MethodSettings"]}
    assert len(settings) == len(api["MethodSettings"])
    everything, health = settings.pop(("*", "/*")), settings.pop(("GET", HEALTH))
    assert (everything["ThrottlingRateLimit"], everything["ThrottlingBurstLimit"]) == (
        {"Ref": "ApiRequestsPerSecond"},
        {"Ref": "ApiBurst"},
    )
    assert health["ThrottlingRateLimit"] == {"Ref": "HealthRequestsPerSecond"}
    told = {(method, path.removeprefix("/").replace("~1", "/")) for method, path in settings}
    assert told == COSTLY
    assert all(method.lower() in paths[path] for method, path in told)
    assert all(one["ThrottlingRateLimit"] == {"Ref": "CostlyRequestsPerSecond"} for one in settings.values())
    assert all(template["Parameters"][name]["MinValue"] == 1 for name in ("ApiRequestsPerSecond", "ApiBurst"))


def test_the_stage_has_the_settings(api, deployed):
    [stage] = of_type(deployed, "AWS::ApiGateway::Stage")
    assert stage["MethodSettings"] == api["MethodSettings"]


def test_concurrency_of_the_api_is_reserved_where_the_parameter_says_so(functions, template):
    condition, reserved, otherwise = functions["APIHandler"]["ReservedConcurrentExecutions"]["Fn::If"]
    assert (reserved, otherwise) == ({"Ref": "ApiReservedConcurrency"}, {"Ref": "AWS::NoValue"})
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ApiReservedConcurrency"}, 0]}]}
    assert template["Parameters"]["ApiReservedConcurrency"]["Default"] == 0

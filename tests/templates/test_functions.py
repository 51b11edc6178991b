"""Functions: settings, roles, logs and what wakes them."""

import json
import re._parser as sre_parser

import pytest
from samtranslator.yaml_helper import yaml_parse

from chalicelib.settings import Settings
from sandbox.cloud.packaging import REPO

CONFIG = json.loads((REPO / ".chalice" / "config.json").read_text())
STAGE = CONFIG["stages"]["dev"]
EVENT_TYPES = ("SQS", "DynamoDB", "Schedule")
WITHOUT_EVENT = {"APIHandler", "Operations", "OperationsRead", "AccountProbe", "Maintenance"}
"""Woken by API Gateway or invoked directly."""


def logical(name):
    """Return how Chalice names a function of the configuration in the template."""
    return "APIHandler" if name == "api_handler" else "".join(word.capitalize() for word in name.split("_"))


def role_of(function):
    return function["Role"]["Fn::GetAtt"][0]


def name_of(function):
    return function["FunctionName"]["Fn::Sub"]


def test_every_function_is_configured_by_name_and_nothing_else_is(functions):
    assert {logical(name) for name in STAGE["lambda_functions"]} == set(functions)


def test_each_function_has_memory_timeout_and_tracing_of_its_own_configuration(functions):
    for name, wanted in STAGE["lambda_functions"].items():
        function = functions[logical(name)]
        assert (function["MemorySize"], function["Timeout"]) == (wanted["lambda_memory_size"], wanted["lambda_timeout"])
        assert function["Tracing"] == "Active", name
        assert function["Runtime"] == "python3.11"


def test_the_api_answers_before_api_gateway_gives_up(functions):
    assert functions["APIHandler"]["Timeout"] <= 29


def test_each_function_has_a_role_of_its_own(functions, resources):
    roles = [role_of(function) for function in functions.values()]
    assert len(set(roles)) == len(roles)
    assert set(roles) == set(resources("AWS::IAM::Role"))


def test_each_role_is_lambdas_alone(resources):
    for name, role in resources("AWS::IAM::Role").items():
        statements = role["AssumeRolePolicyDocument"]["Statement"]
        principals = [statement["Principal"] for statement in statements]
        assert principals == [{"Service": "lambda.amazonaws.com"}], name
        assert "ManagedPolicyArns" not in role


def test_each_function_has_the_policy_of_its_file(functions, resources):
    roles = resources("AWS::IAM::Role")
    for name in STAGE["lambda_functions"]:
        file = STAGE["lambda_functions"][name].get("iam_policy_file", STAGE["iam_policy_file"])
        [policy] = roles[role_of(functions[logical(name)])]["Policies"]
        assert policy["PolicyDocument"] == json.loads((REPO / ".chalice" / file).read_text()), name


def test_names_come_from_project_and_stage(functions):
    names = [name_of(function) for function in functions.values()]
    assert all(name.startswith("${Project}-${Stage}-") for name in names)
    assert len(set(names)) == len(names)


def test_logs_of_every_function_are_kept_for_a_while(functions, resources):
    groups = resources("AWS::Logs::LogGroup")
    kept = groups.values()
    audited = {"ApiHandlerLogGroup", "OperationsLogGroup", "AccountProbeLogGroup", "MaintenanceLogGroup"}
    for name, group in groups.items():
        days = "AuditRetentionDays" if name in audited else "LogRetentionDays"
        assert group["RetentionInDays"] == {"Ref": days}, name
    names = {group["LogGroupName"]["Fn::Sub"] for group in kept}
    for logical_name, function in functions.items():
        assert names & {f"/aws/lambda/${{{logical_name}}}", f"/aws/lambda/{name_of(function)}"}, logical_name


def test_every_function_has_every_required_setting(template):
    given = template["Globals"]["Function"]["Environment"]["Variables"]
    required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
    assert required <= set(given)
    libraries = {"POWERTOOLS_LOG_LEVEL", "AWS_STS_REGIONAL_ENDPOINTS"}
    assert set(given) <= {name.upper() for name in Settings.model_fields} | libraries


def test_no_function_overrides_the_environment(functions, template):
    common = template["Globals"]["Function"]["Environment"]["Variables"]
    for name, function in functions.items():
        own = function.get("Environment", {}).get("Variables", {})
        assert not set(own) & set(common), name


def test_settings_that_name_a_table_or_a_queue_name_it(template):
    given = template["Globals"]["Function"]["Environment"]["Variables"]
    kinds = {"_TABLE": "AWS::DynamoDB::Table", "_QUEUE_URL": "AWS::SQS::Queue"}
    for setting, value in given.items():
        for ending, kind in kinds.items():
            if setting.endswith(ending):
                assert template["Resources"][value["Ref"]]["Type"] == kind, setting
    named = [value["Ref"] for setting, value in given.items() if setting.endswith(tuple(kinds))]
    assert len(set(named)) == len(named)


def test_each_function_is_woken_by_one_event_or_by_none(functions):
    counts = {name: len(function.get("Events", {})) for name, function in functions.items()}
    assert counts == {name: 0 if name in WITHOUT_EVENT else 1 for name in functions}
    events = [event for function in functions.values() for event in function.get("Events", {}).values()]
    assert {event["Type"] for event in events} == set(EVENT_TYPES)


@pytest.mark.parametrize("part", ["Project", "Stage"])
def test_no_resource_is_named_without_the_parameter(template, part):
    fixed = [
        (logical_name, value)
        for logical_name, resource in template["Resources"].items()
        for key, value in resource.get("Properties", {}).items()
        if key in ("TableName", "QueueName", "FunctionName", "RuleName", "AlarmName", "DashboardName")
        and "Ref" not in value
        and f"${{{part}}}" not in json.dumps(value)
    ]
    assert fixed == []


NAME_CHARACTERS = 64
"""Lambda, CreateFunction: FunctionName."""


def test_names_fit_for_every_project_and_stage_that_the_parameters_let_pass(functions, template):
    longest = {name: longest_match(template["Parameters"][name]["AllowedPattern"]) for name in ("Project", "Stage")}
    for function in functions.values():
        name = name_of(function).replace("${Project}", "p" * longest["Project"])
        assert len(name.replace("${Stage}", "s" * longest["Stage"])) <= NAME_CHARACTERS, name


@pytest.mark.parametrize("part", ["Project", "Stage"])
def test_customers_templates_allow_the_same_projects_and_stages(part, template):
    pattern = template["Parameters"][part]["AllowedPattern"]
    found = 0
    for path in (REPO / "infra").glob("*.yaml"):
        parameters = yaml_parse(path.read_text()).get("Parameters", {})
        if part in parameters:
            assert parameters[part]["AllowedPattern"] == pattern, path.name
        if "HubRolePath" in parameters:
            assert f"/{pattern}/" in parameters["HubRolePath"]["AllowedPattern"]
            found += 1
    assert found


def longest_match(pattern):
    """Return how long a text can be that a parameter's AllowedPattern lets pass."""
    return int(sre_parser.parse(pattern).getwidth()[1])

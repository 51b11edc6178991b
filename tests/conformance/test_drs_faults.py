"""Errors as boto3 parses them, injected faults, counted calls, and requests that no SDK would send: both adapters."""

import json
import time

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from sandbox.drs.service_model import service_model

from .conftest import REGION, STAGING, STRANGER, TARGET

# The status of every error, as AWS publishes it (botocore's model is checked against it, too).
STATUS = {
    "UninitializedAccountException": 400,
    "ServiceQuotaExceededException": 402,
    "ThrottlingException": 429,
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ResourceNotFoundException": 404,
    "ConflictException": 409,
}


def refusal(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value


def test_the_table_above_is_the_model():
    assert {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in service_model().error_shapes} == STATUS


@pytest.mark.parametrize("code", STATUS)
def test_every_modelled_error_arrives_as_its_class_with_its_status(cloud, code):
    cloud.account()
    cloud.fault(operation="ListStagingAccounts", error=code, message="because", retryAfterSeconds=7)
    drs = cloud.client()
    error = refusal(drs.list_staging_accounts)
    assert error.response["Error"]["Code"] == code
    assert error.response["Error"]["Message"] == "because"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == STATUS[code]
    headers = error.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-errortype"] == code
    assert ("retry-after" in headers) == (code in {"ThrottlingException", "InternalServerException"})
    if code in {shape.name for shape in service_model().operation_model("ListStagingAccounts").error_shapes}:
        assert type(error) is getattr(drs.exceptions, code)


@pytest.mark.parametrize(("code", "expected"), [("ThrottlingException", "7"), ("InternalServerException", 7)])
def test_retry_after_is_parsed_from_its_header(cloud, code, expected):
    """The model has a string for throttling and an integer for internal errors."""
    cloud.account()
    cloud.fault(error=code, retryAfterSeconds=7)
    response = refusal(cloud.client().list_staging_accounts).response
    assert response["retryAfterSeconds"] == expected
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"


def test_an_unmodelled_error_has_the_status_that_the_rule_gives(cloud):
    cloud.fault(error="RequestLimitExceeded", status=503, times=1)
    cloud.fault(error="ExpiredTokenException")
    assert refusal(cloud.client().describe_source_servers).response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert refusal(cloud.client().describe_source_servers).response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_fault_hits_the_calls_it_names_and_as_often_as_it_says(cloud):
    for account in (TARGET, STRANGER):
        cloud.account(account)
        cloud.account(account, "eu-west-2")
    cloud.fault(
        service="drs", operation="Describe.*", account=TARGET, region="eu-west-1", error="ThrottlingException", times=2
    )
    cloud.client(STRANGER).describe_source_servers()
    cloud.client(region="eu-west-2").describe_source_servers()
    cloud.client().list_staging_accounts()
    for _ in range(2):
        assert refusal(cloud.client().describe_source_servers).response["Error"]["Code"] == "ThrottlingException"
    cloud.client().describe_source_servers()


def test_a_fault_of_another_service_does_not_concern_drs(cloud):
    cloud.account()
    cloud.fault(service="dynamodb", error="ThrottlingException")
    cloud.client().describe_source_servers()


def test_a_retrying_client_gets_through(cloud):
    cloud.account()
    cloud.fault(error="InternalServerException", times=1)
    refusal(cloud.client().describe_source_servers)
    cloud.client().describe_source_servers()
    assert cloud.calls("DescribeSourceServers") == [(2, 1)]


def test_latency_is_waited_for(cloud):
    cloud.account()
    cloud.fault(operation="ListStagingAccounts", latencySeconds=0.3)
    began = time.monotonic()
    cloud.client().describe_source_servers()
    assert time.monotonic() - began < 0.3
    cloud.client().list_staging_accounts()
    assert time.monotonic() - began >= 0.3


def test_an_error_after_the_effect_leaves_the_work_done(cloud):
    cloud.account(STAGING, trusts=[TARGET])
    cloud.account(TARGET)
    (source,) = cloud.servers(1)
    cloud.fault(operation="CreateExtendedSourceServer", error="InternalServerException", afterEffect=True, times=1)
    call = cloud.client().create_extended_source_server
    assert refusal(call, sourceServerArn=source["arn"]).response["Error"]["Code"] == "InternalServerException"
    assert len(cloud.client().describe_source_servers()["items"]) == 1
    assert "already extended" in str(refusal(call, sourceServerArn=source["arn"]))


def test_an_error_before_the_effect_leaves_the_work_undone(cloud):
    cloud.fault(operation="InitializeService", error="InternalServerException", times=1)
    refusal(cloud.client().initialize_service)
    assert refusal(cloud.client().describe_source_servers).response["Error"]["Code"] == "UninitializedAccountException"


def test_a_time_out_after_the_effect_leaves_the_work_done(http_cloud):
    cloud = http_cloud  # in process there is no socket to time out
    cloud.fault(operation="InitializeService", latencySeconds=1, afterEffect=True)
    with pytest.raises(ReadTimeoutError):
        cloud.client(timeout=0.2).initialize_service()
    assert cloud.client().describe_source_servers()["items"] == []


def test_a_wait_does_not_hold_up_other_callers(http_cloud):
    cloud = http_cloud  # in process the caller's own thread waits
    cloud.account()
    cloud.fault(operation="ListStagingAccounts", latencySeconds=1)
    with pytest.raises(ReadTimeoutError):
        cloud.client(timeout=0.1).list_staging_accounts()
    began = time.monotonic()
    cloud.client().describe_source_servers()
    assert time.monotonic() - began < 0.5


def test_calls_are_counted_by_operation_account_and_region(cloud):
    cloud.account()
    cloud.client().describe_source_servers()
    cloud.client().describe_source_servers()
    refusal(cloud.client(checked=False).describe_source_servers, maxResults=0)
    refusal(cloud.client(STRANGER).describe_source_servers)
    cloud.client(region="eu-west-2").initialize_service()
    counted = cloud.control("GET", "/calls")["calls"]
    keys = ("operation", "account", "region", "calls", "errors")
    assert [tuple(count[key] for key in keys) for count in counted] == [
        ("DescribeSourceServers", TARGET, REGION, 3, 1),
        ("DescribeSourceServers", STRANGER, REGION, 1, 1),
        ("InitializeService", TARGET, "eu-west-2", 1, 0),
    ]
    assert {count["service"] for count in counted} == {"drs"}
    cloud.control("DELETE", "/calls")
    assert cloud.control("GET", "/calls")["calls"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("POST", "/NoSuchOperation", b"{}", "unknownOperation"),
        ("GET", "/DescribeSourceServers", b"", "unknownOperation"),
        ("POST", "/DescribeSourceServers", b"{not json", "cannotParse"),
        ("POST", "/DescribeSourceServers", b"[]", "cannotParse"),
        ("POST", "/DescribeSourceServers", b"\xff\xfe", "cannotParse"),
        ("POST", "/DescribeSourceServers", b'{"filters": "x"}', "fieldValidationFailed"),
        ("GET", "/ListStagingAccounts?maxResults=ten", b"", "fieldValidationFailed"),
        ("GET", "/ListStagingAccounts?maxResults=0", b"", "fieldValidationFailed"),
    ],
)
def test_a_request_that_no_sdk_would_send_gets_a_modelled_error(cloud, method, path, body, reason):
    cloud.account()
    status, headers, answer = cloud.raw(method, path, body)
    assert status == 400
    assert headers["x-amzn-errortype"] == "ValidationException"
    assert headers["content-type"] == "application/json"
    assert json.loads(answer)["reason"] == reason


def test_members_that_the_model_does_not_know_are_ignored(cloud):
    cloud.account()
    status, _, answer = cloud.raw("POST", "/DescribeSourceServers", b'{"newMember": 1}')
    assert (status, json.loads(answer)) == (200, {"items": []})

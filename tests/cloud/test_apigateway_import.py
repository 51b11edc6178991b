"""Patch `apigateway_import`."""


def test_an_integrations_responses_are_imported_with_their_headers(cloud):
    gateway, api = cloud.hub().client("apigateway"), cloud.outputs.resources["RestAPI"]
    (resource,) = (item for item in gateway.get_resources(restApiId=api)["items"] if item["path"] == "/open")
    imported = gateway.get_integration_response(
        restApiId=api, resourceId=resource["id"], httpMethod="OPTIONS", statusCode="200"
    )["responseParameters"]

    assert imported["method.response.header.Access-Control-Allow-Origin"] == "'https://ui.example'"
    assert "GET" in imported["method.response.header.Access-Control-Allow-Methods"]


def test_a_mock_integration_answers_without_a_function_and_no_page_may_read_it(cloud):
    answer = cloud.api("OPTIONS", "open", signed=False)

    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_binary_body_goes_through_unchanged_in_both_directions(cloud):
    sent = bytes(range(256))
    binary = {"content-type": "application/octet-stream", "accept": "application/octet-stream"}

    assert cloud.api("POST", "reversed", sent, signed=False, headers=binary).content == sent[::-1]

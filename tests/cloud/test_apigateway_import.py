"""Patch `apigateway_import`."""


def test_a_preflight_is_answered_with_the_routes_cors_headers(cloud):
    headers = {"origin": "https://ui.example", "access-control-request-method": "GET"}
    answer = cloud.api("OPTIONS", "open", signed=False, headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://ui.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "GET" in answer.headers["access-control-allow-methods"]


def test_a_binary_body_goes_through_unchanged_in_both_directions(cloud):
    sent = bytes(range(256))
    binary = {"content-type": "application/octet-stream", "accept": "application/octet-stream"}

    assert cloud.api("POST", "reversed", sent, signed=False, headers=binary).content == sent[::-1]

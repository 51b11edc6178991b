"""Where a server came from, asked of the deployed stack by either of its records."""

import pytest

from .customers import ORIGIN_REGION, SOURCE, STAGING, TARGET

REGION = "eu-west-1"


@pytest.fixture
def reversed_server(stack, customers):
    """A server of the target that failed over and replicates back: its two records name each other."""
    customers.register()
    [original] = customers.plant(TARGET, REGION)
    back = {"direction": "FAILBACK", "reversedDirectionSourceServerArn": original.arn}
    [reverse] = customers.plant(STAGING, ORIGIN_REGION, **back)
    customers.change(original, reversedDirectionSourceServerArn=reverse.arn)
    stack.scan((TARGET, REGION), (STAGING, ORIGIN_REGION))
    return original, reverse


def test_the_record_that_replicates_back_leads_to_where_the_machine_came_from(stack, reversed_server):
    original, reverse = reversed_server
    response = stack.cloud.api("GET", f"/servers/{reverse.server_id}/failback-topology")
    assert response.status_code == 200, response.text
    answer = response.json()["topology"]
    assert answer["originalAccountId"]["value"] == SOURCE
    assert answer["originalSourceRegion"]["value"] == ORIGIN_REGION
    assert answer["originalReplicationRegion"]["value"] == REGION
    again = stack.operate("get_failback_topology", sourceServerId=original.server_id)["topology"]
    assert again["originalReplicationRegion"] == answer["originalReplicationRegion"]

"""A role limited to source servers of one account may touch those, and no others."""

import pytest
from botocore.exceptions import ClientError

from tests.cloud.test_access import CUSTOMER, HUB, client, create_role

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def limited(cloud):
    """A client whose role may tag and read one named source server only."""
    cloud.control("POST", "/accounts", {"accountId": CUSTOMER, "regions": {REGION: {"initialised": True}}})
    spec = {"accountId": CUSTOMER, "region": REGION, "hostname": "web", "state": "CONTINUOUS"}
    mine, other = cloud.control("POST", "/servers", {"servers": [spec, {**spec, "hostname": "db"}]})["servers"]
    actions = ["drs:TagResource", "drs:GetReplicationConfiguration"]
    statements = [{"Effect": "Allow", "Action": actions, "Resource": mine["arn"]}]
    customer = cloud.session(CUSTOMER)
    create_role(customer.client("iam"), "limited", {"AWS": f"arn:aws:iam::{HUB}:root"}, statements)
    role = f"arn:aws:iam::{CUSTOMER}:role/limited"
    assumed = cloud.hub().client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return client(cloud, "drs", assumed, REGION), mine, other


def test_the_named_server_may_be_tagged_and_read(limited):
    drs, mine, _ = limited
    drs.tag_resource(resourceArn=mine["arn"], tags={"a": "b"})
    assert drs.get_replication_configuration(sourceServerID=mine["sourceServerID"])["sourceServerID"]


def test_another_server_may_not(limited):
    drs, _, other = limited
    for call in (
        lambda: drs.tag_resource(resourceArn=other["arn"], tags={"a": "b"}),
        lambda: drs.get_replication_configuration(sourceServerID=other["sourceServerID"]),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()

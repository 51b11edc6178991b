"""A role limited to source servers may touch those, and no others, where AWS authorises an action by its resource."""

import pytest
from botocore.exceptions import ClientError

from tests.cloud.test_access import CUSTOMER, HUB, client, create_role

REGION = "eu-west-1"
STAGING = "333333333333"


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


@pytest.mark.parametrize("resource", ["*", f"arn:aws:drs:{REGION}:{STAGING}:source-server/*"])
def test_extending_has_no_resource_type_and_is_never_allowed_by_an_arn(cloud, name, resource):
    customer = cloud.session(CUSTOMER)
    spec = {"accountId": STAGING, "region": REGION, "hostname": name, "state": "CONTINUOUS"}
    for account, trusts in ((CUSTOMER, []), (STAGING, [CUSTOMER])):
        regions = {REGION: {"initialised": True}}
        cloud.control("POST", "/accounts", {"accountId": account, "regions": regions, "trusts": trusts})
    [server] = cloud.control("POST", "/servers", {"servers": [spec]})["servers"]
    actions = [{"Effect": "Allow", "Action": "drs:CreateExtendedSourceServer", "Resource": resource}]
    create_role(customer.client("iam"), name, {"AWS": f"arn:aws:iam::{HUB}:root"}, actions)
    role = f"arn:aws:iam::{CUSTOMER}:role/{name}"
    assumed = cloud.hub().client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    drs = client(cloud, "drs", assumed, REGION)

    if resource == "*":
        assert drs.create_extended_source_server(sourceServerArn=server["arn"])["sourceServer"]
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            drs.create_extended_source_server(sourceServerArn=server["arn"])

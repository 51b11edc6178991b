"""Recorded answers, redacted, through the product's own adapters and reading: of the simulator now, and a sample."""

import json

import boto3
import pytest
from moto import mock_aws

from sandbox.drs import moto_backend
from sandbox.drs.control import control
from scripts.accept.recording import Recorder
from scripts.accept.steps import Acceptance, Accounts
from scripts.accept.verdicts import FailedError, NotTriedError

from .replaying import SAMPLE, ReplayedSessions, read

ACCOUNT, STAGING, REGION = "123456789012", "222222222222", "eu-west-1"  # the first is moto's own
TAGS = {"Name": "payroll-database", "aws:cloudformation:stack-name": "payroll", "CostCenter": "4711"}


class StagingHub:
    """A hub of which only syncs are known: staging work extends what it plans, whatever that is."""

    def __init__(self, drs, planned):
        self._drs, self._planned = drs, planned

    def call(self, _method, _path, body):
        return {"runId": "dry" if body.get("dryRun") else body["kind"]}

    def finished(self, run_id, _patience):
        if run_id == "staging":
            for arn in self._planned:
                self._drs.create_extended_source_server(sourceServerArn=arn)
        changes = [{"extend": arn, "into": ACCOUNT} for arn in self._planned]
        result = {"state": "AVAILABLE", "message": None, "counts": {}, "changes": changes}
        return {"scopes": [{"accountId": ACCOUNT, "region": REGION, "error": None, "result": result}]}


@pytest.fixture
def simulator():
    moto_backend.register()
    with mock_aws():
        yield


def session():
    return boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="test", region_name=REGION)


def told(method, path, body):
    status, answer = control(method, path, body)
    assert status == 200, answer
    return answer


def plant(count):
    """Plant servers whose instances run in their own account; return the identifiers of all of them."""
    ec2 = session().client("ec2")
    made = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=count,
        MaxCount=count,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in TAGS.items() if not key.startswith("aws:")],
            }
        ],
    )["Instances"]
    specs = [
        {
            "accountId": ACCOUNT,
            "region": REGION,
            "hostname": f"payroll-{number}.corp.example",
            "instanceId": instance["InstanceId"],
            "originAccountId": ACCOUNT,
            "originRegion": REGION,
            "originAvailabilityZone": f"{REGION}a",
            "state": "CONTINUOUS",
            "tags": TAGS,
        }
        for number, instance in enumerate(made)
    ]
    servers = told("POST", "/servers", {"servers": specs})["servers"]
    hosts = [spec["hostname"] for spec in specs]
    placed = [instance[name] for instance in made for name in ("InstanceId", "PrivateIpAddress", "VpcId", "SubnetId")]
    return {ACCOUNT, *hosts, *placed, *(server["sourceServerID"] for server in servers), *TAGS.values(), "CostCenter"}


def acceptance(target, hub=None, **options):
    return Acceptance(hub, Accounts([], [], REGION, target=target, **options), 1)


def test_what_is_recorded_can_be_replayed_and_tells_nothing(simulator, tmp_path):
    identifiers = plant(60)
    told("POST", "/settings", {"defaultPageSize": 50, "pageCap": 55})
    recorder = Recorder()
    run = acceptance(recorder.watch(session()))
    assert "60 servers, 60 of 60 instances" in run.answers()
    assert "default: 50 servers, with more behind; largest page: 55; 200 were" in run.page_size()

    text = recorder.write(tmp_path).read_text()

    assert not [identifier for identifier in identifiers if identifier in text]
    servers, instances = ReplayedSessions(json.loads(text)).everything()
    assert (len(servers), len(instances)) == (60, 60)
    assert len({server.hostname for server in servers}) == 60
    assert {server.source_region for server in servers} == {REGION}
    assert all(len(server.drs_tags) == len(TAGS) for server in servers)
    assert all(any(key.startswith("aws:") for key in server.drs_tags) for server in servers)


def test_the_product_reads_the_sample():
    servers, instances = ReplayedSessions(read(SAMPLE)).everything()
    assert (len(servers), len(instances)) == (2, 2)
    assert {server.replication_state for server in servers} == {"CONTINUOUS"}
    assert all(instance.source_tags.keys() < servers[0].drs_tags.keys() for instance in instances)


@pytest.fixture
def staged(simulator):
    """Servers of a staging account that may be extended."""
    regions = {REGION: {"optedIn": True, "initialised": True}}
    told("POST", "/accounts", {"accountId": ACCOUNT, "regions": regions})
    told("POST", "/accounts", {"accountId": STAGING, "regions": regions, "trusts": [ACCOUNT]})
    specs = [{"accountId": STAGING, "region": REGION, "hostname": f"host-{number}"} for number in range(2)]
    return [server["arn"] for server in told("POST", "/servers", {"servers": specs})["servers"]]


def extensions():
    return session().client("drs").describe_source_servers()["items"]


def extending(planned, arn):
    return acceptance(session(), StagingHub(session().client("drs"), planned), staging_server_arn=arn)


def test_an_extension_is_made_by_the_hub_and_deleted_again(staged):
    assert "which was deleted again" in extending(staged[:1], staged[0]).extension()
    assert extensions() == []


def test_nothing_is_extended_where_the_hub_would_extend_others(staged):
    with pytest.raises(NotTriedError, match="1 further servers"):
        extending(staged, staged[0]).extension()
    assert extensions() == []


def test_a_plan_without_the_server_fails(staged):
    with pytest.raises(FailedError, match="does not name"):
        extending([], staged[0]).extension()


def test_what_is_extended_already_stays(staged):
    session().client("drs").create_extended_source_server(sourceServerArn=staged[0])
    with pytest.raises(NotTriedError, match="extended already"):
        extending(staged[:1], staged[0]).extension()
    assert len(extensions()) == 1

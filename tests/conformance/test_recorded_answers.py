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
    """A hub of which only syncs are known: staging work extends servers; `again`: after every scan of the target."""

    def __init__(self, drs, extends, *, again=False):
        self.runs = []
        self._drs, self._extends, self._again = drs, extends, again

    def call(self, _method, _path, body):
        self.runs.append((body["kind"], body["scopes"][0]["accountId"]))
        return {"runId": "run"}

    def finished(self, _run_id, _patience):
        kind, account = self.runs[-1]
        if kind == "staging" or (self._again and account == ACCOUNT and not extensions()):
            for arn in self._extends:
                self._drs.create_extended_source_server(sourceServerArn=arn)
        result = {"state": "AVAILABLE", "message": None}
        return {"scopes": [{"accountId": account, "region": REGION, "error": None, "result": result}]}


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
    return Acceptance(hub, Accounts([], [], REGION, target=target, **options), 0)


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
    """Return a server of a staging account that may be extended."""
    regions = {REGION: {"optedIn": True, "initialised": True}}
    told("POST", "/accounts", {"accountId": ACCOUNT, "regions": regions})
    told("POST", "/accounts", {"accountId": STAGING, "regions": regions, "trusts": [ACCOUNT]})
    return plant_staging("host-0")


def plant_staging(hostname):
    spec = {"accountId": STAGING, "region": REGION, "hostname": hostname}
    [server] = told("POST", "/servers", {"servers": [spec]})["servers"]
    return server["arn"]


def extensions():
    return session().client("drs").describe_source_servers()["items"]


def test_an_extension_is_made_by_the_hub_and_deleted_again(staged):
    hub = StagingHub(session().client("drs"), [staged])
    assert "which was deleted again" in acceptance(session(), hub, staging_server_arn=staged).extension()
    assert extensions() == []
    scanned = [account for kind, account in hub.runs if kind == "inventory"]
    assert scanned == [STAGING, ACCOUNT, ACCOUNT]  # the target before the deletion and after it


def test_nothing_is_scanned_where_the_hub_would_extend_others(staged):
    plant_staging("host-1")
    hub = StagingHub(session().client("drs"), [staged])
    with pytest.raises(NotTriedError, match="1 further servers"):
        acceptance(session(), hub, staging_server_arn=staged).extension()
    assert (extensions(), hub.runs) == ([], [])


def test_a_hub_that_does_not_extend_fails(staged):
    with pytest.raises(FailedError, match="was not extended"):
        acceptance(session(), StagingHub(session().client("drs"), []), staging_server_arn=staged).extension()


def test_a_hub_that_extends_again_fails(staged):
    hub = StagingHub(session().client("drs"), [staged], again=True)
    with pytest.raises(FailedError, match="was deleted, and"):
        acceptance(session(), hub, staging_server_arn=staged).extension()


def test_what_is_extended_already_stays(staged):
    session().client("drs").create_extended_source_server(sourceServerArn=staged)
    with pytest.raises(NotTriedError, match="extended already"):
        acceptance(session(), None, staging_server_arn=staged).extension()
    assert len(extensions()) == 1

"""The core by itself: what needs a clock, many examples, or no transport."""

import json
import re
import sys
import threading
import time
from types import SimpleNamespace

import boto3
import moto
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from sandbox.drs import moto_backend, shared
from sandbox.drs.control import control
from sandbox.drs.core import DrsCloud
from sandbox.drs.seeding import add_servers, change_servers
from sandbox.drs.specs import ServerChange, ServerSpec
from sandbox.drs.state import Settings
from sandbox.faults import CallLog, FaultRule, FaultRules

ACCOUNT, REGION = "222222222222", "eu-west-1"
SPEC = ServerSpec(account_id=ACCOUNT, region=REGION, hostname="host")


def cloud_with(count, now=lambda: 1_750_000_000.0):
    cloud = DrsCloud(clock=now)
    cloud.operation("InitializeService", ACCOUNT, REGION, {})
    add_servers(cloud.state, [SPEC] * count, force=True)
    return cloud


def describe(cloud, **params):
    reply = cloud.operation("DescribeSourceServers", ACCOUNT, REGION, params)
    assert reply.status == 200, reply
    return json.loads(reply.body)


def server_ids(cloud):
    return list(cloud.state.scope(ACCOUNT, REGION).servers)


def remove(cloud, server_id):
    change = ServerChange(account_id=ACCOUNT, region=REGION, source_server_id=server_id, remove=True)
    change_servers(cloud.state, [change])


@settings(max_examples=200, deadline=None)
@given(
    initial=st.integers(0, 30),
    page_sizes=st.lists(st.integers(1, 12), min_size=1),
    comings_and_goings=st.lists(st.tuples(st.integers(0, 4), st.lists(st.integers(0, 40), max_size=4))),
)
def test_a_scan_serves_whoever_is_there_throughout_exactly_once(initial, page_sizes, comings_and_goings):
    cloud = cloud_with(initial)
    throughout, served, token = set(server_ids(cloud)), [], {}
    for turn in range(200):
        page = describe(cloud, maxResults=page_sizes[turn % len(page_sizes)], **token)
        served += [server["sourceServerID"] for server in page["items"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
        arrivals, departures = comings_and_goings[turn] if turn < len(comings_and_goings) else (0, [])
        for departure in departures:
            present = server_ids(cloud)
            if present:
                remove(cloud, present[departure % len(present)])
        add_servers(cloud.state, [SPEC] * arrivals, force=True)
        throughout &= set(server_ids(cloud))
    else:
        pytest.fail("the scan does not end")
    assert len(served) == len(set(served))
    assert throughout <= set(served)


def moving_parts(cloud):
    (server,) = describe(cloud)["items"]
    info, cycle = server["dataReplicationInfo"], server["lifeCycle"]
    return (
        info.get("lagDuration"),
        info["replicatedDisks"][0]["backloggedStorageBytes"],
        cycle["lastSeenByServiceDateTime"],
    )


def test_lag_backlog_and_last_seen_move_from_one_second_to_the_next():
    clock = SimpleNamespace(now=1_750_000_000.0)
    cloud = cloud_with(1, lambda: clock.now)
    first = moving_parts(cloud)
    clock.now += 1
    assert all(before != after for before, after in zip(first, moving_parts(cloud), strict=True))


def test_the_lag_of_a_stalled_server_grows_with_the_clock():
    clock = SimpleNamespace(now=1_750_000_000.0)
    cloud = DrsCloud(clock=lambda: clock.now)
    add_servers(cloud.state, [SPEC.model_copy(update={"state": "STALLED", "lag_seconds": 7200})], force=True)
    assert moving_parts(cloud)[0] == "PT2H"
    clock.now += 3661
    assert moving_parts(cloud)[0] == "PT3H1M1S"


def test_nothing_of_a_disconnected_server_moves():
    clock = SimpleNamespace(now=1_750_000_000.0)
    cloud = DrsCloud(clock=lambda: clock.now)
    add_servers(cloud.state, [SPEC.model_copy(update={"state": "DISCONNECTED"})], force=True)
    before = describe(cloud)
    clock.now += 3600
    assert describe(cloud) == before


def test_names_and_tags_cannot_disturb_the_record():
    awkward = '%s %b 100% "lagDuration":"@moving@" \u00e9\u4e16'
    cloud = DrsCloud()
    add_servers(cloud.state, [SPEC.model_copy(update={"hostname": awkward, "tags": {awkward: awkward}})], force=True)
    (server,) = describe(cloud)["items"]
    assert server["tags"] == {awkward: awkward}
    assert server["sourceProperties"]["identificationHints"]["hostname"] == awkward
    assert re.fullmatch(r"PT\d+S", server["dataReplicationInfo"]["lagDuration"])


def start_recovery(cloud):
    wanted = {"sourceServers": [{"sourceServerID": server_id} for server_id in server_ids(cloud)]}
    return cloud.operation("StartRecovery", ACCOUNT, REGION, wanted).status


def job_status(cloud):
    (job,) = json.loads(cloud.operation("DescribeJobs", ACCOUNT, REGION, {}).body)["items"]
    return job["status"], job.get("endDateTime")


def test_a_job_ends_when_its_time_is_up():
    clock = SimpleNamespace(now=1_750_000_000.0)
    cloud = cloud_with(1, lambda: clock.now)
    cloud.state.settings = Settings(work_seconds=60)
    start_recovery(cloud)
    clock.now += 59
    assert job_status(cloud) == ("STARTED", None)
    clock.now += 1
    completed = ("COMPLETED", "2025-06-15T15:07:40.000Z")
    assert job_status(cloud) == completed
    clock.now += 60
    assert job_status(cloud) == completed


def test_the_host_learns_of_instances_that_come_and_go():
    cloud, told = cloud_with(1), []
    cloud.instance_listener = lambda instance: told.append((instance.instance_id, instance.ec2_state))
    for _ in range(2):
        start_recovery(cloud)
        describe(cloud)
    first, second = told[0][0], told[-1][0]
    assert told == [(first, "RUNNING"), (first, "TERMINATED"), (second, "RUNNING")]
    for name in ("DisconnectRecoveryInstance", "DeleteRecoveryInstance"):
        assert cloud.operation(name, ACCOUNT, REGION, {"recoveryInstanceID": second}).status == 200
    assert len(told) == 3, "what is deleted from DRS goes on in EC2"
    cloud.reset()
    assert cloud.instance_listener is not None


def test_many_threads_launch_a_server_once():
    cloud = DrsCloud(clock=slow_clock)
    add_servers(cloud.state, [SPEC], force=True)
    cloud.state.settings = Settings(work_seconds=3600)
    statuses, start = [], threading.Barrier(4)

    def recover():
        start.wait()
        statuses.append(start_recovery(cloud))

    in_threads(4, recover)
    assert sorted(statuses) == [202, 409, 409, 409]


def slow_clock():
    """Lets other threads run wherever the core asks for the time: between the check and the addition, too."""
    time.sleep(0.002)
    return 1_750_000_000.0


def test_many_threads_create_one_extension_of_each_server():
    cloud = DrsCloud(clock=slow_clock)
    sources = add_servers(cloud.state, [SPEC] * 5, force=True)
    cloud.state.trusted_targets[ACCOUNT] = {"111111111111"}
    cloud.operation("InitializeService", "111111111111", REGION, {})
    statuses, start = [], threading.Barrier(4)

    def extend():
        start.wait()
        for source in sources:
            params = {"sourceServerArn": source.arn}
            statuses.append(cloud.operation("CreateExtendedSourceServer", "111111111111", REGION, params).status)

    in_threads(4, extend)
    assert (statuses.count(201), statuses.count(400)) == (5, 15)


def in_threads(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_faults_are_the_same_after_every_reset():
    rules = FaultRules()

    def outcomes():
        rules.reset()
        rules.add([FaultRule(error="ThrottlingException", rate=0.5)])
        return [rules.decide("drs", "DescribeSourceServers", ACCOUNT, REGION).error for _ in range(200)]

    first = outcomes()
    assert first == outcomes()
    assert 60 < first.count("ThrottlingException") < 140


def test_latencies_add_up_and_the_first_error_wins():
    rules = FaultRules()
    rules.add(
        [
            FaultRule(latency_seconds=1),
            FaultRule(error="ThrottlingException", latency_seconds=2, times=1),
            FaultRule(error="InternalServerException", times=1),
        ]
    )
    first = rules.decide("drs", "TagResource", ACCOUNT, REGION)
    second = rules.decide("drs", "TagResource", ACCOUNT, REGION)
    third = rules.decide("drs", "TagResource", ACCOUNT, REGION)
    assert (first.error, first.latency_seconds) == ("ThrottlingException", 3)
    assert (second.error, second.latency_seconds) == ("InternalServerException", 1)
    assert (third.error, third.latency_seconds) == (None, 1)


def test_counts_from_many_threads_are_complete():
    log = CallLog()

    def record():
        for _ in range(1000):
            log.record("drs", "TagResource", ACCOUNT, REGION, error=True)

    in_threads(4, record)
    (count,) = log.counts()
    assert (count.calls, count.errors) == (4000, 4000)


def test_mock_aws_begins_and_ends_with_an_empty_cloud_even_without_a_call():
    moto_backend.register()
    control("POST", "/servers", {"servers": [SPEC.model_dump(by_alias=True, exclude_unset=True)]})
    with mock_aws():
        assert shared.CLOUD.state.scopes == {}
        control("POST", "/servers", {"servers": [SPEC.model_dump(by_alias=True, exclude_unset=True)]})
        control("POST", "/faults", {"rules": [{"error": "ThrottlingException"}]})
    assert shared.CLOUD.state.scopes == {}
    assert shared.FAULTS.in_force() == []


@mock_aws
def test_an_assumed_role_is_its_account():
    moto_backend.register()
    role = {"RoleArn": "arn:aws:iam::444444444444:role/Spoke", "RoleSessionName": "test"}
    keys = boto3.client("sts", REGION).assume_role(**role)["Credentials"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION)
    session.client("drs").initialize_service()
    assert [account for account, _ in shared.CLOUD.state.scopes] == ["444444444444"]


def test_registration_fails_where_moto_has_a_drs_of_its_own(monkeypatch):
    monkeypatch.delitem(sys.modules, "moto.drs", raising=False)
    monkeypatch.setattr(moto.backend_index, "backend_url_patterns", [("drs", re.compile("x"))])
    with pytest.raises(RuntimeError, match="its own drs"):
        moto_backend.register()

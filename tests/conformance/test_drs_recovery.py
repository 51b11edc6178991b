"""Failover and failback on both adapters: launching, jobs, recovery instances, reversed replication."""

import re

import pytest
from botocore.exceptions import ClientError

from .conftest import REGION, STAGING, STRANGER, TARGET

ORIGIN_REGION = "eu-west-2"
INSTANCE = "i-0123456789abcdef0"
ORIGIN = {"originAccountId": STRANGER, "originRegion": ORIGIN_REGION, "originAvailabilityZone": "eu-west-2c"}
UNKNOWN_SERVER, UNKNOWN_INSTANCE = "s-" + "0" * 17, "i-" + "0" * 17


def refused(call, **params):
    """Code and status of a refusal, whose code the model must know for this operation."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response, meta = caught.value.response, call.__self__.meta
    operation = meta.service_model.operation_model(meta.method_to_api_mapping[call.__name__])
    code = response["Error"]["Code"]
    # The model knows ValidationException for some operations only, and constraints for all.
    assert code in {*(shape.name for shape in operation.error_shapes), "ValidationException"}
    return code, response["ResponseMetadata"]["HTTPStatusCode"]


CONFLICT = ("ConflictException", 409)
NOT_FOUND = ("ResourceNotFoundException", 404)
INVALID = ("ValidationException", 400)


def start(drs, *server_ids, drill=False, **params):
    servers = [{"sourceServerID": server_id} for server_id in server_ids]
    answer = drs.start_recovery(sourceServers=servers, isDrill=drill, **params)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    return answer["job"]


def launch(drs, server_id, *, drill=False):
    """Launch, and return the recovery instance."""
    start(drs, server_id, drill=drill)
    (instance,) = drs.describe_recovery_instances(filters={"sourceServerIDs": [server_id]})["items"]
    return instance


def server_of(drs, server_id):
    (server,) = drs.describe_source_servers(filters={"sourceServerIDs": [server_id]})["items"]
    return server


def instance_of(drs, instance_id):
    (instance,) = drs.describe_recovery_instances(filters={"recoveryInstanceIDs": [instance_id]})["items"]
    return instance


def replication(drs, server_id):
    return server_of(drs, server_id)["dataReplicationInfo"]["dataReplicationState"]


def slow(cloud, seconds=3600):
    cloud.control("POST", "/settings", {"workSeconds": seconds})


def ended(cloud):
    """Let whatever is under way be done by the next request."""
    slow(cloud, 0)


def server_id_of(arn):
    return arn.rpartition("/")[2]


@pytest.fixture
def protected(cloud):
    """TARGET protects a server that runs in STRANGER's origin region, which uses DRS."""
    cloud.account(STRANGER, ORIGIN_REGION)
    (server,) = cloud.servers(account=TARGET, instanceId=INSTANCE, **ORIGIN)
    return server["sourceServerID"]


# Jobs and launches


def test_a_recovery_launches_an_instance_of_the_server(cloud, protected):
    drs = cloud.client()
    job = start(drs, protected, tags={"ticket": "42"})
    assert re.fullmatch(r"drsjob-[0-9a-zA-Z]{17}", job["jobID"])
    assert job["arn"] == f"arn:aws:drs:{REGION}:{TARGET}:job/{job['jobID']}"
    assert (job["type"], job["initiatedBy"], job["status"]) == ("LAUNCH", "START_RECOVERY", "PENDING")
    assert job["participatingServers"] == [{"sourceServerID": protected, "launchStatus": "PENDING"}]
    assert job["tags"] == {"ticket": "42"}
    assert "endDateTime" not in job

    (done,) = drs.describe_jobs()["items"]
    (participant,) = done["participatingServers"]
    assert (done["jobID"], done["status"], participant["launchStatus"]) == (job["jobID"], "COMPLETED", "LAUNCHED")
    assert done["endDateTime"] >= done["creationDateTime"] == job["creationDateTime"]

    (instance,) = drs.describe_recovery_instances()["items"]
    ident = instance["recoveryInstanceID"]
    assert re.fullmatch(r"i-[0-9a-f]{17}", ident)
    assert ident != INSTANCE
    assert ident == instance["ec2InstanceID"] == participant["recoveryInstanceID"]
    assert instance["arn"] == f"arn:aws:drs:{REGION}:{TARGET}:recovery-instance/{ident}"
    assert (instance["ec2InstanceState"], instance["isDrill"]) == ("RUNNING", False)
    assert (instance["sourceServerID"], instance["jobID"]) == (protected, job["jobID"])
    assert (instance["originEnvironment"], instance["originAvailabilityZone"]) == ("AWS", "eu-west-2c")
    assert instance["failback"]["state"] == "FAILBACK_NOT_STARTED"
    assert instance["dataReplicationInfo"]["dataReplicationState"] == "NOT_STARTED"
    assert instance["pointInTimeSnapshotDateTime"] == job["creationDateTime"]
    hints = instance["recoveryInstanceProperties"]["identificationHints"]
    assert (hints["hostname"], hints["awsInstanceID"]) == ("host-0", ident)

    server = server_of(drs, protected)
    assert (server["recoveryInstanceId"], server["lastLaunchResult"]) == (ident, "SUCCEEDED")
    assert server["lifeCycle"]["lastLaunch"] == {
        "initiated": {"apiCallDateTime": job["creationDateTime"], "jobID": job["jobID"], "type": "RECOVERY"},
        "status": "LAUNCHED",
    }
    assert server["sourceCloudProperties"]["originAccountID"] == STRANGER
    assert server["sourceProperties"]["identificationHints"]["awsInstanceID"] == INSTANCE


def test_a_drill_says_so_everywhere(cloud, protected):
    drs = cloud.client()
    job = start(drs, protected, drill=True)
    assert job["initiatedBy"] == "START_DRILL"
    (instance,) = drs.describe_recovery_instances()["items"]
    assert instance["isDrill"] is True
    server = server_of(drs, protected)
    assert server["lifeCycle"]["lastLaunch"]["initiated"]["type"] == "DRILL"
    assert server["recoveryInstanceId"] == instance["recoveryInstanceID"]


def test_a_server_that_is_not_of_ec2_originates_on_premises(cloud):
    (server,) = cloud.servers(account=TARGET, vmwareUuid="4212-aa")
    instance = launch(cloud.client(), server["sourceServerID"])
    assert instance["originEnvironment"] == "ON_PREMISES"
    assert "originAvailabilityZone" not in instance
    assert "vmWareUuid" not in instance["recoveryInstanceProperties"]["identificationHints"]


def test_a_job_is_started_until_its_time_is_up(cloud, protected):
    slow(cloud)
    drs = cloud.client()
    assert "lastLaunch" not in server_of(drs, protected)["lifeCycle"]
    job = start(drs, protected)
    assert refused(drs.disconnect_source_server, sourceServerID=protected) == CONFLICT
    (running,) = drs.describe_jobs()["items"]
    assert (running["status"], running["participatingServers"][0]["launchStatus"]) == ("STARTED", "IN_PROGRESS")
    assert drs.describe_recovery_instances()["items"] == []
    server = server_of(drs, protected)
    assert (server["lastLaunchResult"], "recoveryInstanceId" in server) == ("PENDING", False)
    assert server["lifeCycle"]["lastLaunch"]["status"] == "PENDING"
    assert server["lifeCycle"]["lastLaunch"]["initiated"]["jobID"] == job["jobID"]
    ended(cloud)
    assert drs.describe_jobs()["items"][0]["status"] == "COMPLETED"
    assert server_of(drs, protected)["lastLaunchResult"] == "SUCCEEDED"


def test_a_server_that_takes_part_in_a_job_is_left_alone(cloud, protected):
    drs = cloud.client()
    instance = launch(drs, protected)["recoveryInstanceID"]
    slow(cloud)
    start(drs, protected)
    assert refused(drs.start_recovery, sourceServers=[{"sourceServerID": protected}]) == CONFLICT
    assert refused(drs.terminate_recovery_instances, recoveryInstanceIDs=[instance]) == CONFLICT
    for call in (drs.disconnect_recovery_instance, drs.delete_recovery_instance, drs.reverse_replication):
        assert refused(call, recoveryInstanceID=instance) == CONFLICT
    for call in (drs.disconnect_source_server, drs.delete_source_server):
        assert refused(call, sourceServerID=protected) == CONFLICT
    ended(cloud)
    assert start(drs, protected)["status"] == "PENDING"


def test_a_job_of_another_account_is_in_nobodys_way(cloud, protected):
    slow(cloud)
    start(cloud.client(), protected)
    (other,) = cloud.servers(account=STAGING, sourceServerID=protected)
    assert start(cloud.client(STAGING), other["sourceServerID"])["status"] == "PENDING"
    assert len(cloud.client().describe_jobs()["items"]) == 1


def test_launching_again_replaces_the_instance(cloud, protected):
    drs = cloud.client()
    drill = launch(drs, protected, drill=True)["recoveryInstanceID"]
    recovery = launch(drs, protected)
    assert recovery["recoveryInstanceID"] != drill
    assert recovery["isDrill"] is False
    (only,) = drs.describe_recovery_instances()["items"]
    assert only["recoveryInstanceID"] == recovery["recoveryInstanceID"]
    assert server_of(drs, protected)["recoveryInstanceId"] == recovery["recoveryInstanceID"]


def test_what_has_nothing_to_launch_from_is_not_launched(cloud):
    cloud.account(TARGET)
    drs = cloud.client()
    for state, launchable in {
        "INITIATING": False,
        "INITIAL_SYNC": False,
        "STOPPED": False,
        "DISCONNECTED": False,
        "CONTINUOUS": True,
        "STALLED": True,
    }.items():
        (server,) = cloud.servers(account=TARGET, state=state)
        wanted = [{"sourceServerID": server["sourceServerID"]}]
        if launchable:
            assert drs.start_recovery(sourceServers=wanted)["job"]["status"] == "PENDING"
        else:
            assert refused(drs.start_recovery, sourceServers=wanted) == CONFLICT


def test_a_recovery_is_of_all_servers_or_none(cloud, protected):
    drs = cloud.client()
    (dead,) = cloud.servers(account=TARGET, state="DISCONNECTED")
    for other, outcome in ((UNKNOWN_SERVER, CONFLICT), (dead["sourceServerID"], CONFLICT), (protected, INVALID)):
        wanted = [{"sourceServerID": protected}, {"sourceServerID": other}]
        assert refused(drs.start_recovery, sourceServers=wanted) == outcome
    reserved = {"aws:name": "x"}
    assert refused(drs.start_recovery, sourceServers=[{"sourceServerID": protected}], tags=reserved) == INVALID
    assert drs.describe_jobs()["items"] == []
    assert server_of(drs, protected)["lastLaunchResult"] == "NOT_STARTED"


def test_one_job_launches_many_servers_from_snapshots_too(cloud):
    ids = [server["sourceServerID"] for server in cloud.servers(3, account=TARGET)]
    drs = cloud.client()
    wanted = [{"sourceServerID": ident, "recoverySnapshotID": "pit-" + "a" * 17} for ident in ids]
    drs.start_recovery(sourceServers=wanted)
    (job,) = drs.describe_jobs()["items"]
    assert [server["sourceServerID"] for server in job["participatingServers"]] == ids
    instances = drs.describe_recovery_instances()["items"]
    assert {instance["sourceServerID"] for instance in instances} == set(ids)
    assert {instance["jobID"] for instance in instances} == {job["jobID"]}


def test_a_server_that_goes_during_the_job_fails_in_it(cloud, protected):
    slow(cloud)
    drs = cloud.client()
    start(drs, protected)
    cloud.change(protected, TARGET, remove=True)
    ended(cloud)
    (job,) = drs.describe_jobs()["items"]
    assert (job["status"], job["participatingServers"][0]["launchStatus"]) == ("COMPLETED", "FAILED")
    assert drs.describe_recovery_instances()["items"] == []


def test_an_extension_is_recovered_in_the_target(extendable):
    (source,) = extendable.servers(1, instanceId=INSTANCE, **ORIGIN)
    extendable.account(STRANGER, ORIGIN_REGION)
    target = extendable.client(TARGET)
    extension = target.create_extended_source_server(sourceServerArn=source["arn"])["sourceServer"]
    instance = launch(target, extension["sourceServerID"])
    assert instance["arn"].split(":")[4] == TARGET
    assert extendable.client(STAGING).describe_recovery_instances()["items"] == []
    arn = target.reverse_replication(recoveryInstanceID=instance["recoveryInstanceID"])
    reversed_server = server_of(
        extendable.client(STRANGER, ORIGIN_REGION), server_id_of(arn["reversedDirectionSourceServerArn"])
    )
    assert reversed_server["sourceCloudProperties"]["originAccountID"] == TARGET
    assert reversed_server["stagingArea"]["status"] == "NOT_EXTENDED"


# Describing


def jobs(drs, page_size=None, **filters):
    pages = drs.get_paginator("describe_jobs").paginate(filters=filters, PaginationConfig={"PageSize": page_size})
    return [job["jobID"] for page in pages for job in page["items"]]


def test_jobs_come_latest_first_and_paged(cloud, protected):
    drs = cloud.client()
    ids = []
    for _ in range(5):
        ids.append(start(drs, protected)["jobID"])
        drs.describe_jobs()
    assert jobs(drs) == jobs(drs, 2) == ids[::-1]
    assert jobs(drs, jobIDs=[ids[3], ids[1], "drsjob-" + "0" * 17]) == [ids[3], ids[1]]
    assert jobs(drs, jobIDs=[]) == ids[::-1]
    first = drs.describe_jobs(maxResults=2)
    start(drs, protected)
    second = drs.describe_jobs(maxResults=2, nextToken=first["nextToken"])
    assert [job["jobID"] for job in second["items"]] == ids[2:0:-1]


def test_jobs_are_filtered_by_date(cloud, protected):
    drs = cloud.client()
    job = start(drs, protected)
    at, year = job["creationDateTime"], int(job["creationDateTime"][:4])
    later, earlier = f"{year + 1}-01-01T00:00:00Z", f"{year - 1}-01-01T00:00:00Z"
    assert jobs(drs, fromDate=at, toDate=at) == jobs(drs, fromDate=earlier, toDate=later) == [job["jobID"]]
    assert jobs(drs, fromDate=later) == jobs(drs, toDate=earlier) == []


def test_recovery_instances_are_filtered_and_paged(cloud):
    ids = [server["sourceServerID"] for server in cloud.servers(5, account=TARGET)]
    drs = cloud.client()
    start(drs, *ids)

    def found(page_size=None, **filters):
        paginator = drs.get_paginator("describe_recovery_instances")
        pages = paginator.paginate(filters=filters, PaginationConfig={"PageSize": page_size})
        return [[instance["recoveryInstanceID"] for instance in page["items"]] for page in pages]

    everything = [server["recoveryInstanceId"] for server in drs.describe_source_servers()["items"]]
    assert found() == found(recoveryInstanceIDs=[], sourceServerIDs=[]) == [everything]
    assert found(2) == [everything[:2], everything[2:4], everything[4:]]
    assert found(sourceServerIDs=[ids[3], UNKNOWN_SERVER]) == [[everything[3]]]
    assert found(recoveryInstanceIDs=[everything[4], everything[0]]) == [[everything[0], everything[4]]]
    assert found(recoveryInstanceIDs=[everything[0]], sourceServerIDs=[ids[1]]) == [[]]
    token = drs.describe_recovery_instances(maxResults=1)["nextToken"]
    assert refused(drs.describe_source_servers, nextToken=token) == INVALID


def test_nobody_sees_or_touches_instances_and_jobs_of_others(cloud, protected):
    instance = launch(cloud.client(), protected)["recoveryInstanceID"]
    cloud.account(STAGING)
    other = cloud.client(STAGING)
    assert other.describe_jobs()["items"] == other.describe_recovery_instances()["items"] == []
    assert refused(other.reverse_replication, recoveryInstanceID=instance) == NOT_FOUND
    assert refused(other.disconnect_recovery_instance, recoveryInstanceID=instance) == NOT_FOUND
    assert refused(other.terminate_recovery_instances, recoveryInstanceIDs=[instance]) == CONFLICT
    assert refused(other.delete_recovery_instance, recoveryInstanceID=instance) == CONFLICT
    assert instance_of(cloud.client(), instance)["ec2InstanceState"] == "RUNNING"


def test_jobs_and_instances_can_be_tagged(cloud, protected):
    drs = cloud.client()
    job = start(drs, protected, tags={"a": "1"})
    (instance,) = drs.describe_recovery_instances()["items"]
    drs.tag_resource(resourceArn=instance["arn"], tags={"b": "2"})
    drs.untag_resource(resourceArn=job["arn"], tagKeys=["a"])
    assert instance_of(drs, instance["recoveryInstanceID"])["tags"] == {"b": "2"}
    assert drs.list_tags_for_resource(resourceArn=job["arn"])["tags"] == {}


# Terminating, disconnecting, deleting


def test_terminated_instances_are_gone_from_drs(cloud, protected):
    drs = cloud.client()
    instance = launch(drs, protected)["recoveryInstanceID"]
    assert server_of(drs, protected)["recoveryInstanceId"] == instance
    job = drs.terminate_recovery_instances(recoveryInstanceIDs=[instance])["job"]
    assert (job["type"], job["initiatedBy"], job["status"]) == ("TERMINATE", "TERMINATE_RECOVERY_INSTANCES", "PENDING")
    assert drs.describe_recovery_instances()["items"] == []
    done = drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"][0]
    assert done["status"] == "COMPLETED"
    assert done["participatingServers"] == [
        {"sourceServerID": protected, "recoveryInstanceID": instance, "launchStatus": "TERMINATED"}
    ]
    server = server_of(drs, protected)
    assert "recoveryInstanceId" not in server
    assert server["lastLaunchResult"] == "SUCCEEDED"


def test_an_instance_shuts_down_while_its_job_runs(cloud, protected):
    drs = cloud.client()
    instance = launch(drs, protected)["recoveryInstanceID"]
    slow(cloud)
    drs.terminate_recovery_instances(recoveryInstanceIDs=[instance])
    assert instance_of(drs, instance)["ec2InstanceState"] == "SHUTTING-DOWN"


def test_instances_are_terminated_all_or_none(cloud, protected):
    drs = cloud.client()
    instance = launch(drs, protected)["recoveryInstanceID"]
    terminate = drs.terminate_recovery_instances
    assert refused(terminate, recoveryInstanceIDs=[instance, UNKNOWN_INSTANCE]) == CONFLICT
    assert refused(terminate, recoveryInstanceIDs=[instance, instance]) == INVALID
    assert instance_of(drs, instance)["ec2InstanceState"] == "RUNNING"


def test_an_instance_is_disconnected_before_it_is_deleted_and_then_the_server(cloud, protected):
    drs = cloud.client()
    instance = {"recoveryInstanceID": launch(drs, protected)["recoveryInstanceID"]}
    assert refused(drs.delete_recovery_instance, **instance) == CONFLICT
    assert refused(drs.disconnect_source_server, sourceServerID=protected) == CONFLICT
    drs.disconnect_recovery_instance(**instance)
    info = instance_of(drs, instance["recoveryInstanceID"])["dataReplicationInfo"]
    assert info["dataReplicationState"] == "DISCONNECTED"
    assert [disk["totalStorageBytes"] for disk in info["replicatedDisks"]] == [0]
    assert refused(drs.disconnect_source_server, sourceServerID=protected) == CONFLICT
    drs.delete_recovery_instance(**instance)
    assert drs.describe_recovery_instances()["items"] == []
    assert refused(drs.delete_recovery_instance, **instance) == CONFLICT
    assert refused(drs.disconnect_recovery_instance, **instance) == NOT_FOUND
    assert refused(drs.delete_source_server, sourceServerID=protected) == CONFLICT
    drs.disconnect_source_server(sourceServerID=protected)
    drs.delete_source_server(sourceServerID=protected)
    assert drs.describe_source_servers()["items"] == []


def test_a_disconnected_server_with_a_recovery_instance_is_not_deleted(cloud):
    (server,) = cloud.servers(state="DISCONNECTED", recoveryInstanceId=INSTANCE)
    call = cloud.client(STAGING).delete_source_server
    assert refused(call, sourceServerID=server["sourceServerID"]) == CONFLICT


# Reversed replication


def reverse(cloud, instance_id):
    """Reverse the replication, and return the ID of the reversed server."""
    arn = cloud.client().reverse_replication(recoveryInstanceID=instance_id)["reversedDirectionSourceServerArn"]
    assert arn.startswith(f"arn:aws:drs:{ORIGIN_REGION}:{STRANGER}:source-server/s-")
    return server_id_of(arn)


def test_reversing_adds_a_server_to_the_origin_that_comes_from_here(cloud, protected):
    drs, origin = cloud.client(), cloud.client(STRANGER, ORIGIN_REGION)
    instance = launch(drs, protected)["recoveryInstanceID"]
    assert "reversedDirectionSourceServerArn" not in server_of(drs, protected)
    reversed_server = server_of(origin, reverse(cloud, instance))
    assert reversed_server["replicationDirection"] == "FAILBACK"
    assert reversed_server["sourceCloudProperties"] == {
        "originAccountID": TARGET,
        "originRegion": REGION,
        "originAvailabilityZone": f"{REGION}a",
    }
    hints = reversed_server["sourceProperties"]["identificationHints"]
    assert (hints["awsInstanceID"], hints["hostname"]) == (instance, "host-0")
    original = server_of(drs, protected)
    assert original["reversedDirectionSourceServerArn"] == reversed_server["arn"]
    assert reversed_server["reversedDirectionSourceServerArn"] == original["arn"]
    assert original["replicationDirection"] == "FAILOVER"
    assert original["sourceCloudProperties"]["originAccountID"] == STRANGER
    assert refused(drs.reverse_replication, recoveryInstanceID=instance) == CONFLICT
    assert len(origin.describe_source_servers()["items"]) == 1


def test_the_failback_state_follows_the_reversed_server(cloud, protected):
    drs, origin = cloud.client(), cloud.client(STRANGER, ORIGIN_REGION)
    instance = launch(drs, protected)["recoveryInstanceID"]
    slow(cloud)
    server_id = reverse(cloud, instance)

    def state():
        now = instance_of(drs, instance)
        return now["failback"]["state"], now["dataReplicationInfo"]["dataReplicationState"]

    assert state() == ("FAILBACK_IN_PROGRESS", "INITIAL_SYNC")
    ended(cloud)
    assert state() == ("FAILBACK_READY_FOR_LAUNCH", "CONTINUOUS")
    cloud.change(server_id, STRANGER, ORIGIN_REGION, state="STALLED")
    assert state() == ("FAILBACK_ERROR", "STALLED")
    cloud.change(server_id, STRANGER, ORIGIN_REGION, state="BACKLOG")
    assert state() == ("FAILBACK_NOT_READY_FOR_LAUNCH", "BACKLOG")
    cloud.change(server_id, STRANGER, ORIGIN_REGION, state="CONTINUOUS")
    start(origin, server_id, drill=True)
    assert state()[0] == "FAILBACK_READY_FOR_LAUNCH"
    assert instance_of(drs, instance)["failback"]["failbackLaunchType"] == "DRILL"
    start(origin, server_id)
    assert state()[0] == "FAILBACK_COMPLETED"
    assert instance_of(drs, instance)["failback"]["failbackLaunchType"] == "RECOVERY"


def test_a_sync_does_not_override_what_happened_meanwhile(cloud, protected):
    slow(cloud)
    ident = launch_slowly(cloud, protected)
    server_id = reverse(cloud, ident)
    cloud.change(server_id, STRANGER, ORIGIN_REGION, state="STALLED")
    ended(cloud)
    assert replication(cloud.client(STRANGER, ORIGIN_REGION), server_id) == "STALLED"


def launch_slowly(cloud, server_id):
    start(cloud.client(), server_id)
    ended(cloud)
    instance = server_of(cloud.client(), server_id)["recoveryInstanceId"]
    slow(cloud)
    return instance


def test_reversing_needs_an_origin_that_uses_drs(cloud):
    (server,) = cloud.servers(account=TARGET, instanceId=INSTANCE, **ORIGIN)
    drs = cloud.client()
    instance = launch(drs, server["sourceServerID"])["recoveryInstanceID"]
    call = {"recoveryInstanceID": instance}
    assert refused(drs.reverse_replication, **call) == ("UninitializedAccountException", 400)
    cloud.account(STRANGER, ORIGIN_REGION, initialised=False)
    assert refused(drs.reverse_replication, **call) == ("UninitializedAccountException", 400)
    cloud.account(STRANGER, ORIGIN_REGION, opted_in=False)
    assert refused(drs.reverse_replication, **call) == ("UninitializedAccountException", 400)
    assert instance_of(drs, instance)["failback"]["state"] == "FAILBACK_NOT_STARTED"
    assert "reversedDirectionSourceServerArn" not in server_of(drs, server["sourceServerID"])
    cloud.account(STRANGER, ORIGIN_REGION)
    reverse(cloud, instance)


def test_what_cannot_be_reversed(cloud, protected):
    drs = cloud.client()
    assert refused(drs.reverse_replication, recoveryInstanceID=UNKNOWN_INSTANCE) == NOT_FOUND
    (server,) = cloud.servers(account=TARGET)
    on_premises = launch(drs, server["sourceServerID"])["recoveryInstanceID"]
    assert refused(drs.reverse_replication, recoveryInstanceID=on_premises) == INVALID
    drill = launch(drs, protected, drill=True)["recoveryInstanceID"]
    assert refused(drs.reverse_replication, recoveryInstanceID=drill) == CONFLICT
    stopped = launch(drs, protected)["recoveryInstanceID"]
    change_instance(cloud, stopped, ec2InstanceState="STOPPED")
    assert refused(drs.reverse_replication, recoveryInstanceID=stopped) == CONFLICT
    change_instance(cloud, stopped, ec2InstanceState="RUNNING")
    drs.disconnect_recovery_instance(recoveryInstanceID=stopped)
    assert refused(drs.reverse_replication, recoveryInstanceID=stopped) == CONFLICT
    assert cloud.client(STRANGER, ORIGIN_REGION).describe_source_servers()["items"] == []


def change_instance(cloud, instance_id, account=TARGET, region=REGION, **changes):
    key = {"accountId": account, "region": region, "recoveryInstanceID": instance_id}
    cloud.control("PATCH", "/recovery-instances", {"recoveryInstances": [{**key, **changes}]})


def test_an_instance_that_fails_back_is_not_replaced(cloud, protected):
    drs = cloud.client()
    instance = launch(drs, protected)["recoveryInstanceID"]
    reverse(cloud, instance)
    assert refused(drs.start_recovery, sourceServers=[{"sourceServerID": protected}], isDrill=True) == CONFLICT
    drs.terminate_recovery_instances(recoveryInstanceIDs=[instance])
    assert launch(drs, protected)["recoveryInstanceID"] != instance


def test_the_reversed_server_notices_what_becomes_of_its_machine(cloud, protected):
    drs, origin = cloud.client(), cloud.client(STRANGER, ORIGIN_REGION)
    terminated = launch(drs, protected)["recoveryInstanceID"]
    first = reverse(cloud, terminated)
    drs.terminate_recovery_instances(recoveryInstanceIDs=[terminated])
    assert replication(origin, first) == "STALLED"
    disconnected = launch(drs, protected)["recoveryInstanceID"]
    second = reverse(cloud, disconnected)
    assert replication(origin, second) == "CONTINUOUS"
    drs.disconnect_recovery_instance(recoveryInstanceID=disconnected)
    assert replication(origin, second) == "DISCONNECTED"
    assert server_id_of(server_of(drs, protected)["reversedDirectionSourceServerArn"]) == second


def test_without_its_reversed_server_an_instance_can_be_reversed_again(cloud, protected):
    drs, origin = cloud.client(), cloud.client(STRANGER, ORIGIN_REGION)
    instance = launch(drs, protected)["recoveryInstanceID"]
    first = {"sourceServerID": reverse(cloud, instance)}
    origin.disconnect_source_server(**first)
    assert refused(drs.reverse_replication, recoveryInstanceID=instance) == CONFLICT
    origin.delete_source_server(**first)
    assert instance_of(drs, instance)["failback"]["state"] == "FAILBACK_NOT_STARTED"
    assert reverse(cloud, instance) != first["sourceServerID"]


def test_a_whole_failover_and_failback(cloud, protected):
    drs, origin = cloud.client(), cloud.client(STRANGER, ORIGIN_REGION)
    launch(drs, protected, drill=True)
    instance = launch(drs, protected)["recoveryInstanceID"]
    server_id = reverse(cloud, instance)
    assert replication(origin, server_id) == "CONTINUOUS"
    home = launch(origin, server_id)
    assert home["arn"].startswith(f"arn:aws:drs:{ORIGIN_REGION}:{STRANGER}:recovery-instance/i-")
    assert home["originAvailabilityZone"] == f"{REGION}a"

    drs.disconnect_recovery_instance(recoveryInstanceID=instance)
    drs.delete_recovery_instance(recoveryInstanceID=instance)
    original = server_of(drs, protected)["arn"]
    drs.disconnect_source_server(sourceServerID=protected)
    drs.delete_source_server(sourceServerID=protected)
    assert drs.describe_source_servers()["items"] == []
    left = server_of(origin, server_id)
    assert left["reversedDirectionSourceServerArn"] == original
    assert (left["recoveryInstanceId"], left["replicationDirection"]) == (home["recoveryInstanceID"], "FAILBACK")

    # The failback instance is protected again, in the account and region that it came home from.
    again = origin.reverse_replication(recoveryInstanceID=home["recoveryInstanceID"])
    (protected_again,) = drs.describe_source_servers()["items"]
    assert protected_again["arn"] == again["reversedDirectionSourceServerArn"]
    assert protected_again["replicationDirection"] == "FAILOVER"
    assert protected_again["reversedDirectionSourceServerArn"] == left["arn"]
    assert protected_again["sourceCloudProperties"] == {
        "originAccountID": STRANGER,
        "originRegion": ORIGIN_REGION,
        "originAvailabilityZone": f"{ORIGIN_REGION}a",
    }


# Stopping and starting replication


def test_replication_is_stopped_and_started(cloud, protected):
    drs = cloud.client()
    stopped = drs.stop_replication(sourceServerID=protected)["sourceServer"]
    assert stopped["sourceServerID"] == protected
    assert stopped["dataReplicationInfo"]["dataReplicationState"] == "STOPPED"
    assert "lagDuration" not in stopped["dataReplicationInfo"]
    assert refused(drs.stop_replication, sourceServerID=protected) == CONFLICT
    slow(cloud)
    started = drs.start_replication(sourceServerID=protected)["sourceServer"]
    assert started["dataReplicationInfo"]["dataReplicationState"] == "INITIAL_SYNC"
    assert replication(drs, protected) == "INITIAL_SYNC"
    assert refused(drs.start_replication, sourceServerID=protected) == CONFLICT
    ended(cloud)
    assert replication(drs, protected) == "CONTINUOUS"


def test_a_disconnected_server_is_neither_stopped_nor_started(cloud):
    (server,) = cloud.servers(state="DISCONNECTED")
    drs = cloud.client(STAGING)
    for call in (drs.stop_replication, drs.start_replication):
        assert refused(call, sourceServerID=server["sourceServerID"]) == CONFLICT
        assert refused(call, sourceServerID=UNKNOWN_SERVER) == NOT_FOUND


def test_an_extension_replicates_in_its_staging_account(extendable):
    (source,) = extendable.servers(1)
    target = extendable.client(TARGET)
    extension = target.create_extended_source_server(sourceServerArn=source["arn"])["sourceServer"]
    by_id = {"sourceServerID": extension["sourceServerID"]}
    assert refused(target.stop_replication, **by_id) == CONFLICT
    extendable.client(STAGING).stop_replication(sourceServerID=source["sourceServerID"])
    assert replication(target, extension["sourceServerID"]) == "STOPPED"
    assert refused(target.start_replication, **by_id) == CONFLICT
    assert refused(target.retry_data_replication, **by_id) == INVALID


@pytest.mark.parametrize("state", ["STALLED", "DISCONNECTED", "STOPPED"])
def test_replication_that_came_to_a_halt_is_retried(cloud, state):
    (server,) = cloud.servers(state=state)
    drs = cloud.client(STAGING)
    retried = drs.retry_data_replication(sourceServerID=server["sourceServerID"])
    assert retried["dataReplicationInfo"]["dataReplicationState"] == "INITIAL_SYNC"
    assert replication(drs, server["sourceServerID"]) == "CONTINUOUS"
    assert refused(drs.retry_data_replication, sourceServerID=server["sourceServerID"]) == INVALID


# Control API


def test_the_truth_tells_of_instances_and_jobs(cloud, protected):
    drs = cloud.client()
    job = start(drs, protected)
    (scope,) = cloud.control("GET", f"/truth?accountId={TARGET}&region={REGION}")["scopes"]
    (instance,) = scope["recoveryInstances"]
    assert instance["record"]["sourceServerID"] == protected
    assert (instance["availabilityZone"], instance["connected"]) == (f"{REGION}a", True)
    assert instance["reversedDirectionSourceServerArn"] is None
    assert [(shown["jobID"], shown["status"]) for shown in scope["jobs"]] == [(job["jobID"], "COMPLETED")]
    server_id = reverse(cloud, instance["record"]["recoveryInstanceID"])
    (scope,) = cloud.control("GET", f"/truth?accountId={TARGET}&region={REGION}")["scopes"]
    assert server_id_of(scope["recoveryInstances"][0]["reversedDirectionSourceServerArn"]) == server_id


def test_a_change_comes_after_what_was_asked_before(cloud, protected):
    drs = cloud.client()
    start(drs, protected)
    cloud.change(protected, TARGET, recoveryInstanceId=None, lastLaunchResult="FAILED")
    server = server_of(drs, protected)
    assert ("recoveryInstanceId" in server, server["lastLaunchResult"]) == (False, "FAILED")


def test_servers_and_instances_can_be_removed_by_force(cloud, protected):
    drs = cloud.client()
    instance = launch(drs, protected)["recoveryInstanceID"]
    server_id = reverse(cloud, instance)
    cloud.change(protected, TARGET, remove=True)
    assert drs.describe_source_servers()["items"] == []
    assert instance_of(drs, instance)["sourceServerID"] == protected
    change_instance(cloud, instance, remove=True)
    assert drs.describe_recovery_instances()["items"] == []
    assert replication(cloud.client(STRANGER, ORIGIN_REGION), server_id) == "CONTINUOUS"


def test_a_wrong_change_of_an_instance_is_named_and_changes_nothing(cloud, protected):
    drs = cloud.client()
    instance = launch(drs, protected)["recoveryInstanceID"]
    key = {"accountId": TARGET, "region": REGION, "recoveryInstanceID": instance}
    removed = {**key, "remove": True}
    for changes, fields in (
        ([removed, {**key, "recoveryInstanceID": UNKNOWN_INSTANCE}], ["recoveryInstances.1.recoveryInstanceID"]),
        ([removed, removed], ["recoveryInstances.0.recoveryInstanceID"]),
        ([{**key, "ec2InstanceState": "ASLEEP"}], ["recoveryInstances.0.ec2InstanceState"]),
        ([{**key, "state": "RUNNING"}], ["recoveryInstances.0.state"]),
    ):
        assert cloud.refused("PATCH", "/recovery-instances", {"recoveryInstances": changes}) == fields
    assert instance_of(drs, instance)["ec2InstanceState"] == "RUNNING"


def test_the_time_that_work_takes_is_not_negative(cloud):
    assert cloud.refused("POST", "/settings", {"workSeconds": -1}) == ["workSeconds"]

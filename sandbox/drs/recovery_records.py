"""Wire records of jobs and recovery instances, as botocore's model shapes them.

Left out are `lagDuration` and `elapsedReplicationDuration` of a recovery instance: the model gives these durations the
shape of a date, which no duration satisfies.
"""

from sandbox.drs.failback import failback_state
from sandbox.drs.motion import timestamp
from sandbox.drs.records import Record, cpus, device_name, identification_hints, network_interfaces, present
from sandbox.drs.state import CloudState, Job, Participant, RecoveryInstance, SourceServer


def job(item: Job) -> Record:
    """Return a job's record; its end is known once it has ended."""
    record = {
        "jobID": item.job_id,
        "arn": item.arn,
        "type": "TERMINATE" if item.terminates else "LAUNCH",
        "initiatedBy": item.initiated_by,
        "creationDateTime": timestamp(item.created_at),
        "endDateTime": None if item.ended_at is None else timestamp(item.ended_at),
        "status": item.status,
        "participatingServers": [_participant(participant) for participant in item.participants],
        "tags": item.tags,
    }
    return present(record)


def _participant(participant: Participant) -> Record:
    record = {
        "sourceServerID": participant.server_id,
        "recoveryInstanceID": participant.instance_id,
        "launchStatus": participant.status,
    }
    return present(record)


def recovery_instance(state: CloudState, instance: RecoveryInstance) -> Record:
    """Return a recovery instance's record as of now."""
    origin = instance.source.machine.origin
    record = {
        "recoveryInstanceID": instance.instance_id,
        "ec2InstanceID": instance.instance_id,
        "ec2InstanceState": instance.ec2_state,
        "arn": instance.arn,
        "sourceServerID": instance.source.server_id,
        "jobID": instance.job_id,
        "isDrill": instance.is_drill,
        "tags": instance.tags,
        "originEnvironment": "AWS" if origin else "ON_PREMISES",
        "originAvailabilityZone": origin.availability_zone if origin else None,
        "pointInTimeSnapshotDateTime": timestamp(instance.launched_at),
        "failback": _failback(state, instance),
        "dataReplicationInfo": _data_replication_info(state, instance),
        "recoveryInstanceProperties": _properties(instance),
        "agentVersion": instance.machine.agent_version,
    }
    return present(record)


def _failback(state: CloudState, instance: RecoveryInstance) -> Record:
    server = _reversed(state, instance)
    launched = server is not None and server.last_launch_result == "SUCCEEDED"
    record = {
        "state": failback_state(state, instance),
        "agentLastSeenByServiceDateTime": timestamp(state.now()) if instance.connected else None,
        "failbackInitiationTime": timestamp(server.added_at) if server else None,
        "firstByteDateTime": timestamp(server.added_at) if server else None,
        "failbackJobID": server.last_launch_job_id if server else None,
        "failbackLaunchType": ("DRILL" if server.last_launch_drill else "RECOVERY") if server and launched else None,
    }
    return present(record)


def _reversed(state: CloudState, instance: RecoveryInstance) -> SourceServer | None:
    return instance.reversed if instance.reversed and state.exists(instance.reversed) else None


def _data_replication_info(state: CloudState, instance: RecoveryInstance) -> Record:
    """What replicates is the reversed server. Disconnecting sets the state and the totals (botocore's model)."""
    server = _reversed(state, instance)
    replicating = server.replication.state if server else "NOT_STARTED"
    record = {
        "dataReplicationState": replicating if instance.connected else "DISCONNECTED",
        "replicatedDisks": _replicated_disks(instance, replicating),
        "stagingAvailabilityZone": f"{server.region}a" if server else None,
    }
    return present(record)


def _replicated_disks(instance: RecoveryInstance, replicating: str) -> list[Record]:
    share = {"NOT_STARTED": 0.0, "INITIATING": 0.0, "INITIAL_SYNC": 0.5}.get(replicating, 1.0)
    totals = [total if instance.connected else 0 for total in instance.machine.disk_bytes]
    return [
        {
            "deviceName": device_name(index),
            "totalStorageBytes": total,
            "replicatedStorageBytes": int(total * share),
            "rescannedStorageBytes": 0,
            "backloggedStorageBytes": 0,
        }
        for index, total in enumerate(totals)
    ]


def _properties(instance: RecoveryInstance) -> Record:
    machine = instance.machine
    return {
        "lastUpdatedDateTime": timestamp(instance.launched_at),
        "identificationHints": identification_hints(machine),
        "networkInterfaces": network_interfaces(machine),
        "disks": [
            {"internalDeviceName": device_name(index), "bytes": total, "ebsVolumeID": _volume_id(instance, index)}
            for index, total in enumerate(machine.disk_bytes)
        ],
        "cpus": cpus(machine),
        "ramBytes": machine.ram_bytes,
        "os": {"fullString": machine.os_name},
    }


def _volume_id(instance: RecoveryInstance, index: int) -> str:
    """The short form: the long one satisfies the model's pattern and exceeds its maximum length."""
    number = int(instance.instance_id.removeprefix("i-"), 16) + index
    return f"vol-{number % 16**8:08x}"

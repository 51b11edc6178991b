"""Launching and terminating recovery instances: the rules, and what a job does.

An operation only begins a job; `settle` ends it before a later request is looked at, so that every request sees a
world in which everything due has happened, and no thread works behind its back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sandbox.drs.errors import DrsError, invalid_field
from sandbox.drs.motion import Replication
from sandbox.drs.state import (
    CloudState,
    Job,
    Machine,
    Origin,
    Participant,
    RecoveryInstance,
    Scope,
    SourceServer,
    mac_address,
)

# Before the first snapshot there is nothing to launch; stopping and disconnecting delete the snapshots (AWS).
WITHOUT_SNAPSHOTS = frozenset({"INITIATING", "INITIAL_SYNC", "STOPPED", "DISCONNECTED"})


def settle(state: CloudState) -> None:
    """Let everything happen that is due, and whatever else is under way be under way."""
    if not state.running_jobs and not state.syncs:
        return
    begun_by = state.now() - state.settings.work_seconds
    for job in list(state.running_jobs):
        if job.created_at <= begun_by:
            _finish(state, job)
        else:
            _go_on(job)
    syncs, state.syncs = state.syncs, []
    for replication, version in syncs:
        if replication.version != version:
            continue  # whoever changed the state meanwhile has the last word
        if replication.since <= begun_by:
            replication.change(state.now(), state="CONTINUOUS")
        else:
            state.syncs.append((replication, version))


def begin_sync(state: CloudState, replication: Replication) -> None:
    """Let an initial sync begin, which ends in CONTINUOUS."""
    replication.change(state.now(), state="INITIAL_SYNC")
    state.syncs.append((replication, replication.version))


def _go_on(job: Job) -> None:
    job.status = "STARTED"
    for participant in job.participants:
        participant.status = "IN_PROGRESS"


def _finish(state: CloudState, job: Job) -> None:
    scope = state.scope(job.account, job.region)
    for participant in job.participants:
        if job.terminates:
            _terminate(state, scope, participant)
        else:
            _launch(state, scope, job, participant)
    job.status, job.ended_at = "COMPLETED", state.now()
    state.running_jobs.remove(job)


def launch_instances(
    state: CloudState, scope: Scope, servers: Sequence[SourceServer], tags: Mapping[str, str], *, drill: bool
) -> Job:
    """Begin to launch an instance of every server, all or none, and return the job.

    Raises:
        DrsError: ValidationException for a server that is named twice; ConflictException for one that has a job
            already, has nothing to launch from, or is failing back.
    """
    if len({server.server_id for server in servers}) < len(servers):
        raise invalid_field("sourceServers", "A source server can be named only once")
    for server in servers:
        _require_launchable(state, scope, server)
    participants = [Participant(server.server_id) for server in servers]
    job = _begin(state, scope, "START_DRILL" if drill else "START_RECOVERY", participants, tags)
    for server in servers:
        server.last_launch_result, server.last_launch_at = "PENDING", job.created_at
        server.last_launch_job_id, server.last_launch_drill = job.job_id, drill
        server.changed()
    return job


def _require_launchable(state: CloudState, scope: Scope, server: SourceServer) -> None:
    require_idle(state, server)
    if server.replication.state in WITHOUT_SNAPSHOTS:
        raise server_conflict(server, f"has no snapshot to launch from: it is {server.replication.state}")
    instance = scope.instances.get(server.recovery_instance_id or "")
    if instance and instance.connected and fails_back(state, instance):
        raise server_conflict(server, f"has recovery instance {instance.instance_id}, which is failing back")


def terminate_instances(state: CloudState, scope: Scope, instances: Sequence[RecoveryInstance]) -> Job:
    """Begin to terminate every instance, all or none, and return the job.

    Raises:
        DrsError: ValidationException for an instance that is named twice; ConflictException for one whose server has
            a job already.
    """
    if len({instance.instance_id for instance in instances}) < len(instances):
        raise invalid_field("recoveryInstanceIDs", "A recovery instance can be named only once")
    for instance in instances:
        require_idle(state, instance.source)
    participants = [Participant(instance.source.server_id, instance.instance_id) for instance in instances]
    job = _begin(state, scope, "TERMINATE_RECOVERY_INSTANCES", participants, {})
    for instance in instances:
        instance.ec2_state = "SHUTTING-DOWN"
    return job


def _begin(
    state: CloudState, scope: Scope, initiated_by: str, participants: list[Participant], tags: Mapping[str, str]
) -> Job:
    job = Job(
        account=scope.account,
        region=scope.region,
        job_id=state.new_id("drsjob-"),
        sequence=state.next_sequence(),
        initiated_by=initiated_by,
        created_at=state.now(),
        participants=participants,
        tags=dict(tags),
    )
    scope.jobs[job.job_id] = job
    state.running_jobs.append(job)
    return job


def _launch(state: CloudState, scope: Scope, job: Job, participant: Participant) -> None:
    server = scope.servers.get(participant.server_id)
    if server is None:
        participant.status = "FAILED"
        return
    if previous := scope.instances.get(server.recovery_instance_id or ""):
        # DRS lets an instance that it is disconnected from go on.
        remove_instance(state, scope, previous, terminated=previous.connected)
    instance = _instance(state, scope, server, job)
    scope.instances[instance.instance_id] = instance
    participant.instance_id, participant.status = instance.instance_id, "LAUNCHED"
    server.recovery_instance_id, server.last_launch_result = instance.instance_id, "SUCCEEDED"
    server.changed()
    state.instance_changed(instance)


def _instance(state: CloudState, scope: Scope, server: SourceServer, job: Job) -> RecoveryInstance:
    instance_id, sequence = state.new_id("i-"), state.next_sequence()
    return RecoveryInstance(
        account=scope.account,
        region=scope.region,
        instance_id=instance_id,
        sequence=sequence,
        source=server,
        job_id=job.job_id,
        machine=_recovered(server.machine, scope, instance_id, sequence),
        launched_at=job.created_at,
        is_drill=job.is_drill,
    )


def _recovered(machine: Machine, scope: Scope, instance_id: str, sequence: int) -> Machine:
    """The same disks and names in a new instance, in the account and region that it was replicated to."""
    where = Origin(scope.account, scope.region, f"{scope.region}a")
    mac = mac_address(sequence)
    return replace(machine, instance_id=instance_id, vmware_uuid=None, mac_address=mac, origin=where)


def _terminate(state: CloudState, scope: Scope, participant: Participant) -> None:
    participant.status = "TERMINATED"
    if instance := scope.instances.get(participant.instance_id or ""):
        remove_instance(state, scope, instance, terminated=True)


def disconnect_instance(state: CloudState, instance: RecoveryInstance) -> None:
    """Stop the replication of a recovery instance, whichever server replicates it.

    Raises:
        DrsError: ConflictException for an instance whose server has a job.
    """
    require_idle(state, instance.source)
    instance.connected = False
    if instance.reversed:
        instance.reversed.replication.change(state.now(), state="DISCONNECTED")


def delete_instance(state: CloudState, scope: Scope, instance: RecoveryInstance) -> None:
    """Let a disconnected recovery instance go from DRS; in EC2 it goes on.

    Raises:
        DrsError: ConflictException for an instance that is connected, or whose server has a job.
    """
    require_idle(state, instance.source)
    if instance.connected:
        raise instance_conflict(instance, "must be disconnected first")
    remove_instance(state, scope, instance, terminated=False)


def remove_instance(state: CloudState, scope: Scope, instance: RecoveryInstance, *, terminated: bool) -> None:
    """Let a recovery instance go from DRS, and from EC2 if it is `terminated`; its server can then be disconnected."""
    del scope.instances[instance.instance_id]
    if instance.source.recovery_instance_id == instance.instance_id:
        instance.source.recovery_instance_id = None
        instance.source.changed()
    if not terminated:
        return
    instance.ec2_state = "TERMINATED"
    if instance.reversed and not instance.reversed.replication.frozen:
        # The agent is gone with its machine.
        instance.reversed.replication.change(state.now(), state="STALLED")
    state.instance_changed(instance)


def fails_back(state: CloudState, instance: RecoveryInstance) -> bool:
    """Return whether the instance's replication was reversed, and the reversed server is still there."""
    return instance.reversed is not None and state.exists(instance.reversed)


def require_idle(state: CloudState, server: SourceServer) -> None:
    """Let a server pass that no job is acting upon.

    Raises:
        DrsError: ConflictException.
    """
    for job in state.running_jobs:
        if (job.account, job.region) != (server.account, server.region):
            continue
        if any(participant.server_id == server.server_id for participant in job.participants):
            raise server_conflict(server, f"takes part in job {job.job_id}")


def server_conflict(server: SourceServer, why: str) -> DrsError:
    return conflict("SourceServer", server.server_id, f"Source server {server.server_id} {why}")


def instance_conflict(instance: RecoveryInstance, why: str) -> DrsError:
    return conflict("RecoveryInstance", instance.instance_id, f"Recovery instance {instance.instance_id} {why}")


def conflict(kind: str, ident: str, message: str) -> DrsError:
    return DrsError("ConflictException", message, resourceId=ident, resourceType=kind)

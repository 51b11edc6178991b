"""Reversing replication: from a recovery instance back to where its machine came from.

AWS reverses replication for EC2 only; other machines fail back with the failback client, which is not simulated.
"""

from sandbox.drs.errors import invalid_field, uninitialised
from sandbox.drs.motion import Replication
from sandbox.drs.recovery import begin_sync, fails_back, instance_conflict, require_idle
from sandbox.drs.state import CloudState, Origin, RecoveryInstance, Scope, SourceServer

_STATE_BY_REPLICATION = {
    "INITIATING": "FAILBACK_IN_PROGRESS",
    "INITIAL_SYNC": "FAILBACK_IN_PROGRESS",
    "CONTINUOUS": "FAILBACK_READY_FOR_LAUNCH",
    "STALLED": "FAILBACK_ERROR",
}


def reverse(state: CloudState, instance: RecoveryInstance) -> SourceServer:
    """Add the source server that replicates `instance` to its machine's origin, and return it.

    Seen from a failback instance in the origin region, the origin is where it was recovered: it is protected again.

    Raises:
        DrsError: ValidationException for a machine that does not come from EC2; ConflictException for a drill, an
            instance that is disconnected, does not run, has a job, or is reversed already;
            UninitializedAccountException where the origin does not use DRS.
    """
    origin = instance.source.machine.origin
    if origin is None:
        raise invalid_field(
            "recoveryInstanceID", f"Recovery instance {instance.instance_id} does not originate from EC2"
        )
    _require_reversible(state, instance)
    scope = _origin_scope(state, origin)
    server = _reversed_server(state, scope, instance)
    scope.add(server)
    begin_sync(state, server.replication)
    instance.reversed = server
    instance.source.reversed_arn = server.arn
    instance.source.changed()
    return server


def _require_reversible(state: CloudState, instance: RecoveryInstance) -> None:
    require_idle(state, instance.source)
    if instance.is_drill:
        raise instance_conflict(instance, "is a drill")
    if not instance.connected:
        raise instance_conflict(instance, "is disconnected")
    if instance.ec2_state != "RUNNING":
        raise instance_conflict(instance, f"is {instance.ec2_state}")
    if fails_back(state, instance):
        raise instance_conflict(instance, "is replicating in the reversed direction already")


def _origin_scope(state: CloudState, origin: Origin) -> Scope:
    scope = state.scopes.get((origin.account, origin.region))
    if scope is None or not scope.opted_in or not scope.initialised:
        raise uninitialised()
    return scope


def _reversed_server(state: CloudState, scope: Scope, instance: RecoveryInstance) -> SourceServer:
    sequence, now = state.next_sequence(), state.now()
    return SourceServer(
        account=scope.account,
        region=scope.region,
        server_id=state.new_id("s-"),
        sequence=sequence,
        machine=instance.machine,
        replication=Replication("INITIATING", now, phase=sequence),
        added_at=now,
        direction="FAILOVER" if instance.source.direction == "FAILBACK" else "FAILBACK",
        reversed_arn=instance.source.arn,
    )


def failback_state(state: CloudState, instance: RecoveryInstance) -> str:
    """Return how far failing back has come: that is, what the reversed server does."""
    server = instance.reversed
    if server is None or not state.exists(server):
        return "FAILBACK_NOT_STARTED"
    if server.last_launch_result == "SUCCEEDED" and not server.last_launch_drill:
        return "FAILBACK_COMPLETED"
    return _STATE_BY_REPLICATION.get(server.replication.state, "FAILBACK_NOT_READY_FOR_LAUNCH")

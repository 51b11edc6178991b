"""Servers come, change and go from outside: what agents, operators and time do to DRS."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sandbox.drs.extensions import extend
from sandbox.drs.motion import FROZEN_STATES, Replication
from sandbox.drs.operations import initialise
from sandbox.drs.recovery import remove_instance
from sandbox.drs.specs import RecoveryInstanceChange, ServerChange, ServerSpec
from sandbox.drs.state import CloudState, Machine, Origin, RecoveryInstance, Scope, SourceServer, mac_address

_AGE_SECONDS = 30 * 24 * 3600


class RefusedError(Exception):
    """A control request that cannot be done; `field` is where in its body."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def add_servers(state: CloudState, specs: Sequence[ServerSpec], *, force: bool) -> list[SourceServer]:
    """Add every server, in order; their scopes are initialised by it.

    Raises:
        RefusedError: an ID is taken, a scope is not opted in, an original is missing or extended already, or the quota
            of replicating servers is exceeded and not `force`. Then nothing is added.
    """
    _require_new_ids(state, specs)
    _require_opted_in(state, specs)
    _require_originals(state, specs)
    if not force:
        _require_quota(state, specs)
    return [_add(state, spec) for spec in specs]


def _require_new_ids(state: CloudState, specs: Sequence[ServerSpec]) -> None:
    seen: set[tuple[str, str, str]] = set()
    for index, spec in enumerate(specs):
        if spec.source_server_id is None:
            continue
        key = (spec.account_id, spec.region, spec.source_server_id)
        if key in seen or spec.source_server_id in state.scope(spec.account_id, spec.region).servers:
            raise RefusedError(f"servers.{index}.sourceServerID", f"{spec.source_server_id} exists already")
        seen.add(key)


def _require_opted_in(state: CloudState, specs: Sequence[ServerSpec]) -> None:
    for index, spec in enumerate(specs):
        if not state.scope(spec.account_id, spec.region).opted_in:
            raise RefusedError(f"servers.{index}.region", f"{spec.account_id} has not opted in to {spec.region}")


def _require_originals(state: CloudState, specs: Sequence[ServerSpec]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, spec in enumerate(specs):
        if spec.extended_from is None:
            continue
        source = state.server_by_arn(spec.extended_from)
        if source is None or source.staging or source.region != spec.region or source.account == spec.account_id:
            raise RefusedError(
                f"servers.{index}.extendedFrom", f"{spec.extended_from} is no staging server for this scope"
            )
        extension = (spec.account_id, source.arn)
        if extension in seen or source.arn in state.scope(spec.account_id, spec.region).extended:
            raise RefusedError(f"servers.{index}.extendedFrom", f"{spec.extended_from} is already extended")
        seen.add(extension)


def _require_quota(state: CloudState, specs: Sequence[ServerSpec]) -> None:
    """300 replicating source servers per account and region (AWS)."""
    replicating = [spec for spec in specs if spec.extended_from is None and spec.state not in FROZEN_STATES]
    added = Counter((spec.account_id, spec.region) for spec in replicating)
    quota = state.settings.replicating_servers_quota
    for (account, region), count in added.items():
        there = state.scope(account, region).replicating_servers()
        if there + count > quota:
            raise RefusedError(
                "servers",
                f"{account} in {region} has {there} replicating servers; {count} more exceed the quota of {quota}"
                " (force: true overrides)",
            )


def _add(state: CloudState, spec: ServerSpec) -> SourceServer:
    scope = state.scope(spec.account_id, spec.region)
    initialise(state, scope)
    server = _extension(state, scope, spec) if spec.extended_from else _ordinary(state, scope, spec)
    server.last_launch_result = spec.last_launch_result
    server.last_launch_at = server.added_at
    server.recovery_instance_id = spec.recovery_instance_id
    server.reversed_arn = spec.reversed_direction_source_server_arn
    server.source_network_id = spec.source_network_id
    return server


def _extension(state: CloudState, scope: Scope, spec: ServerSpec) -> SourceServer:
    source = state.server_by_arn(spec.extended_from or "")
    if source is None:
        raise LookupError(spec.extended_from)
    return extend(state, scope, source, spec.tags, spec.source_server_id)


def _ordinary(state: CloudState, scope: Scope, spec: ServerSpec) -> SourceServer:
    sequence, now = state.next_sequence(), state.now()
    replication = Replication(spec.state, now, phase=sequence, lag_seconds=spec.lag_seconds)
    server = SourceServer(
        account=spec.account_id,
        region=spec.region,
        server_id=spec.source_server_id or state.new_id("s-"),
        sequence=sequence,
        machine=_machine(spec, sequence),
        replication=replication,
        added_at=now - _AGE_SECONDS,
        tags=dict(spec.tags),
        direction=spec.direction,
        default_ebs_key=spec.default_ebs_key,
        extension_error=spec.extension_error,
    )
    scope.add(server)
    return server


def _machine(spec: ServerSpec, sequence: int) -> Machine:
    return Machine(
        hostname=spec.hostname,
        fqdn=spec.fqdn or spec.hostname,
        mac_address=spec.mac_address or mac_address(sequence),
        ip_address=spec.ip_address,
        instance_id=spec.instance_id,
        vmware_uuid=spec.vmware_uuid,
        origin=_origin(spec),
        cpu_cores=spec.cpu_cores,
        ram_bytes=spec.ram_bytes,
        disk_bytes=tuple(spec.disk_bytes),
        os_name=spec.os_name,
        architecture=spec.architecture,
        agent_version=spec.agent_version,
    )


def _origin(spec: ServerSpec) -> Origin | None:
    if not spec.origin_account_id or not spec.origin_region:
        return None
    return Origin(spec.origin_account_id, spec.origin_region, spec.origin_availability_zone or f"{spec.origin_region}a")


def change_servers(state: CloudState, changes: Sequence[ServerChange]) -> None:
    """Change or remove every server named.

    Raises:
        RefusedError: a server does not exist or is named twice. Then nothing changes.
    """
    servers = [_existing(state, change, index) for index, change in enumerate(changes)]
    _require_distinct(servers)
    for server, change in zip(servers, changes, strict=True):
        if change.remove:
            state.scope(server.account, server.region).remove(server)
        else:
            _change(state, server, change)


def _require_distinct(servers: Sequence[SourceServer]) -> None:
    counted = Counter(server.arn for server in servers)
    for index, server in enumerate(servers):
        if counted[server.arn] > 1:
            raise RefusedError(f"servers.{index}.sourceServerID", f"{server.server_id} is named twice")


def _existing(state: CloudState, change: ServerChange, index: int) -> SourceServer:
    server = state.scope(change.account_id, change.region).servers.get(change.source_server_id)
    if server is None:
        where = f"{change.account_id} in {change.region}"
        raise RefusedError(f"servers.{index}.sourceServerID", f"{change.source_server_id} does not exist for {where}")
    return server


def _change(state: CloudState, server: SourceServer, change: ServerChange) -> None:
    given = change.model_fields_set
    if {"state", "lag_seconds"} & given:
        _change_replication(state, server, change)
    if {"hostname", "instance_id"} & given:
        server.machine = _changed_machine(server.machine, change)
    if change.tags is not None:
        server.tags = dict(change.tags)
    if change.last_launch_result is not None:
        server.last_launch_result, server.last_launch_at = change.last_launch_result, state.now()
    if "recovery_instance_id" in given:
        server.recovery_instance_id = change.recovery_instance_id
    if "reversed_direction_source_server_arn" in given:
        server.reversed_arn = change.reversed_direction_source_server_arn
    if "extension_error" in given:
        _change_extension_error(server, change.extension_error)
    server.direction = change.direction or server.direction
    server.default_ebs_key = server.default_ebs_key if change.default_ebs_key is None else change.default_ebs_key
    server.changed()


def _change_replication(state: CloudState, server: SourceServer, change: ServerChange) -> None:
    if server.staging:
        # An extension that is changed by itself no longer follows its original.
        server.replication = replace(server.replication)
    server.replication.change(state.now(), state=change.state, lag_seconds=change.lag_seconds)


def _changed_machine(machine: Machine, change: ServerChange) -> Machine:
    hostname = change.hostname or machine.hostname
    instance_id = change.instance_id if "instance_id" in change.model_fields_set else machine.instance_id
    return replace(machine, hostname=hostname, fqdn=change.hostname or machine.fqdn, instance_id=instance_id)


def change_instances(state: CloudState, changes: Sequence[RecoveryInstanceChange]) -> None:
    """Change or remove every recovery instance named.

    Raises:
        RefusedError: a recovery instance does not exist or is named twice. Then nothing changes.
    """
    instances = [_existing_instance(state, change, index) for index, change in enumerate(changes)]
    counted = Counter(instance.arn for instance in instances)
    for index, instance in enumerate(instances):
        if counted[instance.arn] > 1:
            field = f"recoveryInstances.{index}.recoveryInstanceID"
            raise RefusedError(field, f"{instance.instance_id} is named twice")
    for instance, change in zip(instances, changes, strict=True):
        instance.ec2_state = change.ec2_instance_state or instance.ec2_state
        if change.remove:
            remove_instance(state, state.scope(instance.account, instance.region), instance, terminated=False)


def _existing_instance(state: CloudState, change: RecoveryInstanceChange, index: int) -> RecoveryInstance:
    instance = state.scope(change.account_id, change.region).instances.get(change.recovery_instance_id)
    if instance is None:
        where = f"{change.account_id} in {change.region}"
        raise RefusedError(
            f"recoveryInstances.{index}.recoveryInstanceID", f"{change.recovery_instance_id} does not exist for {where}"
        )
    return instance


def _change_extension_error(server: SourceServer, message: str | None) -> None:
    """On an extension the error shows at once; on an original it waits for its next extension."""
    if server.staging:
        server.staging = replace(server.staging, error_message=message)
    else:
        server.extension_error = message

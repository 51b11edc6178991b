"""Wire records, as botocore's model shapes them.

A source server's JSON is built once and cached with gaps for what moves with time; an answer fills the gaps. That is
two orders of magnitude faster than serialising every server for every answer.
"""

import json
from typing import Any

from sandbox.drs.motion import Pulse, timestamp
from sandbox.drs.service_model import arn, service_model
from sandbox.drs.state import Machine, Scope, SourceServer, Staging

Record = dict[str, Any]

_GAP = "@moving@"
_GAP_NUMBER = -1
# Quotes are escaped inside a JSON string, so that no hostname or tag can contain one of these. In a record's order.
_GAPS = (
    f'"lagDuration":"{_GAP}"',
    f'"backloggedStorageBytes":{_GAP_NUMBER}',
    f'"elapsedReplicationDuration":"{_GAP}"',
    f'"lastSeenByServiceDateTime":"{_GAP}"',
)
_ETA_SECONDS = 24 * 3600
_LAUNCH_STATUS = {"PENDING": "PENDING", "SUCCEEDED": "LAUNCHED", "FAILED": "FAILED"}
_PIT_POLICY = [
    {"ruleID": 1, "units": "MINUTE", "interval": 10, "retentionDuration": 60, "enabled": True},
    {"ruleID": 2, "units": "HOUR", "interval": 1, "retentionDuration": 24, "enabled": True},
    {"ruleID": 3, "units": "DAY", "interval": 1, "retentionDuration": 7, "enabled": True},
]
_INITIATION_STEPS: list[str] = service_model().shape_for("DataReplicationInitiationStepName").metadata["enum"]


def source_server_json(server: SourceServer, pulse: Pulse) -> bytes:
    """Return the server's record at the moment of `pulse`, as JSON."""
    template = _template(server)
    if server.replication.frozen:
        return template
    return template % pulse.moving(server.replication, server.added_at)


def source_server(server: SourceServer, pulse: Pulse) -> Record:
    """Return the server's record at the moment of `pulse`."""
    record: Record = json.loads(source_server_json(server, pulse))
    return record


def _template(server: SourceServer) -> bytes:
    version = server.replication.version
    if server.cached is None or server.cached[0] != version:
        server.cached = version, _render(server)
    return server.cached[1]


def _render(server: SourceServer) -> bytes:
    text = json.dumps(_source_server(server), separators=(",", ":"))
    if server.replication.frozen:
        return text.encode()
    text = text.replace("%", "%%")
    for gap in _GAPS:
        text = text.replace(gap, gap.replace(_GAP, "%b").replace(str(_GAP_NUMBER), "%b"), 1)
    return text.encode()


def _source_server(server: SourceServer) -> Record:
    record: Record = {
        "sourceServerID": server.server_id,
        "arn": server.arn,
        "tags": server.tags,
        "recoveryInstanceId": server.recovery_instance_id,
        "lastLaunchResult": server.last_launch_result,
        "dataReplicationInfo": _data_replication_info(server),
        "lifeCycle": _life_cycle(server),
        "sourceProperties": _source_properties(server.machine, server.added_at),
        "stagingArea": _staging_area(server.staging, server.account),
        "sourceCloudProperties": _source_cloud_properties(server.machine),
        "replicationDirection": server.direction,
        "reversedDirectionSourceServerArn": server.reversed_arn,
        "sourceNetworkID": server.source_network_id,
        "agentVersion": server.machine.agent_version,
    }
    return present(record)


def present(record: Record) -> Record:
    """Return `record` without the members that are None: AWS leaves out what it does not know."""
    return {name: value for name, value in record.items() if value is not None}


def _data_replication_info(server: SourceServer) -> Record:
    replication = server.replication
    stalled, syncing = replication.state == "STALLED", replication.state == "INITIAL_SYNC"
    info: Record = {
        "lagDuration": None if replication.frozen else _GAP,
        "etaDateTime": timestamp(replication.since + _ETA_SECONDS) if syncing else None,
        "replicatedDisks": _replicated_disks(server),
        "dataReplicationState": replication.state,
        "dataReplicationInitiation": {
            "startDateTime": timestamp(server.added_at),
            "steps": _steps("IN_PROGRESS" if replication.state == "INITIATING" else "SUCCEEDED"),
        },
        "dataReplicationError": {"error": "UNSTABLE_NETWORK", "rawError": "Connection lost"} if stalled else None,
        "stagingAvailabilityZone": f"{server.region}a",
    }
    return present(info)


def _steps(status: str) -> list[Record]:
    return [{"name": name, "status": status} for name in _INITIATION_STEPS]


def _replicated_disks(server: SourceServer) -> list[Record]:
    """The first disk carries the whole backlog. A disconnected server's totals are zero (botocore's model)."""
    frozen, syncing = server.replication.frozen, server.replication.state == "INITIAL_SYNC"
    return [
        {
            "deviceName": device_name(index),
            "totalStorageBytes": 0 if frozen else total,
            "replicatedStorageBytes": 0 if frozen else total // 2 if syncing else total,
            "rescannedStorageBytes": 0,
            "backloggedStorageBytes": 0 if frozen or index else _GAP_NUMBER,
            "volumeStatus": "REGULAR",
        }
        for index, total in enumerate(server.machine.disk_bytes)
    ]


def device_name(index: int) -> str:
    """Return the name of the disk at `index`: /dev/xvda, /dev/xvdb, ..."""
    return f"/dev/xvd{chr(ord('a') + index % 26)}{index // 26 or ''}"


def _life_cycle(server: SourceServer) -> Record:
    added, frozen = timestamp(server.added_at), server.replication.frozen
    elapsed = f"PT{int(max(server.replication.since - server.added_at, 0)) // 60}M"
    cycle: Record = {
        "addedToServiceDateTime": added,
        "firstByteDateTime": added,
        "elapsedReplicationDuration": elapsed if frozen else _GAP,
        "lastSeenByServiceDateTime": timestamp(server.replication.since) if frozen else _GAP,
        "lastLaunch": _last_launch(server),
    }
    return present(cycle)


def _last_launch(server: SourceServer) -> Record | None:
    status = _LAUNCH_STATUS.get(server.last_launch_result)
    if status is None:
        return None
    # A launch that was seeded had no job: its ID is made up.
    initiated = {
        "apiCallDateTime": timestamp(server.last_launch_at),
        "jobID": server.last_launch_job_id or f"drsjob-{server.server_id.removeprefix('s-')}",
        "type": "DRILL" if server.last_launch_drill else "RECOVERY",
    }
    return {"initiated": initiated, "status": status}


def _source_properties(machine: Machine, updated_at: float) -> Record:
    disks = [{"deviceName": device_name(index), "bytes": total} for index, total in enumerate(machine.disk_bytes)]
    return {
        "lastUpdatedDateTime": timestamp(updated_at),
        "recommendedInstanceType": "m5.large",
        "identificationHints": identification_hints(machine),
        "networkInterfaces": network_interfaces(machine),
        "disks": disks,
        "cpus": cpus(machine),
        "ramBytes": machine.ram_bytes,
        "os": {"fullString": machine.os_name},
        "supportsNitroInstances": True,
        "architecture": machine.architecture,
    }


def identification_hints(machine: Machine) -> Record:
    hints = {
        "fqdn": machine.fqdn,
        "hostname": machine.hostname,
        "vmWareUuid": machine.vmware_uuid,
        "awsInstanceID": machine.instance_id,
    }
    return present(hints)


def network_interfaces(machine: Machine) -> list[Record]:
    return [{"macAddress": machine.mac_address, "ips": [machine.ip_address], "isPrimary": True}]


def cpus(machine: Machine) -> list[Record]:
    return [{"cores": machine.cpu_cores, "modelName": "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz"}]


def _staging_area(staging: Staging | None, own_account: str) -> Record:
    if staging is None:
        return {"status": "NOT_EXTENDED", "stagingAccountID": own_account}
    area = {
        "status": "EXTENSION_ERROR" if staging.error_message else "EXTENDED",
        "stagingAccountID": staging.account,
        "stagingSourceServerArn": staging.source_server_arn,
        "errorMessage": staging.error_message,
    }
    return present(area)


def _source_cloud_properties(machine: Machine) -> Record | None:
    """None for an on-premises machine, whose record lacks the member (AWS)."""
    if machine.origin is None:
        return None
    return {
        "originAccountID": machine.origin.account,
        "originRegion": machine.origin.region,
        "originAvailabilityZone": machine.origin.availability_zone,
    }


def extensible_server(server: SourceServer) -> Record:
    """Return a StagingSourceServer: what ListExtensibleSourceServers tells about a server."""
    return {"hostname": server.machine.hostname, "arn": server.arn, "tags": server.tags}


def default_template(scope: Scope, template_id: str) -> Record:
    """Return the replication configuration template that InitializeService creates."""
    return {
        "replicationConfigurationTemplateID": template_id,
        "arn": arn(scope.account, scope.region, "replication-configuration-template", template_id),
        "tags": {},
        **_REPLICATION_SETTINGS,
    }


def replication_configuration(server: SourceServer) -> Record:
    """Return a server's ReplicationConfiguration; it carries no ID of a template."""
    disks = [
        {"deviceName": device_name(index), "isBootDisk": index == 0, "stagingDiskType": "GP3", "iops": 3000}
        for index in range(len(server.machine.disk_bytes))
    ]
    return {
        "sourceServerID": server.server_id,
        "name": server.machine.hostname[:128],
        "replicatedDisks": disks,
        **_REPLICATION_SETTINGS,
    }


_REPLICATION_SETTINGS: Record = {
    "stagingAreaSubnetId": "subnet-0123456789abcdef0",
    "associateDefaultSecurityGroup": True,
    "replicationServersSecurityGroupsIDs": [],
    "replicationServerInstanceType": "t3.small",
    "useDedicatedReplicationServer": False,
    "defaultLargeStagingDiskType": "GP3",
    "ebsEncryption": "DEFAULT",
    "bandwidthThrottling": 0,
    "dataPlaneRouting": "PRIVATE_IP",
    "createPublicIP": False,
    "stagingAreaTags": {},
    "pitPolicy": _PIT_POLICY,
    "autoReplicateNewDisks": True,
}

"""What the answers of DRS and EC2 say of a server.

A member that is not as the service's model says is unknown, and is named. What a server cannot be handled without
makes the whole item unreadable: such a server is left as it was known.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .answer_members import LARGE, Members
from .extension import is_server_of
from .partitions import ACCOUNT_ID, AwsPartition
from .scopes import Scope
from .servers import FAILBACK, NOT_EXTENDED, TERMINATING, DrsFacts, Ec2Facts, InstanceState, Telemetry, lag_band

# The model has IDs of fixed lengths; what matters here is that they hold nothing that means something elsewhere: EC2
# takes `*` in the value of a filter for anything.
SERVER_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
SERVER_ARN = re.compile(r"arn:[a-z-]{3,20}:drs:[a-z0-9-]{5,40}:[0-9]{12}:source-server/[0-9A-Za-z_-]{1,64}")
INSTANCE_ID = re.compile(r"i-[0-9A-Za-z-]{1,64}")
NOT_ITS_ARN = "arn (of another account, region or server)"


class ReadServer(NamedTuple):
    """One item of DescribeSourceServers.

    Attributes:
        source_server_id: its ID; None where that cannot be read: nobody knows which server this is.
        facts: what it says; None where it cannot be handled.
        unreadable: members that are not as the model says.
    """

    source_server_id: str | None
    facts: DrsFacts | None
    unreadable: list[str]


class ReadInstance(NamedTuple):
    """One instance of DescribeInstances: what it says, None where it cannot be handled; and what is unreadable."""

    facts: Ec2Facts | None
    unreadable: list[str]


def read_server(wire: Any, scope: Scope, partition: AwsPartition) -> ReadServer:
    """Return what `wire`, one item of DescribeSourceServers, says of a server (botocore model `SourceServer`).

    Args:
        wire: the item, of whatever shape.
        scope: whose DRS listed it.
        partition: the account's: an origin elsewhere is none.
    """
    members = Members(wire)
    server = members.text("sourceServerID", SERVER_ID)
    arn, tags = members.text("arn", SERVER_ARN), members.tags("tags")
    direction, status = members.text("replicationDirection"), members.text("stagingArea.status")
    if not isinstance(wire, Mapping) or server is None:
        return ReadServer(None, None, members.unreadable or ["sourceServerID"])
    if members.unreadable or arn is None or tags is None:
        return ReadServer(server, None, members.unreadable or ["arn"])
    if not _names(arn, scope, server):
        return ReadServer(server, None, [NOT_ITS_ARN])
    lag = members.duration("dataReplicationInfo.lagDuration")
    facts = DrsFacts(
        arn=arn,
        hostname=members.text("sourceProperties.identificationHints.hostname"),
        fqdn=members.text("sourceProperties.identificationHints.fqdn"),
        replication_state=members.text("dataReplicationInfo.dataReplicationState") or "UNKNOWN",
        replication_direction=direction or "FAILOVER",
        lag_band=lag_band(lag),
        replication_error=members.text("dataReplicationInfo.dataReplicationError.error"),
        last_launch_result=members.text("lastLaunchResult"),
        last_launch_type=members.text("lifeCycle.lastLaunch.initiated.type"),
        last_launch_at=members.moment("lifeCycle.lastLaunch.initiated.apiCallDateTime"),
        recovery_instance_id=members.text("recoveryInstanceId", INSTANCE_ID),
        reversed_direction_source_server_arn=members.text("reversedDirectionSourceServerArn", SERVER_ARN),
        staging_account_id=members.text("stagingArea.stagingAccountID", ACCOUNT_ID) or scope.account_id,
        staging_status=status or NOT_EXTENDED,
        staging_error=members.text("stagingArea.errorMessage", most=LARGE),
        staging_source_server_arn=members.text("stagingArea.stagingSourceServerArn", SERVER_ARN),
        source_account_id=members.text("sourceCloudProperties.originAccountID", ACCOUNT_ID),
        source_region=members.of_partition("sourceCloudProperties.originRegion", partition.is_region),
        source_availability_zone=members.of_partition(
            "sourceCloudProperties.originAvailabilityZone", partition.is_zone
        ),
        source_instance_id=members.text("sourceProperties.identificationHints.awsInstanceID", INSTANCE_ID),
        operating_system=members.text("sourceProperties.os.fullString"),
        recommended_instance_type=members.text("sourceProperties.recommendedInstanceType"),
        cpu_cores=members.total("sourceProperties.cpus", "cores"),
        ram_bytes=members.number("sourceProperties.ramBytes"),
        disk_bytes=members.total("sourceProperties.disks", "bytes"),
        ips=members.texts("sourceProperties.networkInterfaces", "ips") or None,
        agent_version=members.text("agentVersion"),
        drs_tags=tags,
    )
    return ReadServer(server, facts, members.unreadable)


def read_instance(instance: Any) -> ReadInstance:
    """Return what `instance`, one of DescribeInstances, says of the server that it is.

    Of an instance that is being terminated, or was, only its state counts: EC2 takes its tags and its network away
    while it is still listed, and what was known of them is what it was.
    """
    members = Members(instance)
    status = members.text("State.Name")
    terminating = status in TERMINATING
    tags = {} if terminating else members.tag_list("Tags")
    if not isinstance(instance, Mapping) or members.unreadable or tags is None:
        return ReadInstance(None, members.unreadable or ["Instances"])
    if terminating:
        return ReadInstance(Ec2Facts(instance_state=InstanceState.FOUND, instance_status=status), [])
    facts = Ec2Facts(
        instance_state=InstanceState.FOUND,
        instance_type=members.text("InstanceType"),
        instance_status=status,
        vpc_id=members.text("VpcId"),
        subnet_id=members.text("SubnetId"),
        source_tags=tags,
    )
    return ReadInstance(facts, members.unreadable)


def telemetry(wire: Any, facts: DrsFacts, drs_hash: str) -> Telemetry:
    """Return the telemetry entry of one item of DescribeSourceServers, without what EC2 and topology add.

    Args:
        wire: the item.
        facts: what it says of the server.
        drs_hash: the hash over `facts`.
    """
    members = Members(wire)
    entry = Telemetry(
        drs_hash=drs_hash,
        lag_seconds=members.duration("dataReplicationInfo.lagDuration"),
        backlog_bytes=members.total("dataReplicationInfo.replicatedDisks", "backloggedStorageBytes") or 0,
        eta=members.text("dataReplicationInfo.etaDateTime"),
        last_seen=members.text("lifeCycle.lastSeenByServiceDateTime"),
    )
    return related(entry, facts)


def related(entry: Telemetry, facts: DrsFacts) -> Telemetry:
    """Return the entry with what it says of extensions: `original`, `extends` and `extension`."""
    extendable = not facts.extended and facts.replication_direction != FAILBACK
    return entry._replace(
        original=facts.arn if extendable else "",
        extends=(facts.staging_source_server_arn or "") if facts.extended else "",
        extension=facts.staging_status if facts.extended else "",
    )


def _names(arn: str, scope: Scope, server: str) -> bool:
    """Return whether a server's ARN names the account and region that list it, and the ID that it is listed by.

    An extension has an ARN of its target, and a reversed server one of the account that it replicates back to: what
    others hold is in further members.
    """
    return is_server_of(arn, scope) and arn.endswith(f":source-server/{server}")

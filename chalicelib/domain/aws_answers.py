"""What the answers of DRS and EC2 say of a server.

A member that is not as the service's model says is unknown, and is named. What a server cannot be handled without
makes the whole item unreadable: such a server is left as it was known.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from .extension import is_server_of
from .partitions import ACCOUNT_ID, AwsPartition
from .scopes import Scope
from .servers import FAILBACK, NOT_EXTENDED, TERMINATING, DrsFacts, Ec2Facts, InstanceState, Telemetry, lag_band

_DURATION = TypeAdapter(timedelta)
_MOMENT = TypeAdapter(datetime)

# botocore model `drs`: BoundedString, LargeBoundedString (an error message needs no 64 KB), ISO8601DatetimeString
BOUNDED, LARGE = 256, 2048
DATETIME = re.compile(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?Z")
# The model has IDs of fixed lengths; what matters here is that they hold nothing that means something elsewhere: EC2
# takes `*` in the value of a filter for anything.
SERVER_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
SERVER_ARN = re.compile(r"arn:[a-z-]{3,20}:drs:[a-z0-9-]{5,40}:[0-9]{12}:source-server/[0-9A-Za-z_-]{1,64}")
INSTANCE_ID = re.compile(r"i-[0-9A-Za-z-]{1,64}")
LARGEST_NUMBER = 2**63 - 1
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


class Members:
    """Reads members of one item of an answer, by dotted path; notes those that are not as the model says."""

    def __init__(self, item: Any) -> None:
        self._item = item
        self.unreadable: list[str] = []

    def text(self, path: str, form: re.Pattern[str] | None = None, most: int = BOUNDED) -> str | None:
        """Return a text of at most `most` characters that has the `form`; None where there is none, or an empty one."""
        value = self._at(path)
        if value is None or value == "":
            return None
        if isinstance(value, str) and len(value) <= most and _storable(value) and (not form or form.fullmatch(value)):
            return value
        self._unreadable(path)
        return None

    def of_partition(self, path: str, fits: Any) -> str | None:
        """Return a text that `fits`."""
        value = self.text(path)
        if value is not None and not fits(value):
            self._unreadable(path)
            return None
        return value

    def number(self, path: str) -> int | None:
        """Return a number, 0 or more."""
        value = self._at(path)
        if value is None or not _is_number(value):
            if value is not None:
                self._unreadable(path)
            return None
        return int(value)

    def total(self, path: str, member: str) -> int | None:
        """Return the sum of `member` over a list of parts; None where one cannot be read, or there are none."""
        parts = self._list(path)
        numbers = [part.get(member) or 0 if isinstance(part, Mapping) else None for part in parts]
        if not all(map(_is_number, numbers)) or not _is_number(sum(n for n in numbers if n is not None)):
            self._unreadable(path)
            return None
        return sum(n for n in numbers if n is not None) if parts else None

    def texts(self, path: str, member: str) -> list[str]:
        """Return the texts in the lists `member` of a list of parts, each once."""
        found: set[str] = set()
        for part in self._list(path):
            values = part.get(member) or [] if isinstance(part, Mapping) else None
            if isinstance(values, list) and all(isinstance(value, str) and _storable(value) for value in values):
                found |= set(values)
            else:
                self._unreadable(path)
        return sorted(found)

    def moment(self, path: str) -> str | None:
        """Return a point in time as the service says it."""
        text = self.text(path, DATETIME)
        if text is not None and not _valid(_MOMENT, text):
            self._unreadable(path)
            return None
        return text

    def duration(self, path: str) -> int | None:
        """Return an ISO 8601 duration (e.g. `PT2H5M`) in seconds."""
        text = self.text(path, most=64)
        if text is None:
            return None
        found = seconds(text)
        if found is None:
            self._unreadable(path)
        return found

    def tags(self, path: str) -> dict[str, str] | None:
        """Return tags as a mapping; None where they cannot be read: nobody knows which there are."""
        value = {} if (given := self._at(path)) is None else given
        if isinstance(value, Mapping) and all(map(_is_tag, value.items())):
            return dict(value)
        self._unreadable(path)
        return None

    def tag_list(self, path: str) -> dict[str, str] | None:
        """Return EC2's list of tags as a mapping; None where they cannot be read."""
        pairs = list(_pairs(self._at(path)))
        if not all(map(_is_tag, pairs)):
            self._unreadable(path)
            return None
        return dict(pairs)

    def _at(self, path: str) -> Any:
        value = self._item
        for name in path.split("."):
            if value is None:
                return None
            if not isinstance(value, Mapping):
                self._unreadable(path)
                return None
            value = value.get(name)
        return value

    def _list(self, path: str) -> list[Any]:
        value = self._at(path)
        if value is not None and not isinstance(value, list):
            self._unreadable(path)
            return []
        return value or []

    def _unreadable(self, path: str) -> None:
        if path not in self.unreadable:
            self.unreadable.append(path)


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


def seconds(duration: str | None) -> int | None:
    """Return an ISO 8601 duration (DRS: `lagDuration`, e.g. `PT2H5M`) in seconds; None where there is none.

    One that is no duration is unknown as well: a server's lag must not stop the scan of its scope.
    """
    try:
        return None if duration is None else int(_DURATION.validate_python(duration).total_seconds())
    except (ValidationError, OverflowError):
        return None


def _pairs(tags: Any) -> Iterator[tuple[Any, Any]]:
    if tags is not None and not isinstance(tags, list):
        yield None, None
        return
    for tag in tags or []:
        yield (tag.get("Key"), tag.get("Value")) if isinstance(tag, Mapping) else (None, None)


def _is_tag(pair: tuple[Any, Any]) -> bool:
    return all(isinstance(part, str) and _storable(part) for part in pair)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER


def _valid(kind: TypeAdapter[Any], text: str) -> bool:
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True


def _storable(text: str) -> bool:
    """Return whether a table can hold the text: JSON can hold half of a surrogate pair, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""What the control API accepts. JSON names are camelCase, as at AWS; the Python names are accepted too."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from pydantic.alias_generators import to_camel

from sandbox.drs.operations import MAX_TAGS
from sandbox.drs.service_model import service_model
from sandbox.drs.validation import violations
from sandbox.faults import FaultRule


def _modelled(shape_name: str) -> AfterValidator:
    """Accept what the model's shape accepts, so that every record is valid on the wire."""

    def check(value: object) -> object:
        if found := list(violations(service_model().shape_for(shape_name), value)):
            raise ValueError(found[0].message)
        return value

    return AfterValidator(check)


def _account(value: str) -> str:
    if not re.fullmatch(r"\d{12}", value):
        raise ValueError("is not a 12-digit account ID")
    return value


AccountId = Annotated[str, AfterValidator(_account)]
Region = Annotated[str, _modelled("AwsRegion")]
AvailabilityZone = Annotated[str, _modelled("AwsAvailabilityZone")]
ServerId = Annotated[str, _modelled("SourceServerID")]
ServerArn = Annotated[str, _modelled("SourceServerARN")]
InstanceId = Annotated[str, _modelled("EC2InstanceID")]
RecoveryInstanceId = Annotated[str, _modelled("RecoveryInstanceID")]
InstanceState = Annotated[str, _modelled("EC2InstanceState")]
SourceNetworkId = Annotated[str, _modelled("SourceNetworkID")]
State = Annotated[str, _modelled("DataReplicationState")]
Direction = Annotated[str, _modelled("ReplicationDirection")]
LaunchResult = Annotated[str, _modelled("LastLaunchResult")]
Architecture = Annotated[str, _modelled("SourceServerArchitecture")]
AgentVersion = Annotated[str, _modelled("AgentVersion")]
Text = Annotated[str, Field(max_length=256)]
Tags = Annotated[dict[str, str], _modelled("TagsMap"), Field(max_length=MAX_TAGS)]


class Body(BaseModel):
    """Refuses unknown fields, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class RegionSpec(Body):
    """What an account does in a region; a field that is left out stays as it is."""

    opted_in: bool | None = None
    initialised: bool | None = None


class AccountSpec(Body):
    """An account. `trusts`, where given, replaces the target accounts that may extend this account's servers."""

    account_id: AccountId
    regions: dict[Region, RegionSpec] = {}
    trusts: list[AccountId] | None = None


class ServerSpec(Body):
    """A source server to add. Without `originAccountId` it is an on-premises machine.

    With `extendedFrom`, the ARN of a staging server, it is an extension of that server: machine and replication are the
    original's, and of this spec only identity, tags and `last...`/`recovery...` fields count. Neither trust nor EBS key
    is asked for.
    """

    account_id: AccountId
    region: Region
    hostname: Text = ""
    source_server_id: Annotated[ServerId | None, Field(alias="sourceServerID")] = None
    fqdn: Text | None = None
    instance_id: InstanceId | None = None
    vmware_uuid: Text | None = None
    mac_address: Text | None = None
    ip_address: Text = "10.0.0.10"
    origin_account_id: AccountId | None = None
    origin_region: Region | None = None
    origin_availability_zone: AvailabilityZone | None = None
    state: State = "CONTINUOUS"
    lag_seconds: NonNegativeInt | None = None
    tags: Tags = {}
    cpu_cores: PositiveInt = 2
    ram_bytes: PositiveInt = 8 << 30
    disk_bytes: Annotated[list[PositiveInt], Field(min_length=1, max_length=60)] = [8 << 30]
    os_name: Text = "Amazon Linux 2023"
    architecture: Architecture = "x86_64"
    agent_version: AgentVersion = "5.2.0"
    direction: Direction = "FAILOVER"
    last_launch_result: LaunchResult = "NOT_STARTED"
    recovery_instance_id: RecoveryInstanceId | None = None
    reversed_direction_source_server_arn: ServerArn | None = None
    source_network_id: Annotated[SourceNetworkId | None, Field(alias="sourceNetworkID")] = None
    default_ebs_key: bool = False
    extension_error: Annotated[str, Field(min_length=1)] | None = None
    extended_from: ServerArn | None = None

    @model_validator(mode="after")
    def _complete(self) -> "ServerSpec":
        if self.origin_account_id and not self.origin_region:
            raise ValueError("originRegion is required with originAccountId")
        if not self.hostname and not self.extended_from:
            raise ValueError("hostname is required")
        return self


class NewServers(Body):
    """Servers to add, all or none. `force` lets them exceed the quota of replicating servers."""

    servers: list[ServerSpec]
    force: bool = False


class ServerChange(Body):
    """A change to one server; only the fields that are given change, and null clears what can be absent."""

    account_id: AccountId
    region: Region
    source_server_id: Annotated[ServerId, Field(alias="sourceServerID")]
    remove: bool = False
    state: State | None = None
    lag_seconds: NonNegativeInt | None = None
    tags: Tags | None = None
    hostname: Text | None = None
    instance_id: InstanceId | None = None
    recovery_instance_id: RecoveryInstanceId | None = None
    last_launch_result: LaunchResult | None = None
    direction: Direction | None = None
    reversed_direction_source_server_arn: ServerArn | None = None
    default_ebs_key: bool | None = None
    extension_error: Annotated[str, Field(min_length=1)] | None = None


class ServerChanges(Body):
    """Changes, all or none."""

    servers: list[ServerChange]


class RecoveryInstanceChange(Body):
    """A change to one recovery instance, or its removal from DRS as if it had never been."""

    account_id: AccountId
    region: Region
    recovery_instance_id: Annotated[RecoveryInstanceId, Field(alias="recoveryInstanceID")]
    remove: bool = False
    ec2_instance_state: Annotated[InstanceState | None, Field(alias="ec2InstanceState")] = None


class RecoveryInstanceChanges(Body):
    """Changes, all or none."""

    recovery_instances: list[RecoveryInstanceChange]


class NewFaults(Body):
    """Rules to add behind those in force."""

    rules: list[FaultRule]


class CallFilter(Body):
    """Which calls to show."""

    service: str | None = None


class TruthFilter(Body):
    """Which scopes to show."""

    account_id: AccountId | None = None
    region: Region | None = None

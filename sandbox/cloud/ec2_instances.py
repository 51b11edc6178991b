"""EC2 instances with given identifiers, written straight into MiniStack's state.

RunInstances invents identifiers and makes a volume per instance; a fleet needs thousands whose identifiers the
simulated DRS refers to, in many accounts and regions, within a second.
"""

import time
from typing import Any, Literal

from ministack.core.responses import request_scope
from ministack.services import ec2
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

State = Literal["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]
STATE_CODES: dict[State, int] = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html"""


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Instance(_Wire):
    """An instance as the control API takes and shows it."""

    account_id: str = Field(pattern=r"^\d{12}$")
    region: str
    instance_id: str = Field(pattern=r"^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$")
    tags: dict[str, str] = {}
    instance_type: str = "m5.large"
    availability_zone: str | None = None
    private_ip: str = "10.0.0.10"
    vpc_id: str = "vpc-00000001"
    subnet_id: str = "subnet-00000001"
    state: State = "running"


class Change(_Wire):
    """What a PATCH changes on one instance; what is left out stays."""

    account_id: str
    region: str
    instance_id: str
    tags: dict[str, str] | None = None
    state: State | None = None


Instances = TypeAdapter(list[Instance])
Changes = TypeAdapter(list[Change])


def put(instances: list[Instance]) -> int:
    """Create or replace `instances`; return how many."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    for instance in instances:
        with request_scope(instance.account_id, instance.region):
            ec2._instances[instance.instance_id] = _record(instance, now)
            ec2._tags[instance.instance_id] = _tag_list(instance.tags)
    return len(instances)


def change(changes: list[Change]) -> int:
    """Apply `changes` (`tags` replaces all tags); return how many instances were found and changed.

    A terminated instance stays visible for a minute, as on AWS.
    """
    changed = 0
    for item in changes:
        with request_scope(item.account_id, item.region):
            record = ec2._instances.get(item.instance_id)
            if record is None:
                continue
            changed += 1
            if item.tags is not None:
                ec2._tags[item.instance_id] = _tag_list(item.tags)
            if item.state is not None:
                record["State"] = _state(item.state)
                record.update({"_terminated_at": time.time()} if item.state == "terminated" else {})
    return changed


def truth() -> list[dict[str, Any]]:
    """Return every instance of every account and region, in the control API's form."""
    return [
        Instance(
            account_id=account_id,
            region=region,
            instance_id=instance_id,
            tags={tag["Key"]: tag["Value"] for tag in ec2._tags.get_scoped(account_id, region, instance_id, [])},
            instance_type=record["InstanceType"],
            availability_zone=record["Placement"]["AvailabilityZone"],
            private_ip=record["PrivateIpAddress"],
            vpc_id=record["VpcId"],
            subnet_id=record["SubnetId"],
            state=record["State"]["Name"],
        ).model_dump(by_alias=True)
        for (account_id, region, instance_id), record in ec2._instances.all_items()
    ]


def _record(instance: Instance, now: str) -> dict[str, Any]:
    """Return the row that DescribeInstances serves (the shape of MiniStack's own RunInstances)."""
    address = instance.private_ip.replace(".", "-")
    return {
        "InstanceId": instance.instance_id,
        "ImageId": "ami-00000000",
        "InstanceType": instance.instance_type,
        "KeyName": "",
        "State": _state(instance.state),
        "SubnetId": instance.subnet_id,
        "VpcId": instance.vpc_id,
        "PrivateIpAddress": instance.private_ip,
        "PublicIpAddress": "",
        "PrivateDnsName": f"ip-{address}.ec2.internal",
        "PublicDnsName": "",
        "SourceDestCheck": True,
        "SecurityGroups": [],
        "Architecture": "x86_64",
        "RootDeviceType": "ebs",
        "RootDeviceName": "/dev/xvda",
        "Hypervisor": "xen",
        "Virtualization": "hvm",
        "Placement": {
            "AvailabilityZone": instance.availability_zone or f"{instance.region}a",
            "Tenancy": "default",
        },
        "Monitoring": {"State": "disabled"},
        "AmiLaunchIndex": 0,
        "UserData": "",
        "LaunchTime": now,
        "BlockDeviceMappings": [],
        "IamInstanceProfile": None,
    }


def _state(name: State) -> dict[str, Any]:
    return {"Code": STATE_CODES[name], "Name": name}


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]

"""AWS's service models, cut down to the operations that are called and the members that are read.

botocore makes a method for every operation of a service with every client, and walks every member of every answer,
read or not: for EC2, 700 methods a client and 60 members an instance. The models are botocore's own, cut when they are
loaded; nothing is copied that could go stale.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from botocore.loaders import Loader

Model = dict[str, Any]


class Cut(NamedTuple):
    """What is left of a service's model: operations by name, and of some shapes the members that are read."""

    operations: frozenset[str]
    members: dict[str, frozenset[str]]


CUTS = {
    "drs": Cut(
        frozenset(
            {
                "CreateExtendedSourceServer",
                "DescribeSourceServers",
                "GetReplicationConfiguration",
                "ListExtensibleSourceServers",
                "ListStagingAccounts",
                "TagResource",
                "UntagResource",
            }
        ),
        {
            "DataReplicationInfo": frozenset(
                {"dataReplicationError", "dataReplicationState", "etaDateTime", "lagDuration", "replicatedDisks"}
            ),
            "DataReplicationError": frozenset({"error"}),
            "DataReplicationInfoReplicatedDisk": frozenset({"backloggedStorageBytes"}),
            "LifeCycle": frozenset({"lastLaunch", "lastSeenByServiceDateTime"}),
            "CPU": frozenset({"cores"}),
            "Disk": frozenset({"bytes"}),
            "NetworkInterface": frozenset({"ips"}),
        },
    ),
    "ec2": Cut(
        frozenset({"DescribeInstances"}),
        {
            "Reservation": frozenset({"Instances"}),
            "Instance": frozenset({"InstanceId", "InstanceType", "State", "SubnetId", "Tags", "VpcId"}),
        },
    ),
}


class LeanLoader(Loader):
    """Loads models as botocore does, those of `CUTS` without what is not used."""

    def __init__(self) -> None:
        super().__init__()
        self._lean: dict[str, Model] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return the model of a service, cut; what else there is of it (paginators, endpoints) as it is."""
        cut = CUTS.get(service_name) if type_name == "service-2" else None
        if cut is None:
            return super().load_service_model(service_name, type_name, api_version)
        if service_name not in self._lean:
            # By a loader of its own, which is dropped with the whole model that it keeps
            self._lean[service_name] = lean(Loader().load_service_model(service_name, type_name, api_version), cut)
        return self._lean[service_name]


def lean(model: Model, cut: Cut) -> Model:
    """Return `model` with nothing in it but what `cut` names, and what that refers to.

    Raises:
        KeyError: where the model has no such operation, shape or member: botocore's has changed.
    """
    operations = {name: model["operations"][name] for name in sorted(cut.operations)}
    kept = {name: _only(model["shapes"][name], members) for name, members in cut.members.items()}
    shapes, used = {**model["shapes"], **kept}, dict[str, Model]()
    left = list(_references(operations))
    while left:
        name = left.pop()
        if name not in used:
            used[name] = shapes[name]
            left += _references(shapes[name])
    return {**model, "operations": operations, "shapes": used}


def _only(shape: Model, members: frozenset[str]) -> Model:
    return {**shape, "members": {name: shape["members"][name] for name in sorted(members)}}


def _references(part: Any) -> Iterator[str]:
    """Yield the names of the shapes that an operation or a shape refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("shape"), str):
            yield part["shape"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)

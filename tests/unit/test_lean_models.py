"""What is cut from AWS's service models is nothing that anybody calls or reads."""

import re
from pathlib import Path

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from chalicelib.adapters import drs, ec2
from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.adapters.lean_models import CUTS, Cut, LeanLoader, lean
from chalicelib.domain.aws_answers import read_instance, read_server, telemetry
from chalicelib.domain.scopes import Scope

SCOPE = Scope("111111111111", "eu-west-1")


def whole(service):
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def cut(service):
    return ServiceModel(LeanLoader().load_service_model(service, "service-2"), service)


class Read(dict):
    """An answer's structure that notes which of its members are read."""

    def __init__(self, shape, members, seen):
        super().__init__(members)
        self._shape, self._seen = shape, seen

    def __getitem__(self, name):
        self._seen.add((self._shape, name))
        return super().__getitem__(name)

    def get(self, name, default=None):
        self._seen.add((self._shape, name))
        return super().get(name, default)


def sample(shape, seen):
    """An answer in which every member of the model is there."""
    if shape.type_name == "structure":
        return Read(shape.name, {name: sample(member, seen) for name, member in shape.members.items()}, seen)
    if shape.type_name == "list":
        return [sample(shape.member, seen)]
    if shape.type_name == "map":
        return {"key": "value"}
    return {"integer": 7, "long": 7, "boolean": True}.get(shape.type_name, "PT5S")


def absent(service, seen):
    """Members that were read, and that the cut model does not have."""
    shapes = {name: cut(service).shape_for(name) for name in cut(service).shape_names}
    return {(shape, name) for shape, name in seen if shape not in shapes or name not in shapes[shape].members}


def test_whatever_is_read_of_a_source_server_is_left():
    seen = set()
    server = sample(whole("drs").shape_for("SourceServer"), seen)
    server["sourceServerID"], server["arn"] = "s-1", "arn:aws:drs:eu-west-1:111111111111:source-server/s-1"
    facts = read_server(server, SCOPE, aws_partition()).facts
    telemetry(server, facts, "")
    assert len(seen) > 25
    assert ("DataReplicationInfo", "lagDuration") in seen
    assert absent("drs", seen) == set()


def test_whatever_is_read_of_an_instance_is_left():
    seen = set()
    reservation = sample(whole("ec2").shape_for("Reservation"), seen)
    [instance] = reservation["Instances"]
    assert instance["InstanceId"]
    read_instance(instance)
    assert ("Instance", "Tags") in seen
    assert absent("ec2", seen) == set()


def test_the_check_above_can_fail():
    seen = {("Instance", "LaunchTime")}
    assert absent("ec2", seen) == seen


def test_a_replication_configuration_is_kept_whole():
    name = "GetReplicationConfiguration"
    assert cut("drs").operation_model(name).output_shape.members.keys() == (
        whole("drs").operation_model(name).output_shape.members.keys()
    )


@pytest.mark.parametrize(("module", "service"), [(drs, "drs"), (ec2, "ec2")])
def test_no_operation_is_left_that_no_adapter_calls(module, service):
    """That none is missing, the adapters' own tests show: they run on the cut models."""
    source = Path(module.__file__).read_text()
    names = [re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in cut(service).operation_names]
    assert [name for name in names if name not in source] == []


def test_errors_are_left():
    model = cut("drs")
    errors = {shape.name for shape in model.operation_model("DescribeSourceServers").error_shapes}
    assert "UninitializedAccountException" in errors


def test_a_name_that_botocore_does_not_know_is_an_error():
    model = Loader().load_service_model("ec2", "service-2")
    with pytest.raises(KeyError):
        lean(model, Cut(frozenset({"DescribeInstances"}), {"Instance": frozenset({"Nothing"})}))


def test_services_that_are_not_cut_are_botocores():
    assert LeanLoader().load_service_model("sts", "service-2") == Loader().load_service_model("sts", "service-2")
    assert set(CUTS) == {"drs", "ec2"}

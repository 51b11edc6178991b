"""Whatever is stored of a server, the commands that people run are those of the installer, and nothing else."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.domain.aws_answers import read_server
from chalicelib.domain.failback import failback_topology
from chalicelib.domain.topology import Learnt, Source, Topology, first_seen, merge
from tests.factories import NOW, REGION, SCOPE, SOURCE, TARGET, server_row, wire_server

PARTITIONS = ["aws", "aws-us-gov", "aws-eusc", "aws-of-tomorrow"]
HOSTILE = [
    "eu-west-1; rm -rf /",
    "eu-west-1$(id)",
    "eu-west-1\n",
    "eu-west-1`id`",
    "eu-west-1 && id",
    "eu-w\u00e9st-1",
    "eu-west-\u0661",
    "222222222222;id",
    "222222222222\n",
    "\u0662" * 12,
    "us-east-1.evil.example/x?",
    "' ; id '",
]
values = st.none() | st.sampled_from([*HOSTILE, "eu-west-1", "us-gov-west-1", "eusc-de-east-1", TARGET]) | st.text()
LINUX = re.compile(
    r"wget -O \./aws-replication-installer-init "
    r"https://aws-elastic-disaster-recovery-([a-z0-9-]+)\.s3\.\1\.[a-z.]+/latest/linux/aws-replication-installer-init "
    r"&& chmod \+x aws-replication-installer-init && sudo "
    r"\./aws-replication-installer-init --region \1 --account-id [0-9]{12} --no-prompt"
)
WINDOWS = re.compile(
    r"Invoke-WebRequest -Uri https://aws-elastic-disaster-recovery-([a-z0-9-]+)\.s3\.\1\.[a-z.]+/latest/windows"
    r"/AwsReplicationWindowsInstaller\.exe -OutFile AwsReplicationWindowsInstaller\.exe; "
    r"\.\\AwsReplicationWindowsInstaller\.exe --region \1 --account-id [0-9]{12} --no-prompt"
)


def learnt(value):
    return Learnt(value=value, source=Source.DRS if value is not None else Source.UNKNOWN, learnt_at=NOW)


topologies = st.builds(
    lambda *some: Topology(**dict(zip(Topology.model_fields, map(learnt, some), strict=True))),
    *[values] * 5,
    st.none(),
)


@given(topologies, values, st.sampled_from(["Linux", "Windows Server", None]), st.sampled_from(PARTITIONS))
def test_a_command_is_the_installer_s_and_nothing_else(topology, anything, system, partition):
    for row in (
        server_row(topology=topology, operating_system=system),
        server_row(
            replication_direction="FAILBACK",
            replication_region=anything or REGION,
            source_region=anything,
            source_account_id=anything,
            operating_system=system,
        ),
    ):
        told = failback_topology(row, None, aws_partition(partition))
        for command in (told.failback_command, told.reprotect_command):
            assert command is None or (WINDOWS if system == "Windows Server" else LINUX).fullmatch(command)
        if told.topology:
            for name in ("original_source_region", "original_account_id", "original_availability_zone"):
                assert getattr(told.topology, name).value not in HOSTILE


@given(values, values, values)
@example("eu-west-1", SOURCE, "eu-west-1a")
def test_what_drs_says_of_an_origin_is_taken_only_where_it_can_be_one(region, account, zone):
    wire = wire_server(
        sourceCloudProperties={"originRegion": region, "originAccountID": account, "originAvailabilityZone": zone}
    )
    facts, unreadable = (
        read_server(wire, SCOPE, aws_partition()).facts,
        read_server(wire, SCOPE, aws_partition()).unreadable,
    )
    taken = {"originRegion": facts.source_region, "originAccountID": facts.source_account_id}
    for (name, value), said in zip(taken.items(), (region, account), strict=True):
        assert value in (None, said)
        assert value not in HOSTILE
        assert (value is None and bool(said)) == (f"sourceCloudProperties.{name}" in unreadable)
    if region == "eu-west-1":
        assert facts.source_region == region


@given(st.sampled_from(HOSTILE), st.sampled_from(HOSTILE))
def test_what_was_stored_before_heals(region, account):
    stored = first_seen((region, account, None), (REGION, TARGET), {"name": "default"}, NOW)
    seen = first_seen(("eu-west-2", SOURCE, "eu-west-2a"), (REGION, TARGET), None, NOW)
    healed = merge(stored, seen)
    assert (healed.original_source_region.value, healed.original_account_id.value) == ("eu-west-2", SOURCE)
    assert healed.original_replication_configuration.value == {"name": "default"}


def test_each_partition_has_its_own_host_names():
    topology = first_seen(("eusc-de-east-1", SOURCE, None), ("eusc-de-east-1", TARGET), {}, NOW)
    told = failback_topology(server_row(topology=topology), None, aws_partition("aws-eusc"))
    assert ".s3.eusc-de-east-1.amazonaws.eu/" in told.failback_command

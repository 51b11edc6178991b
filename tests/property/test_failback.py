"""Failback originals under any interleaving of scans, recovery, reversal, deletion and refresh (R13)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.domain.scopes import Scope
from chalicelib.domain.topology import Source, Topology
from chalicelib.domain.work import WorkKind
from chalicelib.errors import AccessDenied, ServiceError, Throttled
from chalicelib.services.failback import Failback
from tests import factories
from tests.factories import REGION, SCOPE, SECOND, TARGET
from tests.fakes import World

ORIGIN = (TARGET, SECOND)
HOME = Scope(*ORIGIN)
SERVER = "s-00000000000000001"
REVERSED = "s-00000000000000002"
STEPS = ("drill", "recover", "reverse", "delete", "return", "rename", "retag", "scan", "scan home", "refresh", "fail")
UNAVAILABLE = [AccessDenied("denied"), Throttled("slow down"), ServiceError("broken")]

steps = st.lists(st.sampled_from(STEPS), min_size=1, max_size=14)


class Machine:
    """One machine and what happens to it; the world's DRS lists it in the DR region, later also at home."""

    def __init__(self) -> None:
        self.world = World()
        self.world.add_account(TARGET)
        self.wire = factories.wire_server(SERVER, instance="i-1", origin=ORIGIN)
        self.world.drs.add(self.wire)
        self.launches = 0

    def do(self, step: str) -> None:
        if step in ("drill", "recover"):
            self.launches += 1
            moment = f"2026-03-01T12:{self.launches:02d}:00Z"
            kind = "DRILL" if step == "drill" else "RECOVERY"
            self.wire["lifeCycle"]["lastLaunch"] = {"initiated": {"apiCallDateTime": moment, "type": kind}}
            self.wire["recoveryInstanceId"] = f"i-recovered{self.launches}"
        elif step == "reverse":
            self._reverse()
        elif step == "delete":
            self.world.drs.servers[SCOPE].pop(SERVER, None)
        elif step == "return":
            self.world.drs.add(self.wire)
        elif step == "rename":
            self.wire["sourceCloudProperties"] = {"originAccountID": "444444444444", "originRegion": "us-west-2"}
        elif step == "retag":
            self.wire["tags"] = {"launch": str(self.launches)}
        elif step in ("scan", "scan home"):
            self.world.scan(SCOPE if step == "scan" else HOME)
        elif step == "refresh":
            self.world.run_work(WorkKind.INVENTORY, SCOPE)
        else:
            self.world.fault("drs:DescribeSourceServers", UNAVAILABLE[self.launches % 3], SCOPE)
            self.world.scan(SCOPE)
            self.world.heal()

    def _reverse(self) -> None:
        arn = factories.arn_of(REVERSED, TARGET, SECOND)
        self.wire["reversedDirectionSourceServerArn"] = arn
        back = factories.wire_server(
            REVERSED,
            TARGET,
            SECOND,
            instance="i-recovered",
            origin=(TARGET, REGION),
            direction="FAILBACK",
            reversedDirectionSourceServerArn=self.wire["arn"],
        )
        self.world.drs.add(back)

    def topology(self, server: str) -> Topology | None:
        return Failback(self.world.inventory, self.world.accounts, aws_partition).get_failback_topology(server).topology


@settings(max_examples=150)
@given(first=st.booleans(), way=steps)
def test_what_was_learnt_at_first_sight_is_never_overwritten(first: bool, way: list[str]) -> None:
    """R13.1: known values stay through everything; only "unknown" may be replaced, and nothing is ever unlearnt."""
    machine = Machine()
    if not first:
        machine.world.fault("drs:GetReplicationConfiguration", AccessDenied("denied"), SCOPE)
    machine.world.scan(SCOPE)
    machine.world.heal()
    known = machine.topology(SERVER)
    assert known is not None
    for step in way:
        machine.do(step)
        seen = machine.topology(SERVER)
        assert seen is not None
        for name in Topology.model_fields:
            before, after = getattr(known, name), getattr(seen, name)
            assert after == before or (before.source is Source.UNKNOWN and after.source is not Source.UNKNOWN), name
        known = seen


@settings(max_examples=100)
@given(way=steps)
def test_both_records_of_a_machine_lead_to_the_same_origin(way: list[str]) -> None:
    machine = Machine()
    machine.world.scan(SCOPE)
    for step in (*way, "reverse", "scan", "scan home"):
        machine.do(step)
    told = {server: machine.topology(server) for server in (SERVER, REVERSED)}
    assert told[SERVER] is not None
    if machine.world.inventory.row(
        SERVER
    ).reversed_direction_source_server_arn:  # else it went before it named the other
        assert told[SERVER] == told[REVERSED]
    assert told[REVERSED].original_source_region.value == SECOND
    assert told[SERVER].original_source_region.value == SECOND
    assert told[SERVER].original_account_id.value == TARGET

"""A failover and a failback, played on the local cloud: drill, recovery, reversal, deletion of the original."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sandbox.cloud.client import SandboxCloud
from sandbox.demo.driving import Driver, StepError
from sandbox.fleet.evidence import Item
from sandbox.fleet.model import TARGET, Fleet, FleetInstance, FleetServer, Origin

SCAN_SECONDS = 60.0
HOSTNAME = "failback-demo"
WAY = ["FIRST_SEEN", "DRILL", "RECOVERY", "REVERSED", "DELETED"]


class Machine(NamedTuple):
    """The machine that fails over: its server, its instance, and the account's two regions."""

    server: FleetServer
    instance: FleetInstance

    @property
    def account_id(self) -> str:
        """The target account, in which the machine runs and is protected."""
        return self.server.account_id

    @property
    def home(self) -> str:
        """The region in which the machine runs."""
        return self.instance.region


class Played(NamedTuple):
    """What the product said at the start and in the end, by which question."""

    machine: Machine
    before: Item
    answers: dict[str, Item]
    reversed_id: str


def machine_of(fleet: Fleet) -> Machine:
    """Return a machine of a target account that uses DRS in two regions: it runs in one, and is protected in the other.

    Raises:
        StepError: where the fleet has no such account.
    """
    for account in fleet.of_kind(TARGET):
        homes = [region for region in account.initialised if region not in account.active]
        if account.active and homes:
            origin = Origin(account.account_id, homes[0], f"{homes[0]}b")
            server = FleetServer(
                account.account_id,
                account.active[0],
                "s-fa11bac0000000001",
                HOSTNAME,
                origin=origin,
                instance_id="i-0fa11bac000000001",
            )
            tags = {"Name": HOSTNAME}
            instance = FleetInstance(*origin.place, origin.zone, "i-0fa11bac000000001", "m5.large", tags)
            return Machine(server, instance)
    raise StepError("no target account has DRS set up in a region that it does not use")


def play(cloud: SandboxCloud, driver: Driver, machine: Machine, tell: Callable[[str], None]) -> Played:
    """Play the whole way, scanning after each step as a schedule would, and ask for the topology in three ways.

    The machine is planted already. `tell` gets a line for each step.
    """
    server_id, account_id = machine.server.server_id, machine.account_id
    abroad, home = machine.server.region, machine.home
    recovery: Any = cloud.session(account_id).client("drs", region_name=abroad)

    scan(driver, (account_id, abroad))
    before = topology(driver, server_id)
    tell(f"{HOSTNAME} runs in {home} and is protected in {abroad}")
    recovery.start_recovery(sourceServers=[{"sourceServerID": server_id}], isDrill=True)
    scan(driver, (account_id, abroad))
    tell("a drill was launched")
    recovery.start_recovery(sourceServers=[{"sourceServerID": server_id}])
    scan(driver, (account_id, abroad))
    instances = recovery.describe_recovery_instances(filters={"sourceServerIDs": [server_id]})["items"]
    instance_id = instances[0]["recoveryInstanceID"]
    tell(f"disaster: recovered as {instance_id}")
    arn = recovery.reverse_replication(recoveryInstanceID=instance_id)["reversedDirectionSourceServerArn"]
    reversed_id = arn.rpartition("/")[2]
    scan(driver, (account_id, abroad), (account_id, home))
    tell(f"reversed: {reversed_id} replicates back to {home}")
    gone = {"accountId": account_id, "region": abroad, "sourceServerID": server_id, "remove": True}
    cloud.control("PATCH", "/servers", {"servers": [gone]})
    scan(driver, (account_id, abroad))
    tell(f"the original {server_id} was deleted in DRS")
    answers = {
        f"by the original {server_id}, a tombstone": topology(driver, server_id),
        f"by the reversed {reversed_id}": topology(driver, reversed_id),
        f"by the name {HOSTNAME}": driver.operate({"operation": "find_failback_topologies", "hostname": HOSTNAME}),
    }
    return Played(machine, before, answers, reversed_id)


def findings(played: Played) -> list[tuple[str, bool]]:
    """Return what has to hold in the end, and whether it does."""
    machine, server = played.machine, played.machine.server
    expected = {
        "originalSourceRegion": machine.home,
        "originalAccountId": machine.account_id,
        "originalAvailabilityZone": machine.instance.zone,
        "originalReplicationRegion": server.region,
        "originalReplicationAccountId": machine.account_id,
    }
    found: list[tuple[str, bool]] = []
    for question, answer in played.answers.items():
        for told in answer.get("topologies", [answer]):
            values = told.get("topology") or {}
            right = all(values.get(name, {}).get("value") == value for name, value in expected.items())
            known = values.get("originalReplicationConfiguration", {}).get("source") == "drs"
            same = values == played.before["topology"]
            found.append(
                (f"{question}: origin, account, zone and configuration as first seen", right and known and same)
            )
            command = str(told.get("failbackCommand"))
            into = f"--region {machine.home} --account-id {machine.account_id} "
            found.append((f"{question}: the agent command leads home", into in command and machine.home in command))
    tombstone = next(iter(played.answers.values()))
    own = [event["kind"] for event in tombstone["history"] if event["sourceServerId"] == server.server_id]
    found.append((f"its history: {', '.join(own)}", own == WAY))
    return found


def topology(driver: Driver, server_id: str) -> Item:
    """Return a server's failback topology, as the product says it."""
    return driver.operate({"operation": "get_failback_topology", "sourceServerId": server_id})


def scan(driver: Driver, *places: tuple[str, str]) -> None:
    """Have scopes scanned, and wait for it."""
    scopes = [{"accountId": account_id, "region": region} for account_id, region in places]
    run = driver.operate({"operation": "sync_source_server_inventory", "scopes": scopes})
    driver.finish(run["runId"], SCAN_SECONDS)

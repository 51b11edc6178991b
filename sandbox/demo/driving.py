"""Drive the deployed product from outside: its operations, its schedules, its tables, and faults."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.processes import processes
from sandbox.fleet.evidence import Item, table_items
from sandbox.fleet.model import Place

POLL_SECONDS = 0.3
INVENTORY, TAGS, STAGING = "sync_source_server_inventory", "sync_tags", "sync_staging_accounts"
INVENTORY_RULE = "InventoryScheduleInventoryScheduleEvent"
"""The logical name of the inventory schedule's rule in the stack."""
FAILURE_QUEUES = ("WorkDeadLettersUrl", "ScheduleFailuresUrl", "StreamFailuresUrl")

Watch = Callable[[Item], None]


class StepError(Exception):
    """A step did not get where it should within its time; the message says what is outstanding."""


class Driver:
    """What the demo does with the product."""

    def __init__(self, cloud: SandboxCloud) -> None:
        self.cloud = cloud
        self._stack = cloud.outputs.stack

    def start(self, operation: str) -> Item:
        """Start a sync by direct invocation and return its run."""
        run = self.operate({"operation": operation})
        if "runId" not in run:
            raise StepError(f"{operation} was refused: {run}")
        return run

    def progress(self, run_id: str) -> Item:
        """Return how far a run is, as the product says it."""
        return self.operate({"operation": "get_sync", "runId": run_id})

    def finish(self, run_id: str, seconds: float, watch: Watch = lambda _: None) -> Item:
        """Wait for the end of a run and return its report.

        Raises:
            StepError: it is not done within `seconds`.
        """
        progress: Item = {}

        def done() -> bool:
            nonlocal progress
            progress = self.progress(run_id)
            watch(progress)
            return progress.get("status") == "DONE"

        def left() -> str:
            open_scopes = [f"{s['accountId']}/{s['region']}" for s in progress.get("scopes", []) if not s["done"]]
            return f"run {run_id}: {len(open_scopes)} scopes are not done: {', '.join(open_scopes[:10])}"

        until(done, seconds, left)
        return progress

    def scheduled_runs(self) -> list[Item]:
        """Return the inventory runs that the schedule planned, in the order of time."""
        runs = (item for item in table_items(self.cloud, "RunsTableName") if item["part"] == "RUN")
        chosen = [run for run in runs if run["requestedBy"] == "schedule" and run["kind"] == "inventory"]
        return sorted(chosen, key=lambda run: str(run["createdAt"]))

    def tick(self) -> None:
        """Invoke the inventory schedule's function with the event that EventBridge would send."""
        outputs = self.cloud.outputs
        event = {
            "version": "0",
            "id": "00000000-0000-0000-0000-000000000000",
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": outputs.hub_account,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "region": outputs.region,
            "resources": [],
            "detail": {},
        }
        self.cloud.invoke(self._stack["InventoryScheduleFunctionName"], event)

    def switch_schedule(self, *, on: bool) -> None:
        """Switch the rule of the inventory schedule on or off."""
        events: Any = self.cloud.hub().client("events")
        change = events.enable_rule if on else events.disable_rule
        change(Name=self.cloud.outputs.resources[INVENTORY_RULE])

    def due_times(self, *, probes: bool) -> dict[Place, int]:
        """Return when the inventory of each scope is due, in epoch seconds: of idle scopes, or of active ones."""
        items = table_items(self.cloud, "WorkStateTableName")
        return {
            (item["accountId"], item["region"]): int(item["nextDueAt"])
            for item in items
            if item["kind"] == "inventory" and "nextDueAt" in item and bool(item.get("probe")) is probes
        }

    def scan_record(self, place: Place) -> Item:
        """Return the scan record of a scope; empty where it was never scanned."""
        table: Any = self.cloud.hub().resource("dynamodb").Table(self._stack["ScanTableName"])
        found: Item = table.get_item(Key={"region": place[1], "accountId": place[0]}, ConsistentRead=True).get(
            "Item", {}
        )
        return found

    def items(self, output: str) -> Iterator[Item]:
        """Yield every item of the table that a stack output names."""
        return table_items(self.cloud, output)

    def tags_of(self, place: Place) -> dict[str, tuple[str | None, dict[str, str]]]:
        """Return, by server ID, what each server of a scope extends and its tags, as DRS has them."""
        told = self.cloud.control("GET", f"/truth?accountId={place[0]}&region={place[1]}")
        records = [server["record"] for scope in told["scopes"] for server in scope["servers"]]
        return {
            record["sourceServerID"]: (record["stagingArea"].get("stagingSourceServerArn"), record["tags"])
            for record in records
        }

    def fail(self, rules: list[Item]) -> None:
        """Put fault rules into force."""
        self.cloud.control("POST", "/faults", {"rules": rules})

    def heal(self) -> None:
        """Drop all fault rules."""
        self.cloud.control("DELETE", "/faults")

    def workers(self) -> dict[str, set[int]]:
        """Return the process IDs of Lambda's warm workers, by the part of the function's name behind the stage."""
        names = ("inventory-worker", "tags-worker", "staging-worker")
        found: dict[str, set[int]] = {}
        for process in processes():
            for name in names:
                if process.group == self.cloud.outputs.pid and f"-{name}-" in process.command:
                    found.setdefault(name, set()).add(process.pid)
        return found

    def operate(self, event: Item) -> Item:
        """Invoke the operations function with `event` and return its answer."""
        answer: Item = self.cloud.invoke(self._stack["OperationsFunctionName"], event)
        return answer


def until(holds: Callable[[], bool], seconds: float, left: Callable[[], str]) -> None:
    """Poll until `holds`.

    Raises:
        StepError: it does not within `seconds`; the message is what `left` says then.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise StepError(f"not within {seconds:.0f} s: {left()}")
        time.sleep(POLL_SECONDS)

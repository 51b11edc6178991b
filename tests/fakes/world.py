"""`World`: the product's services on the ports in memory."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.container import Container
from chalicelib.domain.accounts import Account, AccountKind
from chalicelib.domain.leases import LeasedWork, Outcome
from chalicelib.domain.regions import ScanChange
from chalicelib.domain.results import Run
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import Cadence, WorkId, WorkKind, WorkMessage
from chalicelib.services.work.context import WorkContext, WorkPorts
from chalicelib.services.work.planner import SyncRequest
from chalicelib.services.work.report import Report

from .. import factories
from .accounts import FakeAccounts
from .customers import FakeDrs, FakeEc2, Fault, Faults
from .inventory import FakeInventory
from .process import Crash, FakeCalls, FakeClock
from .queues import FakeDeadLetters, FakeQueue
from .refusals_and_runs import FakeRefusals, FakeRuns
from .region_tables import FakeRegionStatuses, FakeScans, FakeTelemetries
from .work_states import FakeWorkStates
from .writer import FakeWriter

LEASE_SECONDS = 330


SHORT_NAMES = {
    "filter": "region_filter",
    "registry": "account_registry",
    "loop": "work_runner",
    "changes": "region_changes",
    "office": "dead_letters",
    "query": "inventory_query",
}
"""Services of the container, by the names that tests know them under."""


class FakeWorker:
    """A worker that does what a test says.

    Args:
        sync: is given the context, returns the report.
    """

    def __init__(self, sync: Callable[[WorkContext], Report]) -> None:
        self.sync = sync


class World:
    """The real services on the fakes: accounts, their servers, queues and the stream of scan records.

    Args:
        regions: the regions in which DRS exists.
        filtering: the kill switch.
        extensions_per_run: the cap of one staging run.
        servers_per_scope: how many servers a target scope may hold.
    """

    def __init__(
        self,
        regions: Iterable[str] = factories.REGIONS,
        *,
        cadence: Cadence = factories.CADENCE,
        filtering: bool = True,
        extensions_per_run: int = 100,
        servers_per_scope: int = 4000,
    ) -> None:
        self.regions = sorted(regions)
        self.clock, self.calls, self.faults = FakeClock(), FakeCalls(), Faults()
        self.drs, self.ec2 = FakeDrs(self.calls, self.faults), FakeEc2(self.calls, self.faults)
        self.accounts, self.statuses, self.scans = FakeAccounts(), FakeRegionStatuses(), FakeScans()
        self.telemetries, self.inventory, self.refusals = FakeTelemetries(), FakeInventory(), FakeRefusals()
        self.work_states, self.queue, self.runs = FakeWorkStates(), FakeQueue(), FakeRuns()
        self.writer = FakeWriter(self.work_states, self.inventory, self.scans, self.telemetries, self.refusals)
        self.letters, self.probe = FakeDeadLetters(), None
        self.probe_function = self.maintenance_function = None
        self.drs_tags = self.drs_extensions = self.drs
        self.aws_partition, self.sleep = aws_partition, self.clock.advance
        self.returned: list[WorkMessage] = []
        self.container = Container(
            factories.settings(
                cadence,
                enable_region_filtering=filtering,
                max_extensions_per_run=extensions_per_run,
                max_source_servers_per_scope=servers_per_scope,
            ),
            self,
        )

    def context(self, taken: LeasedWork, message: WorkMessage) -> WorkContext:
        """Return what a worker is given."""
        ports = WorkPorts(self.accounts, self.work_states, self.queue, self.writer, self.calls, self.clock)
        return WorkContext(taken, message, ports, self.container.settings.cadence)

    def __getattr__(self, name: str) -> Any:
        """Return a service of the container, by its name there or by the short one."""
        return getattr(self.container, SHORT_NAMES.get(name, name))

    def drs_regions(self, partition: str = "aws") -> list[str]:
        return list(self.regions)

    # --- accounts ---

    def add_account(
        self, account_id: str = factories.TARGET, kind: AccountKind = AccountKind.TARGET, **values: Any
    ) -> Account:
        """Register an account through the product's own service; its first scans wait for the planner."""
        account = factories.account(account_id, kind, **values)
        self.registry.register(account, scan_now=False)
        return account

    def add_staging(
        self, account_id: str = factories.STAGING, target: str = factories.TARGET, **values: Any
    ) -> Account:
        """Register a staging account and make it one of `target`."""
        account = self.add_account(account_id, AccountKind.STAGING)
        self.registry.add_staging_account(factories.membership(target, account_id, **values))
        return account

    # --- work, one step at a time ---

    def tick(self, kind: WorkKind = WorkKind.INVENTORY) -> Run:
        """Let a schedule fire."""
        try:
            return self.planner.tick(kind)
        finally:
            if kind is WorkKind.INVENTORY:
                self.resync.tick()

    def sync(self, kind: WorkKind = WorkKind.INVENTORY, **values: Any) -> Run:
        """Ask for a sync as an operator does."""
        return self.planner.sync(SyncRequest(kind, **values))

    def handle(self, message: WorkMessage) -> Outcome | None:
        """Do the work of one message.

        Raises:
            Exception: as the worker did.
        """
        return self.loop.handle(message, self.container.workers[message.kind](), LEASE_SECONDS)

    def deliver(self, position: int = 0, *, duplicate: bool = False) -> Outcome | None:
        """Deliver one waiting message; it comes back (`returned`) where its work fails or its worker crashes."""
        message = self.queue.messages[position] if duplicate else self.queue.messages.pop(position)
        try:
            return self.handle(message)
        except (Exception, Crash):  # noqa: BLE001  as Lambda does: whatever it is, the message comes back
            self.returned.append(message)
            return None

    def redeliver(self) -> None:
        """Let the messages whose work failed become visible again."""
        self.queue.messages, self.returned = [*self.queue.messages, *self.returned], []

    def pump(self) -> None:
        """Deliver what waits in the stream of scan records, as one batch."""
        batch, self.scans.stream = self.scans.stream, []
        by_region: dict[str, list[ScanChange]] = {}
        for before, after in batch:
            by_region.setdefault((after or before).region, []).append(ScanChange(before, after))
        for region, changes in by_region.items():
            self.changes.handle(region, changes)

    def settle(self, most: int = 10_000) -> None:
        """Deliver messages and stream records until none waits; messages that failed stay in `returned`."""
        for _ in range(most):
            if self.queue.messages:
                self.deliver()
            elif self.scans.stream:
                self.pump()
            else:
                return
        raise AssertionError(f"still busy after {most} steps: {self.queue.works()[:5]}")

    def cycle(self, kind: WorkKind = WorkKind.INVENTORY) -> Run:
        """Let a schedule fire and everything settle that follows from it."""
        run = self.tick(kind)
        self.settle()
        return run

    def run_work(self, kind: WorkKind, scope: Scope = factories.SCOPE, **values: Any) -> Outcome | None:
        """Ask for one piece of work and do it, whatever else waits.

        Raises:
            Exception: as the worker did.
        """
        work = WorkId(kind, scope, values.get("dry_run", False))
        refused = values.pop("retry_refused", False)
        self.work_states.request(work, int(self.clock()) + factories.REDELIVER_AFTER, retry_refused=refused)
        return self.handle(factories.message(kind, scope, **values))

    def scan(self, scope: Scope = factories.SCOPE) -> Outcome | None:
        """Sync the inventory of one scope and let the region's status follow; asked-for work waits in the queue."""
        outcome = self.run_work(WorkKind.INVENTORY, scope)
        self.pump()
        return outcome

    def scan_emptied(self, scope: Scope = factories.SCOPE) -> None:
        """Sync a scope that lists no servers any more: that is believed the second time."""
        self.scan(scope)
        self.scan(scope)

    def fault(self, name: str, error: BaseException, scope: Scope | None = None, **values: Any) -> Fault:
        """Have calls of `name` (`service:Operation`) answered with `error`; return the rule."""
        rule = Fault(name, error, scope, **values)
        self.faults.rules.append(rule)
        return rule

    def heal(self) -> None:
        """End every fault."""
        self.faults.rules.clear()

    def snapshot(self) -> dict[str, Any]:
        """Return what the tables say, for comparison."""
        return deepcopy(
            {
                "rows": self.inventory.items,
                "scans": self.scans.records,
                "statuses": self.statuses.rows,
                "refusals": self.refusals.records,
            }
        )

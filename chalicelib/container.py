"""The one wiring: services on ports, each made when it is first needed and kept while the process lives.

The product, its tests, the chaos run and the benchmarks build the same container on different ports. Handlers and
operations ask for the current one:

    from ..container import container

    container().planner.tick(WorkKind.TAGS)
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, cached_property

from .adapters.aws_ports import AwsPorts
from .domain.work import WorkKind
from .services.account_probe import AccountProbe
from .services.accounts import AccountRegistry
from .services.active_region_filter import ActiveRegionFilter
from .services.capacity import Capacity
from .services.dead_letters import DeadLetterService
from .services.failback import Failback
from .services.fleet import Fleet
from .services.inventory_query import InventoryQuery
from .services.ports import Ports
from .services.reconciliation import Reconciler
from .services.refresh import Refresher
from .services.region_changes import RegionChanges
from .services.sync.follow_up import FollowUpWork
from .services.sync.inventory import InventorySync
from .services.sync.replication_configurations import ReplicationConfigurations
from .services.sync.scan_failures import ScanFailures
from .services.sync.scope_removal import ScopeRemoval
from .services.sync.scope_scanner import ScopeScanner
from .services.sync.staging import Limits, StagingSync
from .services.sync.tags import TagSync
from .services.work.context import WorkPorts
from .services.work.planner import Planner, PlannerPorts
from .services.work.repeated_requests import RepeatedRequests
from .services.work.requests import WorkRequests
from .services.work.resync import Resync, ResyncPorts
from .services.work.runner import Worker, WorkRunner
from .services.work.runs import RunReader
from .settings import Settings, read_settings

RECONCILE_SECONDS = 10  # how long a part of the reconciliation goes on, before or after dead letters are taken
MAINTENANCE_SECONDS = 12  # how long dead letters are taken; API Gateway gives an answer 29 seconds


class Container:
    """The services of one process.

    Args:
        settings: limits and intervals.
        ports: what the services need of the outside world.
    """

    def __init__(self, settings: Settings, ports: Ports) -> None:
        self.settings = settings
        self.ports = ports

    @cached_property
    def region_filter(self) -> ActiveRegionFilter:
        """This process's region filter: the one whose cache stream handlers and messages invalidate."""
        ports, enabled = self.ports, self.settings.enable_region_filtering
        return ActiveRegionFilter(ports.statuses, ports.drs_regions, ports.clock, enabled=enabled)

    @cached_property
    def fleet(self) -> Fleet:
        """The fleet as the tables know it."""
        return Fleet(self.ports.accounts, self.ports.scans)

    @cached_property
    def work_requests(self) -> WorkRequests:
        """What requests work."""
        ports = self.ports
        return WorkRequests(ports.work_states, ports.queue, ports.clock, self.settings.queue_visibility_seconds)

    @cached_property
    def account_registry(self) -> AccountRegistry:
        """The use case that registers accounts."""
        ports, hub = self.ports, self.settings.hub_account_id
        return AccountRegistry(
            ports.accounts,
            self.fleet,
            ports.work_states,
            self.work_requests,
            ports.drs_regions,
            ports.clock,
            hub_account_id=hub,
        )

    @cached_property
    def planner(self) -> Planner:
        """The use case that plans runs."""
        ports, settings = self.ports, self.settings
        return Planner(
            self.region_filter,
            self.fleet,
            PlannerPorts(ports.accounts, ports.work_states, ports.queue, ports.runs, ports.drs_regions, ports.clock),
            self.work_requests,
            cadence=settings.cadence,
            run_retention_days=settings.run_retention_days,
        )

    @cached_property
    def repeated_requests(self) -> RepeatedRequests:
        """The use case that starts a sync once for each key of a caller."""
        return RepeatedRequests(self.planner, self.ports.runs, self.ports.clock)

    @cached_property
    def run_reader(self) -> RunReader:
        """The use case that reads runs."""
        return RunReader(self.ports.runs, self.ports.work_states, self.ports.clock, self.ports.sleep)

    @cached_property
    def refresher(self) -> Refresher:
        """What has stale scopes scanned before they are answered from."""
        ports = self.ports
        return Refresher(ports.work_states, self.work_requests, ports.clock, ports.sleep)

    @cached_property
    def inventory_query(self) -> InventoryQuery:
        """The use case that answers queries from the inventory."""
        ports = self.ports
        limit = timedelta(seconds=self.settings.cadence.inventory + self.settings.freshness_grace_seconds)
        return InventoryQuery(
            self.region_filter,
            self.fleet,
            ports.inventory,
            self.refresher,
            ports.drs_regions,
            ports.clock,
            limit,
        )

    @cached_property
    def scan_failures(self) -> ScanFailures:
        """What records scans that ended without a result."""
        ports = self.ports
        return ScanFailures(ports.accounts, ports.scans, ports.writer, ports.clock)

    @cached_property
    def work_runner(self) -> WorkRunner:
        """What does work under leases."""
        ports = self.ports
        return WorkRunner(
            WorkPorts(ports.accounts, ports.work_states, ports.queue, ports.writer, ports.calls, ports.clock),
            self.region_filter,
            self.scan_failures,
            self.settings.cadence,
            self.settings.queue_visibility_seconds,
        )

    @cached_property
    def workers(self) -> dict[WorkKind, Callable[[], Worker]]:
        """What makes, or returns, the worker of each kind."""
        return {
            WorkKind.INVENTORY: lambda: self.inventory_sync,
            WorkKind.TAGS: lambda: self.tag_sync,
            WorkKind.STAGING: lambda: self.staging_sync,
        }

    @cached_property
    def inventory_sync(self) -> InventorySync:
        """The inventory worker."""
        ports = self.ports
        return InventorySync(
            ports.scans,
            ports.inventory,
            ScopeScanner(ports.accounts, ports.telemetries, ports.inventory, ports.drs, ports.ec2, ports.aws_partition),
            ReplicationConfigurations(ports.drs, ports.inventory),
            ScopeRemoval(ports.accounts, ports.scans, ports.telemetries, ports.inventory, ports.drs_regions),
        )

    @cached_property
    def tag_sync(self) -> TagSync:
        """The tag worker."""
        ports = self.ports
        return TagSync(ports.scans, ports.telemetries, ports.inventory, ports.drs_tags)

    @cached_property
    def staging_sync(self) -> StagingSync:
        """The staging worker."""
        ports, settings = self.ports, self.settings
        return StagingSync(
            self.fleet,
            ports.telemetries,
            ports.inventory,
            ports.refusals,
            self.work_requests,
            ports.drs_extensions,
            Limits(settings.max_extensions_per_run, settings.max_source_servers_per_scope),
        )

    @cached_property
    def region_changes(self) -> RegionChanges:
        """What changed scan records set off; a further subscriber is one more entry here."""
        subscribers = [FollowUpWork(self.fleet, self.work_requests)]
        return RegionChanges(self.ports.scans, self.ports.statuses, self.region_filter, subscribers)

    @cached_property
    def account_probe(self) -> AccountProbe:
        """What looks into customer accounts for the API."""
        ports = self.ports
        return AccountProbe(
            self.fleet,
            ports.inventory,
            ports.probe,
            ports.drs_regions,
            hub_account_id=self.settings.hub_account_id,
            servers_per_scope=self.settings.max_source_servers_per_scope,
        )

    @cached_property
    def resync(self) -> Resync:
        """What restores the work that was lost."""
        ports, settings = self.ports, self.settings
        return Resync(
            ResyncPorts(ports.accounts, ports.scans, ports.statuses, ports.work_states, ports.drs_regions, ports.clock),
            cadence=settings.cadence,
            redeliver_after=settings.queue_visibility_seconds,
        )

    @cached_property
    def reconciler(self) -> Reconciler:
        """The resync on request, in parts that fit an answer of the API."""
        ports = self.ports
        return Reconciler(self.resync, self.work_requests, ports.queue, ports.clock, RECONCILE_SECONDS)

    @cached_property
    def dead_letters(self) -> DeadLetterService:
        """What lists and redrives dead letters."""
        ports = self.ports
        return DeadLetterService(ports.letters, self.reconciler, self.work_requests, ports.clock, MAINTENANCE_SECONDS)

    @cached_property
    def failback(self) -> Failback:
        """The use case that says where servers came from."""
        return Failback(self.ports.inventory, self.ports.accounts, self.ports.aws_partition)

    @cached_property
    def capacity(self) -> Capacity:
        """The use case that says how full accounts are."""
        ports = self.ports
        return Capacity(
            self.region_filter,
            self.fleet,
            ports.accounts,
            ports.telemetries,
            ports.drs_regions,
            self.settings.max_source_servers_per_scope,
        )


def container() -> Container:
    """Return the container to use now: a deployed function's own, made from its environment when first needed."""
    return _providers[-1]()


@contextmanager
def providing(provider: Callable[[], Container]) -> Iterator[None]:
    """Have `container` return what `provider` returns within the block: a test's, on other ports."""
    _providers.append(provider)
    try:
        yield
    finally:
        _providers.pop()


def deployed() -> Container:
    """Return a new container on AWS, from the environment.

    Raises:
        SettingError: naming every setting that is missing or malformed.
    """
    settings = read_settings(dict(os.environ))
    return Container(settings, AwsPorts(settings))


_own = cache(deployed)
_providers: list[Callable[[], Container]] = [_own]


def forget() -> None:
    """Have the function's own container made anew when it is next needed."""
    _own.cache_clear()

"""Wires services to adapters, from the settings. Everything is made when it is first needed, and kept while warm."""

import time
from datetime import timedelta
from functools import cache

from .adapters.accounts_table import AccountsTable
from .adapters.aws_partitions import aws_partition
from .adapters.aws_regions import drs_regions
from .adapters.calls import CALLS
from .adapters.dead_letter_queues import DeadLetterQueues
from .adapters.drs import DrsProbe, DrsReader, DrsWriter
from .adapters.ec2 import Ec2Reader
from .adapters.fenced_writes import FencedWrites
from .adapters.function_client import FunctionClient
from .adapters.inventory_table import InventoryTable
from .adapters.refusals_table import RefusalsTable
from .adapters.region_status_table import RegionStatusTable
from .adapters.runs_table import RunsTable
from .adapters.scan_table import ScanTable
from .adapters.sessions import CustomerSessions, Purpose
from .adapters.telemetry_table import TelemetryTable
from .adapters.work_queue import WorkQueue
from .adapters.work_state_table import WorkStateTable
from .domain.dead_letters import DeadLetterQueue
from .domain.work import WorkKind
from .errors import SettingError
from .services.account_probe import AccountProbe
from .services.accounts import AccountRegistry
from .services.active_region_filter import ActiveRegionFilter
from .services.capacity import Capacity
from .services.dead_letters import DeadLetterOffice
from .services.failback import Failback
from .services.inventory_query import InventoryQuery
from .services.inventory_sync import InventorySync
from .services.planning import Planner
from .services.reactions import ScanReactions
from .services.reconciliation import Reconciler
from .services.refresh import Refresher
from .services.repeated_requests import RepeatedRequests
from .services.resync import Resync
from .services.runs import RunReader
from .services.scan_failures import ScanFailures
from .services.staging_sync import Limits, StagingSync
from .services.tag_sync import TagSync
from .services.work_loop import WorkLoop
from .settings import settings

RECONCILE_SECONDS = 10  # how long a part of the reconciliation goes on, before or after letters are taken
MAINTENANCE_SECONDS = 12  # how long letters are taken; API Gateway gives an answer 29 seconds


@cache
def region_statuses() -> RegionStatusTable:
    """Return the region status table."""
    return RegionStatusTable(settings().region_status_table)


@cache
def region_filter() -> ActiveRegionFilter:
    """Return this container's region filter: the one whose cache stream handlers and messages invalidate."""
    return ActiveRegionFilter(region_statuses(), drs_regions, time.time, enabled=settings().enable_region_filtering)


@cache
def scans() -> ScanTable:
    """Return the table of scan records."""
    return ScanTable(settings().scan_table)


@cache
def accounts() -> AccountsTable:
    """Return the registry's table."""
    return AccountsTable(settings().accounts_table, settings().default_tenant)


@cache
def inventory() -> InventoryTable:
    """Return the inventory table."""
    return InventoryTable(settings().inventory_table)


@cache
def telemetries() -> TelemetryTable:
    """Return the table of the scopes' telemetry."""
    return TelemetryTable(settings().telemetry_table)


@cache
def work_states() -> WorkStateTable:
    """Return the table of work items."""
    return WorkStateTable(settings().work_state_table)


@cache
def refusals() -> RefusalsTable:
    """Return the table of refusals."""
    return RefusalsTable(settings().refusals_table)


@cache
def runs() -> RunsTable:
    """Return the table of runs."""
    return RunsTable(settings().runs_table)


@cache
def work_queue() -> WorkQueue:
    """Return the work queues."""
    urls = {
        WorkKind.INVENTORY: settings().inventory_queue_url,
        WorkKind.TAGS: settings().tags_queue_url,
        WorkKind.STAGING: settings().staging_queue_url,
    }
    return WorkQueue(urls, settings().work_dead_letter_queue_url)


@cache
def customer_sessions(purpose: Purpose) -> CustomerSessions:
    """Return the sessions in customer accounts, with the credentials of a warm worker."""
    names = settings()
    return CustomerSessions(
        names.hub_account_id, purpose, names.service_max_attempts, names.service_requests_per_second
    )


@cache
def fenced_writes() -> FencedWrites:
    """Return the writes that hold only under a lease's epoch."""
    names = settings()
    return FencedWrites(
        work_states(), names.inventory_table, names.scan_table, names.telemetry_table, names.refusals_table
    )


@cache
def account_registry() -> AccountRegistry:
    """Return the use case that adds accounts."""
    return AccountRegistry(
        accounts(),
        scans(),
        work_states(),
        work_queue(),
        drs_regions,
        time.time,
        hub_account_id=settings().hub_account_id,
        redeliver_after=settings().queue_visibility_seconds,
    )


@cache
def planner() -> Planner:
    """Return the use case that plans runs."""
    return Planner(
        region_filter(),
        accounts(),
        scans(),
        work_states(),
        work_queue(),
        runs(),
        drs_regions,
        time.time,
        cadence=settings().cadence,
        redeliver_after=settings().queue_visibility_seconds,
        run_retention_days=settings().run_retention_days,
    )


@cache
def repeated_requests() -> RepeatedRequests:
    """Return the use case that starts a sync once for each key of a caller."""
    return RepeatedRequests(planner(), runs(), time.time)


@cache
def run_reader() -> RunReader:
    """Return the use case that reads runs."""
    return RunReader(runs(), work_states(), time.time)


@cache
def inventory_query() -> InventoryQuery:
    """Return the use case that answers queries from the inventory."""
    limit = settings().cadence.inventory + settings().freshness_grace_seconds
    refresher = Refresher(work_states(), work_queue(), time.time, settings().queue_visibility_seconds)
    return InventoryQuery(
        region_filter(), accounts(), scans(), inventory(), refresher, drs_regions, time.time, timedelta(seconds=limit)
    )


@cache
def work_loop() -> WorkLoop:
    """Return what takes and gives back leases."""
    failures = ScanFailures(accounts(), scans(), fenced_writes(), time.time)
    return WorkLoop(work_states(), work_queue(), failures, time.time, settings().queue_visibility_seconds)


@cache
def inventory_sync() -> InventorySync:
    """Return the inventory worker."""
    return InventorySync(
        accounts(),
        scans(),
        telemetries(),
        inventory(),
        fenced_writes(),
        DrsReader(customer_sessions(Purpose.INVENTORY)),
        Ec2Reader(customer_sessions(Purpose.INVENTORY)),
        CALLS,
        drs_regions,
        aws_partition,
        time.time,
        settings().cadence,
    )


@cache
def tag_sync() -> TagSync:
    """Return the tag worker."""
    return TagSync(
        region_filter(),
        accounts(),
        scans(),
        telemetries(),
        inventory(),
        work_states(),
        fenced_writes(),
        DrsWriter(customer_sessions(Purpose.TAGS)),
        CALLS,
        time.time,
        settings().cadence,
    )


@cache
def staging_sync() -> StagingSync:
    """Return the staging worker."""
    limits = Limits(
        settings().max_extensions_per_run,
        settings().max_source_servers_per_scope,
        settings().queue_visibility_seconds,
    )
    return StagingSync(
        region_filter(),
        accounts(),
        scans(),
        telemetries(),
        inventory(),
        refusals(),
        work_states(),
        work_queue(),
        fenced_writes(),
        DrsWriter(customer_sessions(Purpose.STAGING)),
        CALLS,
        time.time,
        settings().cadence,
        limits,
    )


@cache
def scan_reactions() -> ScanReactions:
    """Return what a changed scan record sets off."""
    return ScanReactions(
        region_filter(),
        accounts(),
        scans(),
        region_statuses(),
        work_states(),
        work_queue(),
        time.time,
        settings().queue_visibility_seconds,
    )


@cache
def account_probe() -> AccountProbe:
    """Return what looks into customer accounts for the API: impatient, because a caller waits."""
    return AccountProbe(
        accounts(),
        scans(),
        inventory(),
        DrsProbe(
            CustomerSessions(
                settings().hub_account_id,
                Purpose.PROBE,
                max_attempts=2,
                requests_per_second=settings().service_requests_per_second,
                read_timeout=8,
            )
        ),
        drs_regions,
        hub_account_id=settings().hub_account_id,
        servers_per_scope=settings().max_source_servers_per_scope,
    )


@cache
def probe_client() -> FunctionClient:
    """Return the API's way to the account-probe function.

    Raises:
        SettingError: where the function has no such setting.
    """
    return _function("ACCOUNT_PROBE_FUNCTION", settings().account_probe_function)


@cache
def maintenance_client() -> FunctionClient:
    """Return the API's way to the maintenance function.

    Raises:
        SettingError: where the function has no such setting.
    """
    return _function("MAINTENANCE_FUNCTION", settings().maintenance_function)


def _function(setting: str, name: str | None) -> FunctionClient:
    if name is None:
        raise SettingError(f"{setting}: not set for this function")
    return FunctionClient(name)


@cache
def resync() -> Resync:
    """Return what restores the work that was lost."""
    return Resync(
        accounts(),
        scans(),
        region_statuses(),
        work_states(),
        drs_regions,
        time.time,
        cadence=settings().cadence,
        redeliver_after=settings().queue_visibility_seconds,
    )


@cache
def reconciler() -> Reconciler:
    """Return the resync on request, in parts that fit an answer of the API."""
    return Reconciler(resync(), work_queue(), time.time, settings().queue_visibility_seconds, RECONCILE_SECONDS)


@cache
def dead_letter_office() -> DeadLetterOffice:
    """Return what tells and redrives dead letters."""
    names = settings()
    urls = {
        DeadLetterQueue.WORK: names.work_dead_letter_queue_url,
        DeadLetterQueue.STREAM: names.stream_failures_queue_url,
        DeadLetterQueue.SCHEDULES: names.schedule_failures_queue_url,
    }
    return DeadLetterOffice(
        DeadLetterQueues(urls),
        reconciler(),
        work_states(),
        work_queue(),
        time.time,
        names.queue_visibility_seconds,
        MAINTENANCE_SECONDS,
    )


@cache
def failback() -> Failback:
    """Return the use case that says where servers came from."""
    return Failback(inventory(), accounts(), aws_partition)


@cache
def capacity() -> Capacity:
    """Return the use case that says how full accounts are."""
    return Capacity(
        region_filter(),
        accounts(),
        scans(),
        telemetries(),
        drs_regions,
        settings().max_source_servers_per_scope,
    )

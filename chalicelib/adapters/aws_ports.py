"""The ports on AWS: every adapter of a deployed function, each made when it is first needed (ADR 18)."""

import time
from functools import cached_property

from ..domain.dead_letters import DeadLetterQueue
from ..domain.work import WorkKind
from ..errors import SettingError
from ..settings import Settings
from .accounts_table import AccountsTable
from .aws_partitions import aws_partition
from .aws_regions import drs_regions
from .calls import CALLS
from .dead_letter_queues import DeadLetterQueues
from .drs import DrsProbe, DrsReader, DrsWriter
from .ec2 import Ec2Reader
from .fenced_writes import FencedWrites
from .function_client import FunctionClient
from .inventory_table import InventoryTable
from .item_sizes import ACTIONS_PER_TRANSACTION
from .refusals_table import RefusalsTable
from .region_status_table import RegionStatusTable
from .runs_table import RunsTable
from .scan_table import ScanTable
from .sessions import CustomerSessions, Purpose
from .telemetry_table import TelemetryTable
from .work_queue import WorkQueue
from .work_state_table import WorkStateTable

PROBE_ATTEMPTS, PROBE_READ_TIMEOUT = 2, 8  # a caller of the API waits


class AwsPorts:
    """What `services.ports.Ports` names, on AWS.

    Args:
        settings: names of tables and queues, limits of calls.
    """

    actions_per_transaction = ACTIONS_PER_TRANSACTION
    clock = staticmethod(time.time)
    sleep = staticmethod(time.sleep)
    calls = CALLS
    drs_regions = staticmethod(drs_regions)
    aws_partition = staticmethod(aws_partition)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def accounts(self) -> AccountsTable:
        return AccountsTable(self._settings.accounts_table, self._settings.default_tenant)

    @cached_property
    def scans(self) -> ScanTable:
        return ScanTable(self._settings.scan_table)

    @cached_property
    def statuses(self) -> RegionStatusTable:
        return RegionStatusTable(self._settings.region_status_table)

    @cached_property
    def telemetries(self) -> TelemetryTable:
        return TelemetryTable(self._settings.telemetry_table)

    @cached_property
    def inventory(self) -> InventoryTable:
        return InventoryTable(self._settings.inventory_table)

    @cached_property
    def refusals(self) -> RefusalsTable:
        return RefusalsTable(self._settings.refusals_table)

    @cached_property
    def runs(self) -> RunsTable:
        return RunsTable(self._settings.runs_table)

    @cached_property
    def work_states(self) -> WorkStateTable:
        return WorkStateTable(self._settings.work_state_table)

    @cached_property
    def writer(self) -> FencedWrites:
        names = self._settings
        return FencedWrites(
            self.work_states,
            names.inventory_table,
            names.scan_table,
            names.telemetry_table,
            names.refusals_table,
            self.actions_per_transaction,
        )

    @cached_property
    def queue(self) -> WorkQueue:
        names = self._settings
        urls = {
            WorkKind.INVENTORY: names.inventory_queue_url,
            WorkKind.TAGS: names.tags_queue_url,
            WorkKind.STAGING: names.staging_queue_url,
        }
        return WorkQueue(urls, names.work_dead_letter_queue_url)

    @cached_property
    def letters(self) -> DeadLetterQueues:
        names = self._settings
        urls = {
            DeadLetterQueue.WORK: names.work_dead_letter_queue_url,
            DeadLetterQueue.STREAM: names.stream_failures_queue_url,
            DeadLetterQueue.SCHEDULES: names.schedule_failures_queue_url,
        }
        return DeadLetterQueues(urls)

    @cached_property
    def drs(self) -> DrsReader:
        return DrsReader(self._reading)

    @cached_property
    def ec2(self) -> Ec2Reader:
        return Ec2Reader(self._reading)

    @cached_property
    def drs_tags(self) -> DrsWriter:
        return DrsWriter(self.sessions(Purpose.TAGS))

    @cached_property
    def drs_extensions(self) -> DrsWriter:
        return DrsWriter(self.sessions(Purpose.STAGING))

    @cached_property
    def probe(self) -> DrsProbe:
        return DrsProbe(self.sessions(Purpose.PROBE))

    @cached_property
    def probe_function(self) -> FunctionClient:
        return _function("ACCOUNT_PROBE_FUNCTION", self._settings.account_probe_function)

    @cached_property
    def maintenance_function(self) -> FunctionClient:
        return _function("MAINTENANCE_FUNCTION", self._settings.maintenance_function)

    def sessions(self, purpose: Purpose) -> CustomerSessions:
        """Return new sessions in customer accounts: impatient ones for a caller of the API."""
        names = self._settings
        if purpose is not Purpose.PROBE:
            return CustomerSessions(
                names.hub_account_id, purpose, names.service_max_attempts, names.service_requests_per_second
            )
        return CustomerSessions(
            names.hub_account_id, purpose, PROBE_ATTEMPTS, names.service_requests_per_second, PROBE_READ_TIMEOUT
        )

    @cached_property
    def _reading(self) -> CustomerSessions:
        return self.sessions(Purpose.INVENTORY)


def _function(setting: str, name: str | None) -> FunctionClient:
    if name is None:
        raise SettingError(f"{setting}: not set for this function")
    return FunctionClient(name)

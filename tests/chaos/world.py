"""Everything outside of the product: AWS of the hub and of its customers, and the watch on what is written.

The real adapters stand on clients in memory (`dynamo.py`, `clients.py`); the ports here are those adapters, for a
run's own eyes: what is read through them passes no switchboard.
"""

from itertools import count
from types import SimpleNamespace
from typing import Any

from chalicelib.adapters import dynamodb
from chalicelib.adapters.telemetry_table import from_item
from chalicelib.domain.accounts import Account, Membership
from chalicelib.domain.dead_letters import DeadLetterQueue
from chalicelib.domain.extension import Refusal
from chalicelib.domain.regions import RegionStatus, ScanRecord
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import ServerRow
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.domain.writes import ScopeTelemetry
from chalicelib.errors import QuotaExceeded
from chalicelib.settings import Settings

from ..factories import HUB, REGION, SECOND, THIRD
from ..fakes import FakeCalls, FakeClock, FakeDrs, FakeEc2, Faults
from ..unit.stack import template
from .clients import CustomerClients, SqsClient
from .disruptions import Switchboard
from .dynamo import DynamoDb
from .expressions import Item
from .ledger import Ledger
from .shard import Shard, stream_record
from .sqs import SqsQueue

DRS_REGIONS = [REGION, SECOND]
NEW_REGION = THIRD
"""A region that AWS adds during some runs."""
ELSEWHERE, ELSEWHERE_REGION = "aws-cn", "cn-north-1"
"""Another partition, and its region."""
EVERY_REGION = [*DRS_REGIONS, NEW_REGION, ELSEWHERE_REGION]

ENVIRONMENT = {
    **{name.upper(): name for name, field in Settings.model_fields.items() if field.is_required()},
    "HUB_ACCOUNT_ID": HUB,
    "ENABLE_REGION_FILTERING": "true",
    "MAX_EXTENSIONS_PER_RUN": "2",
    "MAX_SOURCE_SERVERS_PER_SCOPE": "5",
}
"""Every setting that has no default, and limits that a run can reach."""

MOST_EXTENSIONS, MOST_SERVERS = (
    int(ENVIRONMENT[f"MAX_{name}"]) for name in ("EXTENSIONS_PER_RUN", "SOURCE_SERVERS_PER_SCOPE")
)


def table_definitions() -> dict[str, dict[str, Any]]:
    """Return the properties of the stack's tables, by the names that the functions are given here."""
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    resources = template()["Resources"]
    return {
        ENVIRONMENT[name]: resources[value["Ref"]]["Properties"]
        for name, value in variables.items()
        if isinstance(value, dict) and name.endswith("_TABLE")
    }


class ChaosDrs(FakeDrs):
    """DRS of every account and region, and what is known of who asked it for what."""

    def __init__(self, calls: FakeCalls, faults: Faults, ledger: Ledger) -> None:
        super().__init__(calls, faults)
        self._ledger = ledger
        self.empty: set[Scope] = set()  # scopes whose next listing succeeds, and says that there is nothing

    def source_servers(self, account: Account, region: str) -> Any:
        scope = Scope(account.account_id, region)
        servers = list(super().source_servers(account, region))
        if scope in self.empty:
            self.empty.discard(scope)
            servers = []
        self._ledger.listed(scope, servers)
        return servers

    def tag(self, account: Account, region: str, arn: str, tags: dict[str, str]) -> None:
        self._ledger.tags_written(arn, tags)
        super().tag(account, region, arn, tags)

    def untag(self, account: Account, region: str, arn: str, keys: list[str]) -> None:
        self._ledger.tags_written(arn, keys, removed=True)
        super().untag(account, region, arn, keys)

    def extend(self, target: Account, region: str, arn: str) -> str:
        if len(self.servers.get(Scope(target.account_id, region), {})) >= MOST_SERVERS:
            raise QuotaExceeded(f"{target.account_id} holds {MOST_SERVERS} servers", "ServiceQuotaExceededException")
        server = super().extend(target, region, arn)
        self._ledger.extended(Scope(target.account_id, region), arn)
        return server


class ChaosWorld:
    """AWS, and what the tables say, for a run's own eyes."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.clock, self.calls = FakeClock(), FakeCalls()
        switchboard.clock = self.clock
        self.ledger = Ledger(switchboard)
        faults = Faults()
        self.drs, self.ec2 = ChaosDrs(self.calls, faults, self.ledger), FakeEc2(self.calls, faults)
        self.regions = list(DRS_REGIONS)
        self.shards = {region: Shard() for region in EVERY_REGION}
        self._numbers = count(1)
        self.dynamodb = DynamoDb(table_definitions(), self.clock, switchboard.call, self._written)
        self.dead_letters = SqsQueue(self.clock)
        self.queues = {kind: SqsQueue(self.clock, self.dead_letters) for kind in WorkKind}
        self.stream_failures, self.schedule_failures = SqsQueue(self.clock), SqsQueue(self.clock)
        urls = {
            "inventory_queue_url": self.queues[WorkKind.INVENTORY],
            "tags_queue_url": self.queues[WorkKind.TAGS],
            "staging_queue_url": self.queues[WorkKind.STAGING],
            "work_dead_letter_queue_url": self.dead_letters,
            "stream_failures_queue_url": self.stream_failures,
            "schedule_failures_queue_url": self.schedule_failures,
        }
        self.sqs = SqsClient(urls, switchboard)
        self.customers = CustomerClients(self, switchboard)
        self.letter_queues = {
            DeadLetterQueue.WORK: self.dead_letters,
            DeadLetterQueue.STREAM: self.stream_failures,
            DeadLetterQueue.SCHEDULES: self.schedule_failures,
        }

    def drs_regions(self, partition: str = "aws") -> list[str]:
        return [ELSEWHERE_REGION] if partition == ELSEWHERE else list(self.regions)

    def spoil(self, region: str) -> str:
        """Add a stream record that no version of the function can read; return its sequence number."""
        number = str(next(self._numbers))
        keys = {"region": {"S": region}, "accountId": {"S": "000000000000"}}
        images = {"NewImage": {**keys, "state": {"S": "NONSENSE"}}, "SequenceNumber": number}
        self.shards[region].add({"eventID": number, "eventName": "MODIFY", "dynamodb": {"Keys": keys, **images}})
        return number

    # --- what the tables say ---

    def accounts(self) -> dict[str, Account]:
        return {
            item["accountId"]: Account.of(item) for item in self._items("accounts_table") if item["record"] == "ACCOUNT"
        }

    def memberships(self) -> dict[tuple[str, str], Membership]:
        found = [Membership.of(item) for item in self._items("accounts_table") if item["record"].startswith("STAGING#")]
        return {(one.account_id, one.staging_account_id): one for one in found}

    def scans(self) -> dict[Scope, ScanRecord]:
        return {record.scope: record for record in map(ScanRecord.of, self._items("scan_table"))}

    def statuses(self) -> dict[str, RegionStatus]:
        return {status.region: status for status in map(RegionStatus.of, self._items("region_status_table"))}

    def telemetry(self, scope: Scope) -> ScopeTelemetry | None:
        found = (from_item(item) for item in self._items("telemetry_table"))
        return next((telemetry for telemetry in found if telemetry.scope == scope), None)

    def rows(self) -> dict[tuple[str, str], ServerRow]:
        rows = map(ServerRow.of, self._items("inventory_table"))
        return {(row.source_server_id, row.replication_region): row for row in rows}

    def row(self, server: str, region: str) -> ServerRow | None:
        item = self.dynamodb.tables["inventory_table"].items.get((server, region))
        return ServerRow.of(dynamodb.unmarshal(item)) if item else None

    def refusals(self) -> dict[tuple[str, str], Refusal]:
        found = map(Refusal.of, self._items("refusals_table"))
        return {(one.target_scope, one.staging_source_server_arn): one for one in found}

    def work_items(self) -> dict[WorkId, Any]:
        """Return each work item: `wanted`, `done`, `leaseUntil`, ...; absent ones as None."""
        return {WorkId.parse(item["workId"]): _WorkItem(item) for item in self._items("work_state_table")}

    def work_item(self, work: WorkId) -> Any:
        item = self.dynamodb.tables["work_state_table"].items.get((work.key,))
        return _WorkItem(dynamodb.unmarshal(item)) if item else None

    def _items(self, table: str) -> list[dict[str, Any]]:
        return [dynamodb.unmarshal(item) for _, item in sorted(self.dynamodb.tables[table].items.items())]

    # --- the watch on writes ---

    def _written(self, table: str, before: Item | None, after: Item | None) -> None:
        if table == "scan_table":
            self._scan_written(before, after)
        elif table == "region_status_table" and after:
            self.ledger.status_written(RegionStatus.of(dynamodb.unmarshal(after)))
        elif table == "inventory_table" and after:
            self.ledger.row_written(dynamodb.unmarshal(before or {}), dynamodb.unmarshal(after))
        elif table == "work_state_table" and after:
            self.ledger.work_written(before or {}, after, self.clock())
        if table in ("scan_table", "inventory_table", "telemetry_table") or (table == "refusals_table" and after):
            self.ledger.wrote(table)

    def _scan_written(self, before: Item | None, after: Item | None) -> None:
        old = ScanRecord.of(dynamodb.unmarshal(before)) if before else None
        new = ScanRecord.of(dynamodb.unmarshal(after)) if after else None
        if new:
            self.ledger.scan_recorded(old, new)
        region = (new or old).region  # type: ignore[union-attr]
        self.shards[region].add(stream_record(next(self._numbers), before, after))
        self.ledger.region_changed(region, [one for one in self.scans().values() if one.region == region])


class _WorkItem(SimpleNamespace):
    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__(**item)

    def __getattr__(self, name: str) -> None:
        return None

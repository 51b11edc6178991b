"""The table `account-region-status`: the scan record of every scope. Written through `fenced_writes` only."""

from collections.abc import Iterable
from datetime import UTC, datetime

from ..domain.regions import ScanRecord, ScopeState
from ..domain.scopes import Scope
from ..errors import TableUnavailable
from . import dynamodb
from .stored_records import stored


class ScanTable:
    """Reads scan records, always consistently."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self, scope: Scope) -> ScanRecord | None:
        """Return the record of `scope`, or None where it was never scanned."""
        item = dynamodb.get(self._table, {"region": scope.region, "accountId": scope.account_id})
        return _record(item) if item else None

    def of_region(self, region: str) -> list[ScanRecord]:
        """Return the records of every account in `region`, by account."""
        items = dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="#region = :region",
            ExpressionAttributeNames={"#region": "region"},
            values={":region": region},
            ConsistentRead=True,
        )
        return [_record(item) for item in items]

    def of_scopes(self, scopes: Iterable[Scope]) -> list[ScanRecord]:
        """Return the records of those of `scopes` that were ever scanned, sorted by region and account."""
        keys = [{"region": scope.region, "accountId": scope.account_id} for scope in scopes]
        records = [_record(item) for item in dynamodb.batch_get(self._table, keys)]
        return sorted(records, key=lambda record: (record.region, record.account_id))


def _record(item: dynamodb.Item) -> ScanRecord:
    """Return the record that `item` holds; one that does not parse is an error of its scope, not of its whole region.

    The scope's next scan writes it anew.
    """
    try:
        return stored(ScanRecord, item)
    except TableUnavailable as error:
        count = item.get("serverCount")
        return ScanRecord(
            region=item["region"],
            account_id=item["accountId"],
            state=ScopeState.ERROR,
            error_message=str(error),
            server_count=count if isinstance(count, int) and count > 0 else 0,
            last_checked=datetime.fromtimestamp(0, UTC),
        )

"""The table `account-region-status`: the scan record of every scope. Written through `fenced_writes` only."""

from collections.abc import Iterable

from ..domain.regions import ScanRecord
from ..domain.scopes import Scope
from . import dynamodb


class ScanTable:
    """Reads scan records, always consistently."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self, scope: Scope) -> ScanRecord | None:
        """Return the record of `scope`, or None where it was never scanned."""
        item = dynamodb.get(self._table, {"region": scope.region, "accountId": scope.account_id})
        return ScanRecord.of(item) if item else None

    def of_region(self, region: str) -> list[ScanRecord]:
        """Return the records of every account in `region`, by account."""
        items = dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="#region = :region",
            ExpressionAttributeNames={"#region": "region"},
            values={":region": region},
            ConsistentRead=True,
        )
        return [ScanRecord.of(item) for item in items]

    def of_scopes(self, scopes: Iterable[Scope]) -> list[ScanRecord]:
        """Return the records of those of `scopes` that were ever scanned, sorted by region and account."""
        keys = [{"region": scope.region, "accountId": scope.account_id} for scope in scopes]
        records = [ScanRecord.of(item) for item in dynamodb.batch_get(self._table, keys)]
        return sorted(records, key=lambda record: (record.region, record.account_id))

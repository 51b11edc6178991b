"""The table `source-server-inventory`: one row per server. Written through `fenced_writes` only."""

from collections.abc import Iterable, Iterator
from functools import partial

from ..domain.scopes import Scope
from ..domain.servers import InventoryIndex, Page, Partition, Position, ServerRow
from . import dynamodb
from .stored_records import stored

INDEX_NAMES = {
    InventoryIndex.SCOPE: "ScopeIndex",
    InventoryIndex.STAGING_ACCOUNT: "StagingAccountIndex",
    InventoryIndex.SOURCE_ACCOUNT: "SourceAccountIndex",
    InventoryIndex.HOSTNAME: "HostnameIndex",
}


class InventoryTable:
    """Reads the inventory."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self, servers: Iterable[tuple[str, str]]) -> dict[str, ServerRow]:
        """Return the rows of (source server ID, replication region) pairs, read consistently, by ID."""
        keys = [{"sourceServerID": server, "replicationRegion": region} for server, region in servers]
        rows = map(partial(stored, ServerRow), dynamodb.batch_get(self._table, keys))
        return {row.source_server_id: row for row in rows}

    def of_scope(self, scope: Scope) -> Iterator[ServerRow]:
        """Yield the living servers of `scope`; an index, hence a moment behind."""
        items = dynamodb.query(
            TableName=self._table,
            IndexName=INDEX_NAMES[InventoryIndex.SCOPE],
            KeyConditionExpression="#scope = :scope",
            ExpressionAttributeNames={"#scope": "scope"},
            values={":scope": scope.key},
        )
        return map(partial(stored, ServerRow), items)

    def page(self, partition: Partition, limit: int, after: Position | None) -> Page:
        """Return up to `limit` rows of `partition`, those behind `after`; an index, hence a moment behind."""
        start = (
            {
                partition.by.value: partition.value,
                "sourceServerID": after.source_server_id,
                "replicationRegion": after.replication_region,
            }
            if after
            else None
        )
        answer = dynamodb.client().query(
            TableName=self._table,
            IndexName=INDEX_NAMES[partition.by],
            KeyConditionExpression="#attribute = :value",
            ExpressionAttributeNames={"#attribute": partition.by.value},
            ExpressionAttributeValues=dynamodb.marshal({":value": partition.value}),
            Limit=limit,
            **({"ExclusiveStartKey": dynamodb.marshal(start)} if start else {}),
        )
        rows = [stored(ServerRow, dynamodb.unmarshal(typed)) for typed in answer["Items"]]
        return Page(rows, more="LastEvaluatedKey" in answer)

    def of_server(self, source_server_id: str) -> list[ServerRow]:
        """Return the rows, tombstones included, of a server whose region is not known; one, as DRS makes IDs."""
        items = dynamodb.query(
            TableName=self._table,
            KeyConditionExpression="sourceServerID = :server",
            values={":server": source_server_id},
            ConsistentRead=True,
        )
        return [stored(ServerRow, item) for item in items]

"""The table `source-server-inventory`: one row per server. Written through `fenced_writes` only."""

from collections.abc import Iterable, Iterator
from typing import Any

from ..domain.scopes import Scope
from ..domain.servers import Page, ServerRow
from . import dynamodb

SCOPE_INDEX = "ScopeIndex"
STAGING_ACCOUNT_INDEX = "StagingAccountIndex"


class InventoryTable:
    """Reads the inventory."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self, servers: Iterable[tuple[str, str]]) -> dict[str, ServerRow]:
        """Return the rows of (source server ID, replication region) pairs, read consistently, by ID."""
        keys = [{"sourceServerID": server, "replicationRegion": region} for server, region in servers]
        rows = map(ServerRow.of, dynamodb.batch_get(self._table, keys))
        return {row.source_server_id: row for row in rows}

    def of_scope(self, scope: Scope) -> Iterator[ServerRow]:
        """Yield the living servers of `scope`; an index, hence a moment behind."""
        items = dynamodb.query(
            TableName=self._table,
            IndexName=SCOPE_INDEX,
            KeyConditionExpression="#scope = :scope",
            ExpressionAttributeNames={"#scope": "scope"},
            values={":scope": scope.key},
        )
        return map(ServerRow.of, items)

    def page_of_scope(self, scope: Scope, limit: int, after: dict[str, Any] | None) -> Page:
        """Return up to `limit` living servers of `scope`, those behind the key `after`."""
        return self._page(SCOPE_INDEX, "scope", scope.key, limit, after)

    def page_of_staging_account(self, account_id: str, limit: int, after: dict[str, Any] | None) -> Page:
        """Return up to `limit` servers, tombstones included, that are staged in `account_id`."""
        return self._page(STAGING_ACCOUNT_INDEX, "stagingAccountId", account_id, limit, after)

    def _page(self, index: str, attribute: str, value: str, limit: int, after: dict[str, Any] | None) -> Page:
        answer = dynamodb.client().query(
            TableName=self._table,
            IndexName=index,
            KeyConditionExpression="#attribute = :value",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues=dynamodb.marshal({":value": value}),
            Limit=limit,
            **({"ExclusiveStartKey": dynamodb.marshal(after)} if after else {}),
        )
        rows = [ServerRow.of(dynamodb.unmarshal(typed)) for typed in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        return Page(rows, dynamodb.unmarshal(last) if last else None)

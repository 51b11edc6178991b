"""The inventory in memory."""

from collections.abc import Iterable, Iterator
from typing import Any

from chalicelib.adapters.stored_records import stored as stored_record
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import Page, Partition, Position, ServerRow
from chalicelib.domain.writes import (
    UpdateServer,
    stored_values,
)

from .. import factories


class FakeInventory:
    """Server rows, as attributes. `rows_read` counts rows that were asked for or came from an index."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.rows_read = 0

    def read(self, servers: Iterable[tuple[str, str]]) -> dict[str, ServerRow]:
        keys = list(servers)
        self.rows_read += len(keys)
        return {key[0]: stored_record(ServerRow, self.items[key]) for key in keys if key in self.items}

    def of_scope(self, scope: Scope) -> Iterator[ServerRow]:
        for item in self._by("scope", scope.key):
            self.rows_read += 1
            yield stored_record(ServerRow, item)

    def page(self, partition: Partition, limit: int, after: Position | None) -> Page:
        behind = tuple(after) if after else ("", "")
        left = [item for item in self._by(partition.by.value, partition.value) if _key(item) > behind]
        rows = [stored_record(ServerRow, item) for item in left[:limit]]
        self.rows_read += len(rows)
        return Page(rows, more=len(rows) == limit)

    def of_server(self, source_server_id: str) -> list[ServerRow]:
        return [stored_record(ServerRow, item) for item in self._by("sourceServerID", source_server_id)]

    def row(self, server: str, region: str = factories.REGION) -> ServerRow | None:
        """Return one row, for a test's own eyes: not counted."""
        item = self.items.get((server, region))
        return stored_record(ServerRow, item) if item else None

    def living(self, scope: Scope) -> set[str]:
        """Return the IDs of a scope's living servers, for a test's own eyes."""
        return {item["sourceServerID"] for item in self._by("scope", scope.key)}

    def refuses(self, update: UpdateServer) -> bool:
        """Return whether the row is another account's."""
        item = self.items.get((update.source_server_id, update.scope.region), {})
        return item.get("accountId", update.scope.account_id) != update.scope.account_id

    def outdated(self, update: UpdateServer) -> bool:
        """Return whether the row is not what the update was made from."""
        item = self.items.get((update.source_server_id, update.scope.region), {})
        return update.seen_hash is not None and (self.refuses(update) or item.get("drsHash") != update.seen_hash)

    def put(self, update: UpdateServer) -> None:
        self.items[update.source_server_id, update.scope.region] = self.updated(update)

    def updated(self, update: UpdateServer) -> dict[str, Any]:
        """Return what a row is after an update."""
        key = (update.source_server_id, update.scope.region)
        item = dict(self.items.get(key, {"sourceServerID": key[0], "replicationRegion": key[1]}))
        for name, value in stored_values(update).items():
            if value is None:
                item.pop(name, None)
            elif name not in update.first or name not in item:
                item[name] = _storable(value)
        return item

    def _by(self, attribute: str, value: str) -> list[dict[str, Any]]:
        return [self.items[key] for key in sorted(self.items) if self.items[key].get(attribute) == value]


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["sourceServerID"], item["replicationRegion"]


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _storable(part) for name, part in value.items() if part is not None}
    return [_storable(part) for part in value] if isinstance(value, list) else value

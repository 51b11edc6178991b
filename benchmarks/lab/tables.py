"""DynamoDB: MiniStack's own, called in this process instead of over HTTP."""

from threading import RLock
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import dynamodb

from sandbox.cloud.table_writes import TableWrites


class Tables:
    """The hub's tables, the count of what is written to them, and their streams."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._lock = RLock()
        self.writes = TableWrites()

    def answer(self, operation: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body of an operation."""
        with self._lock, request_scope(self._account, self._region):
            status, _, content = _finished(dynamodb.handle_request("POST", "/", headers, body, {}))
        self.writes.record(operation, self._account, self._region, body, status < 400)
        return status, content if isinstance(content, bytes) else content.encode()

    def written(self) -> dict[str, int]:
        """Return the items written since `forget`, by table."""
        return {count["table"]: count["written"] for count in self.writes.counts()}

    def take_stream(self, table: str) -> list[dict[str, Any]]:
        """Return the records of a table's stream, which is empty then."""
        with self._lock, request_scope(self._account, self._region):
            records: list[dict[str, Any]] = dynamodb._stream_records.get(table) or []
            taken = list(records)
            records.clear()
        return taken


def _finished(coroutine: Any) -> Any:
    """Return what a coroutine returns that never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("DynamoDB waited for something")

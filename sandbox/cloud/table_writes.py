"""How many items were written, by DynamoDB table: what a scan of an unchanged fleet must keep at almost nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

SINGLE_WRITES = {"PutItem", "UpdateItem", "DeleteItem"}
TRANSACTED_WRITES = {"Put", "Update", "Delete"}


@dataclass(frozen=True, order=True)
class Table:
    """A table of an account and region."""

    account_id: str
    region: str
    name: str


class TableWrites:
    """Counts item writes; an attempt that DynamoDB refused (a failed condition) is not a write.

    An update that changes nothing is a write, as it is billed as one. PartiQL statements are not counted.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._attempted: Counter[Table] = Counter()
        self._written: Counter[Table] = Counter()

    def record(self, operation: str, account_id: str, region: str, body: bytes, succeeded: bool) -> None:
        """Count what a DynamoDB request wrote, member by member of transactions and batches."""
        tables = Counter(Table(account_id, region, name) for name in _tables_written(operation, body))
        with self._lock:
            self._attempted += tables
            if succeeded:
                self._written += tables

    def counts(self) -> list[dict[str, Any]]:
        """Return the counts by table."""
        with self._lock:
            return [
                {
                    "accountId": table.account_id,
                    "region": table.region,
                    "table": table.name,
                    "attempted": attempted,
                    "written": self._written[table],
                }
                for table, attempted in sorted(self._attempted.items())
            ]

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._attempted.clear()
            self._written.clear()


def _tables_written(operation: str, body: bytes) -> Iterator[str]:
    if operation not in SINGLE_WRITES | {"TransactWriteItems", "BatchWriteItem"}:
        return
    try:
        request = json.loads(body)
    except ValueError:
        return
    if operation in SINGLE_WRITES:
        names = [request.get("TableName")]
    elif operation == "TransactWriteItems":
        members = [member for item in request.get("TransactItems", []) for member in item.items()]
        names = [member.get("TableName") for kind, member in members if kind in TRANSACTED_WRITES]
    else:
        names = [name for name, requests in request.get("RequestItems", {}).items() for _ in requests]
    for name in names:
        if isinstance(name, str):
            yield name.rsplit("/", 1)[-1]

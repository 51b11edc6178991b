"""Region status, scan records and telemetry in memory."""

from collections.abc import Callable, Iterable

from chalicelib.domain.regions import RegionStatus, ScanRecord
from chalicelib.domain.scopes import Scope
from chalicelib.domain.writes import (
    ScopeTelemetry,
)
from chalicelib.errors import (
    TableUnavailable,
)

from .process import stored


class FakeRegionStatuses:
    """Status rows. `broken`: the table cannot be read. `on_replace` runs before each write, as another writer would."""

    def __init__(self) -> None:
        self.rows: dict[str, RegionStatus] = {}
        self.reads = 0
        self.broken = False
        self.on_replace: Callable[[], None] | None = None

    def read_all(self) -> list[RegionStatus]:
        self.reads += 1
        if self.broken:
            raise TableUnavailable("table drs-region-status cannot be read: it is broken")
        return [self.rows[region] for region in sorted(self.rows)]

    def read(self, region: str) -> RegionStatus | None:
        return self.rows.get(region)

    def replace(self, stored_row: RegionStatus | None, status: RegionStatus) -> bool:
        if self.on_replace:
            self.on_replace()
        present = self.rows.get(status.region)
        if (present.version if present else None) != (stored_row.version if stored_row else None):
            return False
        version = stored_row.version if stored_row else 0
        self.rows[status.region] = stored(status.model_copy(update={"version": version + 1}))
        return True

    def delete(self, stored_row: RegionStatus) -> bool:
        present = self.rows.get(stored_row.region)
        if present is None or present.version != stored_row.version:
            return False
        del self.rows[stored_row.region]
        return True


class FakeScans:
    """Scan records, and the stream of their changes: before and after, None where there is no record."""

    def __init__(self) -> None:
        self.records: dict[Scope, ScanRecord] = {}
        self.stream: list[tuple[ScanRecord | None, ScanRecord | None]] = []

    def read(self, scope: Scope) -> ScanRecord | None:
        return self.records.get(scope)

    def of_region(self, region: str) -> list[ScanRecord]:
        return self._sorted(record for record in self.records.values() if record.region == region)

    def of_scopes(self, scopes: Iterable[Scope]) -> list[ScanRecord]:
        return self._sorted(self.records[scope] for scope in scopes if scope in self.records)

    def put(self, record: ScanRecord) -> None:
        before, after = self.records.get(record.scope), stored(record)
        self.records[record.scope] = after
        if before != after:
            self.stream.append((before, after))

    def forget(self, scope: Scope) -> None:
        if before := self.records.pop(scope, None):
            self.stream.append((before, None))

    @staticmethod
    def _sorted(records: Iterable[ScanRecord]) -> list[ScanRecord]:
        return sorted(records, key=lambda record: (record.region, record.account_id))


class FakeTelemetries:
    """Scopes' telemetry. `broken`: the table cannot be read."""

    def __init__(self) -> None:
        self.items: dict[Scope, ScopeTelemetry] = {}
        self.broken = False

    def read(self, scope: Scope) -> ScopeTelemetry | None:
        if self.broken:
            raise TableUnavailable("table scope-telemetry cannot be read: it is broken")
        return self.items.get(scope)

    def put(self, telemetry: ScopeTelemetry) -> None:
        self.items[telemetry.scope] = telemetry

    def forget(self, scope: Scope) -> None:
        self.items.pop(scope, None)

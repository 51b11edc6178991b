"""The table `scope-telemetry`: one compressed item per scope. Written through `fenced_writes` only."""

import json
import zlib
from typing import Any

from ..domain.scopes import Scope
from ..domain.servers import Telemetry
from ..domain.writes import ScopeTelemetry
from . import dynamodb

KNOWN_VALUES = len(Telemetry._fields)  # a newer version appends further ones


class TelemetryTable:
    """Reads scopes' telemetry, always consistently."""

    def __init__(self, table: str) -> None:
        self._table = table

    def read(self, scope: Scope) -> ScopeTelemetry | None:
        """Return the telemetry of `scope`, or None where it was never scanned."""
        item = dynamodb.get(self._table, {"scope": scope.key})
        return from_item(item) if item else None


def to_item(telemetry: ScopeTelemetry) -> dict[str, Any]:
    """Return the item that holds `telemetry`; its servers as compressed JSON, values in the order of `Telemetry`."""
    text = json.dumps(telemetry.servers, separators=(",", ":"), sort_keys=True)
    return {
        "scope": telemetry.scope.key,
        "epoch": telemetry.epoch,
        "takenAt": telemetry.taken_at,
        "servers": zlib.compress(text.encode()),
    }


def from_item(item: dict[str, Any]) -> ScopeTelemetry:
    """Return the telemetry that `item` holds."""
    servers = json.loads(zlib.decompress(item["servers"]))
    return ScopeTelemetry(
        scope=Scope.parse(item["scope"]),
        epoch=item["epoch"],
        taken_at=item["takenAt"],
        servers={source_server_id: Telemetry(*values[:KNOWN_VALUES]) for source_server_id, values in servers.items()},
    )

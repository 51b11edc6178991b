"""Writes that belong to one piece of work; an adapter carries them out under the work's epoch."""

from typing import Any, NamedTuple

from .extension import Refusal
from .regions import ScanRecord
from .scopes import Scope
from .servers import Telemetry


class UpdateServer(NamedTuple):
    """Set attributes of one server's row; a value of None removes the attribute.

    `first` holds attributes that are set only where the row has none yet. Where `seen_hash` is given, the update holds
    only while that is the row's `drsHash`: what it was made from is still what the row says.
    """

    source_server_id: str
    scope: Scope
    values: dict[str, Any]
    first: dict[str, Any] = {}
    seen_hash: str | None = None


class ScopeTelemetry(NamedTuple):
    """A scope's telemetry: one entry per server that DRS listed, by source server ID."""

    scope: Scope
    epoch: int
    taken_at: str
    servers: dict[str, Telemetry]


class ForgetScan(NamedTuple):
    """Take a scope's scan record away: its account is being removed."""

    scope: Scope


class ForgetTelemetry(NamedTuple):
    """Take a scope's telemetry away: its account is being removed."""

    scope: Scope


INDEX_KEYS = ("scope", "stagingAccountId", "sourceAccountId", "hostname")
"""Attributes of a row that an index is keyed by: DynamoDB refuses them empty, so that they are absent instead."""


def stored_values(update: UpdateServer) -> dict[str, Any]:
    """Return every attribute that an update sets; None for one that it removes: an index key is never empty."""
    given = {**update.first, **update.values}
    return {name: None if name in INDEX_KEYS and value == "" else value for name, value in given.items()}


Write = UpdateServer | ScopeTelemetry | ScanRecord | Refusal | ForgetScan | ForgetTelemetry


class Unwritten(NamedTuple):
    """A row that could not be written, and why; the others of its call were."""

    write: UpdateServer | Refusal
    reason: str

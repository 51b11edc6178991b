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


class RefuseExtension(NamedTuple):
    """Record a refusal over the one that its run has read: `seen`, None where there was none.

    Where another is recorded by then (a removal on purpose, say), that one stands.
    """

    refusal: Refusal
    seen: Refusal | None


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


Row = UpdateServer | Refusal | RefuseExtension
"""A write that stands for itself: where it cannot be made, the others can."""
Write = Row | ScopeTelemetry | ScanRecord | ForgetScan | ForgetTelemetry


class Unwritten(NamedTuple):
    """A row that could not be written, and why; the others of its call were."""

    write: Row
    reason: str

    @property
    def subject(self) -> str:
        """The server that the row is of: its ID, or the ARN of a staging server."""
        match self.write:
            case UpdateServer():
                return self.write.source_server_id
            case RefuseExtension():
                return self.write.refusal.staging_source_server_arn
        return self.write.staging_source_server_arn

"""What a tag run should do, worked out from a scope's rows (R2). Pure: no AWS, no clock."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from . import tags
from .results import Problem
from .servers import DISCONNECTED, FAILBACK, InstanceState, ServerRow
from .tags import TagChange


class ServerTags(NamedTuple):
    """One server and what to do with its tags."""

    row: ServerRow
    change: TagChange

    @property
    def settled(self) -> bool:
        """Whether nothing is to be written, neither to DRS nor to the row, which says whose tags they are."""
        return self.change.empty and self.change.managed == sorted(self.row.managed_tag_keys)

    def preview(self) -> dict[str, Any]:
        """Return what a dry run reports."""
        return {
            "sourceServerID": self.row.source_server_id,
            "hostname": self.row.hostname,
            "put": self.change.put,
            "remove": self.change.remove,
        }


class TagPlan(NamedTuple):
    """What a run does.

    Attributes:
        open: the servers of which something is to be written, to DRS or to their row, by ID.
        skipped: why servers are left alone.
        overflow: tags that find no room, by server.
        servers: how many servers were looked at.
    """

    open: list[ServerTags]
    skipped: list[Problem]
    overflow: list[Problem]
    servers: int

    @property
    def problems(self) -> list[Problem]:
        """What there is to report, whatever becomes of the changes."""
        return [*self.skipped, *self.overflow]

    def counts(self) -> dict[str, int]:
        """Return the plan in figures."""
        return {
            "servers": self.servers,
            "skipped": len(self.skipped),
            "overflow": len(self.overflow),
            "unchanged": self.servers - len(self.skipped) - len(self.open),
        }

    def previews(self) -> list[dict[str, Any]]:
        """Return what would change in DRS."""
        return [planned.preview() for planned in self.open if not planned.change.empty]


def plan_tags(rows: Iterable[ServerRow]) -> TagPlan:
    """Return what to do with the tags of a scope's living servers."""
    looked_at = list(rows)
    skipped = {row.source_server_id: why for row in looked_at if (why := skip_reason(row))}
    planned = [
        ServerTags(row, tags.difference(row.source_tags, row.drs_tags, row.managed_tag_keys))
        for row in looked_at
        if row.source_server_id not in skipped
    ]
    overflow = [_overflow(server) for server in planned if server.change.overflow]
    pending = [server for server in planned if not server.settled]
    return TagPlan(pending, list(skipped.values()), overflow, len(looked_at))


def skip_reason(row: ServerRow) -> Problem | None:
    """Return why a server's tags are not synced, or None (R2.5)."""
    if row.replication_direction == FAILBACK:
        return _skipped(row, "FAILBACK", "it replicates back to its origin")
    if row.replication_state == DISCONNECTED:
        return _skipped(row, DISCONNECTED, "its agent is disconnected")
    if row.instance_state is InstanceState.ON_PREMISES:
        return _skipped(row, InstanceState.ON_PREMISES, "it has no EC2 instance")
    if row.instance_state is InstanceState.NOT_FOUND:
        return _skipped(row, InstanceState.NOT_FOUND, f"EC2 does not know {row.source_instance_id} in its origin")
    if row.instance_state is None:
        return _skipped(row, "EC2_UNKNOWN", "EC2 of its origin could not be asked")
    return None


def _overflow(planned: ServerTags) -> Problem:
    keys = ", ".join(planned.change.overflow)
    return _skipped(planned.row, "TAG_OVERFLOW", f"no room within {tags.TAG_LIMIT} tags for: {keys}")


def _skipped(row: ServerRow, code: str, why: str) -> Problem:
    return Problem(subject=row.source_server_id, code=code, message=f"{row.hostname or row.source_server_id}: {why}")

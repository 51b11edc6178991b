"""What a tag run should do, worked out from a scope's rows (R2). Pure: no AWS, no clock."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import tag_ownership, tags
from .results import Problem
from .servers import DISCONNECTED, FAILBACK, InstanceState, ServerRow
from .tag_ownership import Effect, Written
from .tags import TagChange

TERMINATING = ("shutting-down", "terminated")
"""Instance states in which EC2 drops an instance's tags (EC2 User Guide, "Terminate Amazon EC2 instances": resources
"such as tags and volumes are gradually disassociated from the instance"), while it is still listed."""


class ServerTags(NamedTuple):
    """One server and what to do with its tags; `written` is what of them this product wrote so far."""

    row: ServerRow
    change: TagChange
    written: Written

    @property
    def settled(self) -> bool:
        """Whether nothing is to be written, neither to DRS nor to the row, which says whose tags they are."""
        return self.change.empty and self.written == self.row.managed_tag_values

    def written_after(self, untagged: Effect, tagged: Effect) -> Written:
        """Return what of the tags is this product's, once the change has ended so."""
        return tag_ownership.after(self.written, self.change.remove, self.change.put, untagged, tagged)

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


def plan_tags(rows: Iterable[ServerRow], intent: Mapping[str, Mapping[str, str]], scan_epoch: int) -> TagPlan:
    """Return what to do with the tags of a scope's living servers.

    Args:
        rows: the servers.
        intent: what a worker that died was about to write: by server, digests by key.
        scan_epoch: the epoch of the scope's scan record, read before the rows.
    """
    looked_at = list(rows)
    skipped = {row.source_server_id: why for row in looked_at if (why := skip_reason(row))}
    planned = [
        _planned(row, written_of(row, intent.get(row.source_server_id, {}), scan_epoch))
        for row in looked_at
        if row.source_server_id not in skipped
    ]
    overflow = [_overflow(server) for server in planned if server.change.overflow]
    pending = [server for server in planned if not server.settled]
    return TagPlan(pending, list(skipped.values()), overflow, len(looked_at))


def written_of(row: ServerRow, noted: Mapping[str, str] | list[str], scan_epoch: int) -> Written:
    """Return what of a server's tags this product wrote, or may have written.

    What was written stays this product's until a scan has begun and ended after the write and does not show it. A note
    of an earlier version names keys only: they count with what they carry.
    """
    written = row.managed_tag_values or tag_ownership.from_keys(row.managed_tag_keys, row.drs_tags)
    if scan_epoch >= row.managed_as_of + tag_ownership.SCANS_UNTIL_SEEN:
        written = tag_ownership.seen(written, row.drs_tags)
    if not isinstance(noted, Mapping):
        noted = tag_ownership.intent({key: row.drs_tags[key] for key in noted if key in row.drs_tags})
    return tag_ownership.with_intent(written, noted)


def _planned(row: ServerRow, written: Written) -> ServerTags:
    owned = tag_ownership.owned(written, row.drs_tags)
    return ServerTags(row, tags.difference(row.source_tags, row.drs_tags, owned), written)


def skip_reason(row: ServerRow) -> Problem | None:
    """Return why a server's tags are not synced, or None (R2.5)."""
    if row.replication_direction == FAILBACK:
        return _skipped(row, "FAILBACK", "it replicates back to its origin")
    if row.replication_state == DISCONNECTED:
        return _skipped(row, DISCONNECTED, "its agent is disconnected")
    return _instance_skip_reason(row)


def _instance_skip_reason(row: ServerRow) -> Problem | None:
    """Return why a server's instance is not taken as the truth about its tags, or None."""
    if row.instance_state is InstanceState.ON_PREMISES:
        return _skipped(row, InstanceState.ON_PREMISES, "it has no EC2 instance")
    if row.instance_state is InstanceState.NOT_FOUND:
        return _skipped(row, InstanceState.NOT_FOUND, f"EC2 does not know {row.source_instance_id} in its origin")
    if row.instance_status in TERMINATING:
        return _skipped(
            row, "TERMINATED", f"EC2 drops the tags of {row.source_instance_id}: it is {row.instance_status}"
        )
    if row.instance_state is None:
        return _skipped(row, "EC2_UNKNOWN", "EC2 of its origin could not be asked")
    return None


def _overflow(planned: ServerTags) -> Problem:
    keys = ", ".join(planned.change.overflow)
    return _skipped(planned.row, "TAG_OVERFLOW", f"no room within {tags.TAG_LIMIT} tags for: {keys}")


def _skipped(row: ServerRow, code: str, why: str) -> Problem:
    return Problem(subject=row.source_server_id, code=code, message=f"{row.hostname or row.source_server_id}: {why}")

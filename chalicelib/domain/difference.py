"""What a scan found different from what was known of a scope's servers."""

from collections.abc import Mapping
from typing import NamedTuple

from .servers import Telemetry

TURN = 20  # servers by which each scan begins further on, among those whose configuration is still unknown


class Difference(NamedTuple):
    """Source server IDs, by what became of them.

    Attributes:
        new: listed, and not known.
        changed: known, and said something else than before.
        gone: known, and not listed.
    """

    new: set[str]
    changed: set[str]
    gone: set[str]

    @property
    def listed(self) -> set[str]:
        """Servers that DRS lists and whose rows may have to be written."""
        return self.new | self.changed

    @property
    def members_changed(self) -> bool:
        """Whether servers appeared or went."""
        return bool(self.new or self.gone)


def difference(known: Mapping[str, Telemetry], listed: Mapping[str, Telemetry]) -> Difference:
    """Return how `listed` differs from `known`: entries by source server ID, compared by their hashes."""
    changed = {server for server in listed.keys() & known.keys() if _content(listed[server]) != _content(known[server])}
    return Difference(new=set(listed.keys() - known.keys()), changed=changed, gone=set(known.keys() - listed.keys()))


def still_open(entries: Mapping[str, Telemetry], turn: int) -> list[str]:
    """Return the servers whose failback originals are not all known, beginning with other ones each turn."""
    servers = sorted(server for server, entry in entries.items() if not entry.topology_complete)
    start = turn * TURN % len(servers) if servers else 0
    return [*servers[start:], *servers[:start]]


def _content(entry: Telemetry) -> tuple[str, str]:
    return entry.drs_hash, entry.ec2_hash

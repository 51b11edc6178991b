"""What a scan found different from what was known of a scope's servers."""

from collections.abc import Mapping
from typing import NamedTuple

from .servers import Telemetry

MOST_TOPOLOGY_RETRIES = 20  # servers whose failback originals are asked for again in one scan


class Difference(NamedTuple):
    """Source server IDs, by what became of them.

    Attributes:
        new: listed, and not known.
        changed: known, and said something else than before.
        gone: known, and not listed.
        open: unchanged, but a failback original is still unknown; at most 20.
    """

    new: set[str]
    changed: set[str]
    gone: set[str]
    open: set[str]

    @property
    def listed(self) -> set[str]:
        """Servers that DRS lists and whose rows may have to be written."""
        return self.new | self.changed | self.open

    @property
    def members_changed(self) -> bool:
        """Whether servers appeared or went."""
        return bool(self.new or self.gone)


def difference(known: Mapping[str, Telemetry], listed: Mapping[str, Telemetry]) -> Difference:
    """Return how `listed` differs from `known`: entries by source server ID, compared by their hashes."""
    new = listed.keys() - known.keys()
    changed = {server for server in listed.keys() & known.keys() if _content(listed[server]) != _content(known[server])}
    still_open = sorted(server for server in listed if not listed[server].topology_complete)
    return Difference(
        new=set(new),
        changed=changed,
        gone=set(known.keys() - listed.keys()),
        open=set(still_open[:MOST_TOPOLOGY_RETRIES]) - new - changed,
    )


def _content(entry: Telemetry) -> tuple[str, str]:
    return entry.drs_hash, entry.ec2_hash

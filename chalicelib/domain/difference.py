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


def difference(known: Mapping[str, Telemetry], listed: Mapping[str, Telemetry], turn: int = 0) -> Difference:
    """Return how `listed` differs from `known`: entries by source server ID, compared by their hashes.

    Args:
        known: what was known.
        listed: what was found.
        turn: number of the scan: where more than 20 servers are open, each scan takes the next 20.
    """
    new = listed.keys() - known.keys()
    changed = {server for server in listed.keys() & known.keys() if _content(listed[server]) != _content(known[server])}
    still_open = sorted(server for server in listed if not listed[server].topology_complete)
    return Difference(
        new=set(new),
        changed=changed,
        gone=set(known.keys() - listed.keys()),
        open=set(_next(still_open, turn)) - new - changed,
    )


def _next(servers: list[str], turn: int) -> list[str]:
    """Return 20 of `servers`, other ones each turn, so that those that keep failing do not hold up the rest."""
    start = turn * MOST_TOPOLOGY_RETRIES % len(servers) if servers else 0
    return [*servers[start:], *servers[:start]][:MOST_TOPOLOGY_RETRIES]


def _content(entry: Telemetry) -> tuple[str, str]:
    return entry.drs_hash, entry.ec2_hash

"""What one scan of a scope found: an entry of every server, and what is said of those that differ."""

from collections.abc import Iterable
from typing import Any

from ..domain.results import Problem
from ..domain.server_changes import DiscoveredServer, PreviousState
from ..domain.servers import CONTINUOUS, NOT_FOUND, NOT_REPLICATING, DrsFacts, Telemetry, digest, packed, telemetry
from ..errors import ServiceError
from .instance_lookup import LookupResult, Origin


class ScanResult:
    """A scope's servers as they are listed and looked up.

    What is said of a server is dropped as soon as it is known to be what it was: so a scan holds some pages of servers,
    and the entries of all.
    """

    def __init__(self, previous: PreviousState) -> None:
        self.previous = previous
        self.entries: dict[str, Telemetry] = {}
        self.differing: dict[str, DiscoveredServer] = {}
        self.problems: list[Problem] = []
        self.replicating = self.extended = self.agents = 0
        self._unanswered: set[Origin] = set()

    def add(self, server: str, wire: dict[str, Any], drs: DrsFacts) -> None:
        """Add a server that says `drs`; `resolve` follows when EC2 was asked, or is not to be asked."""
        text, before = packed(drs), self.previous.servers.get(server)
        complete = before.topology_complete if before else True
        self.differing[server] = DiscoveredServer(text)
        self.entries[server] = telemetry(wire, drs, digest(text))._replace(topology_complete=complete)
        self.replicating += drs.replication_state == CONTINUOUS
        self.extended += drs.extended
        self.agents += not drs.extended and drs.replication_state not in NOT_REPLICATING

    def resolve(self, server: str, ec2_text: bytes | None) -> None:
        """Apply EC2's result for a server; None keeps the previous values."""
        before, entry = self.previous.servers.get(server), self.entries[server]
        ec2_hash = digest(ec2_text) if ec2_text else before.ec2_hash if before else ""
        if before and before.topology_complete and (before.drs_hash, before.ec2_hash) == (entry.drs_hash, ec2_hash):
            original = before.original or entry.original  # the same: it is among what the hash covers
            self.entries[server] = entry._replace(drs_hash=before.drs_hash, ec2_hash=before.ec2_hash, original=original)
            del self.differing[server]
            return
        self.entries[server] = entry._replace(ec2_hash=ec2_hash)
        self.differing[server] = self.differing[server]._replace(ec2_text=ec2_text)

    def resolve_all(self, answers: Iterable[LookupResult]) -> None:
        """Apply the results of look-ups; an origin that did not answer is one problem."""
        for origin, servers, answer in answers:
            if isinstance(answer, ServiceError):
                self._unanswered_by(origin, answer)
            for server, instance_id in servers.items():
                said = None if isinstance(answer, ServiceError) else answer.get(instance_id) or packed(NOT_FOUND)
                self.resolve(server, said)

    def _unanswered_by(self, origin: Origin, error: ServiceError) -> None:
        if origin not in self._unanswered:
            self.problems.append(Problem(subject=f"EC2 of {'/'.join(origin)}", code=error.code, message=str(error)))
        self._unanswered.add(origin)

    def origin_unknown(self, server: str, drs: DrsFacts) -> None:
        """Report that EC2 cannot be asked, because nobody knows where."""
        message = f"{drs.source_instance_id}: DRS does not say in which account and region it runs"
        self.problems.append(Problem(subject=drs.arn, code="ORIGIN_UNKNOWN", message=message))
        self.resolve(server, None)

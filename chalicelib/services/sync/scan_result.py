"""What one scan of a scope found: an entry of every server, and what is said of those that differ."""

from collections.abc import Iterable
from typing import Any

from ...domain.aws_answers import ReadServer, telemetry
from ...domain.results import Problem
from ...domain.scopes import Scope
from ...domain.server_changes import DiscoveredServer, PreviousState
from ...domain.servers import CONTINUOUS, NOT_FOUND, NOT_REPLICATING, DrsFacts, Telemetry, digest, packed
from ...errors import ServiceError
from .instance_lookup import LookupResult, Origin

UNREADABLE = "UNREADABLE"
MOST_NAMED = 5  # servers that one problem of a scope names


class ScanResult:
    """A scope's servers as they are listed and looked up.

    What is said of a server is dropped as soon as it is known to be what it was: so a scan holds some pages of servers,
    and the entries of all.
    """

    def __init__(self, scope: Scope, previous: PreviousState) -> None:
        self.previous = previous
        self.entries: dict[str, Telemetry] = {}
        self.differing: dict[str, DiscoveredServer] = {}
        self.problems: list[Problem] = []
        self.replicating = self.extended = self.agents = 0
        self._scope = scope
        self._unanswered: set[Origin] = set()
        self._without_origin: list[str] = []
        self._unidentified = False
        self.any_unreadable = False

    def add(self, server: str, wire: Any, drs: DrsFacts) -> None:
        """Add a server that says `drs`; `resolve` follows when EC2 was asked, or is not to be asked."""
        text, before = packed(drs), self.previous.servers.get(server)
        complete = drs.extended or (before.topology_complete if before else True)
        self.differing[server] = DiscoveredServer(text)
        self.entries[server] = telemetry(wire, drs, digest(text))._replace(topology_complete=complete)
        self.replicating += drs.replication_state == CONTINUOUS
        self.extended += drs.extended
        self.agents += not drs.extended and drs.replication_state not in NOT_REPLICATING

    def unreadable(self, item: ReadServer) -> None:
        """Report what cannot be read of an item. A server that cannot be handled is kept as it was known."""
        server = item.source_server_id
        subject = item.facts.arn if item.facts else server or self._scope.key
        kept = "unknown" if item.facts else "left as it was known"
        message = f"DRS answers {', '.join(item.unreadable)} not as its model says: {kept}"
        self.problems.append(Problem(subject=subject, code=UNREADABLE, message=message))
        self.any_unreadable = True
        if server is None:
            self._unidentified = True
        elif item.facts is None and server in self.previous.servers:
            self.entries[server] = self.previous.servers[server]

    def resolve(self, server: str, ec2_text: bytes | None) -> None:
        """Apply EC2's result for a server; None keeps the previous values."""
        before, entry = self.previous.servers.get(server), self.entries[server]
        ec2_hash = digest(ec2_text) if ec2_text else before.ec2_hash if before else ""
        if before and (before.drs_hash, before.ec2_hash) == (entry.drs_hash, ec2_hash):
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
                said = answer if isinstance(answer, ServiceError) else answer.get(instance_id, packed(NOT_FOUND))
                if isinstance(said, ServiceError) and said is not answer:
                    self.problems.append(Problem(subject=instance_id, code=said.code, message=str(said)))
                self.resolve(server, None if isinstance(said, ServiceError) else said)

    def _unanswered_by(self, origin: Origin, error: ServiceError) -> None:
        if origin not in self._unanswered:
            self.problems.append(Problem(subject=f"EC2 of {'/'.join(origin)}", code=error.code, message=str(error)))
        self._unanswered.add(origin)

    def origin_unknown(self, server: str, instance_id: str) -> None:
        """Note that EC2 cannot be asked for a server's instance, because nobody knows where."""
        self._without_origin.append(instance_id)
        self.resolve(server, None)

    def finish(self) -> None:
        """Draw the sums, once everything is listed and looked up.

        Servers without an origin are one problem of their scope: an old agent, or a service that does not say it, makes
        many at once. Where an item does not say which server it is of, any that is missing may be that one: all stay.
        """
        if self._without_origin:
            some = ", ".join(sorted(self._without_origin)[:MOST_NAMED])
            message = (
                f"{len(self._without_origin)} servers, of which DRS does not say in which account and region they run"
            )
            self.problems.append(Problem(subject=self._scope.key, code="ORIGIN_UNKNOWN", message=f"{message}: {some}"))
        if self._unidentified:
            self.entries = {**self.previous.servers, **self.entries}

"""The watch on what the product writes: what must never be, not even for a moment."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from chalicelib.domain.dead_letters import work_of
from chalicelib.domain.leases import Lease
from chalicelib.domain.regions import RegionStatus, ScanRecord, ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.domain.writes import UpdateServer
from chalicelib.events.queues import MOST_TRIES

from .disruptions import Switchboard


class Violation(BaseException):
    """What must never be has happened; no handler of the product is to catch it."""


def must(holds: object, otherwise: str) -> None:
    """Stop the run where something does not hold."""
    if not holds:
        raise Violation(otherwise)


OTHERS = "owner-"
"""Prefix of the tag keys that others put on DRS servers."""


class Ledger:
    """Looks at each write when it takes effect.

    Attributes:
        extensions: how often each staging server was extended into each target scope.
        last_account: the account whose work was begun last.
        failures: why work was given back undone.
        given_up: stream records that failed too often, by sequence number.
        checks: how often each rule was looked at.
    """

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._newest: dict[Any, int] = {}
        self._sums: dict[str, list[int]] = {}
        self._originals: dict[tuple[str, str], dict[str, Any]] = {}
        self.extensions: Counter[tuple[Scope, str]] = Counter()
        self.last_account = ""
        self.failures: list[str] = []
        self.given_up: list[str] = []
        self.checks: Counter[str] = Counter()

    # --- leases ---

    def taken(self, lease: Lease) -> None:
        must(lease.epoch > self._newest.get(lease.work, 0), f"epoch {lease.epoch} of {lease.work.key} began twice")
        self._newest[lease.work] = lease.epoch
        self.last_account = lease.work.scope.account_id

    def wrote(self, lease: Lease) -> None:
        self._check("writes are of the newest epoch")
        newest = self._newest[lease.work]
        must(lease.epoch == newest, f"{lease.work.key} wrote under epoch {lease.epoch}, {newest} has begun")

    def buried(self, body: str, kind: WorkKind, received: int) -> None:
        """What may still be worked off is given up only after it was tried often enough."""
        self._check("no message is given up too early")
        about = work_of(body)
        if self._switchboard.invocation:
            self._switchboard.invocation.gave_up.append(body)
        must(about is None or about.kind is not kind or received >= MOST_TRIES, f"given up after {received}: {body}")

    def failed(self, lease: Lease, error: str) -> None:
        self.failures.append(error)
        if self._switchboard.invocation:
            self._switchboard.invocation.gave_back.add(lease)

    # --- scan records and region status ---

    def listed(self, scope: Scope, servers: list[dict[str, Any]]) -> None:
        if self._switchboard.invocation:
            self._switchboard.invocation.heard[scope] = servers

    def scan_recorded(self, before: ScanRecord | None, record: ScanRecord) -> None:
        """A complete scan counts what DRS answered to it; any other leaves the counts as they were."""
        counts = record.server_count, record.replicating_count, record.extended_count
        if record.state is ScopeState.AVAILABLE:
            self._check("counts are those that DRS answered with")
            invocation = self._switchboard.invocation
            heard = invocation.heard.get(record.scope) if invocation else None
            must(heard is not None, f"{record.scope.key} is said to be scanned, but DRS was not asked")
            must(counts == _counts(heard), f"{record.scope.key} says {counts}, DRS said {_counts(heard)}")
            return
        self._check("an error leaves the counts as they were")
        known = (before.server_count, before.replicating_count, before.extended_count) if before else (0, 0, 0)
        must(counts == known, f"{record.scope.key}: {record.state} changed counts from {known} to {counts}")
        if before and before.active:
            must(record.last_success == before.last_success, f"{record.scope.key}: {record.state} counts as success")

    def region_changed(self, region: str, records: Iterable[ScanRecord]) -> None:
        self._sums.setdefault(region, [0]).append(sum(record.server_count for record in records))

    def status_written(self, status: RegionStatus) -> None:
        """A region's count is what its scan records summed up to at some moment since it was last written."""
        self._check("a region's count is the sum of its scans")
        sums = self._sums.setdefault(status.region, [0])
        must(status.server_count in sums, f"{status.region} is said to hold {status.server_count}, never so: {sums}")
        if len(self._switchboard.stack) < 2:  # else another handler may hold an older sum
            del sums[:-1]

    # --- rows ---

    def row_written(self, update: UpdateServer, before: dict[str, Any], after: dict[str, Any]) -> None:
        self._check("a row stays its account's")
        scope = update.scope
        if after.get("accountId"):
            must(after["accountId"] == scope.account_id, f"{update.source_server_id} was filed under {scope.key}")
        must(after.get("scope", scope.key) == scope.key, f"{update.source_server_id} is in {after.get('scope')}")
        must(("deletedAt" in after) != ("scope" in after), f"{update.source_server_id} is neither alive nor buried")
        topology = after.get("topology")
        if topology:
            self._check("topology originals stay")
            self._keep_originals((update.source_server_id, scope.region), topology)
        else:
            must("topology" not in before, f"{update.source_server_id} lost its topology")

    def _keep_originals(self, key: tuple[str, str], topology: dict[str, Any]) -> None:
        known = self._originals.setdefault(key, {})
        for name, learnt in topology.items():
            if known.get(name, {}).get("source", "unknown") != "unknown":
                must(learnt == known[name], f"{key}: {name} was {known[name]}, became {learnt}")
            known[name] = learnt

    # --- customer accounts ---

    def tags_written(self, arn: str, keys: Iterable[str]) -> None:
        self._check("tags of others are not touched")
        touched = [key for key in keys if key.startswith(OTHERS)]
        must(not touched, f"{arn}: touched tags of others: {touched}")

    def extended(self, target: Scope, arn: str) -> None:
        self.extensions[target, arn] += 1

    def _check(self, rule: str) -> None:
        self.checks[rule] += 1


def _counts(servers: list[dict[str, Any]]) -> tuple[int, int, int]:
    continuous = [s for s in servers if s["dataReplicationInfo"]["dataReplicationState"] == "CONTINUOUS"]
    extended = [s for s in servers if s["stagingArea"]["status"] in ("EXTENDED", "EXTENSION_ERROR")]
    return len(servers), len(continuous), len(extended)

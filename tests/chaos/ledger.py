"""The watch on what the product writes: what must never be, not even for a moment."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from chalicelib.domain.accounts import Access, Account
from chalicelib.domain.dead_letters import work_of
from chalicelib.domain.leases import Lease
from chalicelib.domain.regions import RegionStatus, ScanRecord, ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.events.queues import MOST_TRIES

from .disruptions import CHANGES_ACCOUNTS, Invocation, Switchboard
from .expressions import Item


class Violation(BaseException):
    """What must never be has happened; no handler of the product is to catch it.

    Attributes:
        seen: those of this run, whatever became of them on their way out.
    """

    seen: list[str] = []

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.seen.append(what)


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
        begun: how often each work was begun.
        requests: how many were made to customers' accounts, by operation.
        is_active: whether an account's operator says that it does.
        tenant_of: whose an account is.
        on_tags: told of tags of a server that are written or removed.
        on_lease: told of work that somebody begins.
        on_extension: told of every extension that was made.
        checks: how often each rule was looked at.
    """

    def __init__(self, switchboard: Switchboard) -> None:
        Violation.seen.clear()
        self._switchboard = switchboard
        self._newest: dict[Any, int] = {}
        self._sums: dict[str, list[int]] = {}
        self._originals: dict[tuple[str, str], dict[str, Any]] = {}
        self.extensions: Counter[tuple[Scope, str]] = Counter()
        self.last_account = ""
        self.last_work: WorkId | None = None
        self.failures: list[str] = []
        self.given_up: list[str] = []
        self.checks: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.is_active: Callable[[str], bool] = lambda account: True
        self.tenant_of: Callable[[str], str] = lambda account: ""
        self.on_tags: Callable[[str, Iterable[str], bool], None] = lambda arn, keys, removed: None
        self.on_extension: Callable[[Scope, str], None] = lambda target, arn: None
        self.on_ask_to_extend: Callable[[Scope], None] = lambda target: None
        self.on_lease: Callable[[WorkId], None] = lambda work: None

    @property
    def invocation(self) -> Invocation | None:
        return self._switchboard.invocation

    # --- leases ---

    def work_written(self, before: Item, after: Item, now: float) -> None:
        """A work item has changed: an epoch begins only where something is wanted and nobody is at it."""
        key, old, new = after["workId"]["S"], _number(before, "epoch"), _number(after, "epoch")
        if new > old:
            self._check("one works at a time")
            must(new == self._newest.get(key, 0) + 1, f"epoch {new} of {key} began after {self._newest.get(key)}")
            must(_number(before, "leaseUntil") <= now, f"{key} was taken while somebody was at it")
            must(_number(before, "wanted") > _number(before, "done"), f"{key} was taken, and nothing was wanted")
            self._newest[key] = new
            self.begun[key] += 1
            work = WorkId.parse(key)
            self.last_work, self.last_account = work, work.scope.account_id
            if self._switchboard.invocation:
                self._switchboard.invocation.account = self.last_account
            self.on_lease(work)
        elif before.get("done") != after.get("done") or before.get("result") != after.get("result"):
            self._fenced(f"the end of {key}")

    def wrote(self, table: str) -> None:
        """A table was written that only whoever holds a lease may write."""
        self._check("writes are of the newest epoch")
        lease = self._switchboard.lease
        must(not (lease and lease.work.dry_run), f"a dry run wrote {table}")
        self._fenced(table)

    def _fenced(self, what: str) -> None:
        lease = self._switchboard.lease
        must(lease, f"{what} was written by somebody without a lease")
        newest = self._newest.get(lease.work.key)
        must(lease.epoch == newest, f"{lease.work.key} wrote {what} under epoch {lease.epoch}, {newest} has begun")

    def passed(self, name: str, arguments: tuple[Any, ...]) -> None:
        """A call of a port has ended well."""
        if name == "work_states.fail":
            self.failed(*arguments[:2])
        elif name == "queue.send_to_dlq":
            self.buried(*arguments[:2])

    def buried(self, body: str, kind: WorkKind) -> None:
        """What may still be worked off is given up only after it was tried often enough."""
        self._check("no message is given up too early")
        about, invocation = work_of(body), self._switchboard.invocation
        received = max((count for text, count in invocation.messages if text == body), default=0) if invocation else 0
        if invocation:
            invocation.gave_up.append(body)
        must(about is None or about.kind is not kind or received >= MOST_TRIES, f"given up after {received}: {body}")

    def failed(self, lease: Lease, error: str) -> None:
        self.failures.append(f"{lease.work.key}: {error}")
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

    def row_written(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        self._check("a row stays its account's")
        server, region, owner = after["sourceServerID"], after["replicationRegion"], after.get("accountId")
        must(before.get("accountId") in (None, owner), f"{server} of {before.get('accountId')} was filed under {owner}")
        must(after.get("scope", f"{owner}#{region}") == f"{owner}#{region}", f"{server} is in {after.get('scope')}")
        must(("deletedAt" in after) != ("scope" in after), f"{server} is neither alive nor buried")
        topology = after.get("topology")
        if topology:
            self._check("topology originals stay")
            self._keep_originals((server, region), topology)
        else:
            must("topology" not in before, f"{server} lost its topology")

    def _keep_originals(self, key: tuple[str, str], topology: dict[str, Any]) -> None:
        known = self._originals.setdefault(key, {})
        for name, learnt in topology.items():
            if known.get(name, {}).get("source", "unknown") != "unknown":
                must(learnt == known[name], f"{key}: {name} was {known[name]}, became {learnt}")
            known[name] = learnt

    # --- customer accounts ---

    def asked(self, account: Account, access: Access, scope: Scope, operation: str) -> None:
        """A request to a customer's account is about to be made."""
        self.requests[operation] += 1
        self._check("requests belong to whom they are made for")
        changes = operation in CHANGES_ACCOUNTS
        if operation == "CreateExtendedSourceServer":
            self.on_ask_to_extend(scope)
        must(not changes or access is Access.WRITER, f"{operation} in {scope.key} with the role that only reads")
        must(not changes or self.is_active(scope.account_id), f"{operation} in {scope.key}, which takes no part")
        invocation = self._switchboard.invocation
        if invocation and invocation.account:
            mine, theirs = self.tenant_of(invocation.account), self.tenant_of(scope.account_id)
            must(
                mine == theirs, f"{operation} for {invocation.account} of {mine} entered {scope.account_id} of {theirs}"
            )
        lease = self._switchboard.lease
        must(not (changes and lease and lease.work.dry_run), f"a dry run called {operation}")

    def tags_written(self, arn: str, keys: Iterable[str], *, removed: bool = False) -> None:
        self._check("tags of others are not touched")
        touched = [key for key in keys if key.startswith(OTHERS)]
        must(not touched, f"{arn}: touched tags of others: {touched}")
        self.on_tags(arn, keys, removed)

    def extended(self, target: Scope, arn: str) -> None:
        self.extensions[target, arn] += 1
        self._check("what is extended is wanted")
        self.on_extension(target, arn)

    def _check(self, rule: str) -> None:
        self.checks[rule] += 1


def _counts(servers: list[dict[str, Any]]) -> tuple[int, int, int]:
    continuous = [s for s in servers if s["dataReplicationInfo"]["dataReplicationState"] == "CONTINUOUS"]
    extended = [s for s in servers if s["stagingArea"]["status"] in ("EXTENDED", "EXTENSION_ERROR")]
    return len(servers), len(continuous), len(extended)


def _number(item: Item, name: str) -> int:
    return int(item.get(name, {"N": "0"})["N"])

"""What must hold once every fault is healed and nothing waits: the product's tables against the model."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.dead_letters import work_of
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import ServerRow
from chalicelib.domain.work import WorkId, WorkKind

from .ledger import OTHERS
from .model import ACCOUNTS, PARTITIONS, Model, Server
from .world import ELSEWHERE_REGION, ChaosWorld

SYNCED = ("CONTINUOUS", "STALLED", "INITIAL_SYNC")


class Truth:
    """Compares; each check fails with what differs."""

    def __init__(self, world: ChaosWorld, model: Model) -> None:
        self._world = world
        self._model = model
        self.checks: Counter[str] = Counter()

    def lives(self) -> None:
        """Fail where something is left that nobody will do: no letter was redriven, and nobody asked."""
        self.nothing_fails_any_more()
        self.accounts_are_those_asked_for()
        self.nothing_is_left_to_do()

    def holds(self) -> None:
        """Fail where anything differs from the truth."""
        self.lives()
        self.rows_are_the_servers()
        self.is_current()
        for server in self._watched():
            self.telemetry_is_that_of_the_row(server)
        self.extensions_are_made_once()

    def is_current(self) -> None:
        """Fail where the inventory does not show what customers have."""
        self.is_current_where_scanned()
        self.counts_are_exact()
        self.regions_are_exact()

    def is_current_where_scanned(self) -> None:
        """The same of scopes that were scanned before: that a scope is to be scanned, the resync may have to find."""
        scanned = self._world.scans().keys() & set(self._scopes())
        self.rows_are_the_servers(scanned)
        for server in self._watched():
            if server.scope in scanned:
                self.a_row_says_what_drs_and_ec2_say(server)
                self.tags_are_in_place(server)

    def nothing_fails_any_more(self) -> None:
        """With every fault healed, work that still fails would fail for ever."""
        self._check("nothing fails once all is healed")
        assert not self._world.ledger.failures, self._world.ledger.failures

    def accounts_are_those_asked_for(self) -> None:
        self._check("accounts are those asked for")
        assert set(self._world.accounts()) == self._model.accounts
        assert set(self._world.memberships()) == self._model.memberships

    def rows_are_the_servers(self, scopes: Collection[Scope] | None = None) -> None:
        self._check("living rows are the servers, tombstones are not")
        rows = [row for row in self._rows().values() if row.living]
        found = {(row.account_id, row.replication_region, row.source_server_id) for row in rows}
        wanted = {(*server.scope, server.source_server_id) for server in self._watched()}
        if scopes is not None:
            found, wanted = ({one for one in some if Scope(*one[:2]) in scopes} for some in (found, wanted))
        assert found == wanted, f"living rows too many: {found - wanted}, missing: {wanted - found}"

    def a_row_says_what_drs_and_ec2_say(self, server: Server) -> None:
        self._check("a row says what DRS and EC2 say")
        row, wire = self._row(server), self._model.wire(server)
        hints, staging = wire["sourceProperties"]["identificationHints"], wire["stagingArea"]
        said = {
            "arn": wire["arn"],
            "scope": server.scope.key,
            "hostname": hints["hostname"],
            "replication_state": wire["dataReplicationInfo"]["dataReplicationState"],
            "replication_direction": wire["replicationDirection"],
            "recovery_instance_id": wire.get("recoveryInstanceId"),
            "reversed_direction_source_server_arn": wire.get("reversedDirectionSourceServerArn"),
            "staging_account_id": staging["stagingAccountID"],
            "staging_status": staging["status"],
            "staging_source_server_arn": staging.get("stagingSourceServerArn"),
            "source_instance_id": hints.get("awsInstanceID"),
            "drs_tags": wire["tags"],
        }
        self._same(server, row, said)
        instance = self._model.instance_of(server)
        if self._model.origin_is_strange(server):
            assert not row.source_tags, f"{server}: tags of an account that is not its own: {row.source_tags}"
        elif instance and self._model.origin_known(server) and instance["State"]["Name"] != "terminated":
            self._same(server, row, {"source_tags": _tags(instance), "instance_status": instance["State"]["Name"]})
        assert row.topology, f"{server}: no topology"
        assert row.extended or row.topology.complete, f"{server}: its topology is not complete"

    def telemetry_is_that_of_the_row(self, server: Server) -> None:
        """With every scan done that follows from what workers wrote."""
        self._check("telemetry is that of the row")
        row = self._row(server)
        telemetry = self._world.telemetry(server.scope)
        assert telemetry, f"{server}: no telemetry"
        entry = telemetry.servers[server.source_server_id]
        hashes = row.drs_hash, row.ec2_hash
        assert entry.drs_hash == row.drs_hash, f"{server}: telemetry says {entry}, its row {hashes}"
        assert entry.ec2_hash in ("", row.ec2_hash), f"{server}: telemetry says {entry}, its row {hashes}"

    def tags_are_in_place(self, server: Server) -> None:
        wire, instance = self._model.wire(server), self._model.instance_of(server)
        syncs = wire["replicationDirection"] == "FAILOVER" and instance is not None
        if not syncs or wire["dataReplicationInfo"]["dataReplicationState"] not in SYNCED:
            return
        if not self._model.origin_known(server):
            return
        self._check("EC2 tags are in place, and those of others are still there")
        theirs = self._model.theirs.get(server.arn, set())
        lost = theirs - wire["tags"].keys()
        assert not lost, f"{server} lost what others have set: {lost}"
        if instance["State"]["Name"] == "terminated":
            return
        anybodys = theirs | self._model.contested.get(server.arn, set())
        wanted = _tags(instance)
        ours = {
            key: value
            for key, value in wire["tags"].items()
            if not key.startswith((OTHERS, "skip")) and (key in wanted or key not in anybodys)
        }
        assert ours == wanted, f"{server} carries {ours}, its instance {wanted}"

    def counts_are_exact(self) -> None:
        records = self._world.scans()
        for scope in self._scopes():
            self._check("a scope's status and counts are exact")
            record = records.get(scope)
            assert record, f"{scope.key} was never scanned"
            assert record.state is ScopeState.AVAILABLE, f"{scope.key}: {record.state} {record.error_message}"
            counts = record.server_count, record.replicating_count, record.extended_count
            assert counts == self._counts(scope), f"{scope.key} says {counts}, there are {self._counts(scope)}"
        assert set(records) == set(self._scopes()), "scan records of scopes that nobody watches"

    def regions_are_exact(self) -> None:
        for region in [*self._world.regions, ELSEWHERE_REGION]:
            self._check("a region's status and counts are exact")
            status = self._world.statuses().get(region)
            scopes = [scope for scope in self._scopes() if scope.region == region]
            if not scopes:
                assert status is None, f"{region} has a status, and no account"
                continue
            counts = [self._counts(scope) for scope in scopes]
            wanted = (
                ScopeState.AVAILABLE,
                sum(one[0] for one in counts),
                sum(one[1] for one in counts),
                len(scopes),
                sum(one[0] > 0 for one in counts),
            )
            assert status, f"{region} has no status"
            found = (
                status.status,
                status.server_count,
                status.replicating_count,
                status.accounts,
                status.active_accounts,
            )
            assert found == wanted, f"{region} says {found}, it is {wanted}"

    def extensions_are_made_once(self) -> None:
        self._check("each staging server is extended exactly once")
        found = Counter(
            (scope, wire["stagingArea"]["stagingSourceServerArn"])
            for scope, servers in self._world.drs.servers.items()
            for wire in servers.values()
            if wire["stagingArea"].get("stagingSourceServerArn")
        )
        twice = [what for what, number in found.items() if number > 1]
        assert not twice, f"extended twice: {twice}"
        kept = self._model.removed - self._model.unclear
        missing = self._model.to_extend() - found.keys() - self._model.removed - self._model.unclear
        missing = {(target, arn) for target, arn in missing if not self._model.full(target)}
        assert not missing, f"not extended: {missing}"
        remade = kept & found.keys()
        assert not remade, f"removed on purpose, and made again: {remade}"

    def nothing_is_left_to_do(self) -> None:
        self._check("no work asked for and not done")
        for work, item in self._world.work_items().items():
            assert (item.done or 0) == (item.wanted or 0), f"{work.key}: {item.done} of {item.wanted} done, {item}"
            assert item.leaseUntil is None, f"{work.key} is leased"
        waiting = {kind: queue.messages for kind, queue in self._world.queues.items() if queue.messages}
        assert not waiting, f"messages wait: {waiting}"
        for scope in self._scopes():
            self._check("what is watched will be looked at again")
            assert self._due(WorkKind.INVENTORY, scope), f"{scope.key} will never be scanned again"
            if self._counts(scope)[0]:
                assert self._due(WorkKind.TAGS, scope), f"tags of {scope.key} will never be looked at again"
        for target, arn in self._model.to_extend():
            assert self._due(WorkKind.STAGING, target), f"{arn}: staging of {target.key} will never be looked at again"

    def dead_letters_are_poison(self) -> None:
        self._check("dead letters are the poison messages")
        found = {message.body for message in self._world.dead_letters.messages}
        wanted = {body or "(empty)" for body in self._model.poison}
        assert found == wanted, f"dead letters too many: {found - wanted}, missing: {wanted - found}"
        for message in self._world.dead_letters.messages:
            assert message.attributes["reason"]["StringValue"], f"{message.body} does not say why"
        assert not self._world.stream_failures.messages, "stream failures were not made good"

    def steady_state_costs_little(self, requests: Counter[str]) -> None:
        """Fail where a cycle in which nothing has changed asked customers' accounts for more than their lists."""
        self._check("a cycle without changes only lists")
        refused = any(refusal.next_try_at for refusal in self._world.refusals().values())
        others = {"TagResource", "UntagResource", "GetReplicationConfiguration"} | (
            set() if refused else {"CreateExtendedSourceServer", "ListExtensibleSourceServers"}
        )
        needless = {name: number for name, number in requests.items() if name in others}
        assert not needless, f"nothing had changed, and there were {needless}"
        pages = sum(1 + self._counts(scope)[0] // 2 for scope in self._scopes())
        listed = requests["DescribeSourceServers"]
        assert listed <= 2 * pages, f"{listed} lists were asked for, in scopes of {pages} pages"

    def nothing_runs_hot(self, begun: Counter[str]) -> None:
        """Fail where a cycle without changes began the same work more than once."""
        self._check("a cycle without changes begins nothing twice")
        again = {work: number for work, number in begun.items() if number > 1}
        assert not again, f"nothing had changed, and was begun again: {again}"

    def no_row_is_read(self, rows: int) -> None:
        """Fail where scans that found no change read rows."""
        self._check("a scan without changes reads no row")
        assert not rows, f"nothing had changed, and {rows} rows were read"

    def nobody_waits_in_vain(self) -> None:
        """Fail where work is wanted, and neither a message nor a lease nor its back-off says when it is done."""
        self._check("what is wanted wakes somebody")
        waiting = {work_of(message.body) for queue in self._world.queues.values() for message in queue.messages}
        now = self._world.clock()
        for work, item in self._world.work_items().items():
            idle = (item.leaseUntil or 0) < now and not item.failures and work not in waiting
            asleep = idle and (item.wanted or 0) > (item.done or 0) and (item.nextDueAt or 0) > now
            assert not asleep, f"{work.key} is wanted, and nobody was woken: {item}"

    # --- helpers ---

    def _check(self, what: str) -> None:
        self.checks[what] += 1

    def _scopes(self) -> list[Scope]:
        """Return the scopes of every registered account with DRS."""
        watched = sorted(a for a in self._model.accounts if ACCOUNTS[a] is not AccountKind.SOURCE)
        return [
            Scope(account_id, region)
            for account_id in watched
            for region in self._world.drs_regions(PARTITIONS.get(account_id, "aws"))
        ]

    def _watched(self) -> list[Server]:
        return [server for server in self._model.servers() if server.scope.account_id in self._model.accounts]

    def _counts(self, scope: Scope) -> tuple[int, int, int]:
        wires = [self._model.wire(server) for server in self._model.servers() if server.scope == scope]
        replicating = sum(w["dataReplicationInfo"]["dataReplicationState"] == "CONTINUOUS" for w in wires)
        return (
            len(wires),
            replicating,
            sum(w["stagingArea"]["status"] in ("EXTENDED", "EXTENSION_ERROR") for w in wires),
        )

    def _rows(self) -> dict[tuple[str, str], ServerRow]:
        return self._world.rows()

    def _row(self, server: Server) -> ServerRow:
        row = self._world.row(server.source_server_id, server.scope.region)
        assert row, f"{server}: no row"
        return row

    def _due(self, kind: WorkKind, scope: Scope) -> bool:
        item = self._world.work_item(WorkId(kind, scope))
        return item is not None and item.nextDueAt is not None

    @staticmethod
    def _same(server: Server, row: ServerRow, said: dict[str, Any]) -> None:
        differs = {name: (getattr(row, name), value) for name, value in said.items() if getattr(row, name) != value}
        assert not differs, f"{server}: row and truth differ: {differs}"


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}

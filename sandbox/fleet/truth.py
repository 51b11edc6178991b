"""Compare what the product made of a fleet with what is so. Written from the requirements, not from the product.

    report = compare(fleet, cloud)
    for difference in report.differences:
        print(difference)

Nothing of the product's code is used: its tables are read raw, part of them again through its API. The cloud must be at
rest (`waiting.settle`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sandbox.cloud.client import SandboxCloud
from sandbox.fleet.evidence import Item, Product, ServerKey, TrueServer, Truth, read_product, read_truth
from sandbox.fleet.model import STAGING, TARGET, Fleet, Place
from sandbox.fleet.tag_rules import expected_tags

FAILING = {"ERROR", "ACCESS_DENIED", "THROTTLED"}
UNUSED = {"UNINITIALIZED", "NOT_OPTED_IN"}
CACHE_SECONDS = 60
"""R10.2: for so long the API may answer from what it read before."""


CHANGE_SECONDS = 15
"""How long after its scan began a scan may still change its region's row: what was cached before may differ."""
SHOWN = (
    "status",
    "serverCount",
    "replicatingCount",
    "lastChecked",
    "lastSuccess",
    "errorMessage",
    "accounts",
    "activeAccounts",
)
"""What `GET /regions` tells of a row."""


class Difference(NamedTuple):
    """One thing that is not as it should be."""

    what: str
    where: str
    expected: object
    found: object

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: expected {self.expected!r}, found {self.found!r}"


class Failing(NamedTuple):
    """How a scope is expected to fail now: its state, and what its message must contain."""

    state: str
    message: str


@dataclass
class Report:
    """What was compared, by kind, and what differs."""

    differences: list[Difference] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def check(self, kind: str, what: str, where: str, expected: object, found: object) -> None:
        """Count one comparison of `kind`, and note a difference where the two are not equal."""
        self.checked[kind] += 1
        if expected != found:
            self.differences.append(Difference(what, where, expected, found))

    def require(self, kind: str, what: str, where: str, holds: bool, expected: object, found: object) -> None:
        """Count one comparison of `kind`, and note a difference where it does not hold."""
        self.checked[kind] += 1
        if not holds:
            self.differences.append(Difference(what, where, expected, found))


def compare(fleet: Fleet, cloud: SandboxCloud, failing: Mapping[Place, Failing] | None = None) -> Report:
    """Return every difference between the truth and what the product holds.

    Args:
        fleet: what was planted, arrivals included: tells which accounts are registered, and which tags others wrote.
        cloud: the cloud, at rest.
        failing: scopes whose last scan must have failed, and how. Of these everything known must still be there.
    """
    return compared(fleet, read_truth(cloud), read_product(cloud), failing or {})


def compared(fleet: Fleet, truth: Truth, product: Product, failing: Mapping[Place, Failing]) -> Report:
    """Return every difference between `truth` and `product`. Pure."""
    report = Report()
    comparison = _Comparison(fleet, truth, product, failing, report)
    comparison.servers()
    comparison.tombstones()
    comparison.tags()
    comparison.extensions()
    comparison.scans()
    comparison.regions()
    comparison.api()
    return report


class _Comparison:
    """The parts of one comparison, each a group of requirements."""

    def __init__(
        self, fleet: Fleet, truth: Truth, product: Product, failing: Mapping[Place, Failing], report: Report
    ) -> None:
        self._fleet = fleet
        self._truth = truth
        self._product = product
        self._failing = failing
        self._report = report
        registered = {account.account_id for account in fleet.accounts}
        self._living = {server.key: server for server in truth.servers() if server.place[0] in registered}

    # --- R4, R12.4, R13.1: the inventory ---

    def servers(self) -> None:
        """Every living server is there once, and says what DRS and EC2 say; nothing else lives."""
        for key, server in self._living.items():
            row = self._product.rows.get(key)
            present = "deletedAt" not in row if row else False
            self._report.require("servers", "living server", server.where, present, "a living row", _brief(row))
            if row and present:
                self._row(server, row)
        for key, row in self._product.rows.items():
            if key not in self._living and "deletedAt" not in row:
                self._report.require("servers", "extra living server", _where(row), False, "no living row", _brief(row))

    def _row(self, server: TrueServer, row: Item) -> None:
        account, region = server.place
        origin, staging = server.origin, server.staging
        instance = self._instance_of(server)
        facts: dict[str, object] = {
            "accountId": account,
            "scope": f"{account}#{region}",
            "arn": server.arn,
            "hostname": server.hostname or None,
            "replicationState": server.state,
            "replicationDirection": server.direction,
            "stagingStatus": staging["status"],
            "stagingAccountId": staging["stagingAccountID"],
            "stagingSourceServerArn": staging.get("stagingSourceServerArn"),
            "sourceAccountId": origin.get("originAccountID"),
            "sourceRegion": origin.get("originRegion"),
            "sourceAvailabilityZone": origin.get("originAvailabilityZone"),
            "sourceInstanceId": server.instance_id,
            "instanceState": self._instance_state(server),
            "instanceType": instance["instanceType"] if instance else None,
        }
        for name, expected in facts.items():
            self._report.check("server facts", f"server.{name}", server.where, expected, row.get(name))
        # An absent map of tags says the same as an empty one
        for name, tags in (("drsTags", server.tags), ("sourceTags", instance["tags"] if instance else {})):
            self._report.check("server facts", f"server.{name}", server.where, tags, row.get(name) or {})
        self._topology(server, row.get("topology") or {})

    def _instance_of(self, server: TrueServer) -> Item | None:
        """Return the machine behind a server; None where there is none, or it is none of the tenant's (R16)."""
        return self._truth.instance_of(server) if self._is_of_tenant(server) else None

    def _instance_state(self, server: TrueServer) -> str | None:
        if not server.instance_id:
            return "ON_PREMISES"
        if not self._is_of_tenant(server):
            return None  # nobody was asked
        return "FOUND" if self._truth.instance_of(server) else "NOT_FOUND"

    def _is_of_tenant(self, server: TrueServer) -> bool:
        """Return whether the account that DRS names as the machine's is one of the tenant of the server's."""
        claimed = self._fleet.tenant_of(str(server.origin.get("originAccountID")))
        return claimed is not None and claimed == self._fleet.tenant_of(server.place[0])

    def _topology(self, server: TrueServer, topology: Item) -> None:
        origin = server.origin
        known: dict[str, tuple[object, str]] = {
            "originalSourceRegion": (origin.get("originRegion"), "drs"),
            "originalAccountId": (origin.get("originAccountID"), "drs"),
            "originalAvailabilityZone": (origin.get("originAvailabilityZone"), "drs"),
            "originalReplicationRegion": (server.place[1], "first-seen"),
            "originalReplicationAccountId": (server.staging["stagingAccountID"], "first-seen"),
        }
        for name, (value, source) in known.items():
            expected = (value, source if value is not None else "unknown")
            learnt = topology.get(name) or {}
            found = (learnt.get("value"), learnt.get("source"))
            self._report.check("failback originals", f"topology.{name}", server.where, expected, found)
        learnt = topology.get("originalReplicationConfiguration") or {}
        complete = learnt.get("source") == "drs" and bool((learnt.get("value") or {}).get("replicatedDisks"))
        what = "topology.originalReplicationConfiguration"
        if server.extends:  # it has none of its own: the original's is shown for it
            nothing = complete or learnt.get("source") == "unknown"
            self._report.require(
                "failback originals", what, server.where, nothing, "the original's, or unknown", learnt
            )
            return
        self._report.require("failback originals", what, server.where, complete, "one from drs, with disks", learnt)

    def tombstones(self) -> None:
        """What was planted and is gone, and every dead row, is a tombstone with its failback originals (R4.3)."""
        gone = {(server.server_id, server.region) for server in self._fleet.servers} - self._living.keys()
        dead = {key for key, row in self._product.rows.items() if "deletedAt" in row}
        for key in sorted(gone | dead):
            row = self._product.rows.get(key) or {}
            kept = "deletedAt" in row and "scope" not in row and bool(row.get("topology"))
            where = "/".join(key)
            self._report.require("tombstones", "tombstone", where, kept, "deletedAt, topology, no scope", _brief(row))

    # --- R2: tags, in DRS itself ---

    def tags(self) -> None:
        """Every eligible server carries its instance's tags; no other was touched."""
        before = {(server.server_id, server.region): server.tags for server in self._fleet.servers}
        for key, server in self._living.items():
            expected = expected_tags(server, self._instance_of(server), before.get(key, {}))
            self._report.check("tags in DRS", "tags", server.where, expected, server.tags)

    # --- R3: extensions, in DRS itself, and refusals ---

    def extensions(self) -> None:
        """What is to be extended is, once; what cannot be is refused with the service's message; nothing else is."""
        made: Counter[tuple[str, str]] = Counter(
            (server.place[0], server.extends) for server in self._living.values() if server.extends
        )
        wanted: set[tuple[str, str]] = set()
        refused: dict[tuple[str, str], str] = {}
        for membership in self._fleet.memberships:
            for server in self._originals(membership.staging):
                target = (membership.target, server.arn)
                why = self._refusal(membership.target, server)
                if why:
                    refused[f"{membership.target}#{server.place[1]}", server.arn] = why
                if not why or server.extension_error:
                    wanted.add(target)
                    self._report.check("extensions", "extension", _into(target), 1, made[target])
        left = self._left_by_former()
        for target in made.keys() - wanted:
            most = int(target in left)
            self._report.require(
                "extensions", "unwanted extension", _into(target), made[target] <= most, most, made[target]
            )
        self._refusals(refused)

    def _left_by_former(self) -> set[tuple[str, str]]:
        """Return what may be extended still, by target and original, though the membership is over."""
        return {
            (former.target, server.arn)
            for former in self._fleet.former
            for server in self._truth.servers()
            if server.place[0] == former.staging
        }

    def _originals(self, staging_account: str) -> Iterator[TrueServer]:
        for server in self._living.values():
            if server.place[0] == staging_account and not server.extends and server.direction != "FAILBACK":
                yield server

    def _left_refusals(self) -> set[tuple[str, str]]:
        """Return the refusals, by target scope and original, that memberships may have left behind."""
        return {(f"{target}#{arn.split(':')[3]}", arn) for target, arn in self._left_by_former()}

    def _refusal(self, target: str, server: TrueServer) -> str | None:
        """Return what the service or somebody says against extending `server`, or None."""
        if (target, server.arn) in self._fleet.unextended:
            return f"was removed from {target}"
        if target not in self._truth.trusts.get(server.place[0], []):
            return f"does not trust account {target}"
        if server.default_ebs_key:
            return "default EBS encryption key"
        return server.extension_error

    def _refusals(self, expected: Mapping[tuple[str, str], str]) -> None:
        for key, message in expected.items():
            row = self._product.refusals.get(key)
            said = str((row or {}).get("message", ""))
            where = " of ".join(reversed(key))
            self._report.require("refusals", "staging-refusals", where, message in said, message, row and said)
        gone = {row.get("arn") for row in self._product.rows.values() if "deletedAt" in row}
        for key in self._product.refusals.keys() - expected.keys() - self._left_refusals():
            if key[1] in gone:
                continue  # of no consequence any more
            found = self._product.refusals[key]
            self._report.require("refusals", "needless refusal", " of ".join(reversed(key)), False, None, found)

    # --- R4.4, R5: scan records ---

    def scans(self) -> None:
        """Every scope has a scan record whose counts are true and whose state says how its last scan ended."""
        for place in self._fleet.scopes:
            where, scan = "/".join(place), self._product.scans.get(place)
            self._report.require("scan records", "scan record", where, scan is not None, "a record", None)
            if scan is None:
                continue
            for name, count in self._counts(place).items():
                self._report.check("scan records", f"scan.{name}", where, count, scan.get(name))
            self._report.check("scan records", "scan.state", where, self._state(place), scan.get("state"))
            self._success(place, where, scan)
        for place in self._product.scans.keys() - set(self._fleet.scopes):
            self._report.require("scan records", "needless scan record", "/".join(place), False, None, "a record")

    def _counts(self, place: Place) -> dict[str, int]:
        servers = self._truth.scope(place).servers
        return {
            "serverCount": len(servers),
            "replicatingCount": sum(server.state == "CONTINUOUS" for server in servers),
            "extendedCount": sum(server.extends is not None for server in servers),
        }

    def _state(self, place: Place) -> str:
        if place in self._failing:
            return self._failing[place].state
        scope = self._truth.scope(place)
        if not scope.opted_in:
            return "NOT_OPTED_IN"
        return "AVAILABLE" if scope.initialised else "UNINITIALIZED"

    def _success(self, place: Place, where: str, scan: Item) -> None:
        """`lastSuccess` is kept apart from `lastChecked`: a failed scan moves only the latter (R5.3, R5.4)."""
        checked, success = scan.get("lastChecked"), scan.get("lastSuccess")
        state = self._state(place)
        self._report.require("scan records", "scan.lastChecked", where, bool(checked), "a time", checked)
        if state == "AVAILABLE":
            self._report.check("scan records", "scan.lastSuccess", where, checked, success)
        elif state in FAILING:
            later = bool(success) and str(success) < str(checked)
            self._report.require("scan records", "scan.lastSuccess", where, later, f"before {checked}", success)
            said, message = str(scan.get("errorMessage", "")), self._failing[place].message
            self._report.require("scan records", "scan.errorMessage", where, message in said, message, said)
        elif state == "NOT_OPTED_IN":
            self._report.check("scan records", "scan.lastSuccess", where, None, success)

    # --- R5.2, R5.5: region status ---

    def regions(self) -> None:
        """Every region's row sums its accounts, and shows a failing account before a healthy one."""
        accounts = [account.account_id for account in self._fleet.of_kind(TARGET, STAGING)]
        for region in self._fleet.regions:
            row = self._product.regions.get(region)
            self._report.require("region status", "region status", region, row is not None, "a row", None)
            if row is not None:
                self._region(region, [(account, region) for account in accounts], row)
        for region in self._product.regions.keys() - set(self._fleet.regions):
            self._report.require("region status", "needless region status", region, False, None, "a row")

    def _region(self, region: str, places: list[Place], row: Item) -> None:
        counts = [self._counts(place) for place in places]
        sums = {
            "serverCount": sum(count["serverCount"] for count in counts),
            "replicatingCount": sum(count["replicatingCount"] for count in counts),
            "accounts": len(places),
            "activeAccounts": sum(count["serverCount"] > 0 for count in counts),
        }
        for name, expected in sums.items():
            self._report.check("region status", f"region.{name}", region, expected, row.get(name))
        states = {self._state(place) for place in places}
        shown = states & FAILING or states & {"AVAILABLE"} or states & UNUSED
        found = row.get("status")
        self._report.require("region status", "region.status", region, found in shown, sorted(shown), found)
        messages = {self._failing[place].message for place in places if place in self._failing}
        if messages:
            said = str(row.get("errorMessage", ""))
            told = any(message in said for message in messages)
            self._report.require("region status", "region.errorMessage", region, told, sorted(messages), said)

    # --- R10, R12: the API ---

    def api(self) -> None:
        """`GET /regions` gives the table's rows, as of the cache's time; `GET /servers` gives every server once."""
        answer = self._product.regions_answer
        rows = {row["region"]: row for row in answer["regions"]}
        self._report.check("API", "GET /regions", "regions", sorted(self._product.regions), sorted(rows))
        cached = _epoch(answer["asOf"])
        fresh = self._product.answered - cached < CACHE_SECONDS + 1
        self._report.require("API", "GET /regions", "asOf", fresh, f"at most {CACHE_SECONDS} s old", answer["asOf"])
        for region in rows.keys() & self._product.regions.keys():
            self._region_answer(region, rows[region], cached)
        self._server_answers()

    def _region_answer(self, region: str, answered: Item, cached: float) -> None:
        row = self._product.regions[region]
        expected = {name: row.get(name) for name in SHOWN} | {"active": row["serverCount"] > 0}
        found = {name: answered.get(name) for name in expected}
        scans = [scan for place, scan in self._product.scans.items() if place[1] == region]
        settled = max((_epoch(scan["lastChecked"]) for scan in scans), default=0.0) + CHANGE_SECONDS
        same = cached < settled or _plain(expected) == found
        self._report.require("API", "GET /regions", region, same, _plain(expected), found)

    def _server_answers(self) -> None:
        listed = Counter(
            (server["sourceServerID"], server["replicationRegion"]) for server in self._product.servers_answer
        )
        for key in self._living.keys() | listed.keys():
            self._report.check("API", "GET /servers", "/".join(key), int(key in self._living), listed[key])
        for answered in self._product.servers_answer:
            row = self._product.rows.get(_key(answered))
            for name in ("hostname", "accountId", "replicationState", "sourceAccountId", "sourceTags", "drsTags"):
                expected, found = (row or {}).get(name), answered.get(name)
                self._report.check("API", f"GET /servers {name}", _where(answered), expected or None, found or None)


def _key(item: Item) -> ServerKey:
    return item["sourceServerID"], item["replicationRegion"]


def _where(row: Item) -> str:
    return f"{row.get('accountId')}/{row['replicationRegion']}/{row['sourceServerID']} ({row.get('hostname')})"


def _into(target: tuple[str, str]) -> str:
    return f"{target[1]} into {target[0]}"


def _brief(row: Item | None) -> object:
    """Return what of a row tells which one it is."""
    told = ("accountId", "hostname", "scope", "deletedAt")
    return row and {name: row[name] for name in told if name in row}


def _epoch(moment: str) -> float:
    """Return an ISO 8601 time in epoch seconds."""
    return datetime.fromisoformat(moment).timestamp()


def _plain(value: Any) -> Any:
    """Return `value` with DynamoDB's numbers as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return int(value) if hasattr(value, "to_integral_value") else value

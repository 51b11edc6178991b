"""The demo's story in six steps, each verified against the fleet's own truth."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sandbox.cloud.client import SandboxCloud
from sandbox.demo import counting, failback
from sandbox.demo.counting import Measured, Verdict
from sandbox.demo.display import Display
from sandbox.demo.driving import FAILURE_QUEUES, INVENTORY, STAGING, TAGS, Driver, StepError, until
from sandbox.fleet.evidence import Item, read_truth
from sandbox.fleet.generator import arrivals
from sandbox.fleet.model import Fleet, Place
from sandbox.fleet.planting import plant_servers
from sandbox.fleet.truth import Failing, Report, compare
from sandbox.fleet.waiting import queued, settle

WORKERS = str(2 * (os.cpu_count() or 1))
"""More warm workers than the machine can feed start slower than they work."""
PARAMETERS = {
    "InventoryConcurrency": WORKERS,
    "TagsConcurrency": WORKERS,
    "StagingConcurrency": WORKERS,
    "EnableInventorySync": "false",
    "EnableTagSync": "false",
    "EnableStagingAccountSync": "false",
    "InventoryIntervalMinutes": "1",
    "ProbeIntervalMinutes": "4",
}
"""The stack's parameters for the demo: schedules off at first; short intervals, so that idle scopes are probed within
two to four minutes, behind the second cycle and in time for the fourth step."""

CYCLE_SECONDS = 180.0
DUE_SECONDS = 240.0
REST_SECONDS = 120.0
TRUTH_SECONDS = 20.0
ARRIVALS = 50
SHOWN_DIFFERENCES = 20
SERVICES = ("drs", "ec2", "sts")


class Outcome(NamedTuple):
    """What came of a step."""

    step: str
    seconds: float
    checked: int
    wrong: int
    figures: str


class Story:
    """Tells the story on one cloud with one planted fleet."""

    def __init__(self, fleet: Fleet, cloud: SandboxCloud, display: Display) -> None:
        self._fleet = fleet
        self._cloud = cloud
        self._display = display
        self._driver = Driver(cloud)
        self._assumed = 0
        self._workers: dict[str, set[int]] = {}
        self._first_cycle = 0
        self._checked = 0
        self._wrong = 0

    def tell(self) -> list[Outcome]:
        """Go through the steps and return what came of each; a step that gets stuck ends the story."""
        steps: Sequence[tuple[str, Callable[[], str]]] = (
            ("Empty tables: the first cycle scans everything, once", self._first),
            ("Inventory, status and counts complete; tags synced; staging servers extended", self._complete),
            ("Second cycle, nothing changed; the schedule fires by itself", self._second),
            (f"{ARRIVALS} servers appear in a region that nobody used", self._arrive),
            ("One account is throttled in one region, another region fails", self._fail),
            ("Disaster: drill, recovery, reversal, deletion; the way back is known", self._fail_back),
        )
        outcomes = []
        for number, (title, step) in enumerate(steps, 1):
            self._display.step(number, title)
            self._checked = self._wrong = 0
            started = time.monotonic()
            figures = ""
            try:
                figures = step()
            except Exception as error:
                self._bad(f"{type(error).__name__}: {error}")
            outcomes.append(Outcome(title, time.monotonic() - started, self._checked, self._wrong, figures))
            if not figures:
                break
        return outcomes

    # --- 1 ---

    def _first(self) -> str:
        self._require("inventory and region status are empty", not self._known_rows())
        self._driver.cloud.reset_calls()
        run = self._driver.start(INVENTORY)
        report = self._finish(run, "first cycle")
        scopes = len(self._fleet.scopes)
        self._require(f"planned are all {scopes} scopes, by falling back", _plan(run) == ("fallback", scopes))
        self._require("no scope failed", report["failed"] == 0)
        measured = self._measured()
        self._judge(counting.first_cycle(measured, self._fleet, read_truth(self._cloud)))
        self._first_cycle = sum(map(measured.total, SERVICES))
        planted = len(self._fleet.servers)
        return (
            f"{scopes} scopes scanned, {planted:,} servers, {self._first_cycle:,} calls to customers' accounts by then"
        )

    # --- 2 ---

    def _complete(self) -> str:
        self._settle("tags and extensions follow")
        # A staging tick after the extensions were scanned: it reports those that DRS made with an error
        self._finish(self._driver.start(STAGING), "staging tick")
        self._settle("staging tick")
        self._verify()
        self._show_inventory()
        truth = read_truth(self._cloud)
        servers = list(truth.servers())
        extended = sum(server.extends is not None for server in servers)
        return f"{len(servers):,} servers listed, {extended:,} of them extensions, every tag in place"

    def _show_inventory(self) -> None:
        truth = read_truth(self._cloud)
        planted: Counter[str] = Counter(server.account_id for server in self._fleet.servers)
        rows = []
        for account in self._fleet.accounts:
            servers = [server for server in truth.servers() if server.place[0] == account.account_id]
            states = Counter(server.state for server in servers)
            extended = sum(server.extends is not None for server in servers)
            tagged = sum(bool(server.tags) for server in servers)
            counts = (planted[account.account_id], len(servers), extended, states["CONTINUOUS"], tagged)
            rows.append((account.name, account.account_id, *counts))
        headings = ("account", "ID", "planted", "now", "extensions", "continuous", "with tags")
        self._display.table(headings, [row for row in rows if row[3]])

    # --- 3 ---

    def _second(self) -> str:
        quiet = self._writers_have_nothing_to_do()
        before = {run["runId"] for run in self._driver.scheduled_runs()}
        self._measure_from_here()
        self._driver.switch_schedule(on=True)
        run = self._fired(before)
        self._driver.switch_schedule(on=False)
        report = self._finish(run, "second cycle")
        self._settle("second cycle")
        measured = self._measured()
        planned = [(scope["accountId"], scope["region"]) for scope in report["scopes"]]
        self._require("every active scope was due", self._active_scopes() <= set(planned))
        self._judge(counting.quiet_inventory_cycle(measured, planned, read_truth(self._cloud)))
        self._judge([counting.own_count(report["calls"], measured)])
        self._see_workers()
        self._judge([counting.assumed_roles(self._assumed_roles(), self._workers, self._fleet)])
        self._verify()
        calls = sum(map(measured.total, SERVICES))
        return self._show_reduction(run, measured, calls, quiet)

    def _fired(self, before: set[str]) -> Item:
        """Wait until the schedule has planned a run by itself, and return it.

        Its interval begins when it is switched on, and is that of the scopes: all of them are due when it fires.
        """
        found: list[Item] = []

        def fired() -> bool:
            found[:] = [run for run in self._driver.scheduled_runs() if run["runId"] not in before]
            return bool(found)

        with self._display.progress("until the schedule fires (rate: 1 minute)") as update:
            started = time.monotonic()

            def watched() -> bool:
                update(time.monotonic() - started, 60, f"{time.monotonic() - started:.0f} s")
                return fired()

            until(watched, DUE_SECONDS, lambda: "the inventory schedule has planned no run")
        self._good(f"the schedule fired by itself and planned {int(found[0]['plannedScopes'])} scopes")
        return found[0]

    def _writers_have_nothing_to_do(self) -> Measured:
        self._measure_from_here()
        runs = [self._driver.start(operation) for operation in (TAGS, STAGING)]
        for run in runs:
            self._finish(run, f"{run['kind']} with nothing to do")
        self._settle("tags and staging with nothing to do")
        measured = self._measured()
        planned = sum(run["plannedScopes"] for run in runs)
        self._judge(counting.quiet_writer_cycle(measured, planned), prefix="tags and staging: ")
        return measured

    def _show_reduction(self, run: Item, measured: Measured, calls: int, quiet: Measured) -> str:
        probes, everything = int(run["probes"]), len(self._fleet.scopes)
        active = int(run["plannedScopes"]) - probes
        reduction = 100 * (1 - active / everything)
        fewer = 100 * (1 - calls / self._first_cycle) if self._first_cycle else 0.0
        self._display.table(
            ("second cycle", "figure"),
            [
                ("active scopes scanned, of accounts x regions", f"{active} of {everything}: {reduction:.1f} % fewer"),
                ("idle scopes probed, counted apart", str(probes)),
                ("regions skipped by the filter", f"{int(run['regionsSkipped'])} of {len(self._fleet.regions)}"),
                *((f"calls {name}", count) for name, count in measured.by_operation(*SERVICES).items()),
                ("calls against the first cycle", f"{fewer:.1f} % fewer"),
                *((f"items {name.removesuffix('TableName')}", n) for name, n in measured.written.items() if n),
                ("items of the tag and staging cycles", sum(quiet.written.values())),
            ],
        )
        return f"{active} of {everything} scopes ({reduction:.1f} % fewer) and {probes} probes; no inventory write"

    # --- 4 ---

    def _arrive(self) -> str:
        place, target, due = self._unused_place()
        servers, instances = arrivals(self._fleet, place, ARRIVALS, seed=4)
        plant_servers(self._cloud, servers, instances)
        self._fleet = self._fleet.with_more(servers, instances)
        self._display.line(f"  {ARRIVALS} servers appear in staging account {place[0]} in {place[1]}")
        before = {run["runId"] for run in self._driver.scheduled_runs()}
        with self._display.progress("until the probe is due") as update:

            def probed() -> bool:
                update(0, None, f"{max(0.0, due - time.time()):.0f} s")
                return time.time() >= due

            until(probed, DUE_SECONDS, lambda: "the idle scope is not due")
        self._driver.tick()
        found, extended, tagged = self._follow(place, (target, place[1]))
        run = next(run for run in self._driver.scheduled_runs() if run["runId"] not in before)
        self._settle("arrivals")
        self._verify()
        since = f"{extended:.1f} s to extended, {tagged:.1f} s to tagged"
        rows = [
            ("tick to found by its probe", f"{found:.1f} s"),
            ("found to all extended", f"{extended:.1f} s"),
            ("found to all tagged, extensions too", f"{tagged:.1f} s"),
            ("scopes planned by that tick, probes among them", f"{int(run['plannedScopes'])}, {int(run['probes'])}"),
        ]
        self._display.table(("arrivals", "time"), rows)
        return f"{ARRIVALS} servers: {since}, after the scan that found them"

    def _unused_place(self) -> tuple[Place, str, int]:
        """Return an idle scope in an unused region whose probe comes due first, its target, and when that is."""
        targets = {member.staging: member.target for member in self._fleet.memberships if member.trusted}
        times = self._driver.due_times(probes=True)
        idle = [place for place in times if place[0] in targets and place[1] in self._fleet.unused_regions]
        if not idle:
            raise StepError("the fleet has no unused region that its staging accounts have initialised")
        place = min(idle, key=lambda place: times[place])
        return place, targets[place[0]], times[place]

    def _follow(self, place: Place, target: Place) -> tuple[float, float, float]:
        """Watch the arrivals: return the seconds from tick to found, and from found to extended and to tagged."""
        moments = {"tick": time.monotonic()}
        with self._display.progress("found, extended, tagged") as update:

            def followed() -> bool:
                counted = self._arrived(place, target)
                for name, count in counted.items():
                    if count >= ARRIVALS * (2 if name == "tagged" else 1):
                        moments.setdefault(name, time.monotonic())
                note = ", ".join(f"{count} {name}" for name, count in counted.items())
                update(sum(counted.values()), 4 * ARRIVALS, note)
                return len(moments) == 4

            until(followed, CYCLE_SECONDS, lambda: f"{self._arrived(place, target)} of {ARRIVALS} arrivals")
        found = moments["found"]
        return found - moments["tick"], moments["extended"] - found, moments["tagged"] - found

    def _arrived(self, place: Place, target: Place) -> dict[str, int]:
        originals, extensions = self._driver.tags_of(place), self._driver.tags_of(target)
        return {
            "found": int(self._driver.scan_record(place).get("serverCount", 0)),
            "extended": sum(arn is not None for arn, _ in extensions.values()),
            "tagged": sum("Name" in tags for _, tags in (*originals.values(), *extensions.values())),
        }

    # --- 5 ---

    def _fail(self) -> str:
        throttled, failing = self._victims()
        self._driver.fail(
            [
                {"service": "drs", "account": throttled[0], "region": throttled[1], "error": "ThrottlingException"},
                {"service": "drs", "region": failing, "error": "InternalServerException"},
            ]
        )
        self._display.line(f"  throttled: {throttled[0]} in {throttled[1]}; failing for everybody: {failing}")
        self._finish(self._driver.start(INVENTORY), "cycle with faults")
        self._settle("cycle with faults")
        expected = {place: Failing("ERROR", "InternalServerException") for place in self._active_in(failing)}
        expected[throttled] = Failing("THROTTLED", "ThrottlingException")
        self._verify(expected)
        self._show_regions({throttled[1], failing})
        self._require("both regions are still active", {throttled[1], failing} <= self._active_regions())
        self._driver.heal()
        self._finish(self._driver.start(INVENTORY), "cycle after the faults")
        self._settle("cycle after the faults")
        self._verify()
        self._show_regions({throttled[1], failing})
        return f"{len(expected)} scopes failed, nothing disappeared, all current again"

    def _victims(self) -> tuple[Place, str]:
        """Return a scope to throttle, in a region that several accounts use, and another region to fail."""
        accounts = Counter(region for _, region in self._active_scopes())
        regions = sorted(accounts, key=lambda region: (-accounts[region], region))
        throttled = min(place for place in self._active_scopes() if place[1] == regions[0])
        return throttled, regions[1]

    def _active_scopes(self) -> set[Place]:
        return {server.place for server in read_truth(self._cloud).servers()}

    def _active_in(self, region: str) -> list[Place]:
        return sorted(place for place in self._active_scopes() if place[1] == region)

    def _active_regions(self) -> set[str]:
        return {row["region"] for row in self._status_rows() if row["serverCount"]}

    def _show_regions(self, regions: set[str]) -> None:
        rows = [
            (row["region"], row["status"], int(row["serverCount"]), str(row.get("errorMessage", ""))[:70])
            for row in sorted(self._status_rows(), key=lambda row: str(row["region"]))
            if row["region"] in regions
        ]
        self._display.table(("region", "status", "servers", "message"), rows)

    # --- 6 ---

    def _fail_back(self) -> str:
        machine = failback.machine_of(self._fleet)
        plant_servers(self._cloud, [machine.server], [machine.instance])
        self._fleet = self._fleet.with_more([machine.server], [machine.instance])
        played = failback.play(self._cloud, self._driver, machine, lambda line: self._display.line(f"  {line}"))
        for text, holds in failback.findings(played):
            self._require(text, holds)
        self._settle("failback")
        self._verify()
        command = str(next(iter(played.answers.values()))["failbackCommand"])
        self._display.line(f"  {command}")
        return f"origin {machine.account_id} in {machine.home}, whichever record is asked for"

    # --- what all steps share ---

    def _known_rows(self) -> int:
        return len(self._status_rows()) + len(self._rows("InventoryTableName"))

    def _status_rows(self) -> list[Item]:
        return self._rows("RegionStatusTableName")

    def _rows(self, output: str) -> list[Item]:
        return list(self._driver.items(output))

    def _finish(self, run: Item, what: str) -> Item:
        """Wait for the end of a run, and show its progress."""
        with self._display.progress(what) as update:

            def watch(progress: Item) -> None:
                done, total = progress["done"], progress["done"] + progress["waiting"]
                servers = progress["counts"].get("servers", 0)
                update(done, total, f"{done} of {total} scopes, {servers:,} servers")

            report = self._driver.finish(run["runId"], CYCLE_SECONDS, watch)
        self._see_workers()
        return report

    def _settle(self, what: str) -> None:
        """Wait until nothing is under way any more."""
        with self._display.progress(f"until all is done: {what}") as update:

            def watch(left: dict[str, int]) -> None:
                update(0, None, ", ".join(f"{count} {name}" for name, count in sorted(left.items())) or "quiet")

            settle(self._cloud, REST_SECONDS, watch)

    def _verify(self, failing: Mapping[Place, Failing] | None = None) -> None:
        """Compare with the truth; what is on its way still may arrive."""
        deadline = time.monotonic() + TRUTH_SECONDS
        with self._display.progress("comparing with the truth") as update:
            update(0, None, "")
            report = compare(self._fleet, self._cloud, failing)
        while not report.ok and time.monotonic() < deadline:
            self._settle("truth")
            report = compare(self._fleet, self._cloud, failing)
        self._tell(report)
        lost = queued(self._cloud, FAILURE_QUEUES)
        self._require("the dead-letter queues are empty", lost == 0)

    def _tell(self, report: Report) -> None:
        self._checked += report.checked.total()
        if report.ok:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.checked.items())
            self._display.good(f"{report.checked.total():,} comparisons with the truth, no difference ({kinds})")
            return
        self._wrong += len(report.differences)
        self._display.bad(f"{len(report.differences)} differences from the truth")
        for difference in report.differences[:SHOWN_DIFFERENCES]:
            self._display.bad(str(difference))

    def _judge(self, verdicts: Iterable[Verdict], prefix: str = "") -> None:
        for verdict in verdicts:
            text = f"{prefix}{verdict.what}: {verdict.found} (allowed: {verdict.allowed})"
            self._require(text, verdict.holds)

    def _require(self, text: str, holds: bool) -> None:
        if holds:
            self._good(text)
        else:
            self._bad(text)

    def _good(self, text: str) -> None:
        self._checked += 1
        self._display.good(text)

    def _bad(self, text: str) -> None:
        self._checked += 1
        self._wrong += 1
        self._display.bad(text)

    def _measure_from_here(self) -> None:
        self._assumed = self._assumed_roles()
        self._cloud.reset_calls()

    def _measured(self) -> Measured:
        tables = self._cloud.tables()
        stack = self._cloud.outputs.stack
        names = [output for output in stack if output.endswith("TableName")]
        return Measured(self._cloud.calls(), {output: tables.get(stack[output], 0) for output in names})

    def _assumed_roles(self) -> int:
        """Return how often a role was assumed since the start, over all resets of the counters."""
        now: int = sum(call["calls"] for call in self._cloud.calls("sts"))
        return self._assumed + now

    def _see_workers(self) -> None:
        """Remember every warm worker ever seen: an idle one may be gone when its calls are judged."""
        for name, processes in self._driver.workers().items():
            self._workers.setdefault(name, set()).update(processes)


def _plan(run: Item) -> tuple[str, int]:
    return run["mode"], run["plannedScopes"]

"""Computes the table of docs/scaling.md, or checks that the committed one is up to date.

    python -m scripts.scaling docs/scaling.md
    python -m scripts.scaling --check docs/scaling.md

Every number here is named in that document: measured, counted from the code, or a list price.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

HOURS = 730  # of a month
BEGIN, END = "<!-- computed by scripts/scaling.py -->", "<!-- end -->"

# List prices of AWS, us-east-1, in dollars
GB_SECOND, INVOCATION = 0.0000166667, 0.20e-6  # Lambda, x86
WRITE_UNIT, READ_UNIT = 0.625e-6, 0.125e-6  # DynamoDB on demand
STORED_GB = 0.25 + 0.20  # DynamoDB, with point-in-time recovery
QUEUE_REQUEST = 0.40e-6  # SQS standard
LOGGED_GB = 0.50  # CloudWatch Logs
METRIC = 0.30  # CloudWatch, of one's own

# The product
REGIONS, ACTIVE = 34, 3
PAGE = 200  # servers of one DescribeSourceServers, and instances of one DescribeInstances
WORKERS, TIMEOUT, INTERVAL = 16, 300, 900  # of the inventory; seconds
MEMORY_GB = 0.5
CPU_SHARE = 512 / 1769  # of a virtual CPU
CPU_SECONDS = 0.1  # of a quiet scan of 100 servers, measured
CALL_SECONDS = 0.1  # of DRS and EC2
TABLE_SECONDS = 0.08  # of a scan's nine requests to DynamoDB
TELEMETRY_BYTES, ROW_BYTES, SCAN_BYTES = 70, 2048, 300
COPIES = 5  # of a row: the table and four indexes
BATCH = 5  # messages of an invocation
STREAM_BATCHES_PER_SECOND = 1  # one shard, a window of a second
MEAN_PROBE_HOURS = 4.5
PROBE_SECONDS = 0.4
LOG_BYTES = 1500  # of one piece of work
METRICS = 60


@dataclass(frozen=True)
class Fleet:
    """A fleet: accounts, each active in three regions, with so many servers in each of these."""

    name: str
    accounts: int
    servers_per_scope: int = 100

    @property
    def scopes(self) -> int:
        """Active (account, region) pairs."""
        return self.accounts * ACTIVE

    @property
    def servers(self) -> int:
        """Servers."""
        return self.scopes * self.servers_per_scope

    @property
    def scans(self) -> float:
        """Inventory scans of active scopes a month."""
        return self.scopes * HOURS * 3600 / INTERVAL

    @property
    def probes(self) -> float:
        """Looks at idle scopes a month."""
        return self.accounts * (REGIONS - ACTIVE) * HOURS / MEAN_PROBE_HOURS

    @property
    def other_work(self) -> float:
        """Tag and staging work a month that finds nothing to do."""
        return self.scopes * HOURS * (1 + 12)

    @property
    def pages(self) -> int:
        """Pages of a scope's servers."""
        return ceil(self.servers_per_scope / PAGE)

    @property
    def calls(self) -> int:
        """DRS and EC2 calls of a quiet cycle."""
        return self.scopes * 2 * self.pages

    @property
    def scan_seconds(self) -> float:
        """Seconds of a quiet scan in a warm worker."""
        cpu = CPU_SECONDS * self.servers_per_scope / 100 / CPU_SHARE
        return cpu + 2 * self.pages * CALL_SECONDS + TABLE_SECONDS

    @property
    def cycle_seconds(self) -> float:
        """Seconds of a quiet cycle, probes included."""
        probes = self.probes / (HOURS * 3600 / INTERVAL)
        return (self.scopes * self.scan_seconds + probes * PROBE_SECONDS) / WORKERS

    @property
    def write_units(self) -> float:
        """Write units a month: a transaction counts double; a work item is written three times, with its index."""
        work_item = 3 * (1 + 2)
        scan = 2 * (1 + 1 + ceil(self.servers_per_scope * TELEMETRY_BYTES / 1024)) + work_item
        probe = 2 * 2 + work_item
        return self.scans * scan + self.probes * probe + self.other_work * work_item

    @property
    def region_batches(self) -> float:
        """Regions in the stream's batches a month: the handler reads each one's status row, and folds none (ADR 37)."""
        records = self.scans + self.probes
        per_cycle = max(1.0, min(records / (HOURS * 3600 / INTERVAL), self.cycle_seconds * STREAM_BATCHES_PER_SECOND))
        batches = per_cycle * HOURS * 3600 / INTERVAL
        return min(records, batches * REGIONS)

    @property
    def read_units(self) -> float:
        """Read units a month; a quiet batch reads the status row of each of its regions."""
        telemetry = ceil(self.servers_per_scope * TELEMETRY_BYTES / 4096)
        work = self.scans * (3 + telemetry) + self.probes * 3 + self.other_work * (3 + telemetry)
        return work + self.region_batches

    @property
    def stored_gb(self) -> float:
        """Gigabytes of all tables and indexes."""
        return (self.servers * (ROW_BYTES * COPIES + TELEMETRY_BYTES) + self.accounts * REGIONS * 800) / 1e9

    @property
    def gb_seconds(self) -> float:
        """GB-seconds of Lambda a month."""
        seconds = self.scans * self.scan_seconds + self.probes * PROBE_SECONDS + self.other_work * 0.15
        return (seconds + self.region_batches * 0.02) * MEMORY_GB

    @property
    def pieces(self) -> float:
        """Pieces of work a month: each is one message."""
        return self.scans + self.probes + self.other_work

    def dollars(self) -> dict[str, float]:
        """Return the dollars of a month, by service."""
        polling = 3 * 5 * 3 * 60 * HOURS  # three queues, five pollers each, a long poll every 20 s
        return {
            "Lambda": self.gb_seconds * GB_SECOND + self.pieces / BATCH * INVOCATION,
            "DynamoDB writes": self.write_units * WRITE_UNIT,
            "DynamoDB reads": self.read_units * READ_UNIT,
            "DynamoDB storage": self.stored_gb * STORED_GB,
            "SQS": (self.pieces * (0.1 + 0.2 + 0.2) + polling) * QUEUE_REQUEST,
            "CloudWatch": self.pieces * LOG_BYTES / 1e9 * LOGGED_GB + METRICS * METRIC,
        }


FLEETS = (
    Fleet("F", 12),
    Fleet("M", 50),
    Fleet("L", 300),
    Fleet("1,000 accounts", 1000),
    Fleet("1,000,000 servers", 1000, 334),
)


def table() -> str:
    """Return the table of all fleets, in Markdown."""
    rows: list[tuple[str, Callable[[Fleet], float], str]] = [
        ("accounts", lambda fleet: fleet.accounts, ",.0f"),
        ("active scopes", lambda fleet: fleet.scopes, ",.0f"),
        ("servers", lambda fleet: fleet.servers, ",.0f"),
        ("DRS and EC2 calls of a quiet cycle", lambda fleet: fleet.calls, ",.0f"),
        ("seconds of a scan", lambda fleet: fleet.scan_seconds, ".2f"),
        (f"seconds of a cycle, {WORKERS} workers", lambda fleet: fleet.cycle_seconds, ",.0f"),
        ("million write units a month", lambda fleet: fleet.write_units / 1e6, ",.1f"),
        ("million read units a month", lambda fleet: fleet.read_units / 1e6, ",.1f"),
        ("thousand GB-seconds a month", lambda fleet: fleet.gb_seconds / 1e3, ",.0f"),
        ("GB stored", lambda fleet: fleet.stored_gb, ",.2f"),
        *((f"$ {name}", lambda fleet, name=name: fleet.dollars()[name], ",.2f") for name in FLEETS[0].dollars()),
        ("**$ a month**", lambda fleet: sum(fleet.dollars().values()), ",.2f"),
        ("$ per server and month", lambda fleet: sum(fleet.dollars().values()) / fleet.servers, ".4f"),
    ]
    lines = [
        f"| | {' | '.join(fleet.name for fleet in FLEETS)} |",
        "|---|" + "--:|" * len(FLEETS),
        *(f"| {name} | {' | '.join(format(value(fleet), style) for fleet in FLEETS)} |" for name, value, style in rows),
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the table into the given document; with `--check`, only compare: 1 where it differs."""
    path = Path(arguments[-1])
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" not in arguments:
        path.write_text(wanted)
        return 0
    if text == wanted:
        return 0
    sys.stderr.write(f"{path} is out of date: run `python -m scripts.scaling {path}`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

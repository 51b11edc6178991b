"""Items written, as DynamoDB counts them: by table, when nothing changed and when something did."""

from benchmarks import story
from benchmarks.context import Context
from benchmarks.figures import Figure, at_most
from benchmarks.fleets import SMALL as SMALL_FLEET
from benchmarks.fleets import F, Fleet
from chalicelib.adapters.aws_regions import drs_regions

TITLE = "Items written"
SMALL = True
KEYS = ("writes.steady.per_scope", "writes.steady.all_tables", "writes.change.per_server")
INVENTORY, SCANS, TELEMETRY = "source-server-inventory", "account-region-status", "scope-telemetry"
HOW = "members of transactions and batches count, condition checks do not; fleet {}"


def run(context: Context) -> dict[str, Figure]:
    """Return the items per scope, and per changed server."""
    shape = SMALL_FLEET if context.small else F
    phases, how = context.once(story.growing, shape), HOW.format(shape.name)
    scopes = Fleet(shape, drs_regions()).active_scopes
    steady = phases[f"inventory.steady.{story.PAIRS - 1}"].written
    changed = phases["change.servers"].written
    servers = scopes * story.CHANGED_PER_SCOPE
    scanned = sum(steady.get(table, 0) for table in (INVENTORY, SCANS, TELEMETRY))
    by_scope = {table: number / scopes for table, number in steady.items()}
    more = sum(changed.values()) - sum(steady.values())
    rows = changed.get(INVENTORY, 0) / servers
    return {
        "writes.steady.per_scope": Figure(
            scanned / scopes,
            "items per scope and cycle",
            f"inventory, scan and telemetry tables, nothing changed; {how}",
            at_most(2.1),
            by_scope,
        ),
        "writes.steady.all_tables": Figure(
            sum(steady.values()) / scopes,
            "items per scope and cycle",
            f"with work-state (claim, take, finish), runs and region status; {how}",
            details=by_scope,
        ),
        "writes.change.per_server": Figure(
            rows,
            "items per changed server",
            f"EC2 tags of {servers} servers changed: the row when the scan finds it, the row when DRS has the tags;"
            f" inventory table; {how}",
            at_most(2),
            {"changed servers": servers, "by table": changed, "over a quiet cycle, all tables": more / servers},
        ),
        "writes.change.afterwards": Figure(
            phases["change.afterwards"].written.get(INVENTORY, 0),
            "rows",
            "rows written by the cycle after the change: nothing is left to write",
            at_most(0),
        ),
    }

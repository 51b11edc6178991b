"""Calls to DRS and EC2 over the theoretical minimum of the fleet, and AssumeRole apart."""

from benchmarks import minimum, story
from benchmarks.context import Context
from benchmarks.figures import Figure, at_most, exactly
from benchmarks.fleets import SMALL as SMALL_FLEET
from benchmarks.fleets import F, Fleet
from chalicelib.adapters.aws_regions import drs_regions

TITLE = "Calls over the minimum"
SMALL = True
KEYS = (
    "calls.inventory.first.ratio",
    "calls.inventory.steady.ratio",
    "calls.inventory.assume_role",
    "calls.tags.first.ratio",
    "calls.tags.steady",
    "calls.staging.first.ratio",
    "calls.staging.steady",
)
CONFIGURATION = "drs:GetReplicationConfiguration"
HOW = "by the simulators' own counts, DRS and EC2, on fleet {}; the minimum by formula (benchmarks/minimum.py)"


def run(context: Context) -> dict[str, Figure]:
    """Return the ratios on fleet F, or the small one."""
    shape = SMALL_FLEET if context.small else F
    fleet, phases = Fleet(shape, drs_regions()), context.once(story.growing, shape)
    how = HOW.format(shape.name)

    def ratio(phase: str, least: float, most: float) -> Figure:
        calls = phases[phase].of("drs", "ec2", without=(CONFIGURATION,))
        details = {"calls": calls, "minimum": least, "by operation": phases[phase].calls}
        return Figure(calls / least, "x the minimum", how, at_most(most), details)

    first, last = phases["inventory.first"], f"inventory.steady.{story.PAIRS - 1}"
    targets = sum(account.target is None for account in fleet.accounts)
    roles = 2 * shape.accounts + targets  # inventory and tag workers enter every account, staging workers the targets
    assumed = sum(phase.calls.get("sts:AssumeRole", 0) for phase in phases.values())
    return {
        "calls.inventory.first.ratio": ratio("inventory.first", minimum.inventory_first(fleet), 1.10),
        "calls.inventory.first.configurations": Figure(
            first.calls[CONFIGURATION] / (fleet.active_scopes * shape.servers_per_scope),
            "per new server",
            "GetReplicationConfiguration, which captures the originals for the way back; counted apart",
            exactly(1),
        ),
        "calls.inventory.steady.ratio": ratio(last, minimum.inventory_steady(fleet), 1.10),
        "calls.inventory.assume_role": Figure(
            assumed / roles,
            "per account, role and worker",
            "AssumeRole in all phases together, with one warm worker of each kind",
            at_most(1),
            {"AssumeRole": assumed, "accounts, roles and workers": roles},
        ),
        "calls.tags.first.ratio": ratio("tags.first", minimum.tags_first(fleet), 1.05),
        "calls.tags.steady": Figure(phases["tags.steady"].of("drs", "ec2"), "calls", how, exactly(0)),
        "calls.staging.first.ratio": ratio("staging.first", minimum.staging_first(fleet), 1.05),
        "calls.staging.steady": Figure(phases["staging.steady"].of("drs", "ec2"), "calls", how, exactly(0)),
    }

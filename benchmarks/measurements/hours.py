"""All calls of one hour of schedules, against the same hour by a scan of every region."""

from benchmarks import minimum, plots, story
from benchmarks.context import Context
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.fleets import SMALL as SMALL_FLEET
from benchmarks.fleets import Fleet, M
from chalicelib.adapters.aws_regions import drs_regions

TITLE = "One hour of schedules"
SMALL = True
KEYS = ("calls.cycle_hour.reduction", "calls.cycle_hour.ratio")
HOW = (
    "4 inventory, 12 staging and 1 tag cycles on fleet {}, nothing changing; DRS and EC2, STS apart. Probes: idle"
    " scopes over the mean interval that the product set, each one call (all of them are run and counted afterwards)"
)


def run(context: Context) -> dict[str, Figure]:
    """Return by how much calls are fewer, and how many they are over the minimum."""
    shape = SMALL_FLEET._replace(extended=True) if context.small else M
    fleet, phases = Fleet(shape, drs_regions()), context.once(story.passing, shape, not context.small)
    how = HOW.format(shape.name)
    interval, probes = phases["probe.interval"].seconds, phases["probes"]
    looks = probes.of("drs") - fleet.active_scopes
    an_hour = looks / max(1, probes.messages) * minimum.idle_scopes(fleet) * 3600 / interval
    cycles = phases["hour"].of("drs", "ec2")
    peer = {name: phases[f"peer.{name}"].of("drs", "ec2") for name in minimum.CYCLES}
    before = sum(peer[name] * times for name, times in minimum.CYCLES.items())
    ours, least = cycles + an_hour, minimum.hour(fleet)
    details = {
        "cycles": cycles,
        "probes an hour": an_hour,
        "calls per probe": looks / max(1, probes.messages),
        "mean probe interval, s": interval,
        "full scan, by cycle": peer,
        "full scan, hour": before,
        "minimum": least,
        "AssumeRole in the hour": phases["hour"].calls.get("sts:AssumeRole", 0),
    }
    plots.hour(context.out, shape.name, {"every region": before, "this product": ours, "minimum": least})
    return {
        "calls.cycle_hour.reduction": Figure(1 - ours / before, "of the calls", how, at_least(0.94), details),
        "calls.cycle_hour.ratio": Figure(ours / least, "x the minimum", how, at_most(1.10), details),
    }

"""Wall time at 100 ms a call, as ratios: against the ideal, and against a scan of every region."""

from statistics import median

from benchmarks import story
from benchmarks.context import Context
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.fleets import M

TITLE = "Wall time at latency"
SMALL = False
KEYS = ("tags.time_reduction", "sync.wall")


def run(context: Context) -> dict[str, Figure]:
    """Return the ratios, each the median over pairs."""
    phases = context.once(story.passing, M, True)
    numbers = range(story.PAIRS)
    pairs = [(phases[f"wall.tags.{n}"].seconds, phases[f"wall.tags.peer.{n}"].seconds) for n in numbers]
    syncs = [phases[f"wall.inventory.{n}"] for n in numbers]
    ideal = [phase.of("drs", "ec2", "sts") * story.LATENCY_SECONDS / story.AT_ONCE for phase in syncs]
    walls = [phase.seconds / least for phase, least in zip(syncs, ideal, strict=True)]
    setting = f"fleet {M.name}, {story.LATENCY_SECONDS * 1000:.0f} ms a call, {story.AT_ONCE} workers"
    return {
        "tags.time_reduction": Figure(
            median(1 - ours / theirs for ours, theirs in pairs),
            "of the time",
            f"steady tag sync against one of every region; {setting}; median of {len(pairs)} pairs",
            at_least(0.80),
            {"seconds, ours and every region": pairs},
        ),
        "sync.wall": Figure(
            median(walls),
            "x the ideal",
            f"steady inventory sync over calls x latency / workers; {setting}, as threads of one process with the"
            f" simulators and tables in it; median of {len(walls)}",
            at_most(1.5),
            {"seconds": [phase.seconds for phase in syncs], "ideal seconds": ideal},
        ),
    }

"""Wall time at 100 ms a call, as ratios: against the ideal, and against a scan of every region."""

from statistics import median

from benchmarks import story
from benchmarks.context import Context
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.fleets import M

TITLE = "Wall time at latency"
SMALL = False
KEYS = ("tags.time_reduction", "sync.wall")
PROCESSES = 2
"""So that the workers do not wait for one interpreter's lock, as they do not on Lambda."""


def run(context: Context) -> dict[str, Figure]:
    """Return the ratios, each the median over pairs."""
    setting = f"fleet {M.name}, {story.LATENCY_SECONDS * 1000:.0f} ms a call, {story.AT_ONCE} workers"
    return {"tags.time_reduction": _tags(context, setting), "sync.wall": _inventory(context, setting)}


def _tags(context: Context, setting: str) -> Figure:
    phases = context.once(story.passing, M, True)
    pairs = [
        (phases[f"wall.tags.{number}"].seconds, phases[f"wall.tags.peer.{number}"].seconds)
        for number in range(story.PAIRS)
    ]
    return Figure(
        median(1 - ours / theirs for ours, theirs in pairs),
        "of the time",
        f"steady tag sync against one of every region; {setting}; median of {len(pairs)} pairs",
        at_least(0.80),
        {"seconds, ours and every region": pairs},
    )


def _inventory(context: Context, setting: str) -> Figure:
    context.say(f"{M.name}: inventory at latency, first syncs of its {PROCESSES} parts")
    parts = context.beside(story.racing, [M._replace(part=part, parts=PROCESSES) for part in range(PROCESSES)])
    walls, ratios = [], []
    for cycles in zip(*parts, strict=True):
        began, ended, calls = zip(*cycles, strict=True)
        walls.append(max(ended) - min(began))
        ratios.append(walls[-1] / (sum(calls) * story.LATENCY_SECONDS / story.AT_ONCE))
    return Figure(
        median(ratios),
        "x the ideal",
        f"steady inventory sync over calls x latency / workers; {setting}, as threads of {PROCESSES} processes, each"
        f" with its share of the accounts and with the simulators and tables in it; median of {len(ratios)}",
        at_most(1.5),
        {"seconds": walls, "ratios": ratios, "calls": sum(cycle[-1][2] for cycle in parts)},
    )

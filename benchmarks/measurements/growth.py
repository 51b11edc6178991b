"""How cost grows with active scopes, and with the fleet at a fixed change: slopes of log against log."""

from math import log

from benchmarks import in_memory, plots, story
from benchmarks.context import Context
from benchmarks.figures import Figure, at_most, within
from benchmarks.fleets import SMALL as SMALL_FLEET
from benchmarks.fleets import SMALLER, WIDE, F, L, M, Shape
from scripts.scaling import Fleet

TITLE = "Growth"
SMALL = True
KEYS = (
    "scale.calls.exponent",
    "scale.writes.exponent",
    "scale.folds.quiet",
    "scale.reads.exponent",
    "scale.time.exponent",
    "scale.fixed_change.writes.exponent",
)
PRICED = [Fleet(name, accounts) for name, accounts in (("F", 12), ("M", 50), ("L", 300), ("1,000 accounts", 1000))]
HOW = "log-log slope over fleets {}; the real services with every table, DRS and EC2 in memory"


def run(context: Context) -> dict[str, Figure]:
    """Return the exponents."""
    # M without its extensions: here each server is one with an instance of its own
    shapes = (SMALLER, SMALL_FLEET) if context.small else (F, M._replace(extended=False), L)
    grown = [context.once(in_memory.grown, shape) for shape in shapes]
    scopes = [growth.active_scopes for growth in grown]
    how = HOW.format(", ".join(shape.name for shape in shapes))
    details = {shape.name: growth._asdict() for shape, growth in zip(shapes, grown, strict=True)}
    fixed = [growth.changed.written - growth.steady.written for growth in grown]
    plots.growth(context.out, scopes, {name: [getattr(one.steady, name) for one in grown] for name in plots.GROWING})
    return {
        "scale.calls.exponent": Figure(
            slope(scopes, [growth.steady.calls for growth in grown]),
            "",
            f"calls of a quiet inventory cycle against active scopes; {how}",
            at_most(1.02),
            details,
        ),
        "scale.writes.exponent": Figure(
            slope(scopes, [growth.steady.written for growth in grown]),
            "",
            f"items written in a quiet inventory cycle against active scopes; {how}",
            at_most(1.02),
        ),
        "scale.folds.quiet": Figure(
            max(growth.steady.folded for growth in grown),
            "scan records",
            f"scan records that folds read in a quiet inventory cycle; {how}",
            at_most(0),
        ),
        "scale.reads.exponent": Figure(
            slope([one.accounts for one in PRICED], [one.read_units for one in PRICED]),
            "",
            "read units of a quiet month against accounts, by the formulas of docs/scaling.md",
            at_most(1.02),
        ),
        "scale.time.exponent": Figure(
            slope(scopes, [growth.steady.seconds for growth in grown]),
            "",
            f"time of a quiet inventory cycle, one worker, against active scopes; {how}",
        ),
        "scale.fixed_change.writes.exponent": Figure(
            slope([growth.servers for growth in grown], fixed),
            "",
            f"items that {in_memory.CHANGES} changed servers add to a quiet cycle, against the fleet's size; {how}",
            within(-0.05, 0.05),
            {"items": fixed},
        ),
        "scale.planning.seconds": _planning(context, shapes[-1] if context.small else WIDE),
    }


def _planning(context: Context, shape: Shape) -> Figure:
    tick = context.once(story.planning, shape)["tick"]
    return Figure(
        tick.seconds,
        "s",
        f"a tick that plans {tick.messages:,} scopes, with the real adapters and MiniStack's tables in one process;"
        " told without a mark, because it is an absolute time",
        details={"scopes": tick.messages, "seconds per 1,000 scopes": 1000 * tick.seconds / tick.messages},
    )


def slope(sizes: list[int], costs: list[float]) -> float:
    """Return the least-squares slope of log cost over log size."""
    xs, ys = [log(size) for size in sizes], [log(cost) for cost in costs]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    rise = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    return rise / sum((x - middle_x) ** 2 for x in xs)

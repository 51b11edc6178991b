"""What a run has to tell."""

from sandbox.chaos.ending import Ending
from sandbox.chaos.run import Chaos
from sandbox.demo.display import Display

SHOWN_DIFFERENCES = 40


def tell(chaos: Chaos, ending: Ending, seconds: float, display: Display) -> None:
    """Show what changed, what broke, and what came of it."""
    changes, hits, killed = chaos.told.changes, chaos.breaker.hits, chaos.breaker.killed
    display.table(("change", "times"), sorted(changes.items()))
    display.table(("fault", "hits"), sorted(hits.items()))
    display.table(("killed at work", "times"), sorted(killed.items()))
    dead = ", ".join(f"{count} {name}" for name, count in ending.dead_lettered.items())
    rows = [
        ("chaos", f"{seconds / 60:.1f} minutes"),
        ("changes", f"{changes.total():,} of {len(changes)} kinds"),
        ("faults hit", f"{hits.total():,} of {len(hits)} kinds, in {len(chaos.told.episodes)} episodes"),
        ("processes killed at work", f"{killed.total():,}"),
        ("poisoned messages", f"{len(chaos.world.poison):,}"),
        ("dead letters", dead),
        ("redriven", f"{ending.redriven:,}"),
        ("backlogs drained after", f"{ending.drained:.0f} s"),
        ("all true after", "never" if ending.true is None else f"{ending.true:.0f} s"),
        ("comparisons with the truth", f"{ending.report.checked.total():,}"),
        ("differences", f"{len(ending.report.differences):,}"),
    ]
    display.table(("in the end", ""), rows)
    for difference in ending.report.differences[:SHOWN_DIFFERENCES]:
        display.bad(str(difference))
    if not ending.poison_left:
        display.bad("the dead letters are not the poisoned messages and no others")
    if ending.good:
        display.good("nothing lost: what the product holds is the truth, and only poison is left in dead-letter queues")

"""What the runs of this process did, for the summary at their end."""

import os
import sys
import time
from collections import Counter
from typing import Any

PROGRESS_EVERY = 50


class Report:
    """Figures over all runs."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.figures: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.checks: Counter[str] = Counter()

    def add(self, machine: Any) -> None:
        """Add a run that has ended."""
        self.figures["runs"] += 1
        self.figures["steps"] += machine.steps
        self.figures["invocations"] += machine.product.invocations
        self.figures["port calls"] += machine.switchboard.calls
        self.faults += machine.switchboard.met
        self.checks += machine.world.ledger.checks + machine.truth.checks
        if "CHAOS_RUNS" in os.environ and self.figures["runs"] % PROGRESS_EVERY == 0:
            seconds = time.monotonic() - self.began
            sys.__stderr__.write(f"{self.figures['runs']} runs, {self.figures['steps']} steps, {seconds:.0f} s\n")

    def lines(self) -> list[str]:
        """Return the summary."""
        figures = ", ".join(f"{number} {name}" for name, number in self.figures.items())
        faults = [f"  {number:8}  {name}" for name, number in sorted(self.faults.items())]
        checks = [f"  {number:8}  {name}" for name, number in sorted(self.checks.items())]
        return [
            figures,
            f"{sum(self.faults.values())} faults:",
            *faults,
            f"{sum(self.checks.values())} checks:",
            *checks,
        ]


REPORT = Report()

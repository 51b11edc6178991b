"""The measurements, in the order in which they run.

Each module has `TITLE`, `KEYS` (what it answers for; a pattern may end in `*`), `SMALL` (whether it is part of the
small profile), and `run(context) -> dict[str, Figure]`.
"""

MEASUREMENTS: tuple[str, ...] = (
    "calls",
    "writes",
    "hours",
    "times",
    "growth",
    "cold_start",
    "package",
    "queries",
    "latency",
    "memory",
)

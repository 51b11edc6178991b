"""Run the measurements, print their table, write results.json. Ends with 1 where a mark is missed."""

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from .context import Context
from .figures import Figure, number
from .measurements import MEASUREMENTS

HERE = Path(__file__).parent


def main() -> int:
    """Return the exit status."""
    arguments = _arguments()
    context = Context(arguments.out, small=arguments.small)
    modules = [_module(name) for name in arguments.only or MEASUREMENTS]
    started, figures = time.monotonic(), {}
    for module in modules:
        if context.small and not module.SMALL:
            continue
        context.say(module.TITLE)
        figures[module.TITLE] = _checked(module, module.run(context))
    seconds = time.monotonic() - started
    _write(context, figures, seconds)
    _show(figures, seconds, context.out)
    missed = [key for some in figures.values() for key, figure in some.items() if not figure.ok]
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="small fleets, ratios only: for CI")
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=MEASUREMENTS, help="a measurement; repeatable"
    )
    parser.add_argument("--out", type=Path, default=HERE / "out", help="folder of results.json and plots")
    return parser.parse_args()


def _module(name: str) -> ModuleType:
    return import_module(f"benchmarks.measurements.{name}")


def _checked(module: ModuleType, figures: dict[str, Figure]) -> dict[str, Figure]:
    """Return `figures`; what a measurement promises in KEYS has to be there."""
    absent = [key for key in module.KEYS if not any(fnmatchcase(found, key) for found in figures)]
    if absent:
        raise LookupError(f"{module.__name__} gave no figure for {', '.join(absent)}")
    return figures


def _write(context: Context, figures: dict[str, dict[str, Figure]], seconds: float) -> None:
    results: dict[str, Any] = {key: figure.record() for some in figures.values() for key, figure in some.items()}
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system()}
    run = {"profile": "small" if context.small else "full", "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    document = {"run": {**run, "seconds": round(seconds, 1), **machine}, "results": results}
    (context.out / "results.json").write_text(json.dumps(document, indent=2) + "\n")


def _show(figures: dict[str, dict[str, Figure]], seconds: float, out: Path) -> None:
    table = Table(title=f"Benchmarks, {seconds:.0f} s", title_justify="left", row_styles=["", "dim"])
    for column in ("key", "value", "unit", "mark", ""):
        table.add_column(column, justify="right" if column == "value" else "left")
    for title, some in figures.items():
        table.add_section()
        table.add_row(f"[bold]{title}[/]")
        for key, figure in some.items():
            verdict = "" if figure.bound is None else "[green]reached[/]" if figure.ok else "[red]missed[/]"
            table.add_row(key, number(figure.value), figure.unit, str(figure.bound or ""), verdict)
    width = None if sys.stdout.isatty() else 150
    Console(width=width).print(table)
    print(f"results and plots are in {out}")


if __name__ == "__main__":
    sys.exit(main())

"""What the demo shows: live progress on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

PLAIN_LINE_SECONDS = 10.0
"""How often a line tells of progress where nothing can be drawn."""

PLAIN_WIDTH = 140
WORTH_TELLING_SECONDS = 2.0


class Update(Protocol):
    """Tells how far something is: done of a total (None: unknown), and a note."""

    def __call__(self, done: float, total: float | None, note: str) -> None: ...


class Display:
    """Shows lines, tables and progress."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _console()

    def line(self, text: str = "") -> None:
        """Show a line."""
        self._console.print(text, soft_wrap=True)

    def step(self, number: int, text: str) -> None:
        """Show the heading of a step."""
        self._console.print(f"\n[bold]{number}. {text}[/bold]")

    def good(self, text: str) -> None:
        """Show that something is as it should be."""
        self._console.print(f"  [green]ok[/green]  {text}", soft_wrap=True)

    def bad(self, text: str) -> None:
        """Show that something is not as it should be."""
        self._console.print("  [red]BAD[/red] ", end="")
        self._console.print(text, markup=False, soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a table; columns of numbers to the right."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
        for column, heading in enumerate(headings):
            numbers = all(isinstance(row[column], int | float) for row in rows)
            table.add_column(heading, justify="right" if numbers else "left")
        for row in rows:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        self._console.print(table)

    @contextmanager
    def progress(self, what: str) -> Iterator[Update]:
        """Show how far `what` is while the block runs."""
        started = time.monotonic()
        try:
            with self._shown(what) as update:
                yield update
        finally:
            seconds = time.monotonic() - started
            if seconds > WORTH_TELLING_SECONDS:
                self.line(f"  {what}: {seconds:.1f} s")

    @contextmanager
    def _shown(self, what: str) -> Iterator[Update]:
        if not self._console.is_terminal:
            yield _PlainProgress(self, what)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as live:
            task = live.add_task(what, total=None, note="")

            def update(done: float, total: float | None, note: str) -> None:
                live.update(task, completed=done, total=total, note=note)

            yield update


def _console() -> Console:
    console = Console(highlight=False)
    # Where nobody's terminal sets the width, tables need not break their lines
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


class _PlainProgress:
    """Progress as lines, now and then."""

    def __init__(self, display: Display, what: str) -> None:
        self._display = display
        self._what = what
        self._told = time.monotonic()

    def __call__(self, done: float, total: float | None, note: str) -> None:
        if time.monotonic() - self._told < PLAIN_LINE_SECONDS:
            return
        self._told = time.monotonic()
        self._display.line(f"  {self._what}: {note}")

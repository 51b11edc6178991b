"""What a deployment shows."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.deploy.smoke import Check
from scripts.deploy.stack import Change, Event

PLAIN_WIDTH = 140
STYLES = {"Add": "green", "Modify": "yellow", "Remove": "red"}


class Display:
    """Shows steps, changes, progress and checks."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(highlight=False)
        # Where nobody's terminal sets the width, tables need not break their lines
        self._console = (
            console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH, file=console.file)
        )

    def step(self, text: str) -> None:
        """Show the heading of a step."""
        self._console.print(Text(f"\n{text}", style="bold"))

    def line(self, text: str) -> None:
        """Show a line."""
        self._console.print(Text(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Show a line that should not be overlooked."""
        self._console.print(Text(text, style="yellow"), soft_wrap=True)

    def bad(self, text: str) -> None:
        """Show what went wrong."""
        self._console.print(Text(text, style="red"), soft_wrap=True)

    def changes(self, changes: Sequence[Change]) -> None:
        """Show what a change set would do."""
        table = Table("", "resource", "type", "replaced", "because of", box=None, padding=(0, 2, 0, 0))
        for change in sorted(changes, key=lambda change: (not change.loses_data, change.action, change.resource)):
            style = "bold red" if change.loses_data else STYLES.get(change.action, "")
            table.add_row(change.action, change.resource, change.kind, change.replacement, change.what, style=style)
        self._console.print(table)

    def event(self, event: Event) -> None:
        """Show that a resource is done, or failed."""
        if event.status.endswith("_IN_PROGRESS") and not event.of_stack:
            return
        style = "red" if "FAILED" in event.status or "ROLLBACK" in event.status else ""
        reason = f": {event.reason}" if event.reason else ""
        self._console.print(
            Text(f"  {event.status:<26}{event.resource} ({event.kind}){reason}", style=style), soft_wrap=True
        )

    def check(self, check: Check) -> None:
        """Show what came of one check."""
        if check.wrong:
            self.bad(f"  BAD  {check.name}: {check.wrong}")
        else:
            self._console.print(Text(f"  ok   {check.name}: {check.seen}"), soft_wrap=True)

"""The pause after every invocation.

MiniStack: waits 50 ms after each invocation for output on stderr that mostly never comes.

AWS: answers when the function returned.

Mended: 4 ms for the first line and 2 ms after each one, which the worker's reader thread needs to hand over what was
printed before the function returned.
"""

from ministack.core.lambda_runtime import Worker

FIRST_LINE_SECONDS = 0.004
NEXT_LINE_SECONDS = 0.002
LONGEST_SECONDS = 0.25


def apply() -> None:
    """Shorten the waits, which are the defaults of the draining function's parameters."""
    Worker._drain_stderr_bounded.__defaults__ = (FIRST_LINE_SECONDS, NEXT_LINE_SECONDS, LONGEST_SECONDS)

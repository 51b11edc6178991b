"""Scheduled rules of EventBridge.

MiniStack: looks for due rules every ten seconds, so that each firing comes up to ten seconds late.

AWS: fires within the minute (cron) or after the interval (rate).

Mended: it looks every second. Rules fire after their first interval only, as on AWS.
"""

from ministack.services import eventbridge

TICK_SECONDS = 1


def apply() -> None:
    """Shorten the pause between two looks."""
    eventbridge._SCHEDULER_TICK_INTERVAL = TICK_SECONDS

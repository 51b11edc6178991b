"""EventBridge schedules: each plans what is due of one kind of work.

The template sets the rates; a tick that fails is retried by EventBridge and Lambda, then goes to a dead-letter queue.
"""

from chalice import Blueprint
from chalice.app import CloudWatchEvent

from ..container import container
from ..domain.work import WorkKind
from ..observability import observed

blueprint = Blueprint(__name__)


@blueprint.schedule("rate(15 minutes)", name="inventory_schedule")
@observed
def inventory_schedule(_: CloudWatchEvent) -> None:
    """Plan inventory sync, and restore a slice of what was lost: whichever fails, the other is done."""
    try:
        container().planner.tick(WorkKind.INVENTORY)
    finally:
        container().resync.tick()


@blueprint.schedule("rate(1 hour)", name="tags_schedule")
@observed
def tags_schedule(_: CloudWatchEvent) -> None:
    """Plan tag sync."""
    container().planner.tick(WorkKind.TAGS)


@blueprint.schedule("rate(5 minutes)", name="staging_schedule")
@observed
def staging_schedule(_: CloudWatchEvent) -> None:
    """Plan staging account sync."""
    container().planner.tick(WorkKind.STAGING)

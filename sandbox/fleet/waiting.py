"""Wait until the product is at rest: by its work items, its queues and what it still writes, never for a fixed time."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.cloud.client import SandboxCloud
from sandbox.fleet.evidence import table_items

POLL_SECONDS = 0.4
QUIET_SECONDS = 2.0
"""How long nothing may have been called or written: longer than the stream's batching window of one second."""
QUEUES = ("InventoryWorkUrl", "TagsWorkUrl", "StagingWorkUrl")
CUSTOMER_SERVICES = ("drs", "ec2", "sts")

Watch = Callable[[dict[str, int]], None]


class NotAtRestError(Exception):
    """Work is left; the message says which."""


def settle(cloud: SandboxCloud, seconds: float, watch: Watch = lambda _: None) -> None:
    """Wait until all work is done, the queues are empty, and nothing was called or written for a moment.

    Args:
        cloud: the cloud.
        seconds: how long to wait at most.
        watch: called with what is outstanding, by kind, at every look.

    Raises:
        NotAtRestError: work is left after that time.
    """
    deadline = time.monotonic() + seconds
    activity, since = _activity(cloud), time.monotonic()
    while True:
        left = outstanding(cloud)
        watch(left)
        now = _activity(cloud)
        if left or now != activity:
            activity, since = now, time.monotonic()
        elif time.monotonic() - since >= QUIET_SECONDS:
            return
        if time.monotonic() > deadline:
            raise NotAtRestError(f"after {seconds:.0f} s there is still work: {left or 'calls and writes go on'}")
        time.sleep(POLL_SECONDS)


def outstanding(cloud: SandboxCloud) -> dict[str, int]:
    """Return how much work is wanted or under way, by kind, and how many messages the queues hold; empty at rest."""
    items = table_items(cloud, "WorkStateTableName")
    work = [item["kind"] for item in items if item.get("done", 0) < item.get("wanted", 0)]
    left = {f"{kind} work": work.count(kind) for kind in set(work)}
    messages = queued(cloud, QUEUES)
    return {**left, **({"messages": messages} if messages else {})}


def queued(cloud: SandboxCloud, outputs: Iterable[str]) -> int:
    """Return how many messages the queues of these stack outputs hold, received ones included."""
    client: Any = cloud.hub().client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(count)
        for output in outputs
        for count in client.get_queue_attributes(QueueUrl=cloud.outputs.stack[output], AttributeNames=names)[
            "Attributes"
        ].values()
    )


def _activity(cloud: SandboxCloud) -> tuple[int, int]:
    """Return two numbers that grow with what the product does: calls to customers' services, and written items."""
    called = sum(call["calls"] for call in cloud.calls() if call["service"] in CUSTOMER_SERVICES)
    return called, sum(cloud.tables().values())

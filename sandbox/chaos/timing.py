"""Waits of AWS made short: a message whose worker died comes back after two minutes instead of thirty.

The stack's template is deployed as it is. What follows is what an operator could do with a running stack: another
time-out of the workers, another visibility time-out of their queues, and the setting that tells functions of it.
"""

from typing import Any

from sandbox.cloud.client import SandboxCloud

WORKER_SECONDS = 60
"""Time-out of the workers: the least that leaves them room, since they begin nothing in their last 45 seconds."""
VISIBILITY_SECONDS = 100
"""Longer than a lease: the worker's time-out and 30 seconds."""
VISIBILITY_SETTING = "QUEUE_VISIBILITY_SECONDS"
WORKERS = ("InventoryWorker", "TagsWorker", "StagingWorker")
QUEUES = ("InventoryWorkUrl", "TagsWorkUrl", "StagingWorkUrl")
DEAD_LETTERS = "WorkDeadLettersUrl"
PARAMETERS = {
    "InventoryIntervalMinutes": "1",
    "TagsIntervalMinutes": "1",
    "StagingIntervalMinutes": "1",
    "ProbeIntervalMinutes": "3",
    "InventoryConcurrency": "4",
    "TagsConcurrency": "2",
    "StagingConcurrency": "2",
}
"""The stack's parameters: every schedule each minute, idle scopes looked at within three."""
SCHEDULES = ("InventorySchedule", "TagsSchedule", "StagingSchedule")


def shorten(cloud: SandboxCloud) -> None:
    """Shorten the waits of a deployed stack."""
    functions: Any = cloud.hub().client("lambda")
    workers = {cloud.outputs.resources[logical] for logical in WORKERS}
    for function in functions.list_functions()["Functions"]:
        name, variables = function["FunctionName"], function.get("Environment", {}).get("Variables", {})
        if VISIBILITY_SETTING in variables:
            functions.update_function_configuration(
                FunctionName=name,
                Environment={"Variables": {**variables, VISIBILITY_SETTING: str(VISIBILITY_SECONDS)}},
                Timeout=WORKER_SECONDS if name in workers else function["Timeout"],
            )
    queues: Any = cloud.hub().client("sqs")
    for output in QUEUES:
        queues.set_queue_attributes(
            QueueUrl=cloud.outputs.stack[output], Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        )

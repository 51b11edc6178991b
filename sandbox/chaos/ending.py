"""How it ends: faults are gone, backlogs drain, dead letters go back, and what the product holds must be the truth."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from sandbox.chaos.timing import DEAD_LETTERS, QUEUES, SCHEDULES
from sandbox.chaos.world import World
from sandbox.cloud.client import SandboxCloud
from sandbox.fleet.evidence import table_items
from sandbox.fleet.truth import Report, compare
from sandbox.fleet.waiting import NotAtRestError, outstanding, queued, settle

FAILURES = (DEAD_LETTERS, "ScheduleFailuresUrl", "StreamFailuresUrl")
REST_SECONDS = 60.0
DRAIN_SECONDS = 240.0
TRUTH_SECONDS = 900.0
"""How long the product has for putting everything right by itself, from the end of the faults."""
POLL_SECONDS = 1.0
LOOK_SECONDS = 5

Watch = Callable[[str], None]


class Ending(NamedTuple):
    """What came of a run.

    Attributes:
        dead_lettered: messages by dead-letter queue when the faults ended.
        redriven: messages that went back into their queues.
        drained: seconds until no work and no message was left, dead letters redriven.
        true: seconds until everything was as it should be; None where it never was.
        report: the last comparison with the truth.
        poison_left: whether the dead letters are the poisoned messages and no others.
    """

    dead_lettered: dict[str, int]
    redriven: int
    drained: float
    true: float | None
    report: Report
    poison_left: bool

    @property
    def good(self) -> bool:
        """Whether nothing was lost."""
        return self.report.ok and self.poison_left


def end(world: World, watch: Watch, *, patient: bool = True) -> Ending:
    """Let everything come to rest, and compare. The faults are over; schedules go on until all is true.

    Args:
        world: what is so.
        watch: called with what is waited for.
        patient: False does not wait for leases of dead workers and for the next due times: they are made to be over.
    """
    cloud, started = world.cloud, time.monotonic()
    _drain(lambda: queued(cloud, QUEUES), cloud, watch, patient=patient)
    dead = {name.removesuffix("Url"): queued(cloud, [name]) for name in FAILURES}
    redriven = redrive(world)
    _drain(lambda: outstanding(cloud), cloud, watch, patient=patient)
    drained = time.monotonic() - started
    true = _until_true(world, started, watch, patient=patient)
    _stop_schedules(cloud)
    _rest(cloud, watch)
    report = compare(world.fleet, cloud)
    poison_left = _bodies(cloud, DEAD_LETTERS) == world.poison
    return Ending(dead, redriven, drained, true if report.ok else None, report, poison_left)


def redrive(world: World) -> int:
    """Have the product redrive what is in its dead-letter queues; return how many letters that were."""
    done = 0
    for queue in ("work", "stream", "schedules"):
        more = True
        while more:
            answer = world.operate("redrive_dead_letters", queue=queue)
            done += len(answer["redriven"])
            more = answer["more"] and bool(answer["redriven"])
    return done


def _bodies(cloud: SandboxCloud, output: str) -> set[str]:
    """Return the bodies of the messages of a queue; they stay there."""
    client: Any = cloud.hub().client("sqs")
    bodies: dict[str, str] = {}
    while True:
        answer = client.receive_message(
            QueueUrl=cloud.outputs.stack[output], MaxNumberOfMessages=10, VisibilityTimeout=LOOK_SECONDS
        )
        new = {message["MessageId"]: message["Body"] for message in answer.get("Messages", [])}
        if not new.keys() - bodies.keys():
            return set(bodies.values())
        bodies |= new


def hasten(cloud: SandboxCloud) -> None:
    """Let the leases in force run out, all work come due, and the schedules fire."""
    table: Any = cloud.hub().resource("dynamodb").Table(cloud.outputs.stack["WorkStateTableName"])
    now = int(time.time())
    for item in table_items(cloud, "WorkStateTableName"):
        sets = {name: value for name, value in (("leaseUntil", now - 1), ("nextDueAt", now)) if name in item}
        if sets:
            table.update_item(
                Key={"workId": item["workId"]},
                UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in sets),
                ExpressionAttributeValues={f":{name}": value for name, value in sets.items()},
            )
    cloud.control("POST", "/schedules", {"accountId": cloud.outputs.hub_account, "rule": "Schedule"})


def _drain(left: Callable[[], object], cloud: SandboxCloud, watch: Watch, *, patient: bool) -> None:
    """Wait until nothing is left, or for as long as is worth while."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while left() and time.monotonic() < deadline:
        watch(f"draining: {_told(outstanding(cloud))}")
        if not patient and not queued(cloud, QUEUES):
            hasten(cloud)
        time.sleep(POLL_SECONDS)


def _until_true(world: World, started: float, watch: Watch, *, patient: bool) -> float | None:
    """Return after how many seconds nothing differed from the truth; None where that took too long."""
    while time.monotonic() - started < TRUTH_SECONDS:
        if not patient:
            hasten(world.cloud)
        _rest(world.cloud, watch)
        report = compare(world.fleet, world.cloud)
        if report.ok:
            return time.monotonic() - started
        watch(f"{len(report.differences)} differences, such as {report.differences[0]}")
        time.sleep(POLL_SECONDS)
    return None


def _rest(cloud: SandboxCloud, watch: Watch) -> None:
    """Wait for a moment of rest; where there is none, the comparison will tell why that matters."""
    try:
        settle(cloud, REST_SECONDS, lambda left: watch(f"coming to rest: {_told(left)}"))
    except NotAtRestError as error:
        watch(str(error))


def _stop_schedules(cloud: SandboxCloud) -> None:
    events: Any = cloud.hub().client("events")
    for schedule in SCHEDULES:
        events.disable_rule(Name=cloud.outputs.resources[f"{schedule}{schedule}Event"])


def _told(left: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(left.items())) or "quiet"

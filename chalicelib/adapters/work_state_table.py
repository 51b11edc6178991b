"""The table `work-state`: who may work on what, and what is still wanted.

The only place that knows this table's attributes. The protocol: docs/architecture.md, "Work".
"""

from collections.abc import Iterable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from ..domain.leases import DueWork, Lease, LeasedWork, Outcome, WorkState
from ..domain.results import WorkResult
from ..domain.texts import message_text
from ..domain.work import WorkId, WorkKind
from ..errors import LeaseLost
from . import dynamodb
from .stored_records import stored
from .work_items import SHARDS, identity, parsed, state_of

DUE_INDEX = "DueIndex"


class WorkStateTable:
    """Asks for, claims, takes and finishes work. Times are epoch seconds."""

    def __init__(self, table: str) -> None:
        self._table = table

    def request(self, work: WorkId, due_again: int, *, retry_refused: bool = False) -> int:
        """Want `work` once more; it comes due again at `due_again` should its message be lost.

        Returns:
            The value that `done` reaches once this request is settled.
        """
        refused = ", retryRefused = if_not_exists(wanted, :zero) + :one" if retry_refused else ""
        attributes = self._update(
            work,
            f"SET {_IDENTITY}, nextDueAt = :due, wanted = if_not_exists(wanted, :zero) + :one{refused}"
            " REMOVE putOffUntil",
            {**identity(work), ":due": due_again, ":zero": 0, ":one": 1},
            names=_NAMES,
        )
        return int(attributes["wanted"])

    def request_unless_waiting(self, work: WorkId, now: int, due_again: int) -> int | None:
        """Want `work` once more; None where it is wanted already and its message is not overdue at `now`."""
        attributes = self._update_where(
            "attribute_not_exists(wanted) OR done = wanted OR attribute_not_exists(nextDueAt) OR nextDueAt <= :now",
            work,
            f"SET {_IDENTITY}, nextDueAt = :due, wanted = if_not_exists(wanted, :zero) + :one REMOVE putOffUntil",
            {**identity(work), ":due": due_again, ":zero": 0, ":one": 1, ":now": now},
            names=_NAMES,
        )
        return int(attributes["wanted"]) if attributes else None

    def claim(self, due: DueWork, tick: int, due_again: int) -> int | None:
        """Want due work once more, for the schedule's tick at `tick`; None where another planner was faster."""
        attributes = self._update_where(
            "nextDueAt = :seen",
            due.work,
            "SET nextDueAt = :again, tickAt = :tick REMOVE putOffUntil ADD wanted :one",
            {":again": due_again, ":tick": tick, ":one": 1, ":seen": due.next_due_at},
        )
        return int(attributes["wanted"]) if attributes else None

    def take(self, work: WorkId, now: int, until: int) -> LeasedWork | None:
        """Take the lease until `until` and the next epoch; None where it is not to be had.

        That is where nothing is wanted, somebody holds it, or the work was put off and is not due yet. What is taken
        counts as a failure until it is given back: so a worker that dies is counted.
        """
        before = self._update_where(
            "attribute_exists(wanted) AND (attribute_not_exists(done) OR done < wanted)"
            " AND (attribute_not_exists(leaseUntil) OR leaseUntil < :now)"
            " AND (attribute_not_exists(putOffUntil) OR putOffUntil <= :now)",
            work,
            "SET leaseUntil = :until, nextDueAt = :until REMOVE putOffUntil ADD epoch :one, failures :one",
            {":until": until, ":now": now, ":one": 1},
            returned="ALL_OLD",
        )
        if before is None:
            return None
        lease = Lease(
            work=work,
            epoch=before.get("epoch", 0) + 1,
            requested_at_lease=before["wanted"],
            until=until,
            tick_at=before.get("tickAt"),
            retry_refused=before.get("retryRefused", 0) > before.get("done", 0),
            failures=before.get("failures", 0),
        )
        result = before.get("result")
        last = stored(WorkResult, result) if result else None
        return LeasedWork(lease, last, before.get("intent", {}), died="leaseUntil" in before)

    def record_intent(self, lease: Lease, intent: dict[str, dict[str, str]]) -> None:
        """Note what is about to be written outside, so that whoever takes over knows whose doing it was.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        self._fenced(lease, "SET intent = :intent", {":intent": intent})

    def finish(self, lease: Lease, outcome: Outcome, due_again: int) -> bool:
        """Record the work as done and give the lease back.

        Args:
            lease: the lease under which it was done.
            outcome: what came of it, and when it comes due.
            due_again: when it comes due where more was wanted meanwhile.

        Returns:
            Whether more was wanted meanwhile: then a message has to be sent.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        done = "SET done = :done, #result = :result, probe = :probe"
        rest = "REMOVE leaseUntil, intent, lastError, failures"
        values = {":done": lease.requested_at_lease, ":result": outcome.result.item(), ":probe": outcome.probe}
        names = {"#result": "result"}
        settled, due = f"{done}, nextDueAt = :next {rest}", {":next": outcome.next_due}
        if outcome.next_due is None:
            settled, due = f"{done} {rest}, nextDueAt", {}
        try:
            self._fenced(lease, settled, {**values, **due}, also="wanted = :done", names=names)
        except _MoreWanted:
            more = f"{done}, nextDueAt = :next {rest}"
            self._fenced(lease, more, {**values, ":next": due_again}, names=names)
            return True
        return False

    def retire(self, due: DueWork) -> bool:
        """Take work out of the index until it is asked for; False where it changed meanwhile, or is still wanted."""
        condition = "nextDueAt = :seen AND (attribute_not_exists(wanted) OR done = wanted)"
        return self._update_where(condition, due.work, "REMOVE nextDueAt", {":seen": due.next_due_at}) is not None

    def fail(self, lease: Lease, error: str, due_again: int) -> None:
        """Give the lease back undone, with the reason; nothing happens where a newer epoch has begun."""
        try:
            self._fenced(
                lease,
                "SET lastError = :error, nextDueAt = :again, failures = :failures REMOVE leaseUntil",
                {":error": message_text(error), ":again": due_again, ":failures": lease.failures + 1},
            )
        except LeaseLost:
            return

    def release(self, lease: Lease, due_again: int) -> None:
        """Give the lease back with the work still wanted, and what was noted of it kept: somebody else goes on.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        values = {":again": due_again, ":failures": lease.failures}
        self._fenced(lease, "SET nextDueAt = :again, failures = :failures REMOVE leaseUntil", values)

    def note_error(self, lease: Lease, error: str) -> None:
        """Note what met the work before, under a lease that is kept.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        self._fenced(lease, "SET lastError = :error", {":error": message_text(error)})

    def put_off(self, lease: Lease, error: str, until: int) -> None:
        """Give the lease back with the work not begun: it cannot be taken before `until`, unless it is asked for anew.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        self._fenced(
            lease,
            "SET lastError = :error, nextDueAt = :until, putOffUntil = :until, failures = :failures REMOVE leaseUntil",
            {":error": message_text(error), ":until": until, ":failures": lease.failures},
        )

    def due(self, kind: WorkKind, until: int) -> Iterator[DueWork]:
        """Yield the work of `kind` that is due at `until`; an index, hence a moment behind.

        An item whose key names no work is left out, logged and counted: it costs nothing but itself.
        """
        for shard in range(SHARDS):
            items = dynamodb.query(
                TableName=self._table,
                IndexName=DUE_INDEX,
                KeyConditionExpression="dueShard = :shard AND nextDueAt <= :until",
                values={":shard": f"{kind}#{shard}", ":until": until},
            )
            for item in items:
                if (work := parsed(item["workId"])) is not None:
                    yield DueWork(work, item["nextDueAt"], item.get("probe", False))

    def read(self, works: Iterable[WorkId]) -> dict[WorkId, WorkState]:
        """Return what is known of `works`, read consistently; those never asked for are absent."""
        items = dynamodb.batch_get(self._table, [{"workId": work.key} for work in works])
        return {state.work: state for state in map(state_of, items)}

    def epoch_check(self, lease: Lease) -> dict[str, Any]:
        """Return the condition check that fences a transaction by the lease's epoch."""
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": dynamodb.marshal({"workId": lease.work.key}),
                "ConditionExpression": "epoch = :epoch",
                "ExpressionAttributeValues": dynamodb.marshal({":epoch": lease.epoch}),
            }
        }

    def _fenced(
        self,
        lease: Lease,
        expression: str,
        values: dict[str, Any],
        also: str = "",
        names: dict[str, str] | None = None,
    ) -> None:
        condition = "epoch = :epoch" + (f" AND {also}" if also else "")
        try:
            self._update(lease.work, expression, {**values, ":epoch": lease.epoch}, condition, names)
        except ClientError as error:
            if dynamodb.code(error) != "ConditionalCheckFailedException":
                raise
            refused = dynamodb.unmarshal(dynamodb.refused_item(error))
            if also and refused.get("epoch") == lease.epoch:
                raise _MoreWanted from None
            raise LeaseLost(f"{lease.work.key}: epoch {lease.epoch} is over") from None

    def _update_where(
        self,
        condition: str,
        work: WorkId,
        expression: str,
        values: dict[str, Any],
        names: dict[str, str] | None = None,
        returned: str = "ALL_NEW",
    ) -> dict[str, Any] | None:
        """Return the item after its update, or as it was before; None where `condition` does not hold."""
        try:
            return self._update(work, expression, values, condition, names, returned)
        except ClientError as error:
            if dynamodb.code(error) == "ConditionalCheckFailedException":
                return None
            raise

    def _update(
        self,
        work: WorkId,
        expression: str,
        values: dict[str, Any],
        condition: str = "",
        names: dict[str, str] | None = None,
        returned: str = "ALL_NEW",
    ) -> dict[str, Any]:
        answer = dynamodb.write(
            "update_item",
            TableName=self._table,
            Key=dynamodb.marshal({"workId": work.key}),
            UpdateExpression=expression,
            ExpressionAttributeValues=dynamodb.marshal(values),
            ReturnValues=returned,
            **({"ConditionExpression": condition} if condition else {}),
            **({"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if condition else {}),
            **({"ExpressionAttributeNames": names} if names else {}),
        )
        return dynamodb.unmarshal(answer["Attributes"])


class _MoreWanted(Exception):
    """The epoch holds, but `wanted` rose."""


_IDENTITY = "kind = :kind, accountId = :account, #region = :region, dueShard = :shard"
_NAMES = {"#region": "region"}

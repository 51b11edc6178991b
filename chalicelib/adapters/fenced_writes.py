"""Writes of a piece of work, each transaction fenced by the epoch of its work item.

A late, superseded scan can thus neither bring back old content nor bury a living server. Writing the same again is
safe: every write sets attributes to given values, and a DynamoDB update that changes nothing makes no stream record.
"""

import time
from typing import Any

from botocore.exceptions import ClientError

from ..domain.extension import Refusal
from ..domain.leases import Lease
from ..domain.regions import ScanRecord
from ..domain.writes import (
    ForgetScan,
    ForgetTelemetry,
    RefuseExtension,
    ScopeTelemetry,
    Unwritten,
    UpdateServer,
    Write,
    stored_values,
)
from ..errors import DrsActiveRegionsError, LeaseLost, RowChanged
from . import dynamodb
from .item_sizes import ACTIONS_PER_TRANSACTION, is_row, item_bytes, transactions
from .pauses import pauses
from .refusals_table import as_read
from .telemetry_table import to_item
from .work_state_table import WorkStateTable

TRIES = 8
IN_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Reasons for a cancelled transaction that may be gone a moment later."""
ANOTHER_ACCOUNT = "it is filed under another account"
RECORDED_MEANWHILE = "another refusal was recorded meanwhile, and stands"


class FencedWrites:
    """Carries out writes in transactions, one after another.

    Args:
        actions: how many writes a transaction takes, beside the fence.
    """

    def __init__(
        self,
        work_state: WorkStateTable,
        inventory: str,
        scans: str,
        telemetry: str,
        refusals: str,
        actions: int = ACTIONS_PER_TRANSACTION,
    ) -> None:
        self._actions = actions
        self._work_state = work_state
        self._inventory = inventory
        self._scans = scans
        self._telemetry = telemetry
        self._refusals = refusals

    def write(self, lease: Lease, writes: list[Write]) -> list[Unwritten]:
        """Carry out `writes` in order, in as few transactions as hold them; return the rows that cannot be written.

        Such a row is left out (it is too large, say, another account's, or a refusal over which another was recorded);
        the others are written.

        Raises:
            LeaseLost: where a newer epoch has begun; transactions before stand, and the newer epoch sees them.
            RowChanged: where a row has not the hash that its update was made from; transactions before stand.
        """
        batches = transactions(((write, self._bytes(write)) for write in writes), self._actions)
        return [left_out for batch in batches for left_out in self._write_batch(lease, batch)]

    def _write_batch(self, lease: Lease, batch: list[Write]) -> list[Unwritten]:
        """Carry out one transaction, and again without what makes it invalid.

        DynamoDB names the action that is too large (reason ValidationError), but not the one whose index key it does
        not take, nor what makes the whole too large (ValidationException): then the batch is halved.
        """
        try:
            self._transact(lease, [self._work_state.epoch_check(lease), *map(self._action, batch)])
        except _Invalid as invalid:
            if not all(map(is_row, batch)):
                raise DrsActiveRegionsError(f"{lease.work.key}: {invalid}") from invalid
            culprits = invalid.reasons or ({0: str(invalid)} if len(batch) == 1 else {})
            if not culprits:
                half = len(batch) // 2
                return [*self._write_batch(lease, batch[:half]), *self._write_batch(lease, batch[half:])]
            rows = [(batch[place], why) for place, why in culprits.items()]
            left_out = [Unwritten(row, why) for row, why in rows]  # type: ignore[arg-type]
            rest = [write for place, write in enumerate(batch) if place not in culprits]
            return [*left_out, *(self._write_batch(lease, rest) if rest else [])]
        return []

    def _transact(self, lease: Lease, actions: list[dict[str, Any]]) -> None:
        for pause in pauses(TRIES):
            time.sleep(pause)
            if self._went_through(lease, actions):
                return
        raise DrsActiveRegionsError(f"{lease.work.key}: a transaction conflicted {TRIES} times")

    def _went_through(self, lease: Lease, actions: list[dict[str, Any]]) -> bool:
        """Carry out one transaction; False where it was cancelled for a reason that passes."""
        try:
            dynamodb.client().transact_write_items(TransactItems=actions)
        except ClientError as error:
            if dynamodb.code(error) == "ValidationException":
                raise _Invalid({}, str(error)) from error
            if dynamodb.code(error) != "TransactionCanceledException":
                raise
            reasons = error.response.get("CancellationReasons", [])
            codes = [reason.get("Code") for reason in reasons]
            if codes and codes[0] == "ConditionalCheckFailed":
                raise LeaseLost(f"{lease.work.key}: epoch {lease.epoch} is over") from None
            if "ConditionalCheckFailed" in codes:
                raise _refused(actions, codes) from error
            if "ValidationError" in codes:
                told = {
                    place - 1: str(reason.get("Message"))
                    for place, reason in enumerate(reasons)
                    if reason.get("Code") == "ValidationError"
                }
                raise _Invalid(told, "; ".join(sorted(set(told.values())))) from error
            if IN_PASSING.intersection(codes):
                return False
            raise
        return True

    def _bytes(self, write: Write) -> int:
        """Return about how much of a transaction a write takes."""
        (action,) = self._action(write).values()
        return item_bytes(action.get("Item") or {**action["Key"], **action.get("ExpressionAttributeValues", {})})

    def _action(self, write: Write) -> dict[str, Any]:
        if isinstance(write, UpdateServer):
            return {"Update": self._server(write)}
        if isinstance(write, ScopeTelemetry):
            return _put(self._telemetry, to_item(write))
        if isinstance(write, ScanRecord):
            return _put(self._scans, write.item())
        if isinstance(write, ForgetScan):
            return _delete(self._scans, {"region": write.scope.region, "accountId": write.scope.account_id})
        if isinstance(write, ForgetTelemetry):
            return _delete(self._telemetry, {"scope": write.scope.key})
        return self._refusal(write)

    def _refusal(self, write: Refusal | RefuseExtension) -> dict[str, Any]:
        if isinstance(write, RefuseExtension):
            return _put(self._refusals, write.refusal.item(), as_read(write.seen))
        return _put(self._refusals, write.item())

    def _server(self, update: UpdateServer) -> dict[str, Any]:
        """Return the update of one row: given attributes only, and only of the account's own row."""
        names = {"#accountId": "accountId"}
        values: dict[str, Any] = {":account": update.scope.account_id}
        condition = "attribute_not_exists(#accountId) OR #accountId = :account"
        if update.seen_hash is not None:
            condition = f"({condition}) AND drsHash = :seen"
            values[":seen"] = update.seen_hash
        sets, removes = [], []
        for number, (name, value) in enumerate(stored_values(update).items()):
            names[f"#{number}"] = name
            if value is None:
                removes.append(f"#{number}")
                continue
            values[f":{number}"] = value
            kept = f"if_not_exists(#{number}, :{number})" if name in update.first else f":{number}"
            sets.append(f"#{number} = {kept}")
        return {
            "TableName": self._inventory,
            "Key": dynamodb.marshal(
                {"sourceServerID": update.source_server_id, "replicationRegion": update.scope.region}
            ),
            "UpdateExpression": f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": dynamodb.marshal(values),
        }


class _Invalid(Exception):
    """A transaction holds what DynamoDB does not take: why, by place among the writes, where it says so."""

    def __init__(self, reasons: dict[int, str], message: str) -> None:
        super().__init__(message)
        self.reasons = reasons


def _refused(actions: list[dict[str, Any]], codes: list[str | None]) -> Exception:
    """Return why conditions of rows did not hold: one changed, or they are another account's, or recorded anew."""
    reasons = {}
    for place, code in enumerate(codes):
        update = actions[place].get("Update", {})
        if code != "ConditionalCheckFailed":
            continue
        if ":seen" in update.get("ExpressionAttributeValues", {}):
            return RowChanged(f"{dynamodb.unmarshal(update['Key'])} is not what it was when it was read")
        reasons[place - 1] = ANOTHER_ACCOUNT if update else RECORDED_MEANWHILE
    return _Invalid(reasons, "; ".join(sorted(set(reasons.values()))))


def _put(table: str, item: dict[str, Any], condition: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": dynamodb.marshal(item), **(condition or {})}}


def _delete(table: str, key: dict[str, Any]) -> dict[str, Any]:
    return {"Delete": {"TableName": table, "Key": dynamodb.marshal(key)}}

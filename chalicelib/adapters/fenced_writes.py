"""Writes of a piece of work, each transaction fenced by the epoch of its work item.

A late, superseded scan can thus neither bring back old content nor bury a living server. Writing the same again is
safe: every write sets attributes to given values, and a DynamoDB update that changes nothing makes no stream record.
"""

import time
from typing import Any

from botocore.exceptions import ClientError

from ..domain.leases import Lease
from ..domain.regions import ScanRecord
from ..domain.writes import ForgetScan, ForgetTelemetry, ScopeTelemetry, UpdateServer, Write
from ..errors import DrsActiveRegionsError, LeaseLost, RowChanged
from . import dynamodb
from .pauses import pauses
from .telemetry_table import to_item
from .work_state_table import WorkStateTable

ROWS_PER_TRANSACTION = 99  # DynamoDB: 100 actions, one of which is the check of the epoch
TRIES = 8
IN_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Reasons for a cancelled transaction that may be gone a moment later."""


class FencedWrites:
    """Carries out writes in transactions, one after another."""

    def __init__(self, work_state: WorkStateTable, inventory: str, scans: str, telemetry: str, refusals: str) -> None:
        self._work_state = work_state
        self._inventory = inventory
        self._scans = scans
        self._telemetry = telemetry
        self._refusals = refusals

    def write(self, lease: Lease, writes: list[Write]) -> None:
        """Carry out `writes` in order, in transactions of at most 99; the last 99 and fewer in one.

        Raises:
            LeaseLost: where a newer epoch has begun; transactions before stand, and the newer epoch sees them.
            RowChanged: where a row has not the hash that its update was made from; transactions before stand.
        """
        check = self._work_state.epoch_check(lease)
        for some in dynamodb.chunks(writes, ROWS_PER_TRANSACTION):
            self._transact(lease, [check, *(self._action(write) for write in some)])

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
            if dynamodb.code(error) != "TransactionCanceledException":
                raise
            codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
            if codes and codes[0] == "ConditionalCheckFailed":
                raise LeaseLost(f"{lease.work.key}: epoch {lease.epoch} is over") from None
            if "ConditionalCheckFailed" in codes:
                raise _refused(actions[codes.index("ConditionalCheckFailed")]["Update"]) from error
            if IN_PASSING.intersection(codes):
                return False
            raise
        return True

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
        for number, (name, value) in enumerate({**update.first, **update.values}.items()):
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


def _refused(update: dict[str, Any]) -> DrsActiveRegionsError:
    """Return why the condition of a row's update did not hold."""
    key = dynamodb.unmarshal(update["Key"])
    if ":seen" in update["ExpressionAttributeValues"]:
        return RowChanged(f"{key} is not what it was when it was read")
    return DrsActiveRegionsError(f"{key} is filed under another account")


def _put(table: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": dynamodb.marshal(item)}}


def _delete(table: str, key: dict[str, Any]) -> dict[str, Any]:
    return {"Delete": {"TableName": table, "Key": dynamodb.marshal(key)}}

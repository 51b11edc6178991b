"""Writes under a lease's epoch, with the limits of DynamoDB."""

from collections.abc import Iterator
from typing import Any

from chalicelib.adapters.dynamodb import marshal
from chalicelib.adapters.item_sizes import is_row, item_bytes, transactions
from chalicelib.adapters.telemetry_table import to_item
from chalicelib.domain.leases import Lease
from chalicelib.domain.regions import ScanRecord
from chalicelib.domain.writes import (
    ForgetScan,
    ForgetTelemetry,
    RefuseExtension,
    ScopeTelemetry,
    Unwritten,
    UpdateServer,
    Write,
)
from chalicelib.errors import (
    DrsActiveRegionsError,
    LeaseLost,
    RowChanged,
)

from .inventory import FakeInventory
from .limits import LARGEST_ITEM, stored_bytes
from .refusals_and_runs import FakeRefusals
from .region_tables import FakeScans, FakeTelemetries
from .work_states import FakeWorkStates


class FakeWriter:
    """Writes under a lease's epoch, in the transactions that DynamoDB takes.

    `interruptions`: what to raise instead of the next transactions, one each; None lets one pass.
    """

    def __init__(
        self,
        work_states: FakeWorkStates,
        inventory: FakeInventory,
        scans: FakeScans,
        telemetries: FakeTelemetries,
        refusals: FakeRefusals,
    ) -> None:
        self._work_states = work_states
        self._inventory = inventory
        self._scans = scans
        self._telemetries = telemetries
        self._refusals = refusals
        self.transactions: list[list[Write]] = []
        self.interruptions: list[BaseException | None] = []

    @property
    def written(self) -> list[Write]:
        return [write for transaction in self.transactions for write in transaction]

    def write(self, lease: Lease, writes: list[Write]) -> list[Unwritten]:
        return [left_out for batch in self.batches(writes) for left_out in self._transact(lease, batch)]

    def batches(self, writes: list[Write]) -> Iterator[list[Write]]:
        """Yield the transactions that `writes` take."""
        return transactions((write, item_bytes(marshal(self._item(write)))) for write in writes)

    def _transact(self, lease: Lease, writes: list[Write]) -> list[Unwritten]:
        if self.interruptions and (interruption := self.interruptions.pop(0)):
            raise interruption
        if not self._work_states.holds(lease):
            raise LeaseLost(f"{lease.work.key}: epoch {lease.epoch} is over")
        updates = [write for write in writes if isinstance(write, UpdateServer)]
        if changed := [update for update in updates if self._inventory.outdated(update)]:
            raise RowChanged(f"{changed[0].source_server_id} is not what it was when it was read")
        unwritten = [Unwritten(each, why) for each in writes if (why := self._invalid(each))]  # type: ignore[arg-type]
        if unwritten and not all(map(is_row, writes)):
            raise DrsActiveRegionsError(f"{lease.work.key}: {unwritten[0].reason}")
        written = [write for write in writes if write not in [each.write for each in unwritten]]
        for write in written:
            self._put(write)
        if written:
            self.transactions.append(written)
        return unwritten

    def _invalid(self, write: Write) -> str:
        """Return why DynamoDB would not take a write; empty where it does."""
        if isinstance(write, UpdateServer) and self._inventory.refuses(write):
            return "it is filed under another account"
        if isinstance(write, RefuseExtension):
            key = write.refusal.target_scope, write.refusal.staging_source_server_arn
            return (
                "" if self._refusals.is_still(write.seen, key) else "another refusal was recorded meanwhile, and stands"
            )
        return (
            "Item size has exceeded the maximum allowed size" if stored_bytes(self._item(write)) > LARGEST_ITEM else ""
        )

    def _item(self, write: Write) -> dict[str, Any]:
        if isinstance(write, UpdateServer):
            return self._inventory.updated(write)
        if isinstance(write, ScopeTelemetry):
            return to_item(write)
        if isinstance(write, RefuseExtension):
            return write.refusal.item()
        return {} if isinstance(write, ForgetScan | ForgetTelemetry) else write.item()

    def _put(self, write: Write) -> None:
        if isinstance(write, UpdateServer):
            self._inventory.put(write)
        elif isinstance(write, ScopeTelemetry):
            self._telemetries.put(write)
        elif isinstance(write, ScanRecord):
            self._scans.put(write)
        elif isinstance(write, ForgetScan):
            self._scans.forget(write.scope)
        elif isinstance(write, ForgetTelemetry):
            self._telemetries.forget(write.scope)
        else:
            self._refusals.put(write.refusal if isinstance(write, RefuseExtension) else write)

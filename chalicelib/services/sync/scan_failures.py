"""Scans that ended without a word: by an unexpected exception, or because their worker died.

Such a scan wrote no record, so that its scope would look as it did before. It is recorded by whoever holds the lease:
the worker that caught the exception, or the next one, which finds that the last never gave its lease back.
"""

from datetime import UTC, datetime

from ...domain.leases import Lease
from ...domain.regions import ScanRecord, ScopeState
from ...domain.work import WorkKind
from ...observability import logger
from ..ports import Accounts, Clock, Scans, Writer


class ScanFailures:
    """Records that a scan failed, where it could not do so itself."""

    def __init__(self, accounts: Accounts, scans: Scans, writer: Writer, clock: Clock) -> None:
        self._accounts = accounts
        self._scans = scans
        self._writer = writer
        self._clock = clock

    def record(self, lease: Lease, message: str, next_try_at: int) -> None:
        """Write a failed record of the scope of `lease`, under its epoch: what is known of the servers stays.

        Nothing is written for other kinds of work, nor for an account that takes no part or is being removed. This is
        best effort: where it fails, that is logged, and what is told otherwise (the work item, the message) goes on.

        Args:
            lease: the lease of the work that failed.
            message: what a reader of the region's status may know of it.
            next_try_at: epoch seconds.
        """
        if lease.work.kind is not WorkKind.INVENTORY:
            return
        try:
            self._record(lease, message, next_try_at)
        except Exception:  # noqa: BLE001  the failure that is to be recorded must not be hidden by this one
            logger.exception("a failed scan cannot be recorded", work=lease.work.key)

    def _record(self, lease: Lease, message: str, next_try_at: int) -> None:
        scope, now = lease.work.scope, datetime.fromtimestamp(self._clock(), UTC)
        account = self._accounts.read(scope.account_id)
        if account is None or not account.is_active:
            return
        before = self._scans.read(scope) or ScanRecord(
            region=scope.region, account_id=scope.account_id, state=ScopeState.ERROR, last_checked=now
        )
        record = before.failed(ScopeState.ERROR, message, now, lease.epoch)
        planned = datetime.fromtimestamp(next_try_at, UTC)
        self._writer.write(lease, [record.model_copy(update={"next_try_at": planned})])

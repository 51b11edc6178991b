"""Removes the scopes of an account: its rows become tombstones, and the last scope takes the account away."""

from ...domain.accounts import Account
from ...domain.scopes import Scope
from ...domain.server_changes import tombstone
from ...domain.writes import ForgetScan, ForgetTelemetry
from ...errors import DrsActiveRegionsError
from ..ports import Accounts, DrsRegions, Inventory, Scans, Telemetries
from ..work.context import WorkContext


class ScopeRemoval:
    """Removes one scope at a time."""

    def __init__(
        self,
        accounts: Accounts,
        scans: Scans,
        telemetries: Telemetries,
        inventory: Inventory,
        drs_regions: DrsRegions,
    ) -> None:
        self._accounts = accounts
        self._scans = scans
        self._telemetries = telemetries
        self._inventory = inventory
        self._drs_regions = drs_regions

    def remove(self, work: WorkContext, account: Account | None) -> int:
        """Take away the scope of an account that is being removed, or is gone; return how many servers were buried.

        Whoever removes the last scope takes the account away. Under the epoch's fence a late scan brings nothing back;
        one that was still at work when the account went is followed by this once more, because removal asked for it.
        """
        scope, now = work.scope, work.now
        latest = self._telemetries.read(scope)
        listed = {row.source_server_id for row in self._inventory.of_scope(scope)}
        servers = listed | (latest.servers.keys() if latest else set())
        rows = self._inventory.read((server, scope.region) for server in servers)
        burials = [write for server in sorted(rows) for write in tombstone(scope, rows[server], now)]
        if unwritten := work.write(burials):
            raise DrsActiveRegionsError(f"{scope.key}: {len(unwritten)} rows cannot be buried: {unwritten[0].reason}")
        work.write([ForgetTelemetry(scope), ForgetScan(scope)])
        if account is not None:
            regions = self._drs_regions(account.partition)
            if not self._scans.of_scopes(Scope(account.account_id, region) for region in regions):
                self._accounts.delete(account.account_id, account.status)
        return len(burials)

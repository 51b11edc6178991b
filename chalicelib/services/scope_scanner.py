"""Lists a scope's servers, and looks their instances up in EC2 while further pages are fetched. Writes nothing."""

from ..domain.accounts import Account
from ..domain.leases import Lease
from ..domain.regions import ScanRecord
from ..domain.server_changes import PreviousState, entry_of
from ..domain.servers import ON_PREMISES, drs_facts, ec2_facts, packed
from ..errors import AccessDenied, OutOfTime, ServiceError
from .instance_lookup import InstanceLookup, Instances, Origin, origin_of
from .ports import Accounts, Clock, Drs, Ec2, Inventory, Telemetries
from .scan_result import ScanResult


class ScopeScanner:
    """Asks DRS and EC2 for everything of one scope."""

    def __init__(
        self, accounts: Accounts, telemetries: Telemetries, inventory: Inventory, drs: Drs, ec2: Ec2, clock: Clock
    ) -> None:
        self._accounts = accounts
        self._telemetries = telemetries
        self._inventory = inventory
        self._drs = drs
        self._ec2 = ec2
        self._clock = clock

    def scan(self, lease: Lease, account: Account, record: ScanRecord | None) -> ScanResult:
        """Return every server that DRS lists, looked up in EC2 while its further pages are fetched.

        Where the scope kept failing, one call shows first whether it answers. Of each server only what is read is kept.

        Args:
            lease: the work of the scope.
            account: the scope's account.
            record: the scope's scan record, None where it was never scanned.

        Raises:
            ServiceError: the list is not complete.
        """
        scope = lease.work.scope
        if record is not None and record.failing:
            self._drs.look(account, scope.region)
        result = ScanResult(self._previous_state(lease))
        with InstanceLookup(lambda origin, ids: self._instances(lease, account, origin, ids)) as lookup:
            for wire in self._drs.source_servers(account, scope.region):
                if self._clock() > lease.stop_at:
                    raise OutOfTime(f"DRS of {scope.account_id} in {scope.region}: no time left to list its servers")
                server, drs = wire["sourceServerID"], drs_facts(wire, scope)
                if server in result.entries:
                    continue  # on two pages
                result.add(server, wire, drs)
                if not drs.source_instance_id:
                    result.resolve(server, packed(ON_PREMISES))
                elif origin := origin_of(drs):
                    lookup.add(server, drs.source_instance_id, origin)
                else:
                    result.origin_unknown(server, drs)
                result.resolve_all(lookup.answered())
            result.resolve_all(lookup.finish())
        return result

    def _previous_state(self, lease: Lease) -> PreviousState:
        """Return what is known of the scope's servers: its telemetry, where the scan before this one wrote it."""
        latest = self._telemetries.read(lease.work.scope)
        if latest is not None and latest.epoch == lease.epoch - 1:
            return PreviousState(latest.servers, complete=True)
        rows = self._inventory.of_scope(lease.work.scope)
        return PreviousState({row.source_server_id: entry_of(row) for row in rows}, complete=False)

    def _instances(
        self, lease: Lease, account: Account, origin: Origin, instance_ids: list[str]
    ) -> Instances | ServiceError:
        """Return the instances of one origin, or why they could not be had."""
        account_id, region = origin
        if self._clock() > lease.stop_at:
            return OutOfTime(f"EC2 of {account_id} in {region}: no time left to ask")
        owner = account if account_id == account.account_id else self._accounts.read(account_id)
        if owner is None:
            why = f"origin account {account_id} is not registered: register it as a source account"
            return AccessDenied(why, "NOT_REGISTERED")
        try:
            found = self._ec2.instances(owner, region, instance_ids)
        except ServiceError as error:
            return error
        return {instance_id: packed(ec2_facts(instance)) for instance_id, instance in found.items()}

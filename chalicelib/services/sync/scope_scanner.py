"""Lists a scope's servers, and looks their instances up in EC2 while further pages are fetched. Writes nothing."""

from typing import Any

from ...domain.accounts import Account
from ...domain.aws_answers import ReadServer, read_instance, read_server
from ...domain.regions import ScanRecord
from ...domain.scopes import Scope
from ...domain.server_changes import PreviousState, entry_of
from ...domain.servers import ON_PREMISES, packed
from ...errors import AccessDenied, EmptyListing, OutOfTime, ServiceError, UnreadableAnswer
from ..ports import Accounts, AwsPartitions, Drs, Ec2, Inventory, Telemetries
from ..work.context import WorkContext
from .instance_lookup import InstanceLookup, Instances, Origin, origin_of
from .scan_result import UNREADABLE, ScanResult


class ScopeScanner:
    """Asks DRS and EC2 for everything of one scope."""

    def __init__(
        self,
        accounts: Accounts,
        telemetries: Telemetries,
        inventory: Inventory,
        drs: Drs,
        ec2: Ec2,
        aws_partition: AwsPartitions,
    ) -> None:
        self._accounts = accounts
        self._telemetries = telemetries
        self._inventory = inventory
        self._drs = drs
        self._ec2 = ec2
        self._aws_partition = aws_partition

    def scan(self, work: WorkContext, account: Account, record: ScanRecord | None) -> ScanResult:
        """Return every server that DRS lists, looked up in EC2 while its further pages are fetched.

        Where the scope kept failing, one call shows first whether it answers. Of each server only what is read is kept.

        Args:
            work: the work of the scope.
            account: the scope's account.
            record: the scope's scan record, None where it was never scanned.

        Raises:
            ServiceError: the list is not complete.
        """
        scope = work.scope
        if record is not None and record.failing:
            self._drs.probe(account, scope.region)
        result = ScanResult(scope, self._previous_state(work))
        partition = self._aws_partition(account.partition)
        with InstanceLookup(lambda origin, ids: self._instances(work, account, origin, ids)) as lookup:
            for wire in self._drs.source_servers(account, scope.region):
                if work.out_of_time:
                    raise OutOfTime(f"DRS of {scope.account_id} in {scope.region}: no time left to list its servers")
                _add(result, lookup, wire, read_server(wire, scope, partition))
                result.resolve_all(lookup.answered())
            result.resolve_all(lookup.finish())
        result.finish()
        if not result.entries and result.any_unreadable:
            raise UnreadableAnswer(f"DRS of {scope.account_id} in {scope.region}: no server can be read", UNREADABLE)
        if not result.entries and result.previous.servers and not (record and record.listed_nothing):
            raise _empty(scope, len(result.previous.servers))
        return result

    def _previous_state(self, work: WorkContext) -> PreviousState:
        """Return what is known of the scope's servers: its telemetry, where the scan before this one wrote it.

        Otherwise the rows decide: those that the telemetry names, where every new server stands before its row is
        written, and those of the index, which may lack the newest.
        """
        scope = work.scope
        latest = self._telemetries.read(scope)
        if latest is not None and latest.epoch == work.epoch - 1:
            return PreviousState(latest.servers, complete=True)
        servers = {row.source_server_id for row in self._inventory.of_scope(scope)} | set(
            latest.servers if latest else ()
        )
        rows = self._inventory.read((server, scope.region) for server in sorted(servers))
        mine = {server: row for server, row in rows.items() if row.living and row.account_id == scope.account_id}
        return PreviousState({server: entry_of(row) for server, row in mine.items()}, complete=False)

    def _instances(
        self, work: WorkContext, account: Account, origin: Origin, instance_ids: list[str]
    ) -> Instances | ServiceError:
        """Return the instances of one origin, or why they could not be had."""
        account_id, region = origin
        if work.out_of_time:
            return OutOfTime(f"EC2 of {account_id} in {region}: no time left to ask")
        owner = account if account_id == account.account_id else self._accounts.read(account_id)
        if owner is None:
            why = f"origin account {account_id} is not registered: register it as a source account"
            return AccessDenied(why, "NOT_REGISTERED")
        if owner.tenant != account.tenant:
            why = f"origin account {account_id} is not one of the tenant of {account.account_id}: it was not asked"
            return AccessDenied(why, "ORIGIN_NOT_RELATED")
        try:
            found = self._ec2.instances(owner, region, instance_ids)
        except ServiceError as error:
            return error
        return {instance_id: _packed(instance_id, instance) for instance_id, instance in found.items()}


def _add(result: ScanResult, lookup: InstanceLookup, wire: Any, item: ReadServer) -> None:
    """Add one item of DRS's list to the result, and have its instance looked up."""
    server, drs = item.source_server_id, item.facts
    if server is not None and server in result.entries:
        return  # on two pages
    if item.unreadable:
        result.unreadable(item)
    if server is None or drs is None:
        return
    result.add(server, wire, drs)
    if not drs.source_instance_id:
        result.resolve(server, packed(ON_PREMISES))
    elif origin := origin_of(drs):
        lookup.add(server, drs.source_instance_id, origin)
    else:
        result.origin_unknown(server, drs.source_instance_id)


def _packed(instance_id: str, instance: Any) -> bytes | ServiceError:
    """Return what EC2 says of an instance; an error where its tags or its state cannot be read."""
    facts, unreadable = read_instance(instance)
    if facts is None:
        return ServiceError(f"EC2 answers {', '.join(unreadable)} of {instance_id} not as its model says", UNREADABLE)
    return packed(facts)


def _empty(scope: Scope, known: int) -> EmptyListing:
    return EmptyListing(
        f"DRS of {scope.account_id} in {scope.region} lists no servers, and {known} are known: "
        "they are kept until another scan finds none either"
    )

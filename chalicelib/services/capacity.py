"""Capacity per account and region, and what an extension run would need (R10.3)."""

from typing import NamedTuple

from ..domain.capacity import Band, ScopeCapacity, scope_capacity
from ..domain.regions import ScanRecord, ScopeState
from ..domain.scopes import Scope
from .active_region_filter import ActiveRegionFilter
from .fleet import Fleet
from .memberships import checked_memberships
from .ports import Accounts, DrsRegions, Telemetries

WORST_FIRST = [Band.CRITICAL, Band.WARNING, Band.INFO, Band.UNKNOWN, Band.OK]

FAILING = (ScopeState.ERROR, ScopeState.ACCESS_DENIED, ScopeState.THROTTLED)


class ExtensionNeed(NamedTuple):
    """What an extension run of one target scope would find.

    Attributes:
        waiting: staging servers that are not extended; None where a scope that counts is not known.
        held: servers that the target scope holds; None where that is not known.
        free: how many more it may hold.
    """

    region: str
    waiting: int | None
    held: int | None
    free: int | None


class AccountCapacity(NamedTuple):
    """The capacity of an account, its staging accounts apart, and what extension would need."""

    own: list[ScopeCapacity]
    staging: list[ScopeCapacity]
    needs: list[ExtensionNeed]


class Capacity:
    """Answers from scan records; unknown stays unknown."""

    def __init__(
        self,
        region_filter: ActiveRegionFilter,
        fleet: Fleet,
        accounts: Accounts,
        telemetries: Telemetries,
        drs_regions: DrsRegions,
        servers_per_scope: int,
    ) -> None:
        self._filter = region_filter
        self._accounts = accounts
        self._fleet = fleet
        self._telemetries = telemetries
        self._drs_regions = drs_regions
        self._servers_per_scope = servers_per_scope

    def of_account(self, account_id: str) -> AccountCapacity:
        """Return the capacity of a registered account; scopes that DRS was never set up in are left out.

        Raises:
            NotFound: where it is not registered.
        """
        account = self._fleet.account_or_raise(account_id)
        regions = self._drs_regions(account.partition) if account.has_drs else []
        own = self._scopes([Scope(account_id, region) for region in regions])
        members = [one.staging_account_id for one in checked_memberships(self._accounts, account).valid]
        staging = self._scopes([Scope(member, region) for member in members for region in regions])
        needed = sorted({capacity.region for capacity in staging})
        return AccountCapacity(own, staging, [self._need(Scope(account_id, region), members) for region in needed])

    def of_region(self, region: str) -> list[ScopeCapacity]:
        """Return the capacity of every scope in `region` that holds servers or is not known, the fullest first."""
        scans = [scan for scan in self._fleet.scans_of_region(region) if _to_be_told(scan)]
        return _sorted([scope_capacity(scan.scope, scan) for scan in scans])

    def regions(self) -> list[str]:
        """Return the regions that have a capacity to tell: the active ones, and those in which a scope fails."""
        statuses = self._filter.statuses()
        return sorted(name for name, one in statuses.items() if one.active or one.status in FAILING)

    def _scopes(self, scopes: list[Scope]) -> list[ScopeCapacity]:
        known = {scan.scope: scan for scan in self._fleet.scans(scopes)}
        told = [scope for scope in scopes if _to_be_told(known.get(scope))]
        return _sorted([scope_capacity(scope, known.get(scope)) for scope in told])

    def _need(self, target: Scope, members: list[str]) -> ExtensionNeed:
        scan = self._fleet.scan(target)
        held = scan.server_count if scan and scan.last_success else None
        lists = [self._telemetries.read(Scope(member, target.region)) for member in members]
        scans = self._fleet.scans(Scope(member, target.region) for member in members)
        known = all(scan.last_success for scan in scans) and len(scans) == len(members)
        mine = self._telemetries.read(target)
        extended = {entry.extends for entry in mine.servers.values()} if mine else set()
        originals = {entry.original for servers in lists if servers for entry in servers.servers.values()}
        waiting = len(originals - extended - {""}) if known else None
        return ExtensionNeed(
            region=target.region,
            waiting=waiting,
            held=held,
            free=None if held is None else max(0, self._servers_per_scope - held),
        )


def _to_be_told(scan: ScanRecord | None) -> bool:
    """Return whether a scope holds servers or may hold some: an account has none where it has no access itself."""
    if scan is None or scan.active:
        return True
    return scan.last_success is None and scan.state is not ScopeState.NOT_OPTED_IN


def _sorted(capacities: list[ScopeCapacity]) -> list[ScopeCapacity]:
    return sorted(
        capacities, key=lambda one: (WORST_FIRST.index(one.band), -(one.replicating or 0), one.region, one.account_id)
    )

"""The fleet as the tables know it: registered accounts, the scans of their scopes, who is whose staging account."""

from collections.abc import Iterable

from ..domain.accounts import Account, Membership
from ..domain.regions import ScanRecord
from ..domain.scopes import Scope
from ..errors import NotFound
from .memberships import CheckedMemberships, checked_memberships
from .ports import Accounts, Scans


class Fleet:
    """Answers questions about accounts and scopes from the registry and the scan records."""

    def __init__(self, accounts: Accounts, scans: Scans) -> None:
        self._accounts = accounts
        self._scans = scans

    def account_or_raise(self, account_id: str) -> Account:
        """Return a registered account.

        Raises:
            NotFound: where there is none.
        """
        account = self._accounts.read(account_id)
        if account is None:
            raise NotFound(f"account {account_id} is not registered")
        return account

    def scans(self, scopes: Iterable[Scope]) -> list[ScanRecord]:
        """Return the records of the scopes that were scanned."""
        return self._scans.of_scopes(scopes)

    def scan(self, scope: Scope) -> ScanRecord | None:
        """Return the record of a scope's last scan; None where it was never scanned."""
        return self._scans.read(scope)

    def scans_of_region(self, region: str) -> list[ScanRecord]:
        """Return the records of all scopes in `region`."""
        return self._scans.of_region(region)

    def active_scans(self, regions: Iterable[str]) -> list[ScanRecord]:
        """Return the records of the active scopes in `regions`."""
        return [scan for region in regions for scan in self._scans.of_region(region) if scan.active]

    def targets_of(self, staging_account_id: str) -> list[str]:
        """Return the targets whose staging account an account is."""
        return self._accounts.targets_of(staging_account_id)

    def targets(self, scans: Iterable[ScanRecord]) -> dict[str, list[str]]:
        """Return, for each account with an active scan, the targets whose staging account it is."""
        active = {scan.account_id for scan in scans if scan.active}
        return {account_id: self._accounts.targets_of(account_id) for account_id in active}

    def memberships(self, target: Account) -> CheckedMemberships:
        """Return the memberships of `target`: those that hold, and why the others do not."""
        return checked_memberships(self._accounts, target)

    def active_memberships(self, target: Account, region: str) -> CheckedMemberships:
        """Return the memberships of `target` whose staging account holds servers in `region` (R3.1)."""
        memberships: list[Membership] = self._accounts.memberships(target.account_id)
        scopes = [Scope(membership.staging_account_id, region) for membership in memberships]
        active = {scan.account_id for scan in self._scans.of_scopes(scopes) if scan.active}
        chosen = [membership for membership in memberships if membership.staging_account_id in active]
        return checked_memberships(self._accounts, target, chosen)

"""The registry in memory."""

from chalicelib.domain.accounts import Account, AccountKind, AccountStatus, Membership
from chalicelib.errors import (
    AlreadyExists,
    InvalidRequest,
    NotFound,
)

from .process import stored


class FakeAccounts:
    """The registry."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.members: dict[tuple[str, str], Membership] = {}
        self.owners: dict[str, str] = {}  # account ID by ExternalId

    def read(self, account_id: str) -> Account | None:
        return self.accounts.get(account_id)

    def read_all(self) -> list[Account]:
        return [account for kind in AccountKind for account in self.of_kind(kind)]

    def of_kind(self, kind: AccountKind) -> list[Account]:
        return [account for _, account in sorted(self.accounts.items()) if account.kind is kind]

    def memberships(self, account_id: str) -> list[Membership]:
        return [self.members[key] for key in sorted(self.members) if key[0] == account_id]

    def targets_of(self, staging_account_id: str) -> list[str]:
        return sorted(target for target, staging in self.members if staging == staging_account_id)

    def create(self, account: Account) -> None:
        if account.account_id in self.accounts:
            raise AlreadyExists(f"account {account.account_id} is registered already")
        self._claim(account)
        self.accounts[account.account_id] = stored(account)

    def create_membership(self, membership: Membership) -> None:
        key = membership.account_id, membership.staging_account_id
        if key in self.members:
            raise AlreadyExists(f"{key[1]} is a staging account of {key[0]} already")
        self.members[key] = stored(membership)

    def replace(self, account: Account) -> None:
        present = self.accounts.get(account.account_id)
        if present is None or present.status is AccountStatus.REMOVING:
            raise NotFound(f"account {account.account_id} is not registered, or is being removed")
        self._claim(account)
        if present.external_id != account.external_id:
            self._release(present)
        self.accounts[account.account_id] = stored(account)

    def delete(self, account_id: str, status: AccountStatus) -> None:
        present = self.accounts.get(account_id)
        if present is not None and present.status is status:
            del self.accounts[account_id]
            self._release(present)

    def delete_membership(self, account_id: str, staging_account_id: str) -> bool:
        return self.members.pop((account_id, staging_account_id), None) is not None

    def _claim(self, account: Account) -> None:
        if (
            account.external_id
            and self.owners.setdefault(account.external_id, account.account_id) != account.account_id
        ):
            raise InvalidRequest("externalId: another account has it; each account needs one of its own")

    def _release(self, account: Account) -> None:
        if account.external_id and self.owners.get(account.external_id) == account.account_id:
            del self.owners[account.external_id]

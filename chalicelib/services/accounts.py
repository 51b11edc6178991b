"""Registered accounts: their scopes become known to the planner when they are added."""

from ..domain.accounts import Account, AccountKind, Membership
from ..domain.scopes import Scope
from ..domain.work import WorkId, WorkKind, WorkMessage
from ..errors import InvalidRequest, NotFound
from .ports import Accounts, Clock, DrsRegions, Queue, Scans, WorkStates


class AccountRegistry:
    """Adds accounts and memberships.

    Args:
        hub_account_id: the product's own account: the only one that may be registered without roles.
        redeliver_after: seconds after which work whose message was lost comes due again.
    """

    def __init__(
        self,
        accounts: Accounts,
        scans: Scans,
        work_states: WorkStates,
        queue: Queue,
        drs_regions: DrsRegions,
        clock: Clock,
        *,
        hub_account_id: str,
        redeliver_after: int,
    ) -> None:
        self._accounts = accounts
        self._scans = scans
        self._work_states = work_states
        self._queue = queue
        self._drs_regions = drs_regions
        self._clock = clock
        self._hub_account_id = hub_account_id
        self._redeliver_after = redeliver_after

    def register(self, account: Account, *, scan_now: bool = True) -> None:
        """Register `account`, and have each of its scopes scanned: at once, or in the next planned cycle.

        The scopes' work becomes due before the account is stored: what stops half-way can be repeated.

        Args:
            account: the account.
            scan_now: False leaves the first scan to the planner, for registering many.

        Raises:
            InvalidRequest: where a foreign account lacks a role that it needs.
            AlreadyExists: where it is registered.
        """
        self._check_roles(account)
        if account.has_drs:
            regions = self._drs_regions(account.partition)
            works = [WorkId(WorkKind.INVENTORY, Scope(account.account_id, region)) for region in regions]
            now = int(self._clock())
            for work in works if account.takes_part else ():
                self._work_states.register(work, due=now)
        self._accounts.create(account)
        if account.has_drs and account.takes_part and scan_now:
            self._ask(works)

    def add_staging_account(self, membership: Membership) -> None:
        """Make a registered staging account one of a registered target, and extend what it holds already.

        Raises:
            NotFound: where either is not registered.
            InvalidRequest: where either is of another kind.
            AlreadyExists: where it is one already.
        """
        target = self._need(membership.account_id, AccountKind.TARGET)
        self._need(membership.staging_account_id, AccountKind.STAGING)
        self._accounts.create_membership(membership)
        staging = (Scope(membership.staging_account_id, region) for region in self._drs_regions(target.partition))
        active = [scan.region for scan in self._scans.of_scopes(staging) if scan.active]
        self._ask([WorkId(WorkKind.STAGING, Scope(target.account_id, region)) for region in active])

    def _ask(self, works: list[WorkId]) -> None:
        again = int(self._clock()) + self._redeliver_after
        for work in works:
            self._work_states.ask(work, again)
        self._queue.send(map(WorkMessage.about, works))

    def _need(self, account_id: str, kind: AccountKind) -> Account:
        account = self._accounts.read(account_id)
        if account is None:
            raise NotFound(f"account {account_id} is not registered")
        if account.kind is not kind:
            raise InvalidRequest(f"account {account_id} is registered as {account.kind}, not as {kind}")
        return account

    def _check_roles(self, account: Account) -> None:
        if account.account_id == self._hub_account_id:
            return
        if account.reader_role_arn is None:
            raise InvalidRequest(
                f"readerRoleArn: account {account.account_id} is not the hub's and needs a reader role"
            )
        if account.has_drs and account.writer_role_arn is None:
            raise InvalidRequest(
                f"writerRoleArn: account {account.account_id} is not the hub's and needs a writer role"
            )

"""Registered accounts: their scopes become known to the planner when they are added."""

from typing import NamedTuple

from ..domain.accounts import MOST_TARGETS, Account, AccountKind, AccountStatus, Membership, membership_fault
from ..domain.leases import WorkState
from ..domain.regions import ScanRecord
from ..domain.scopes import Scope
from ..domain.work import WorkId, WorkKind
from ..errors import AlreadyExists, InvalidRequest, NotFound
from .fleet import Fleet
from .memberships import CheckedMemberships, checked_memberships
from .ports import Accounts, Clock, DrsRegions, WorkStates
from .work.requests import WorkRequests

MOST_NAMED = 20


class AccountScope(NamedTuple):
    """One scope of an account: its scan record, and by kind what is known of its work, where there is any."""

    scope: Scope
    scan: ScanRecord | None
    works: dict[WorkKind, WorkState]

    @property
    def work(self) -> WorkState | None:
        """What is known of its inventory work."""
        return self.works.get(WorkKind.INVENTORY)


class AccountRegistry:
    """Adds accounts and memberships.

    Args:
        hub_account_id: the product's own account: the only one that may be registered without roles.
    """

    def __init__(
        self,
        accounts: Accounts,
        fleet: Fleet,
        work_states: WorkStates,
        requests: WorkRequests,
        drs_regions: DrsRegions,
        clock: Clock,
        *,
        hub_account_id: str,
    ) -> None:
        self._accounts = accounts
        self._fleet = fleet
        self._work_states = work_states
        self._requests = requests
        self._drs_regions = drs_regions
        self._clock = clock
        self._hub_account_id = hub_account_id

    def register(self, account: Account, *, scan_now: bool = True) -> None:
        """Register `account`, and have each of its scopes scanned: at once, or in the next planned cycle.

        The scopes' work is wanted and due before the account is stored: what stops half-way can be repeated, and a
        worker that still takes the same account's scope away finds that more is wanted.

        Args:
            account: the account.
            scan_now: False leaves the first scan to the planner, for registering many.

        Raises:
            InvalidRequest: where a foreign account lacks a role or the ExternalId that it needs, or another account has
                that ExternalId.
            AlreadyExists: where it is registered.
        """
        self._check_roles(account)
        self._check_external_id(account)
        works = self._works(account) if account.is_active else []
        now = int(self._clock())
        for work in works:
            self._work_states.request(work, due_again=now)
        self._accounts.create(account)
        if scan_now:
            self._ask(works)

    def add_staging_account(self, membership: Membership) -> None:
        """Make a registered account a staging account of another, and extend what it holds already.

        Raises:
            NotFound: where either is not registered.
            InvalidRequest: where the two cannot be so: of different tenants or partitions, or without DRS; or where the
                staging account has as many targets as DRS lets it trust.
            AlreadyExists: where it is one already.
        """
        target, staging = self.account(membership.account_id), self.account(membership.staging_account_id)
        if fault := membership_fault(target, staging):
            raise InvalidRequest(f"stagingAccountId: {fault}")
        others = set(self._accounts.targets_of(staging.account_id)) - {target.account_id}
        if len(others) >= MOST_TARGETS:
            raise InvalidRequest(
                f"stagingAccountId: {staging.account_id} is a staging account of {len(others)} targets already;"
                f" its DRS can trust {MOST_TARGETS} accounts"
            )
        try:
            self._accounts.create_membership(membership)
        except AlreadyExists:  # perhaps by an attempt whose answer was lost, and nothing asked for yet
            self._extend_what_is_there(target, membership)
            raise
        self._extend_what_is_there(target, membership)

    def _extend_what_is_there(self, target: Account, membership: Membership) -> None:
        staging = (Scope(membership.staging_account_id, region) for region in self._drs_regions(target.partition))
        active = [scan.region for scan in self._fleet.scans(staging) if scan.active]
        self._ask([WorkId(WorkKind.STAGING, Scope(target.account_id, region)) for region in active])

    def remove_staging_account(self, target_id: str, staging_account_id: str) -> None:
        """Make a staging account one of the target's no longer; its extensions stay.

        Raises:
            NotFound: where it is none.
        """
        if not self._accounts.delete_membership(target_id, staging_account_id):
            raise NotFound(f"{staging_account_id} is not a staging account of {target_id}")

    def staging_accounts(self, target_id: str) -> CheckedMemberships:
        """Return the staging memberships of a registered account: those that hold, and why others are ignored.

        Raises:
            NotFound: where it is not registered.
        """
        return checked_memberships(self._accounts, self.account(target_id))

    def staged_regions(self, target_id: str) -> list[str]:
        """Return the regions in which a staging account of the registered account `target_id` is active, sorted.

        Raises:
            NotFound: where it is not registered.
            InvalidRequest: where it is a source account.
        """
        target = self.account(target_id)
        if not target.has_drs:
            raise InvalidRequest(f"accountId: {target_id} is a source account: its DRS is not used")
        members = self.staging_accounts(target_id).valid
        regions = self._drs_regions(target.partition)
        scopes = [Scope(member.staging_account_id, region) for member in members for region in regions]
        return sorted({scan.region for scan in self._fleet.scans(scopes) if scan.active})

    def accounts(self, kind: AccountKind | None = None) -> list[Account]:
        """Return the registered accounts, by kind and ID."""
        return self._accounts.of_kind(kind) if kind else self._accounts.read_all()

    def account(self, account_id: str) -> Account:
        """Return a registered account.

        Raises:
            NotFound: where it is not registered.
        """
        return self._fleet.account_or_raise(account_id)

    def change(self, account: Account) -> None:
        """Store a registered account anew. Where it takes part again, or its roles changed, it is scanned.

        Raises:
            NotFound: where it is not registered, or being removed.
            InvalidRequest: where it would have DRS and had none, or the reverse; its tenant changes while it has
                memberships; it lacks a role or the ExternalId that it needs, or another account has that ExternalId.
        """
        before = self.account(account.account_id)
        if before.partition != account.partition:
            raise InvalidRequest(f"partition: {account.account_id} is in {before.partition}; remove it to change that")
        if before.has_drs is not account.has_drs:
            raise InvalidRequest(f"kind: {account.account_id} is a {before.kind} account; remove it to change that")
        if before.status_reason and account.is_active:
            raise InvalidRequest(
                f"status: {account.account_id} is kept inactive: {before.status_reason}. Then validate it again"
            )
        account = account.model_copy(update={"status_reason": before.status_reason})
        if before.tenant != account.tenant:
            self._check_no_memberships(account.account_id)
        self._check_roles(account)
        if before.external_id != account.external_id:
            self._check_external_id(account)
        self._accounts.replace(account)
        access = ("status", "reader_role_arn", "writer_role_arn", "external_id")
        if account.is_active and any(getattr(before, name) != getattr(account, name) for name in access):
            self._ask(self._works(account))

    def keep_inactive(self, account_id: str, reason: str | None) -> None:
        """Make an account inactive for a reason that validation found, or lift that where `reason` is None.

        Lifted, the account stays inactive until somebody makes it active. Safe to repeat.

        Raises:
            NotFound: where it is not registered, or being removed.
        """
        account = self.account(account_id)
        status = AccountStatus.INACTIVE if reason else account.status
        if (account.status_reason, account.status) != (reason, status):
            self._accounts.replace(account.model_copy(update={"status": status, "status_reason": reason}))

    def remove(self, account_id: str) -> int:
        """Begin to remove an account, with its memberships in both directions; return how many scopes are to go.

        Its scopes are taken away by the inventory worker, under their epochs; the account goes with the last of them.

        Raises:
            NotFound: where it is not registered.
        """
        account = self.account(account_id)
        for membership in self._accounts.memberships(account_id):
            self._accounts.delete_membership(account_id, membership.staging_account_id)
        for target_id in self._accounts.targets_of(account_id):
            self._accounts.delete_membership(target_id, account_id)
        if not account.has_drs:
            self._accounts.delete(account_id, account.status)
            return 0
        if account.status is not AccountStatus.REMOVING:
            self._accounts.replace(account.model_copy(update={"status": AccountStatus.REMOVING}))
        works = self._works(account)
        self._ask(works)
        return len(works)

    def scopes(self, account_id: str) -> list[AccountScope]:
        """Return each scope of an account: its scan record, and how its work of every kind stands.

        Raises:
            NotFound: where the account is not registered.
        """
        scopes = [work.scope for work in self._works(self.account(account_id))]
        states = self._work_states.read(WorkId(kind, scope) for scope in scopes for kind in WorkKind)
        scans = {scan.scope: scan for scan in self._fleet.scans(scopes)}
        known: dict[Scope, dict[WorkKind, WorkState]] = {}
        for work, state in states.items():
            known.setdefault(work.scope, {})[work.kind] = state
        return [AccountScope(scope, scans.get(scope), known.get(scope, {})) for scope in scopes]

    def _works(self, account: Account) -> list[WorkId]:
        if not account.has_drs:
            return []
        regions = self._drs_regions(account.partition)
        return [WorkId(WorkKind.INVENTORY, Scope(account.account_id, region)) for region in regions]

    def _ask(self, works: list[WorkId]) -> None:
        self._requests.request_work(works)

    def _check_no_memberships(self, account_id: str) -> None:
        members = [membership.staging_account_id for membership in self._accounts.memberships(account_id)]
        targets = self._accounts.targets_of(account_id)
        if members or targets:
            pairs = [f"{account_id}/{member}" for member in members] + [f"{target}/{account_id}" for target in targets]
            raise InvalidRequest(
                f"tenant: {account_id} has memberships; take them away before it changes its tenant"
                f" (target/staging account): {', '.join(pairs[:MOST_NAMED])}"
            )

    def _check_roles(self, account: Account) -> None:
        self._drs_regions(account.partition)  # raises where there is no such partition
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
        if account.external_id is None:
            raise InvalidRequest(f"externalId: account {account.account_id} is not the hub's and needs one of its own")

    def _check_external_id(self, account: Account) -> None:
        """Refuse an ExternalId that another account has: whoever owns that one could have this one entered.

        AWS IAM user guide, "The confused deputy problem". The transaction that stores the account refuses it as
        well, and decides between two at once; but it knows nothing of accounts that were stored before it was so.
        """
        if account.external_id is None:
            return
        for other in self._accounts.read_all():
            if other.account_id != account.account_id and other.external_id == account.external_id:
                raise InvalidRequest("externalId: another account has it; each account needs one of its own")

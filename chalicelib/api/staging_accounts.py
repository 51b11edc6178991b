"""Staging accounts of a target: memberships, discovery, validation, sync."""

from http import HTTPStatus
from typing import Annotated

from pydantic import Field

from ..container import container
from ..domain.accounts import AccountId, Membership
from ..domain.checks import Discovery, StagingValidation
from ..domain.records import Record
from ..domain.scopes import Scope
from ..domain.tags import TAG_LIMIT
from ..domain.work import WorkKind
from ..services.work.planner import SyncRequest
from .fields import TagKey, TagValue, Wait
from .operation import Operation, Request, RunsIn, routes
from .syncs import SyncAnswer, sync_answer

TagRule = Annotated[dict[TagKey, TagValue], Field(max_length=TAG_LIMIT)]


class TargetRequest(Request):
    """One target account."""

    account_id: AccountId


class IgnoredMembership(Record):
    """A staging account that is stored as one of the target's and not acted upon, and why."""

    staging_account_id: str
    reason: str


class MembershipList(Record):
    """A target's staging accounts, and apart those whose membership is ignored: they belong to another tenant."""

    account_id: str
    staging_accounts: list[Membership]
    ignored: list[IgnoredMembership]


class AddStagingAccount(TargetRequest):
    """A staging account to add; tags decide what is extended: all of `include_tags`, none of `exclude_tags`."""

    staging_account_id: AccountId
    include_tags: TagRule = {}
    exclude_tags: TagRule = {}


class StagingAccountRequest(TargetRequest):
    """One staging account of a target."""

    staging_account_id: AccountId


class ValidateStagingAccount(Request):
    """A staging account and the target that it is to be extended into."""

    staging_account_id: AccountId
    target_account_id: AccountId


class StagingSync(TargetRequest):
    """A staging sync of one target."""

    dry_run: bool = False
    retry_refused: bool = False
    wait: Wait = 0


def list_staging_accounts(request: TargetRequest, _: str) -> MembershipList:
    """Return the target's staging accounts."""
    valid, faults = container().account_registry.staging_accounts(request.account_id)
    ignored = [IgnoredMembership(staging_account_id=one, reason=reason) for one, reason in sorted(faults.items())]
    return MembershipList(account_id=request.account_id, staging_accounts=valid, ignored=ignored)


def add_staging_account(request: AddStagingAccount, _: str) -> Membership:
    """Add a staging account to the target; what it holds is extended."""
    membership = Membership(**request.model_dump())
    container().account_registry.add_staging_account(membership)
    return membership


def remove_staging_account(request: StagingAccountRequest, _: str) -> MembershipList:
    """Take a staging account from the target; its extensions stay. Returns those that are left."""
    container().account_registry.remove_staging_account(request.account_id, request.staging_account_id)
    return list_staging_accounts(TargetRequest(account_id=request.account_id), _)


def discover_staging_accounts(request: TargetRequest, _: str) -> Discovery:
    """Find staging accounts that the target extends from."""
    return Discovery.of(container().ports.probe_function.ask(probe="discover", accountId=request.account_id))


def validate_staging_account(request: ValidateStagingAccount, _: str) -> StagingValidation:
    """Check whether a staging account's servers can be extended into a target."""
    answer = container().ports.probe_function.ask(
        probe="validate_staging",
        accountId=request.target_account_id,
        stagingAccountId=request.staging_account_id,
    )
    return StagingValidation.of(answer)


def sync_target_staging_accounts(request: StagingSync, caller: str) -> SyncAnswer:
    """Extend what is new in the target's staging accounts, in every region where one of them is active."""
    scopes = [
        Scope(request.account_id, region) for region in container().account_registry.staged_regions(request.account_id)
    ]
    sync = SyncRequest(WorkKind.STAGING, scopes, request.dry_run, request.retry_refused, caller)
    return sync_answer(container().planner.sync(sync), request.wait)


OPERATIONS = (
    Operation(
        "list_staging_accounts",
        TargetRequest,
        MembershipList,
        list_staging_accounts,
        "A target's staging accounts",
        "GET",
        "/accounts/{accountId}/staging-accounts",
    ),
    Operation(
        "add_staging_account",
        AddStagingAccount,
        Membership,
        add_staging_account,
        "Add a staging account to a target",
        "POST",
        "/accounts/{accountId}/staging-accounts",
        status=HTTPStatus.CREATED,
        changes=True,
    ),
    Operation(
        "remove_staging_account",
        StagingAccountRequest,
        MembershipList,
        remove_staging_account,
        "Take a staging account from a target",
        "DELETE",
        "/accounts/{accountId}/staging-accounts/{stagingAccountId}",
        changes=True,
    ),
    Operation(
        "discover_staging_accounts",
        TargetRequest,
        Discovery,
        discover_staging_accounts,
        "Staging accounts that a target extends from, and what discovery cannot see",
        "POST",
        "/accounts/{accountId}/staging-accounts/discover",
        runs_in=RunsIn.ACCOUNT_PROBE,
    ),
    Operation(
        "validate_staging_account",
        ValidateStagingAccount,
        StagingValidation,
        validate_staging_account,
        "Check a staging account against a target: access, trust, EBS key, counts",
        "POST",
        "/staging-accounts/validate",
        runs_in=RunsIn.ACCOUNT_PROBE,
    ),
    Operation(
        "sync_target_staging_accounts",
        StagingSync,
        SyncAnswer,
        sync_target_staging_accounts,
        "Extend what is new in a target's staging accounts",
        "POST",
        "/accounts/{accountId}/staging-accounts/sync",
        status=HTTPStatus.ACCEPTED,
        changes=True,
    ),
)
blueprint = routes(OPERATIONS, __name__)

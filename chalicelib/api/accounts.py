"""Accounts: registry, scopes, validation, capacity."""

from http import HTTPStatus

from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel

from ..bootstrap import account_registry, capacity, probe_client
from ..domain.accounts import Account, AccountId, AccountKind, AccountStatus, ExternalId, RoleArn, Tenant
from ..domain.capacity import ScopeCapacity
from ..domain.checks import Check
from ..domain.records import Moment, Record
from ..domain.regions import ScopeState
from ..errors import InvalidRequest
from ..settings import settings
from .fields import Region
from .operation import Operation, Request, RunsIn, routes


class AccountBody(Record):
    """A registered account; its ExternalId is never told, only whether there is one."""

    account_id: str
    name: str
    kind: AccountKind
    status: AccountStatus
    partition: str
    tenant: str
    reader_role_arn: str | None
    writer_role_arn: str | None
    external_id_set: bool


class AccountList(Record):
    """Registered accounts, by kind and ID."""

    accounts: list[AccountBody]


class ListAccounts(Request):
    """Which accounts; absent: all."""

    kind: AccountKind | None = None


class AccountRequest(Request):
    """One account."""

    account_id: AccountId


class AccountFields(Request):
    """What can be said of an account."""

    name: str = Field(min_length=1, max_length=128)
    kind: AccountKind
    status: AccountStatus = AccountStatus.ACTIVE
    partition: str = Field(default="aws", pattern=r"^aws(-[a-z]+)*$", max_length=32)
    tenant: Tenant | None = None
    reader_role_arn: RoleArn | None = None
    writer_role_arn: RoleArn | None = None
    external_id: ExternalId | None = Field(default=None, repr=False)


class RegisterAccount(AccountFields):
    """An account to register; `scan_now` false leaves its first scan to the next cycle.

    Without `tenant` it belongs to the stack's default tenant.
    """

    account_id: AccountId
    scan_now: bool = True


class ChangeAccount(AccountFields):
    """An account's new data; without `external_id` or `tenant` the known one stays."""

    account_id: AccountId


class Removal(Record):
    """An account that is being removed, scope by scope; it is gone once it is not found any more."""

    account_id: str
    scopes: int


class AccountScopeBody(Record):
    """How an account stands in one region."""

    region: str
    state: ScopeState | None
    server_count: int | None
    replicating_count: int | None
    extended_count: int | None
    last_checked: Moment | None
    last_success: Moment | None
    error_message: str | None
    next_due_at: int | None = Field(description="epoch seconds")


class AccountRegions(Record):
    """How an account stands in every region."""

    account_id: str
    regions: list[AccountScopeBody]


class Validation(Record):
    """Checks of an account; `ok` where none of them failed."""

    account_id: str
    ok: bool
    checks: list[Check]


class ExtensionNeedBody(Record):
    """What an extension run would find in one target scope; None: not known."""

    region: str
    waiting: int | None
    held: int | None
    free: int | None


class AccountCapacityBody(Record):
    """How full an account's scopes are, its staging accounts apart, and what extension would need."""

    account_id: str
    own: list[ScopeCapacity]
    staging: list[ScopeCapacity]
    extension_needs: list[ExtensionNeedBody]


class CapacityRequest(Request):
    """Which region; absent: every active one."""

    region: Region | None = None


class CapacityList(Record):
    """How full the scopes are that hold servers, the fullest of each region first."""

    scopes: list[ScopeCapacity]


def list_accounts(request: ListAccounts, _: str) -> AccountList:
    """Return the registered accounts."""
    return AccountList(accounts=[_body(account) for account in account_registry().accounts(request.kind)])


def register_account(request: RegisterAccount, _: str) -> AccountBody:
    """Register an account and have it scanned."""
    account = _account(request, tenant=settings().default_tenant)
    account_registry().register(account, scan_now=request.scan_now)
    return _body(account)


def get_account(request: AccountRequest, _: str) -> AccountBody:
    """Return one account."""
    return _body(account_registry().account(request.account_id))


def change_account(request: ChangeAccount, _: str) -> AccountBody:
    """Change an account; where its access changed, it is scanned again."""
    known = account_registry().account(request.account_id)
    account = _account(request, tenant=known.tenant)
    if request.external_id is None:
        account = account.model_copy(update={"external_id": known.external_id})
    account_registry().change(account)
    return _body(account)


def remove_account(request: AccountRequest, _: str) -> Removal:
    """Begin to remove an account."""
    return Removal(account_id=request.account_id, scopes=account_registry().remove(request.account_id))


def list_account_regions(request: AccountRequest, _: str) -> AccountRegions:
    """Return how the account stands in every region, and when each is due."""
    scopes = account_registry().scopes(request.account_id)
    regions = [
        AccountScopeBody(
            region=one.scope.region,
            state=one.scan.state if one.scan else None,
            server_count=one.scan.server_count if one.scan else None,
            replicating_count=one.scan.replicating_count if one.scan else None,
            extended_count=one.scan.extended_count if one.scan else None,
            last_checked=one.scan.last_checked if one.scan else None,
            last_success=one.scan.last_success if one.scan else None,
            error_message=one.scan.error_message if one.scan else None,
            next_due_at=one.work.next_due_at if one.work else None,
        )
        for one in scopes
    ]
    return AccountRegions(account_id=request.account_id, regions=regions)


def validate_account(request: AccountRequest, _: str) -> Validation:
    """Check the account's roles, and DRS in each region."""
    answer = probe_client().ask(probe="validate", accountId=request.account_id)
    checks = [Check.of(check) for check in answer["checks"]]
    ok = all(check.ok is not False for check in checks)
    return Validation(account_id=request.account_id, ok=ok, checks=checks)


def get_account_capacity(request: AccountRequest, _: str) -> AccountCapacityBody:
    """Return how full the account is."""
    told = capacity().of_account(request.account_id)
    needs = [ExtensionNeedBody(**need._asdict()) for need in told.needs]
    return AccountCapacityBody(account_id=request.account_id, own=told.own, staging=told.staging, extension_needs=needs)


def list_capacity(request: CapacityRequest, _: str) -> CapacityList:
    """Return how full all accounts are."""
    regions = [request.region] if request.region else capacity().regions()
    return CapacityList(scopes=[one for region in regions for one in capacity().of_region(region)])


def _account(fields: RegisterAccount | ChangeAccount, tenant: str) -> Account:
    """Return the account that a request describes, `tenant`'s where the request names none.

    Raises:
        InvalidRequest: where a role is another account's, or removal is asked for by status.
    """
    if fields.status is AccountStatus.REMOVING:
        raise InvalidRequest("status: delete the account to remove it")
    try:
        return Account(**(fields.model_dump(exclude={"scan_now"}) | {"tenant": fields.tenant or tenant}))
    except ValidationError as error:
        # the message alone: pydantic's text repeats what was given, the ExternalId included
        name, _, problem = error.errors()[0]["msg"].removeprefix("Value error, ").partition(":")
        raise InvalidRequest(f"{to_camel(name)}:{problem}") from None


def _body(account: Account) -> AccountBody:
    return AccountBody(**account.model_dump(exclude={"external_id"}), external_id_set=account.external_id is not None)


OPERATIONS = (
    Operation("list_accounts", ListAccounts, AccountList, list_accounts, "Registered accounts", "GET", "/accounts"),
    Operation(
        "register_account",
        RegisterAccount,
        AccountBody,
        register_account,
        "Register an account",
        "POST",
        "/accounts",
        status=HTTPStatus.CREATED,
        changes=True,
    ),
    Operation("get_account", AccountRequest, AccountBody, get_account, "One account", "GET", "/accounts/{accountId}"),
    Operation(
        "change_account",
        ChangeAccount,
        AccountBody,
        change_account,
        "Change an account",
        "PUT",
        "/accounts/{accountId}",
        changes=True,
    ),
    Operation(
        "remove_account",
        AccountRequest,
        Removal,
        remove_account,
        "Remove an account with its scopes and memberships",
        "DELETE",
        "/accounts/{accountId}",
        status=HTTPStatus.ACCEPTED,
        changes=True,
    ),
    Operation(
        "validate_account",
        AccountRequest,
        Validation,
        validate_account,
        "Check an account's roles and DRS by region",
        "POST",
        "/accounts/{accountId}/validate",
        runs_in=RunsIn.ACCOUNT_PROBE,
    ),
    Operation(
        "list_account_regions",
        AccountRequest,
        AccountRegions,
        list_account_regions,
        "How an account stands in every region",
        "GET",
        "/accounts/{accountId}/regions",
    ),
    Operation(
        "get_account_capacity",
        AccountRequest,
        AccountCapacityBody,
        get_account_capacity,
        "How full an account is",
        "GET",
        "/accounts/{accountId}/capacity",
    ),
    Operation("list_capacity", CapacityRequest, CapacityList, list_capacity, "How full all are", "GET", "/capacity"),
)
blueprint = routes(OPERATIONS, __name__)

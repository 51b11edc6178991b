"""Requests and answers of the operations on accounts."""

from pydantic import Field

from ..domain.accounts import AccountId, AccountKind, AccountStatus, NewExternalId, RoleArn, Tenant
from ..domain.checks import Check
from ..domain.records import Moment, Record
from ..domain.regions import ScopeState
from ..domain.work import WorkKind
from .operation import Request


class AccountBody(Record):
    """A registered account; its ExternalId is never told, only whether there is one."""

    account_id: str
    name: str
    kind: AccountKind
    status: AccountStatus
    status_reason: str | None
    has_drs: bool
    partition: str
    tenant: str
    reader_role_arn: str | None
    writer_role_arn: str | None
    external_id_set: bool


class AccountWithRoles(AccountBody):
    """An account with what its roles are deployed with; an ExternalId that the hub made is told here and never again.

    Attributes:
        external_id: the ExternalId that the hub made just now; None where it was given, is known, or is not needed.
        deploy_roles: the command that deploys the account's roles; run it with that account's credentials. None where
            it has none: the hub's own, as it could be registered once.
    """

    external_id: str | None
    deploy_roles: str | None


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
    kind: AccountKind | None = Field(default=None, description="what its roles are made for; without it: by hasDrs")
    has_drs: bool | None = Field(default=None, description="false: the account only runs EC2 instances")
    status: AccountStatus = AccountStatus.ACTIVE
    partition: str = Field(default="aws", pattern=r"^aws(-[a-z]+)*$", max_length=32)
    tenant: Tenant | None = None
    reader_role_arn: RoleArn | None = None
    writer_role_arn: RoleArn | None = None
    external_id: NewExternalId | None = Field(default=None, repr=False)


class RegisterAccount(AccountFields):
    """An account to register; `scan_now` false leaves its first scan to the next cycle.

    Without `tenant` it belongs to the stack's default tenant. Without roles, its are those that
    infra/customer-roles.yaml makes; without `external_id` the hub makes one.
    """

    account_id: AccountId
    scan_now: bool = True


class ChangeAccount(AccountFields):
    """An account's new data; without `external_id` or `tenant` the known one stays."""

    account_id: AccountId
    new_external_id: bool = Field(default=False, description="whether the hub makes a new ExternalId")


class Removal(Record):
    """An account that is being removed, scope by scope; it is gone once it is not found any more."""

    account_id: str
    scopes: int


class WorkBody(Record):
    """How one kind of work stands in a scope."""

    state: ScopeState | None = Field(description="as its last run ended; ERROR where it broke off; null: not known")
    message: str | None
    failures: int = Field(description="in a row; 0: the last run did not fail")
    next_due_at: int | None = Field(description="epoch seconds; null: not until asked for")


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
    work: dict[WorkKind, WorkBody] = Field(description="by kind; a kind that was never asked for is absent")


class AccountRegions(Record):
    """How an account stands in every region."""

    account_id: str
    regions: list[AccountScopeBody]


class Validation(Record):
    """Checks of an account; `ok` where none of them failed."""

    account_id: str
    ok: bool
    checks: list[Check]

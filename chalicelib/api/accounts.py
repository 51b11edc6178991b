"""Accounts: registry, scopes, validation, capacity."""

import secrets
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from ..container import container
from ..domain.accounts import Account, AccountKind, AccountStatus
from ..domain.checks import TRUST_CHECK, Check
from ..domain.customer_roles import deploy_command
from ..domain.leases import WorkState
from ..errors import InvalidRequest
from ..services.accounts import AccountScope
from .account_bodies import (
    AccountBody,
    AccountFields,
    AccountList,
    AccountRegions,
    AccountRequest,
    AccountScopeBody,
    AccountWithRoles,
    ChangeAccount,
    ListAccounts,
    RegisterAccount,
    Removal,
    Validation,
    WorkBody,
)
from .operation import Operation, RunsIn, routes

EXTERNAL_ID_BYTES = 32


def list_accounts(request: ListAccounts, _: str) -> AccountList:
    """Return the registered accounts."""
    return AccountList(accounts=[_body(account) for account in container().account_registry.accounts(request.kind)])


def register_account(request: RegisterAccount, _: str) -> AccountWithRoles:
    """Register an account and have it scanned."""
    account = _account(request, tenant=container().settings.default_tenant)
    account = account.model_copy(update=_default_roles(account))
    made = None if request.external_id else _new_external_id()
    if made:
        account = account.model_copy(update={"external_id": made})
    container().account_registry.register(account, scan_now=request.scan_now)
    return _with_roles(account, made)


def get_account(request: AccountRequest, _: str) -> AccountBody:
    """Return one account."""
    return _body(container().account_registry.account(request.account_id))


def change_account(request: ChangeAccount, _: str) -> AccountWithRoles:
    """Change an account; where its access changed, it is scanned again."""
    known = container().account_registry.account(request.account_id)
    account = _account(request, tenant=known.tenant)
    if request.external_id and request.new_external_id:
        raise InvalidRequest("newExternalId: give an ExternalId or have one made")
    made = _new_external_id() if request.new_external_id else None
    if request.external_id is None:
        account = account.model_copy(update={"external_id": made or known.external_id})
    container().account_registry.change(account)
    return _with_roles(container().account_registry.account(account.account_id), made)


def remove_account(request: AccountRequest, _: str) -> Removal:
    """Begin to remove an account."""
    return Removal(account_id=request.account_id, scopes=container().account_registry.remove(request.account_id))


def list_account_regions(request: AccountRequest, _: str) -> AccountRegions:
    """Return how the account stands in every region, how the work there does, and when it is due."""
    scopes = container().account_registry.scopes(request.account_id)
    regions = [_scope_body(one) for one in scopes]
    return AccountRegions(account_id=request.account_id, regions=regions)


def _scope_body(one: AccountScope) -> AccountScopeBody:
    scan, inventory = one.scan, one.work
    return AccountScopeBody(
        region=one.scope.region,
        state=scan.state if scan else None,
        server_count=scan.server_count if scan else None,
        replicating_count=scan.replicating_count if scan else None,
        extended_count=scan.extended_count if scan else None,
        last_checked=scan.last_checked if scan else None,
        last_success=scan.last_success if scan else None,
        error_message=scan.error_message if scan else inventory.last_error if inventory else None,
        next_due_at=inventory.next_due_at if inventory else None,
        work={kind: _work_body(state) for kind, state in one.works.items()},
    )


def _work_body(state: WorkState) -> WorkBody:
    return WorkBody(
        state=state.shown,
        message=state.message,
        failures=state.failures_in_a_row,
        next_due_at=state.next_due_at,
    )


def validate_account(request: AccountRequest, _: str) -> Validation:
    """Check the account's roles, and DRS in each region; one whose roles are open to strangers becomes inactive."""
    answer = container().ports.probe_function.ask(probe="validate", accountId=request.account_id)
    checks = [Check.of(check) for check in answer["checks"]]
    ok = all(check.ok is not False for check in checks)
    trust = [check for check in checks if check.name == TRUST_CHECK]
    if fault := next((check for check in trust if check.ok is False), None):
        container().account_registry.keep_inactive(request.account_id, f"{fault.message}. {fault.advice}")
    elif trust and all(check.ok for check in trust):
        container().account_registry.keep_inactive(request.account_id, None)
    return Validation(account_id=request.account_id, ok=ok, checks=checks)


def _account(fields: RegisterAccount | ChangeAccount, tenant: str) -> Account:
    """Return the account that a request describes, `tenant`'s where the request names none.

    Raises:
        InvalidRequest: where a role is another account's, or removal is asked for by status.
    """
    if fields.status is AccountStatus.REMOVING:
        raise InvalidRequest("status: delete the account to remove it")
    try:
        values = fields.model_dump(exclude={"scan_now", "has_drs", "new_external_id"})
        return Account(**(values | {"tenant": fields.tenant or tenant, "kind": _kind(fields)}))
    except ValidationError as error:
        # the message alone: pydantic's text repeats what was given, the ExternalId included
        name, _, problem = error.errors()[0]["msg"].removeprefix("Value error, ").partition(":")
        raise InvalidRequest(f"{to_camel(name)}:{problem}") from None


def _kind(fields: AccountFields) -> AccountKind:
    """Return what an account is registered for.

    Raises:
        InvalidRequest: where `kind` and `has_drs` contradict each other.
    """
    kind = fields.kind or (AccountKind.SOURCE if fields.has_drs is False else AccountKind.TARGET)
    if fields.has_drs is not None and fields.has_drs is (kind is AccountKind.SOURCE):
        raise InvalidRequest(f"hasDrs: contradicts kind {kind}")
    return kind


def _default_roles(account: Account) -> dict[str, str | None]:
    """Return the account's roles: without one, that which infra/customer-roles.yaml makes, as the stack names it."""
    roles = f"arn:{account.partition}:iam::{account.account_id}:role/"
    writer = roles + container().settings.writer_role_name if account.has_drs else None
    return {
        "reader_role_arn": account.reader_role_arn or roles + container().settings.reader_role_name,
        "writer_role_arn": account.writer_role_arn or writer,
    }


def _new_external_id() -> str:
    return secrets.token_hex(EXTERNAL_ID_BYTES)


def _body(account: Account) -> AccountBody:
    return AccountBody(**_shown(account))


def _with_roles(account: Account, made: str | None) -> AccountWithRoles:
    names = container().settings
    command = deploy_command(account, names.hub_account_id, names.role_path, made) if account.reader_role_arn else None
    return AccountWithRoles(**_shown(account), external_id=made, deploy_roles=command)


def _shown(account: Account) -> dict[str, Any]:
    """Return what is told of an account: everything but its ExternalId."""
    secret_set = account.external_id is not None
    return account.model_dump(exclude={"external_id"}) | {"has_drs": account.has_drs, "external_id_set": secret_set}


OPERATIONS = (
    Operation("list_accounts", ListAccounts, AccountList, list_accounts, "Registered accounts", "GET", "/accounts"),
    Operation(
        "register_account",
        RegisterAccount,
        AccountWithRoles,
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
        AccountWithRoles,
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
        changes=True,
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
)
blueprint = routes(OPERATIONS, __name__)

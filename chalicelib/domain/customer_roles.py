"""The command that deploys a customer account's roles, infra/customer-roles.yaml."""

from shlex import quote

from .accounts import Account

STACK = "drs-active-regions-roles"
OWN_EXTERNAL_ID = '"$EXTERNAL_ID"'  # in place of one that the hub did not make and therefore does not show


def deploy_command(account: Account, hub_account_id: str, role_path: str, external_id: str | None) -> str:
    """Return the command to run with credentials of `account`, in a checkout of this product.

    Args:
        account: whose roles.
        hub_account_id: the account that the product runs in.
        role_path: path of the hub's roles, `/Project/Stage/`.
        external_id: the account's ExternalId, where it may be shown; else the shell variable EXTERNAL_ID stands for it.
    """
    parameters = {
        "HubAccountId": hub_account_id,
        "HubRolePath": role_path,
        "Kind": account.kind.value,
        "ReaderRoleName": _name(account.reader_role_arn),
        "WriterRoleName": _name(account.writer_role_arn),
    }
    overrides = [f"{name}={quote(value)}" for name, value in parameters.items() if value]
    overrides.append(f"ExternalId={quote(external_id) if external_id else OWN_EXTERNAL_ID}")
    return (
        f"aws cloudformation deploy --stack-name {STACK} --template-file infra/customer-roles.yaml"
        f" --capabilities CAPABILITY_NAMED_IAM --parameter-overrides {' '.join(overrides)}"
    )


def _name(role_arn: str | None) -> str | None:
    return role_arn.rpartition("/")[2] if role_arn else None

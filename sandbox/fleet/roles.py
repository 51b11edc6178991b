"""The roles of customer accounts, deployed from the template that customers get."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.packaging import REPO
from sandbox.fleet.model import SOURCE, Fleet, FleetAccount

TEMPLATE = REPO / "infra" / "customer-roles.yaml"
STACK = "drs-active-regions-roles"
READER, WRITER = "drs-active-regions-reader", "drs-active-regions-writer"
"""The template's default names."""
DEPLOY_SECONDS = 30.0
ACCOUNTS_AT_ONCE = 4


class RolesError(Exception):
    """The roles of an account could not be deployed."""


def deploy_roles(fleet: Fleet, cloud: SandboxCloud) -> None:
    """Deploy the roles into every account of `fleet`, each with the account's own ExternalId.

    Raises:
        RolesError: CloudFormation did not make them.
    """
    body = TEMPLATE.read_text()
    with ThreadPoolExecutor(ACCOUNTS_AT_ONCE) as pool:
        list(pool.map(lambda account: _deploy(account, cloud, body), fleet.accounts))


def reader_arn(account: FleetAccount) -> str:
    """Return the ARN of the account's reader role."""
    return f"arn:aws:iam::{account.account_id}:role/{READER}"


def writer_arn(account: FleetAccount) -> str | None:
    """Return the ARN of the account's writer role; a source account has none."""
    return None if account.kind == SOURCE else f"arn:aws:iam::{account.account_id}:role/{WRITER}"


def _deploy(account: FleetAccount, cloud: SandboxCloud, body: str) -> None:
    client: Any = cloud.session(account.account_id).client("cloudformation")
    parameters = {
        "HubAccountId": cloud.outputs.hub_account,
        "HubRolePath": cloud.outputs.stack["RolePath"],
        "ExternalId": account.external_id,
        "Kind": account.kind,
    }
    client.create_stack(
        StackName=STACK,
        TemplateBody=body,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    deadline = time.monotonic() + DEPLOY_SECONDS
    while (state := client.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]) == "CREATE_IN_PROGRESS":
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    if state != "CREATE_COMPLETE":
        raise RolesError(f"roles of account {account.account_id}: the stack is {state}")

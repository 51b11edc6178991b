"""The functions of staging account sync that R8 names, for callers inside the product.

They ask for work and read the inventory; extending is the staging worker's alone, under its lease (R3.2).
"""

from typing import Any

from .api.syncs import SyncOptions, handle_sync_staging_accounts
from .container import container
from .domain.results import Run
from .domain.scopes import Scope
from .domain.work import WorkKind
from .errors import InvalidRequest
from .services.work.planner import SyncRequest

CALLER = "the product"

__all__ = [
    "SyncOptions",
    "auto_extend_staging_servers",
    "extend_source_server",
    "get_extended_source_servers",
    "get_staging_account_servers",
    "handle_sync_staging_accounts",
]


def auto_extend_staging_servers(target_account_ids: list[str], active_regions: list[str] | None = None) -> Run:
    """Ask for the extension of what is new in the staging accounts of targets; return the run.

    Args:
        target_account_ids: registered target accounts.
        active_regions: regions to look at; None: those in which one of their staging accounts is active.

    Raises:
        NotFound: where an account is not registered.
        InvalidRequest: where one is no target.
    """
    registry = container().account_registry
    scopes = [
        Scope(account_id, region)
        for account_id in target_account_ids
        for region in registry.staged_regions(account_id)
        if active_regions is None or region in active_regions
    ]
    return container().planner.sync(SyncRequest(WorkKind.STAGING, scopes, requested_by=CALLER))


def get_staging_account_servers(staging_account_id: str, active_regions: list[str]) -> list[dict[str, Any]]:
    """Return the servers of a staging account that may be extended, by its last complete scans."""
    worker = container().staging_sync
    found = [
        original
        for region in active_regions
        for original in worker.get_staging_account_servers(Scope(staging_account_id, region))
    ]
    return [{"sourceServerID": one.source_server_id, "arn": one.arn, "region": one.scope.region} for one in found]


def get_extended_source_servers(target_account_id: str, active_regions: list[str]) -> list[dict[str, Any]]:
    """Return the extensions that a target holds, by its last complete scans."""
    worker = container().staging_sync
    return [
        {
            "sourceServerID": server,
            "stagingSourceServerArn": entry.extends,
            "stagingStatus": entry.extension,
            "region": region,
        }
        for region in active_regions
        for server, entry in worker.get_extended_source_servers(Scope(target_account_id, region)).items()
    ]


def extend_source_server(target_account_id: str, source_server_arn: str) -> Run:
    """Ask for the extension of a staging server into a target, also where that was refused or undone before.

    The run covers the target's whole scope in the server's region: what else is new there is extended with it.

    Raises:
        NotFound: where the target is not registered.
        InvalidRequest: where the ARN is none of a source server, or the account is no target.
    """
    parts = source_server_arn.split(":")
    if len(parts) != 6 or parts[2] != "drs" or not parts[5].startswith("source-server/"):
        raise InvalidRequest(f"sourceServerArn: '{source_server_arn}' is not the ARN of a source server")
    scope = Scope(target_account_id, parts[3])
    return container().planner.sync(SyncRequest(WorkKind.STAGING, [scope], retry_refused=True, requested_by=CALLER))

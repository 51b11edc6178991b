"""Direct invocation: `{"operation": ..., ...}`. One table of operations; same models and errors as REST."""

from collections.abc import Callable
from typing import Any

from chalice import Blueprint
from pydantic import ValidationError

from ..api.answers import error_body
from ..api.requests import SyncOptions
from ..api.summaries import summary
from ..bootstrap import planner, run_reader
from ..domain.work import WorkKind
from ..errors import DrsActiveRegionsError
from ..observability import logger, observed

blueprint = Blueprint(__name__)

Body = dict[str, Any]


@blueprint.lambda_function(name="operations")
@observed
def operations(event: Any, _: Any) -> Body:
    """Carry out the operation that `event` names; errors are answers, as over REST."""
    named = event.get("operation") if isinstance(event, dict) else None
    operation = OPERATIONS.get(named) if isinstance(named, str) else None
    if operation is None:
        known = sorted(OPERATIONS)
        message = f"unknown operation {named!r}; known are: {', '.join(known)}"
        return {"error": "UNKNOWN_OPERATION", "message": message, "details": known}
    try:
        return operation({name: value for name, value in event.items() if name != "operation"})
    except (DrsActiveRegionsError, ValidationError) as error:
        body, status = error_body(error)
        logger.info("refused", operation=named, status=status, reason=body["message"])
        return body


def handle_sync_source_server_inventory(body: Body | None = None) -> Body:
    """Sync the inventory of active scopes; with `wait`, the summary of what was found."""
    return _sync(WorkKind.INVENTORY, body)


def handle_drs_tag_sync(body: Body | None = None) -> Body:
    """Sync EC2 tags to DRS servers of active scopes; with `wait`, the summary of what was done."""
    return _sync(WorkKind.TAGS, body)


def handle_sync_staging_accounts(body: Body | None = None) -> Body:
    """Extend the servers of active staging accounts; with `wait`, the summary of what was done."""
    return _sync(WorkKind.STAGING, body)


def get_sync(body: Body | None = None) -> Body:
    """Return the progress of the run `runId`."""
    return run_reader().progress(str((body or {}).get("runId", ""))).item()


OPERATIONS: dict[str, Callable[[Body | None], Body]] = {
    "sync_source_server_inventory": handle_sync_source_server_inventory,
    "sync_tags": handle_drs_tag_sync,
    "sync_staging_accounts": handle_sync_staging_accounts,
    "get_sync": get_sync,
}


def _sync(kind: WorkKind, body: Body | None) -> Body:
    options = SyncOptions.of(body or {})
    run = planner().sync(options.request(kind, "direct invocation"))
    progress = run_reader().wait(run, options.wait) if options.wait else None
    return {**run.item(), **(summary(progress) if progress else {})}

"""`POST /syncs` asks for a sync and answers 202 with its run; `GET /syncs/{runId}` says how far it is."""

from typing import Any

from chalice import Blueprint, IAMAuthorizer, Response

from ..bootstrap import planner, run_reader
from ..errors import InvalidRequest
from ..observability import logger
from .answers import answered
from .requests import SyncBody
from .summaries import summary

blueprint = Blueprint(__name__)


@blueprint.route("/syncs", methods=["POST"], authorizer=IAMAuthorizer())
@answered
def start_sync() -> Response:
    """Plan a sync; with `wait`, answer with what came of it in that time."""
    body = SyncBody.of(_json_body())
    caller = str(blueprint.current_request.context.get("identity", {}).get("userArn") or "unknown")
    run = planner().sync(body.request(body.kind, caller))
    logger.info("sync requested", caller=caller, run=run.run_id, kind=run.kind, dry_run=run.dry_run)
    progress = run_reader().wait(run, body.wait) if body.wait else None
    return Response(body={**run.item(), **({"summary": summary(progress)} if progress else {})}, status_code=202)


@blueprint.route("/syncs/{run_id}", methods=["GET"], authorizer=IAMAuthorizer())
@answered
def get_sync(run_id: str) -> dict[str, Any]:
    """Return the run's progress, scope by scope."""
    return run_reader().progress(run_id).item()


def _json_body() -> Any:
    """Return the request's JSON.

    Raises:
        InvalidRequest: where it is not JSON, or not an object.
    """
    request = blueprint.current_request
    try:
        body = request.json_body
    except Exception as error:  # noqa: BLE001  Chalice raises its own error, and ValueError for bad encodings
        raise InvalidRequest(f"body: not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("body: a JSON object is needed")
    return body

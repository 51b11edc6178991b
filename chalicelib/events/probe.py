"""The account-probe function: invoked by the API with `{"probe": ...}`; enters customer accounts, changes nothing."""

from collections.abc import Callable
from typing import Any

from chalice import Blueprint

from ..api.answers import error_body
from ..container import container
from ..domain.records import Record
from ..errors import DrsActiveRegionsError, InvalidRequest
from ..observability import observed

blueprint = Blueprint(__name__)

Body = dict[str, Any]


@blueprint.lambda_function(name="account_probe")
@observed
def probe_account(event: Body, _: Any) -> Body:
    """Carry out the probe that `event` names; what the caller can do something about is an answer."""
    try:
        return _probe(event)
    except DrsActiveRegionsError as error:
        body, _status = error_body(error)
        return body


def _probe(event: Body) -> Body:
    probe = PROBES.get(str(event.get("probe")))
    if probe is None:
        raise InvalidRequest(f"probe: unknown; known are {', '.join(sorted(PROBES))}")
    return probe(event)


def _validate(event: Body) -> Body:
    return {"checks": [_told(check) for check in container().account_probe.validate(event["accountId"])]}


def _discover(event: Body) -> Body:
    return _told(container().account_probe.discover(event["accountId"]))


def _validate_staging(event: Body) -> Body:
    return _told(container().account_probe.validate_staging(event["accountId"], event["stagingAccountId"]))


def _told(answer: Record) -> Body:
    """Return an answer as JSON; what is not known is null, not absent."""
    return answer.model_dump(mode="json", by_alias=True)


PROBES: dict[str, Callable[[Body], Body]] = {
    "validate": _validate,
    "discover": _discover,
    "validate_staging": _validate_staging,
}

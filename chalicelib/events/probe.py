"""The account-probe function: invoked by the API with `{"probe": ...}`; enters customer accounts, changes nothing."""

from collections.abc import Callable
from typing import Any

from chalice import Blueprint

from ..api.answers import error_body
from ..bootstrap import account_probe
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
    return {"checks": [check.item() for check in account_probe().validate(event["accountId"])]}


def _discover(event: Body) -> Body:
    return account_probe().discover(event["accountId"]).item()


def _validate_staging(event: Body) -> Body:
    return account_probe().validate_staging(event["accountId"], event["stagingAccountId"]).item()


PROBES: dict[str, Callable[[Body], Body]] = {
    "validate": _validate,
    "discover": _discover,
    "validate_staging": _validate_staging,
}

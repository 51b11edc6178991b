"""The control API: seeds and changes the simulated DRS, injects faults, counts calls, tells the truth.

A plain function over the process's one cloud (`shared`); the launcher mounts it below `/_sim/`, tests call it.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sandbox.drs import records, recovery_records, shared
from sandbox.drs.motion import Pulse
from sandbox.drs.operations import initialise
from sandbox.drs.recovery import settle
from sandbox.drs.seeding import RefusedError, add_servers, change_instances, change_servers
from sandbox.drs.specs import (
    AccountSpec,
    CallFilter,
    NewFaults,
    NewServers,
    RecoveryInstanceChanges,
    ServerChanges,
    TruthFilter,
)
from sandbox.drs.state import CloudState, RecoveryInstance, Scope, Settings, SourceServer

MOUNT_POINT = "/_sim"

Json = dict[str, Any]


def control(method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Json]:
    """Answer one control request.

    Args:
        method: the HTTP method.
        path: `/servers`, `/faults`, ..., with or without the mount point `/_sim`; a query string in it counts as
            fields of the body.
        body: the parsed JSON body.

    Returns:
        The HTTP status and the JSON answer: 200, or 400 with `{"error": ..., "fields": [{"field", "message"}]}`,
        or 404 where there is no such path.
    """
    url = urlsplit(path)
    handler = _HANDLERS.get((method.upper(), url.path.removeprefix(MOUNT_POINT).rstrip("/")))
    if handler is None:
        return 404, {"error": f"No such control request: {method} {url.path}", "fields": []}
    with shared.CLOUD.lock:
        settle(shared.CLOUD.state)
    try:
        return 200, handler({**(body or {}), **dict(parse_qsl(url.query))})
    except ValidationError as error:
        return _refusal([_wrong_field(item) for item in error.errors(include_url=False)])
    except RefusedError as refused:
        return _refusal([(refused.field, refused.message)])


def _refusal(fields: list[tuple[str, str]]) -> tuple[int, Json]:
    text = "; ".join(f"{field}: {message}" for field, message in fields)
    return 400, {"error": text, "fields": [{"field": field, "message": message} for field, message in fields]}


def _wrong_field(error: ErrorDetails) -> tuple[str, str]:
    field = ".".join(map(str, error["loc"])) or "body"
    return field, error["msg"].removeprefix("Value error, ")


def _post_accounts(body: Json) -> Json:
    spec = AccountSpec.model_validate(body)
    with shared.CLOUD.lock:
        state = shared.CLOUD.state
        for region, wanted in spec.regions.items():
            scope = state.scope(spec.account_id, region)
            scope.opted_in = scope.opted_in if wanted.opted_in is None else wanted.opted_in
            _set_initialised(state, scope, wanted.initialised)
        if spec.trusts is not None:
            state.trusted_targets[spec.account_id] = set(spec.trusts)
    return {"accountId": spec.account_id}


def _set_initialised(state: CloudState, scope: Scope, wanted: bool | None) -> None:
    if wanted:
        initialise(state, scope)
    elif wanted is False:
        scope.initialised = False


def _post_servers(body: Json) -> Json:
    wanted = NewServers.model_validate(body)
    with shared.CLOUD.lock:
        servers = add_servers(shared.CLOUD.state, wanted.servers, force=wanted.force)
        return {"servers": [{"sourceServerID": server.server_id, "arn": server.arn} for server in servers]}


def _patch_servers(body: Json) -> Json:
    changes = ServerChanges.model_validate(body)
    with shared.CLOUD.lock:
        change_servers(shared.CLOUD.state, changes.servers)
    return {"changed": len(changes.servers)}


def _patch_recovery_instances(body: Json) -> Json:
    changes = RecoveryInstanceChanges.model_validate(body)
    with shared.CLOUD.lock:
        change_instances(shared.CLOUD.state, changes.recovery_instances)
    return {"changed": len(changes.recovery_instances)}


def _get_faults(body: Json) -> Json:
    rules = [{**_json(rule), "hits": hits} for rule, hits in shared.FAULTS.in_force()]
    return {"rules": rules}


def _post_faults(body: Json) -> Json:
    shared.FAULTS.add(NewFaults.model_validate(body).rules)
    return _get_faults({})


def _delete_faults(body: Json) -> Json:
    shared.FAULTS.reset()
    return _get_faults({})


def _get_calls(body: Json) -> Json:
    wanted = CallFilter.model_validate(body)
    return {"calls": [_json(count) for count in shared.CALLS.counts(wanted.service)]}


def _delete_calls(body: Json) -> Json:
    shared.CALLS.reset()
    return {"calls": []}


def _post_settings(body: Json) -> Json:
    with shared.CLOUD.lock:
        state = shared.CLOUD.state
        state.settings = Settings.model_validate({**_json(state.settings), **body})
        return _json(state.settings)


def _post_reset(body: Json) -> Json:
    shared.reset()
    return {}


def _get_truth(body: Json) -> Json:
    wanted = TruthFilter.model_validate(body)
    with shared.CLOUD.lock:
        state = shared.CLOUD.state
        pulse = Pulse(state.now())
        scopes = [scope for scope in state.scopes.values() if _shown(scope, wanted)]
        return {
            "scopes": [_scope_truth(state, scope, pulse) for scope in scopes],
            "trusts": {account: sorted(targets) for account, targets in state.trusted_targets.items()},
            "settings": _json(state.settings),
        }


def _shown(scope: Scope, wanted: TruthFilter) -> bool:
    return wanted.account_id in (None, scope.account) and wanted.region in (None, scope.region)


def _scope_truth(state: CloudState, scope: Scope, pulse: Pulse) -> Json:
    return {
        "accountId": scope.account,
        "region": scope.region,
        "optedIn": scope.opted_in,
        "initialised": scope.initialised,
        "servers": [_server_truth(server, pulse) for server in scope.servers.values()],
        "extensions": dict(scope.extended),
        "recoveryInstances": [_instance_truth(state, instance) for instance in scope.instances.values()],
        "jobs": [recovery_records.job(job) for job in scope.jobs.values()],
    }


def _instance_truth(state: CloudState, instance: RecoveryInstance) -> Json:
    where = instance.machine.origin
    return {
        "record": recovery_records.recovery_instance(state, instance),
        "availabilityZone": where.availability_zone if where else None,
        "connected": instance.connected,
        "reversedDirectionSourceServerArn": instance.reversed.arn if instance.reversed else None,
    }


def _server_truth(server: SourceServer, pulse: Pulse) -> Json:
    return {
        "record": records.source_server(server, pulse),
        "defaultEbsKey": server.default_ebs_key,
        "extensionError": server.extension_error,
    }


def _json(model: BaseModel) -> Json:
    return model.model_dump(mode="json", by_alias=True)


_HANDLERS: dict[tuple[str, str], Callable[[Json], Json]] = {
    ("POST", "/accounts"): _post_accounts,
    ("POST", "/servers"): _post_servers,
    ("PATCH", "/servers"): _patch_servers,
    ("PATCH", "/recovery-instances"): _patch_recovery_instances,
    ("GET", "/faults"): _get_faults,
    ("POST", "/faults"): _post_faults,
    ("DELETE", "/faults"): _delete_faults,
    ("GET", "/calls"): _get_calls,
    ("DELETE", "/calls"): _delete_calls,
    ("GET", "/truth"): _get_truth,
    ("POST", "/settings"): _post_settings,
    ("POST", "/reset"): _post_reset,
}

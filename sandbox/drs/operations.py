"""The operations of the API. Each gets validated parameters and the caller's scope, and returns the members of its
output: a dictionary, ready JSON, or None for an operation without output.

A new operation is a function with `@operation`; everything else about it comes from botocore's model.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.drs import records
from sandbox.drs.errors import DrsError, invalid_field, not_found
from sandbox.drs.extensions import extend, extensible, original, require_trust
from sandbox.drs.motion import Pulse
from sandbox.drs.paging import Page, page
from sandbox.drs.routing import Params
from sandbox.drs.state import CloudState, Scope, SourceServer, Template

Output = dict[str, Any] | bytes | None
Operation = Callable[[CloudState, Scope, Params], Output]

OPERATIONS: dict[str, Operation] = {}

MAX_TAGS = 50  # AWS tagging at large
_MAX_EXTENSIBLE = 300  # MaxResultsReplicatingSourceServers in the model
_MAX_ACCOUNTS = 50  # ListStagingAccountsRequestMaxResultsInteger in the model


def operation(function: Operation) -> Operation:
    """Register `function` under the API's name for it: `tag_resource` answers TagResource."""
    OPERATIONS[function.__name__.title().replace("_", "")] = function
    return function


@operation
def initialize_service(state: CloudState, scope: Scope, params: Params) -> Output:
    initialise(state, scope)
    return None


def initialise(state: CloudState, scope: Scope) -> None:
    """Make DRS usable in `scope`, with the default template; once is enough, more does no harm."""
    scope.initialised = True
    if not scope.templates:
        template_id = state.new_id("rct-")
        record = records.default_template(scope, template_id)
        scope.templates[template_id] = Template(state.next_sequence(), record)


@operation
def describe_source_servers(state: CloudState, scope: Scope, params: Params) -> Output:
    settings = state.settings
    limit = min(params.get("maxResults") or settings.default_page_size, settings.page_cap)
    servers = _filtered(scope, params.get("filters") or {})
    listing = _listing("DescribeSourceServers", scope)
    served = page(servers, _sequence, params.get("nextToken"), limit, listing=listing)
    return _servers_json(served, Pulse(state.now()))


def _servers_json(served: Page[SourceServer], pulse: Pulse) -> bytes:
    items = b",".join([records.source_server_json(server, pulse) for server in served.items])
    token = b',"nextToken":%b' % json.dumps(served.next_token).encode() if served.next_token else b""
    return b'{"items":[%b]%b}' % (items, token)


def _filtered(scope: Scope, filters: Mapping[str, Any]) -> list[SourceServer]:
    """Servers that satisfy every filter; an empty one means all servers (botocore's model)."""
    servers = list(scope.servers.values())
    if wanted := set(filters.get("sourceServerIDs") or ()):
        servers = [server for server in servers if server.server_id in wanted]
    if hardware_id := filters.get("hardwareId"):
        servers = [server for server in servers if hardware_id in server.machine.hardware_ids]
    if accounts := set(filters.get("stagingAccountIDs") or ()):
        servers = [server for server in servers if server.staging_account in accounts]
    return servers


def _sequence(item: SourceServer | Template) -> int:
    return item.sequence


def _listing(name: str, scope: Scope) -> str:
    return f"{name}#{scope.account}#{scope.region}"


@operation
def delete_source_server(state: CloudState, scope: Scope, params: Params) -> Output:
    server = _server(scope, params)
    if server.replication.state != "DISCONNECTED":
        raise _conflict(server, "must be disconnected first")
    scope.remove(server)
    return None


@operation
def disconnect_source_server(state: CloudState, scope: Scope, params: Params) -> Output:
    server = _server(scope, params)
    if server.recovery_instance_id:
        raise _conflict(server, "has a recovery instance")
    if server.staging:
        # An extension that is disconnected no longer follows its original, which goes on replicating.
        server.replication = replace(server.replication)
    server.replication.change(state.now(), state="DISCONNECTED")
    server.changed()
    return records.source_server(server, Pulse(state.now()))


def _conflict(server: SourceServer, why: str) -> DrsError:
    return DrsError(
        "ConflictException",
        f"Source server {server.server_id} {why}",
        resourceId=server.server_id,
        resourceType="SourceServer",
    )


def _server(scope: Scope, params: Params) -> SourceServer:
    server = scope.servers.get(params["sourceServerID"])
    if server is None:
        raise not_found("SourceServer", params["sourceServerID"])
    return server


@operation
def create_extended_source_server(state: CloudState, scope: Scope, params: Params) -> Output:
    tags = params.get("tags") or {}
    _require_taggable(tags)
    source = original(state, scope, params["sourceServerArn"])
    extension = extend(state, scope, source, tags)
    return {"sourceServer": records.source_server(extension, Pulse(state.now()))}


@operation
def list_extensible_source_servers(state: CloudState, scope: Scope, params: Params) -> Output:
    staging_account = params["stagingAccountID"]
    require_trust(state, staging_account, scope.account)
    servers = extensible(state, scope, staging_account)
    limit = params.get("maxResults") or _MAX_EXTENSIBLE
    listing = f"{_listing('ListExtensibleSourceServers', scope)}#{staging_account}"
    served = page(servers, _sequence, params.get("nextToken"), limit, listing=listing)
    return _paged("items", [records.extensible_server(server) for server in served.items], served.next_token)


@operation
def list_staging_accounts(state: CloudState, scope: Scope, params: Params) -> Output:
    accounts = sorted({server.staging.account for server in scope.servers.values() if server.staging})
    limit = params.get("maxResults") or _MAX_ACCOUNTS
    served = page(accounts, int, params.get("nextToken"), limit, listing=_listing("ListStagingAccounts", scope))
    return _paged("accounts", [{"accountID": account} for account in served.items], served.next_token)


def _paged(member: str, items: list[dict[str, Any]], next_token: str | None) -> dict[str, Any]:
    return {member: items} if next_token is None else {member: items, "nextToken": next_token}


@operation
def get_replication_configuration(state: CloudState, scope: Scope, params: Params) -> Output:
    return records.replication_configuration(_server(scope, params))


@operation
def describe_replication_configuration_templates(state: CloudState, scope: Scope, params: Params) -> Output:
    wanted = params.get("replicationConfigurationTemplateIDs") or list(scope.templates)
    for template_id in wanted:
        if template_id not in scope.templates:
            raise not_found("ReplicationConfigurationTemplate", template_id)
    templates = [template for ident, template in scope.templates.items() if ident in wanted]
    limit = min(params.get("maxResults") or state.settings.default_page_size, state.settings.page_cap)
    listing = _listing("DescribeReplicationConfigurationTemplates", scope)
    served = page(templates, _sequence, params.get("nextToken"), limit, listing=listing)
    return _paged("items", [template.record for template in served.items], served.next_token)


@operation
def list_tags_for_resource(state: CloudState, scope: Scope, params: Params) -> Output:
    return {"tags": _tags(scope, params)}


@operation
def tag_resource(state: CloudState, scope: Scope, params: Params) -> Output:
    tags = _tags(scope, params)
    _require_taggable(params["tags"], existing=tags)
    tags.update(params["tags"])
    _tags_changed(scope, params)
    return None


@operation
def untag_resource(state: CloudState, scope: Scope, params: Params) -> Output:
    tags = _tags(scope, params)
    for key in params["tagKeys"]:
        tags.pop(key, None)
    _tags_changed(scope, params)
    return None


def _tags(scope: Scope, params: Params) -> dict[str, str]:
    """The tags of a source server or template of the caller's own scope, whose ARN must match in full."""
    resource_arn: str = params["resourceArn"]
    ident = resource_arn.rpartition("/")[2]
    server, template = scope.servers.get(ident), scope.templates.get(ident)
    if server and server.arn == resource_arn:
        return server.tags
    if template and template.record["arn"] == resource_arn:
        tags: dict[str, str] = template.record["tags"]
        return tags
    raise not_found("Resource", resource_arn)


def _tags_changed(scope: Scope, params: Params) -> None:
    server = scope.servers.get(params["resourceArn"].rpartition("/")[2])
    if server:
        server.changed()


def _require_taggable(tags: Mapping[str, str], existing: Mapping[str, str] | None = None) -> None:
    if any(key.lower().startswith("aws:") for key in tags):
        raise invalid_field("tags", "Tag keys that start with aws: are reserved")
    if len({*(existing or {}), *tags}) > MAX_TAGS:
        raise invalid_field("tags", f"A resource can have at most {MAX_TAGS} tags")

"""The operations of the API. Each gets validated parameters and the caller's scope, and returns the members of its
output: a dictionary, ready JSON, or None for an operation without output.

A new operation is a function with `@operation`; everything else about it comes from botocore's model.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from sandbox.drs import records, recovery_records
from sandbox.drs.errors import DrsError, invalid_field, not_found
from sandbox.drs.extensions import extend, extensible, original, require_trust
from sandbox.drs.failback import reverse
from sandbox.drs.motion import Pulse, timestamp
from sandbox.drs.paging import Page, page
from sandbox.drs.recovery import (
    begin_sync,
    conflict,
    delete_instance,
    disconnect_instance,
    launch_instances,
    require_idle,
    server_conflict,
    terminate_instances,
)
from sandbox.drs.routing import Params
from sandbox.drs.state import CloudState, Job, RecoveryInstance, Scope, SourceServer, Template

Output = dict[str, Any] | bytes | None
Operation = Callable[[CloudState, Scope, Params], Output]
Resource = TypeVar("Resource")

OPERATIONS: dict[str, Operation] = {}

MAX_TAGS = 50  # AWS tagging at large
_MAX_EXTENSIBLE = 300  # MaxResultsReplicatingSourceServers in the model
_MAX_ACCOUNTS = 50  # ListStagingAccountsRequestMaxResultsInteger in the model
_LATEST = 1 << 53  # above every sequence number, so that jobs can be paged from the latest to the earliest


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
    servers = _filtered(scope, params.get("filters") or {})
    listing = _listing("DescribeSourceServers", scope)
    served = page(servers, _sequence, params.get("nextToken"), _limit(state, params), listing=listing)
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


def _limit(state: CloudState, params: Params) -> int:
    """The page of an operation whose maxResults has no maximum in the model."""
    settings = state.settings
    return min(params.get("maxResults") or settings.default_page_size, settings.page_cap)


def _sequence(item: SourceServer | RecoveryInstance | Template) -> int:
    return item.sequence


def _listing(name: str, scope: Scope) -> str:
    return f"{name}#{scope.account}#{scope.region}"


@operation
def delete_source_server(state: CloudState, scope: Scope, params: Params) -> Output:
    server = _server(scope, params)
    _require_unrecovered(state, server)
    if server.replication.state != "DISCONNECTED":
        raise server_conflict(server, "must be disconnected first")
    scope.remove(server)
    return None


@operation
def disconnect_source_server(state: CloudState, scope: Scope, params: Params) -> Output:
    server = _server(scope, params)
    _require_unrecovered(state, server)
    if server.staging:
        # An extension that is disconnected no longer follows its original, which goes on replicating.
        server.replication = replace(server.replication)
    server.replication.change(state.now(), state="DISCONNECTED")
    server.changed()
    return records.source_server(server, Pulse(state.now()))


def _require_unrecovered(state: CloudState, server: SourceServer) -> None:
    require_idle(state, server)
    if server.recovery_instance_id:
        raise server_conflict(server, "has a recovery instance")


@operation
def stop_replication(state: CloudState, scope: Scope, params: Params) -> Output:
    server = _server(scope, params)
    if server.staging:
        raise server_conflict(server, "replicates in its staging account")
    if server.replication.frozen:
        raise server_conflict(server, f"does not replicate: it is {server.replication.state}")
    server.replication.change(state.now(), state="STOPPED")
    return {"sourceServer": records.source_server(server, Pulse(state.now()))}


@operation
def start_replication(state: CloudState, scope: Scope, params: Params) -> Output:
    server = _server(scope, params)
    if server.staging:
        raise server_conflict(server, "replicates in its staging account")
    if server.replication.state != "STOPPED":
        raise server_conflict(server, f"is not stopped: it is {server.replication.state}")
    begin_sync(state, server.replication)
    return {"sourceServer": records.source_server(server, Pulse(state.now()))}


@operation
def retry_data_replication(state: CloudState, scope: Scope, params: Params) -> Output:
    server = _server(scope, params)
    if server.staging or server.replication.state not in {"STALLED", "DISCONNECTED", "STOPPED"}:
        raise invalid_field("sourceServerID", f"Source server {server.server_id} has no replication to retry")
    begin_sync(state, server.replication)
    return records.source_server(server, Pulse(state.now()))


def _server(scope: Scope, params: Params) -> SourceServer:
    server = scope.servers.get(params["sourceServerID"])
    if server is None:
        raise not_found("SourceServer", params["sourceServerID"])
    return server


@operation
def start_recovery(state: CloudState, scope: Scope, params: Params) -> Output:
    tags = params.get("tags") or {}
    _require_taggable(tags)
    # The model has no ResourceNotFoundException for this operation.
    servers = [_known(scope.servers, item["sourceServerID"], "SourceServer") for item in params["sourceServers"]]
    job = launch_instances(state, scope, servers, tags, drill=bool(params.get("isDrill")))
    return {"job": recovery_records.job(job)}


@operation
def terminate_recovery_instances(state: CloudState, scope: Scope, params: Params) -> Output:
    instances = [_known(scope.instances, ident, "RecoveryInstance") for ident in params["recoveryInstanceIDs"]]
    return {"job": recovery_records.job(terminate_instances(state, scope, instances))}


@operation
def delete_recovery_instance(state: CloudState, scope: Scope, params: Params) -> Output:
    delete_instance(state, scope, _known(scope.instances, params["recoveryInstanceID"], "RecoveryInstance"))
    return None


def _known(resources: Mapping[str, Resource], ident: str, kind: str) -> Resource:
    """The resource, for an operation for which the model has a ConflictException and no ResourceNotFoundException."""
    if ident not in resources:
        raise conflict(kind, ident, f"{kind} with ID {ident} does not exist")
    return resources[ident]


@operation
def disconnect_recovery_instance(state: CloudState, scope: Scope, params: Params) -> Output:
    disconnect_instance(state, _instance(scope, params))
    return None


@operation
def reverse_replication(state: CloudState, scope: Scope, params: Params) -> Output:
    return {"reversedDirectionSourceServerArn": reverse(state, _instance(scope, params)).arn}


def _instance(scope: Scope, params: Params) -> RecoveryInstance:
    instance = scope.instances.get(params["recoveryInstanceID"])
    if instance is None:
        raise not_found("RecoveryInstance", params["recoveryInstanceID"])
    return instance


@operation
def describe_recovery_instances(state: CloudState, scope: Scope, params: Params) -> Output:
    filters = params.get("filters") or {}
    instances = list(scope.instances.values())
    if wanted := set(filters.get("recoveryInstanceIDs") or ()):
        instances = [instance for instance in instances if instance.instance_id in wanted]
    if servers := set(filters.get("sourceServerIDs") or ()):
        instances = [instance for instance in instances if instance.source.server_id in servers]
    listing = _listing("DescribeRecoveryInstances", scope)
    served = page(instances, _sequence, params.get("nextToken"), _limit(state, params), listing=listing)
    items = [recovery_records.recovery_instance(state, instance) for instance in served.items]
    return _paged("items", items, served.next_token)


@operation
def describe_jobs(state: CloudState, scope: Scope, params: Params) -> Output:
    filters = params.get("filters") or {}
    wanted = set(filters.get("jobIDs") or ())
    begin, end = _moment(filters, "fromDate"), _moment(filters, "toDate")
    jobs = [
        job
        for job in reversed(scope.jobs.values())
        if (not wanted or job.job_id in wanted) and _within(begin, timestamp(job.created_at), end)
    ]
    listing = _listing("DescribeJobs", scope)
    served = page(jobs, _latest_first, params.get("nextToken"), _limit(state, params), listing=listing)
    return _paged("items", [recovery_records.job(job) for job in served.items], served.next_token)


def _latest_first(job: Job) -> int:
    return _LATEST - job.sequence


def _moment(filters: Mapping[str, Any], name: str) -> datetime | None:
    text = filters.get(name)
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError as error:  # a day that the month does not have satisfies the model's pattern
        raise invalid_field(f"filters.{name}", f"{text} is not a date") from error


def _within(begin: datetime | None, moment: str, end: datetime | None) -> bool:
    at = datetime.fromisoformat(moment)
    return (begin is None or begin <= at) and (end is None or at <= end)


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
    server = _server(scope, params)
    if server.staging is not None and not state.settings.configures_extensions:
        raise DrsError("AccessDeniedException", f"{server.server_id} is extended: its original is configured")
    return records.replication_configuration(server)


@operation
def describe_replication_configuration_templates(state: CloudState, scope: Scope, params: Params) -> Output:
    wanted = params.get("replicationConfigurationTemplateIDs") or list(scope.templates)
    for template_id in wanted:
        if template_id not in scope.templates:
            raise not_found("ReplicationConfigurationTemplate", template_id)
    templates = [template for ident, template in scope.templates.items() if ident in wanted]
    listing = _listing("DescribeReplicationConfigurationTemplates", scope)
    served = page(templates, _sequence, params.get("nextToken"), _limit(state, params), listing=listing)
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
    """The tags of a resource of the caller's own scope, whose ARN must match in full."""
    resource_arn: str = params["resourceArn"]
    ident = resource_arn.rpartition("/")[2]
    resource = scope.servers.get(ident) or scope.instances.get(ident) or scope.jobs.get(ident)
    if resource and resource.arn == resource_arn:
        return resource.tags
    template = scope.templates.get(ident)
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

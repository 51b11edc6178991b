"""Extending a staging account's servers into a target account: the rules, and what an extension is.

Preconditions as AWS documents them: both accounts use DRS, the staging account trusts the target, its EBS volumes are
encrypted with a customer managed key. Deleting a staging original leaves its extension, in the state it last had.
"""

from collections.abc import Mapping

from sandbox.drs.errors import DrsError, invalid_field, not_found
from sandbox.drs.state import CloudState, Scope, SourceServer, Staging


def original(state: CloudState, target: Scope, source_server_arn: str) -> SourceServer:
    """Return the staging server that `target` may extend now.

    Raises:
        DrsError: ValidationException for an ARN of another region or of the target itself, an extended server, the
            default EBS key or a server already extended; ResourceNotFoundException; AccessDeniedException without
            trust; ServiceQuotaExceededException when the target is full.
    """
    region, account, resource = source_server_arn.split(":")[3:6]
    if region != target.region or account == target.account:
        raise invalid_field("sourceServerArn", "The source server must be in another account and in the same region")
    server = state.server_by_arn(source_server_arn)
    if server is None:
        raise not_found("SourceServer", resource.partition("/")[2])
    require_trust(state, account, target.account)
    _require_extensible(server, target)
    _require_room(state, target)
    return server


def require_trust(state: CloudState, staging_account: str, target_account: str) -> None:
    """Let a target pass that the staging account trusts.

    Raises:
        DrsError: AccessDeniedException.
    """
    if not state.trusts(staging_account, target_account):
        raise DrsError(
            "AccessDeniedException", f"Account {staging_account} does not trust account {target_account} to extend"
        )


def _require_extensible(server: SourceServer, target: Scope) -> None:
    if server.staging:
        raise invalid_field("sourceServerArn", f"Source server {server.server_id} is itself an extended source server")
    if server.default_ebs_key:
        raise invalid_field(
            "sourceServerArn",
            f"Source server {server.server_id} can not be extended: its EBS volumes are encrypted with the default EBS "
            "encryption key. Use a customer managed key that is shared with the target account",
        )
    if server.arn in target.extended:
        raise invalid_field("sourceServerArn", f"Source server {server.server_id} is already extended")


def _require_room(state: CloudState, target: Scope) -> None:
    quota = state.settings.total_servers_quota
    if len(target.servers) >= quota:
        raise DrsError(
            "ServiceQuotaExceededException",
            f"The maximum number of source servers ({quota}) has been reached",
            resourceType="SourceServer",
            serviceCode="drs",
        )


def extend(
    state: CloudState, target: Scope, source: SourceServer, tags: Mapping[str, str], server_id: str | None = None
) -> SourceServer:
    """Add an extension of `source` to `target` and return it: the same machine and replication, an ID of its own."""
    server = SourceServer(
        account=target.account,
        region=target.region,
        server_id=server_id or state.new_id("s-"),
        sequence=state.next_sequence(),
        machine=source.machine,
        replication=source.replication,
        added_at=state.now(),
        tags=dict(tags),
        staging=Staging(source.account, source.arn, source.extension_error),
        direction=source.direction,
    )
    target.add(server)
    return server


def extensible(state: CloudState, target: Scope, staging_account: str) -> list[SourceServer]:
    """Return the staging servers that are no extensions and not extended by `target`, in the order of arrival."""
    staging = state.scopes.get((staging_account, target.region))
    servers = staging.servers.values() if staging else ()
    return [server for server in servers if server.staging is None and server.arn not in target.extended]

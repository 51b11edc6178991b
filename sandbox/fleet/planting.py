"""Put a fleet into a running local cloud, and register its accounts with the product."""

from collections.abc import Iterable, Sequence
from typing import Any

from chalicelib.domain.accounts import Account, Membership
from sandbox.cloud.client import SandboxCloud
from sandbox.fleet.model import Fleet, FleetAccount, FleetInstance, FleetServer
from sandbox.fleet.product import product_on
from sandbox.fleet.roles import deploy_roles, reader_arn, writer_arn

INSTANCES_AT_ONCE = 1000


def plant(fleet: Fleet, cloud: SandboxCloud) -> None:
    """Put `fleet` into an empty cloud: accounts, servers, instances, roles; then register it with the product.

    The accounts are registered without a scan: the first planned cycle finds their scopes due.
    """
    plant_accounts(fleet, cloud)
    plant_servers(cloud, fleet.servers, fleet.instances)
    deploy_roles(fleet, cloud)
    register(fleet, cloud)


def plant_accounts(fleet: Fleet, cloud: SandboxCloud) -> None:
    """Tell the simulated DRS of each account's regions and trusts."""
    for account in fleet.accounts:
        regions: dict[str, dict[str, bool]] = {region: {"initialised": True} for region in account.initialised}
        regions |= {region: {"optedIn": False} for region in account.not_opted_in}
        cloud.control(
            "POST",
            "/accounts",
            {"accountId": account.account_id, "regions": regions, "trusts": list(account.trusts)},
        )


def plant_servers(cloud: SandboxCloud, servers: Sequence[FleetServer], instances: Sequence[FleetInstance]) -> None:
    """Put DRS servers, originals before their extensions, and EC2 instances into the cloud."""
    originals = [_server(server) for server in servers if server.extended_from is None]
    extensions = [_server(server) for server in servers if server.extended_from is not None]
    for some in (originals, extensions):
        if some:
            cloud.control("POST", "/servers", {"servers": some})
    for start in range(0, len(instances), INSTANCES_AT_ONCE):
        some_instances = instances[start : start + INSTANCES_AT_ONCE]
        cloud.control("POST", "/ec2/instances", [_instance(instance) for instance in some_instances])


def register(fleet: Fleet, cloud: SandboxCloud) -> None:
    """Register accounts and memberships through the product's own service."""
    with product_on(cloud.outputs) as product:
        registry = product.account_registry
        for account in fleet.accounts:
            registry.register(Account.of(registration(account)), scan_now=False)
        for membership in fleet.memberships:
            registry.add_staging_account(
                Membership(account_id=membership.target, staging_account_id=membership.staging)
            )


def registration(account: FleetAccount) -> dict[str, Any]:
    """Return what the product is told of an account."""
    return {
        "accountId": account.account_id,
        "name": account.name,
        "kind": account.kind,
        "readerRoleArn": reader_arn(account),
        "writerRoleArn": writer_arn(account),
        "externalId": account.external_id,
        "tenant": account.tenant,
    }


def _server(server: FleetServer) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accountId": server.account_id,
        "region": server.region,
        "sourceServerID": server.server_id,
        "tags": server.tags,
    }
    if server.extended_from:
        return {**spec, "extendedFrom": server.extended_from}
    spec |= {
        "hostname": server.hostname,
        "state": server.state,
        "direction": server.direction,
        "defaultEbsKey": server.default_ebs_key,
        "cpuCores": server.cpu_cores,
        "ramBytes": server.ram_gib << 30,
        "osName": server.os_name,
    }
    return {**spec, **dict(_optional(server))}


def _optional(server: FleetServer) -> Iterable[tuple[str, Any]]:
    if server.extension_error:
        yield "extensionError", server.extension_error
    if server.origin is None:
        yield "vmwareUuid", f"4212-{server.server_id.removeprefix('s-')}"
        return
    yield "instanceId", server.instance_id
    yield "originAccountId", server.origin.account_id
    yield "originRegion", server.origin.region
    yield "originAvailabilityZone", server.origin.zone


def _instance(instance: FleetInstance) -> dict[str, Any]:
    return {
        "accountId": instance.account_id,
        "region": instance.region,
        "availabilityZone": instance.zone,
        "instanceId": instance.instance_id,
        "instanceType": instance.instance_type,
        "tags": instance.tags,
    }

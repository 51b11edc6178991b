"""Inventories for properties: rows written straight into the fakes, and what a query must find in them."""

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.writes import UpdateServer
from chalicelib.services.inventory_query import Query

from ..factories import NOW, OTHER, REGION, SECOND, SOURCE, STAGING, TARGET, region_status, row_update, scan_record
from ..fakes import World

HUNDRED = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCOPES = [Scope(account_id, region) for account_id in (TARGET, OTHER, STAGING) for region in (REGION, SECOND)]
HOSTNAMES, STATES, KEYS, VALUES = ["web", "db"], ["CONTINUOUS", "STALLED"], ["env", "team"], ["a", "b:c", ""]
ACCOUNTS = [TARGET, STAGING, SOURCE]
TOMBSTONE = {"scope": None, "deletedAt": "2026-03-01T12:00:00.000Z"}
FRESH_SECONDS = 1200  # the interval of an active scope, and the grace

tags = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
servers = st.fixed_dictionaries(
    {
        "scope": st.sampled_from(SCOPES),
        "living": st.booleans() | st.just(True),
        "hostname": st.sampled_from(HOSTNAMES),
        "replicationState": st.sampled_from(STATES),
        "stagingAccountId": st.sampled_from(ACCOUNTS),
        "sourceAccountId": st.none() | st.sampled_from(ACCOUNTS),
        "cpuCores": st.none() | st.integers(0, 4),
        "ramBytes": st.none() | st.integers(0, 4),
        "drsTags": tags,
        "sourceTags": tags,
    }
)
inventories = st.lists(servers, max_size=25)
queries = st.builds(
    Query,
    region=st.none() | st.sampled_from([REGION, SECOND]),
    account_id=st.none() | st.sampled_from([TARGET, OTHER, STAGING]),
    source_account_id=st.none() | st.sampled_from(ACCOUNTS),
    staging_account_id=st.none() | st.sampled_from(ACCOUNTS),
    hostname=st.none() | st.sampled_from(HOSTNAMES),
    replication_state=st.none() | st.sampled_from(STATES),
    min_cpu_cores=st.none() | st.integers(0, 4),
    min_ram_bytes=st.none() | st.integers(0, 4),
    tags=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), max_size=2).map(tuple),
)


def world_of(inventory):
    """Return a world whose tables hold `inventory`, every scope just scanned."""
    world = World(regions=[REGION, SECOND])
    for account_id, kind in ((TARGET, "target"), (OTHER, "target"), (STAGING, "staging")):
        world.add_account(account_id, AccountKind(kind))
    for server_id, server in named(inventory).items():
        facts = {name: value for name, value in server.items() if name not in ("scope", "living")}
        world.inventory.put(row_update(server_id, server["scope"], **facts))
        if not server["living"]:
            world.inventory.put(UpdateServer(server_id, server["scope"], TOMBSTONE))
    for scope in SCOPES:
        record(world, scope, sum(server["living"] and server["scope"] == scope for server in inventory))
    for region in (REGION, SECOND):
        count = sum(server["living"] and server["scope"].region == region for server in inventory)
        world.statuses.rows[region] = region_status(region, count)
    world.queue.messages.clear()
    return world


def record(world, scope, count, success=NOW, checked=NOW, message=None):
    """Store the scan record of a scope that holds `count` servers."""
    state = ScopeState.AVAILABLE if message is None else ScopeState.ERROR
    known = {"last_success": success, "last_checked": checked, "error_message": message}
    world.scans.put(scan_record(scope.region, scope.account_id, state=state, server_count=count, **known))


def named(inventory):
    """Return the servers by ID."""
    return {f"s-{number:017d}": server for number, server in enumerate(inventory)}


def wanted(inventory, query):
    """Return the IDs that `query` must find, by plain reading of what it says."""
    return sorted(server_id for server_id, server in named(inventory).items() if _fits(server, query))


def _fits(server, query):
    same = [
        (query.region, server["scope"].region),
        (query.account_id, server["scope"].account_id),
        (query.source_account_id, server["sourceAccountId"]),
        (query.staging_account_id, server["stagingAccountId"]),
        (query.hostname, server["hostname"]),
        (query.replication_state, server["replicationState"]),
    ]
    if not server["living"] or any(asked is not None and asked != found for asked, found in same):
        return False
    if query.min_cpu_cores and (server["cpuCores"] is None or server["cpuCores"] < query.min_cpu_cores):
        return False
    if query.min_ram_bytes and (server["ramBytes"] is None or server["ramBytes"] < query.min_ram_bytes):
        return False
    known = dict(server["drsTags"])
    known.update(server["sourceTags"])
    return all(key in known and known[key] == value for key, value in query.tags)


def pages(world, query, limit):
    """Return every page of a query."""
    found, token = [], None
    while len(found) < 500:
        found.append(world.query.page(query, limit, token))
        token = found[-1].next_token
        if token is None:
            return found
    raise AssertionError("the pages never end")


def later(seconds):
    return NOW + timedelta(seconds=seconds)

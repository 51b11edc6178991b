"""The least that any correct system needs, by formula from page sizes.

A scope is one (account, region) pair. Calls to DRS and EC2 are counted; STS is told apart: one AssumeRole per account
and role. GetReplicationConfiguration, which captures the originals for the way back, is counted apart as well: once
for every new server, whatever the system.
"""

from math import ceil

from chalicelib.adapters.drs import EXTENSIBLE_PAGE
from chalicelib.adapters.ec2 import FILTER_LIMIT

from .fleets import Fleet

DRS_PAGE = 200
"""Servers on a page of DescribeSourceServers: the simulator's default, because AWS publishes none."""
PROBE_HOURS = 6
"""R5.6: every idle scope is looked at within so many hours."""
CYCLES = {"inventory": 4, "staging": 12, "tags": 1}
"""Schedules of one hour: every 15 minutes, every 5, every 60."""


def pages(items: int, size: int) -> int:
    """Return the calls that listing `items` takes; an empty list takes one as well."""
    return max(1, ceil(items / size))


def inventory_steady(fleet: Fleet) -> int:
    """Every active scope: all pages of DescribeSourceServers, and its instances, which share one origin."""
    servers = fleet.shape.servers_per_scope
    return fleet.active_scopes * (pages(servers, DRS_PAGE) + ceil(servers / FILTER_LIMIT))


def inventory_first(fleet: Fleet) -> int:
    """As `inventory_steady`, and one DescribeSourceServers in every other scope: nobody knows yet that it is idle."""
    return inventory_steady(fleet) + idle_scopes(fleet)


def idle_scopes(fleet: Fleet) -> int:
    """Accounts x regions, without the active ones."""
    return fleet.scopes - fleet.active_scopes


def probes_an_hour(fleet: Fleet) -> float:
    """One DescribeSourceServers per idle scope, spread over the longest interval that is allowed."""
    return idle_scopes(fleet) / PROBE_HOURS


def hour(fleet: Fleet) -> float:
    """Inventory cycles and probes. Tags and staging add nothing: whatever they need to know, inventory has read."""
    return CYCLES["inventory"] * inventory_steady(fleet) + probes_an_hour(fleet)


def tags_first(fleet: Fleet) -> int:
    """One TagResource per server; the differences are known from the inventory."""
    return fleet.active_scopes * fleet.shape.servers_per_scope


def staging_first(fleet: Fleet) -> int:
    """One CreateExtendedSourceServer per staged server, and before it all pages of what DRS lists as extensible."""
    servers = fleet.shape.servers_per_scope
    return len(fleet.staged) * (servers + pages(servers, EXTENSIBLE_PAGE))

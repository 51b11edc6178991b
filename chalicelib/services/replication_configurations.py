"""Captures the failback originals of servers: their replication configuration takes one call each."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from ..domain import topology
from ..domain.accounts import Account
from ..domain.leases import Lease
from ..domain.server_changes import topology_known
from ..domain.servers import DrsFacts, ServerRow
from ..domain.topology import Topology
from ..errors import AccessDenied, ServiceError, Throttled
from .ports import Clock, Drs

CONFIGURATION_CALLS_AT_ONCE = 8


class ReplicationConfigurations:
    """Asks for the replication configurations of one scope's servers."""

    def __init__(self, drs: Drs, clock: Clock) -> None:
        self._drs = drs
        self._clock = clock

    def topologies(
        self, lease: Lease, account: Account, servers: dict[str, DrsFacts], rows: dict[str, ServerRow]
    ) -> dict[str, Topology]:
        """Return the failback originals of those of `servers` for which they are not all known."""
        scope = lease.work.scope
        lacking = sorted(server for server in servers if not topology_known(rows.get(server)))
        ask = _Configurations(self._drs, account, scope.region, lambda: self._clock() > lease.stop_at)
        with ThreadPoolExecutor(CONFIGURATION_CALLS_AT_ONCE) as pool:
            configurations = dict(zip(lacking, pool.map(ask, lacking), strict=True))
        now = datetime.fromtimestamp(self._clock(), UTC)
        seen = {}
        for server, configuration in configurations.items():
            drs, row = servers[server], rows.get(server)
            origin = (drs.source_region, drs.source_account_id, drs.source_availability_zone)
            replication = (scope.region, drs.staging_account_id)
            known = row.topology if row else None
            seen[server] = topology.merge(known, topology.first_seen(origin, replication, configuration, now))
        return seen


class _Configurations:
    """Asks for replication configurations; stops where the account refuses, slows us down, or time runs out."""

    def __init__(self, drs: Drs, account: Account, region: str, out_of_time: Callable[[], bool]) -> None:
        self._drs = drs
        self._account = account
        self._region = region
        self._out_of_time = out_of_time
        self._stopped = False

    def __call__(self, server: str) -> dict[str, Any] | None:
        """Return the configuration of `server`; None where it cannot be had now: a later scan asks again."""
        if self._stopped or self._out_of_time():
            return None
        try:
            return self._drs.replication_configuration(self._account, self._region, server)
        except (AccessDenied, Throttled):
            self._stopped = True
        except ServiceError:
            pass
        return None

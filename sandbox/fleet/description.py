"""The description of a fleet: a YAML file, checked before anything is made of it."""

from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator
from pydantic.alias_generators import to_camel

Fraction = Annotated[float, Field(ge=0, le=1)]

FOLDER = Path(__file__).parent
DEFAULT = FOLDER / "default.yaml"
SMALL = FOLDER / "small.yaml"
ONE_ACCOUNT = FOLDER / "one-account.yaml"
TENANTS = FOLDER / "tenants.yaml"


class DescriptionError(Exception):
    """The description does not fit; the message names each field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Accounts(_Part):
    """How many accounts of which kind.

    Attributes:
        targets: accounts into which servers are recovered.
        staging_per_target: staging accounts that each of them has; none is a fleet without staging accounts.
        sources: accounts that only run machines; without any, machines run in the targets.
        staging_without_trust: the last so many staging accounts let no target extend.
        shared_staging: the first so many staging accounts are the next target's too; it is of the same tenant.
        tenants: companies; targets, with their staging accounts, and sources are dealt out among them in turn.
    """

    targets: PositiveInt
    staging_per_target: NonNegativeInt
    sources: NonNegativeInt
    staging_without_trust: NonNegativeInt = 0
    shared_staging: NonNegativeInt = 0
    tenants: PositiveInt = 1

    @property
    def staging(self) -> int:
        """How many staging accounts there are."""
        return self.targets * self.staging_per_target

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.staging_without_trust >= max(1, self.staging):
            raise ValueError("stagingWithoutTrust must leave at least one staging account that trusts its target")
        if self.shared_staging + self.staging_without_trust > self.staging:
            raise ValueError("sharedStaging: more than the staging accounts that trust somebody")
        if self.tenants > self.targets:
            raise ValueError("tenants: more than targets, and each needs one")
        if self.shared_staging and self.targets < 2 * self.tenants:
            raise ValueError("sharedStaging: every tenant needs two targets to share between")
        return self


class Regions(_Part):
    """Where the accounts use DRS.

    Attributes:
        used: regions to choose active and initialised ones from.
        unused: regions that every account has initialised and nobody uses; they count as initialised.
        not_opted_in: regions that no account has enabled.
    """

    used: Annotated[list[str], Field(min_length=1)]
    unused: list[str] = []
    not_opted_in: list[str] = []
    initialised_per_account: PositiveInt
    active_per_account: PositiveInt

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        chosen = self.initialised_per_account - len(self.unused)
        if chosen < self.active_per_account:
            raise ValueError("initialisedPerAccount must hold activePerAccount and the unused regions")
        if chosen > len(self.used):
            raise ValueError(f"used: {len(self.used)} regions are too few to choose {chosen} from")
        named = [*self.used, *self.unused, *self.not_opted_in]
        if doubled := sorted({region for region in named if named.count(region) > 1}):
            raise ValueError(f"named in more than one list: {', '.join(doubled)}")
        return self


class Specials(_Part):
    """How many servers are out of the ordinary, each in one way only.

    Attributes:
        hostile: names and tags as somebody would choose them who wants to harm those who read them.
        foreign_origin: servers that claim to be a machine of another tenant: nothing of it may show.
    """

    on_premises: NonNegativeInt = 0
    disconnected: NonNegativeInt = 0
    stalled: NonNegativeInt = 0
    initial_sync: NonNegativeInt = 0
    failback: NonNegativeInt = 0
    instance_gone: NonNegativeInt = 0
    tags_of_others: NonNegativeInt = 0
    stale_tags: NonNegativeInt = 0
    full_tags: NonNegativeInt = 0
    default_ebs_key: NonNegativeInt = 0
    extension_errors: NonNegativeInt = 0
    hostile: NonNegativeInt = 0
    foreign_origin: NonNegativeInt = 0


class Servers(_Part):
    """How many servers DRS lists when the product comes, extensions included.

    Attributes:
        staging: the share of them that staging accounts hold.
        extended: the share of staging servers that is extended already.
        origin_is_target: the share of origins that lie in the target itself, not in a source account.
        aws_tags: the share of instances with tags of AWS's own.
    """

    total: PositiveInt
    staging: Fraction = 0.5
    extended: Fraction = 0.5
    origin_is_target: Fraction = 0.1
    aws_tags: Fraction = 0.2
    specials: Specials = Specials()


class Description(_Part):
    """A fleet, described."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    seed: int
    accounts: Accounts
    regions: Regions
    servers: Servers

    @model_validator(mode="after")
    def _staged_somewhere(self) -> Self:
        if self.servers.staging and not self.accounts.staging:
            raise ValueError("servers.staging must be 0 without staging accounts")
        if self.servers.specials.foreign_origin and self.accounts.tenants < 2:
            raise ValueError("servers.specials.foreignOrigin needs a second tenant in accounts.tenants")
        return self


def read_description(path: Path) -> Description:
    """Return the description that `path` holds.

    Raises:
        DescriptionError: it cannot be read or does not fit; each field that does not is named.
    """
    try:
        return describe(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise DescriptionError(f"{path}: {error}") from error
    except DescriptionError as error:
        raise DescriptionError(f"{path}: {error}") from None


def describe(content: object) -> Description:
    """Return the description that `content`, parsed YAML, holds.

    Raises:
        DescriptionError: naming each field that does not fit.
    """
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or '(file)'}: {fault['msg']}" for fault in error.errors())
        raise DescriptionError("; ".join(faults)) from None

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


class DescriptionError(Exception):
    """The description does not fit; the message names each field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Accounts(_Part):
    """How many accounts of which kind; the last `staging_without_trust` staging accounts let no target extend."""

    targets: PositiveInt
    staging_per_target: PositiveInt
    sources: PositiveInt
    staging_without_trust: NonNegativeInt = 0

    @model_validator(mode="after")
    def _some_trust(self) -> Self:
        if self.staging_without_trust >= self.targets * self.staging_per_target:
            raise ValueError("stagingWithoutTrust must leave at least one staging account that trusts its target")
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
    """How many servers are out of the ordinary, each in one way only."""

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

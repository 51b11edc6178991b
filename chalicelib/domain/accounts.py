"""Accounts and their roles."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from .records import Record

AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
# One segment of a role's path: no two dots in a row, and not empty, so that an ARN holds neither ".." nor "//".
_SEGMENT = r"\.?[A-Za-z0-9_+=,@-]+(\.[A-Za-z0-9_+=,@-]+)*\.?"
RoleArn = Annotated[
    str,
    StringConstraints(max_length=2048, pattern=rf"^arn:[a-z-]+:iam::[0-9]{{12}}:role/({_SEGMENT}/)*{_SEGMENT}$"),
]
# AWS STS AssumeRole: ExternalId, 2 to 1,224 characters of this set
ExternalId = Annotated[str, StringConstraints(min_length=2, max_length=1224, pattern=r"^[A-Za-z0-9_+=,.@:/-]+$")]

# Of new ones. AWS IAM: a trust policy has 2,048 characters, and infra/customer-roles.yaml repeats it per statement.
NewExternalId = Annotated[str, StringConstraints(min_length=16, max_length=256, pattern=r"^[A-Za-z0-9_+=,.@:/-]+$")]
Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
DEFAULT_TENANT = "default"
MOST_TARGETS = 100  # AWS DRS user guide, "Adding a trusted account": up to 100 accounts for a single account


class AccountKind(StrEnum):
    """What an account was registered for: its roles are made for that (infra/customer-roles.yaml), and lists show it.

    What an account does follows from `Account.has_drs` and its memberships: one with DRS may have staging accounts and
    be a staging account of others, whatever its kind.
    """

    TARGET = "target"
    STAGING = "staging"
    SOURCE = "source"


class AccountStatus(StrEnum):
    """Whether an account takes part; one that is being removed is on its way out, scope by scope."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    REMOVING = "removing"


class Access(StrEnum):
    """Which of an account's roles a piece of work needs."""

    READER = "reader"
    WRITER = "writer"


class Account(Record):
    """One registered account.

    `external_id` is kept out of every representation: it is a secret shared with the account.
    `tenant` is whose account it is: nothing crosses from one tenant's accounts to another's.
    `status_reason` is why validation keeps the account inactive; None where it does not.
    """

    account_id: AccountId
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    kind: AccountKind
    status: AccountStatus = AccountStatus.ACTIVE
    status_reason: str | None = None
    partition: str = "aws"
    tenant: Tenant = DEFAULT_TENANT
    reader_role_arn: RoleArn | None = None
    writer_role_arn: RoleArn | None = None
    external_id: ExternalId | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _roles_are_its_own(self) -> Self:
        for name in ("reader_role_arn", "writer_role_arn"):
            arn = getattr(self, name)
            if arn and arn.split(":")[4] != self.account_id:
                raise ValueError(f"{name}: {arn} is a role of another account than {self.account_id}")
            if arn and arn.split(":")[1] != self.partition:
                raise ValueError(f"{name}: {arn} is a role of another partition than {self.partition}")
        return self

    @property
    def has_drs(self) -> bool:
        """Whether the account's DRS is ours to watch: a source account only runs EC2 instances."""
        return self.kind is not AccountKind.SOURCE

    @property
    def is_active(self) -> bool:
        """Whether work is to be done for the account."""
        return self.status is AccountStatus.ACTIVE

    def role_arn(self, access: Access) -> str | None:
        """Return the ARN of the role for `access`, or None where the account has none."""
        return self.reader_role_arn if access is Access.READER else self.writer_role_arn


class Membership(Record):
    """A staging account of a target account, with the tags that decide what is extended.

    `include_tags`: a server must carry every one of them; `exclude_tags`: none of them. Values may be "*".
    """

    account_id: AccountId
    staging_account_id: AccountId
    include_tags: dict[str, str] = {}
    exclude_tags: dict[str, str] = {}


def membership_fault(target: Account, staging: Account) -> str | None:
    """Return why `staging` cannot be a staging account of `target`; None where it can.

    AWS DRS user guide, "Trusted accounts": accounts trust accounts of their own partition only.
    """
    if target.account_id == staging.account_id:
        return f"{target.account_id} cannot be a staging account of itself"
    for account in (target, staging):
        if not account.has_drs:
            return f"{account.account_id} is registered as a source account: its DRS is not used"
    if target.tenant != staging.tenant:
        return f"{staging.account_id} belongs to another tenant than {target.account_id}"
    if target.partition != staging.partition:
        return f"{staging.account_id} is in partition {staging.partition}, {target.account_id} in {target.partition}"
    return None

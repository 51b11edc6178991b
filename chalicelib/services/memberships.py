"""Which of a target's memberships hold: none crosses from one tenant's accounts to another's."""

from collections.abc import Iterable
from typing import NamedTuple

from ..domain.accounts import Account, Membership, membership_fault
from .ports import Accounts


class CheckedMemberships(NamedTuple):
    """A target's memberships, judged by the registry as it stands.

    Attributes:
        valid: those that are acted upon.
        ignored: why the others are not, by staging account ID.
    """

    valid: list[Membership]
    ignored: dict[str, str]


def checked_memberships(
    accounts: Accounts, target: Account, memberships: Iterable[Membership] | None = None
) -> CheckedMemberships:
    """Return which memberships of `target` hold, and why the others do not.

    Registration refuses what does not fit; this is for what is stored all the same: memberships made before there were
    tenants, or while the tenant of an account was changed.

    Args:
        accounts: the registry; each staging account is read consistently.
        target: the account that extends.
        memberships: those to judge; by default all of the target's.
    """
    if memberships is None:
        memberships = accounts.memberships(target.account_id)
    valid, ignored = [], {}
    for membership in memberships:
        staging_account_id = membership.staging_account_id
        staging = accounts.read(staging_account_id)
        fault = membership_fault(target, staging) if staging else f"{staging_account_id} is not registered"
        if fault:
            ignored[staging_account_id] = fault
        else:
            valid.append(membership)
    return CheckedMemberships(valid, ignored)

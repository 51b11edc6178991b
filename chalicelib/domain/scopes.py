"""A scope: one account's DRS in one region."""

from hashlib import blake2b
from typing import NamedTuple, Self


class Scope(NamedTuple):
    """One (account, region) pair: the account whose DRS lists the servers, and its replication region."""

    account_id: str
    region: str

    @property
    def key(self) -> str:
        """The scope as one key, `accountId#region`."""
        return f"{self.account_id}#{self.region}"

    @classmethod
    def parse(cls, key: str) -> Self:
        """Return the scope of `key`.

        Raises:
            ValueError: where `key` is not of the form `accountId#region`.
        """
        account_id, _, region = key.partition("#")
        if not (account_id and region):
            raise ValueError(f"'{key}' is not a scope: expected accountId#region")
        return cls(account_id, region)


def stable_fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on `text` alone: the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest()) / 2**48

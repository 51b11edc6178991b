"""AWS Elastic Disaster Recovery in customer accounts: a reader and a writer, apart (R11)."""

from collections.abc import Iterator
from typing import Any

from ..domain.accounts import Access, Account
from ..errors import AccessDenied
from .services import readable, translated
from .sessions import CustomerSessions, hub_region

EXTENSIBLE_PAGE = 300  # botocore model: the most that ListExtensibleSourceServers returns at once


class DrsReader:
    """What can be asked of an account's DRS in one region, with its reader role."""

    def __init__(self, sessions: CustomerSessions) -> None:
        self._sessions = sessions

    def probe(self, account: Account, region: str) -> None:
        """Ask for one server, once: to see whether DRS answers at all.

        Raises:
            ServiceError: its kind says why it does not.
        """
        with translated(f"DRS of {account.account_id} in {region}"):
            client = self._sessions.client(account, Access.READER, "drs", region, patient=False)
            client.describe_source_servers(maxResults=1)

    def source_servers(self, account: Account, region: str) -> Iterator[dict[str, Any]]:
        """Yield every source server that DRS lists, all pages.

        Raises:
            ServiceError: its kind says why; what was yielded before is not complete.
        """
        subject = f"DRS of {account.account_id} in {region}"
        with translated(subject), readable(subject):
            pages = self._client(account, region).get_paginator("describe_source_servers").paginate()
            for page in pages:
                yield from page["items"]

    def replication_configuration(self, account: Account, region: str, source_server_id: str) -> dict[str, Any]:
        """Return the replication configuration of one server.

        Raises:
            ServiceError: its kind says why.
        """
        subject = f"DRS of {account.account_id} in {region}, {source_server_id}"
        with translated(subject), readable(subject):
            answer = self._client(account, region).get_replication_configuration(sourceServerID=source_server_id)
        return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "sourceServerID")}

    def _client(self, account: Account, region: str) -> Any:
        return self._sessions.client(account, Access.READER, "drs", region)


class DrsWriter:
    """What can be changed in an account's DRS in one region, with its writer role."""

    def __init__(self, sessions: CustomerSessions) -> None:
        self._sessions = sessions

    def tag(self, account: Account, region: str, arn: str, tags: dict[str, str]) -> None:
        """Set tags of the resource `arn`. Safe to repeat.

        Raises:
            ServiceError: its kind says why.
        """
        with translated(arn):
            self._client(account, region).tag_resource(resourceArn=arn, tags=tags)

    def untag(self, account: Account, region: str, arn: str, keys: list[str]) -> None:
        """Remove tags of the resource `arn`. Safe to repeat.

        Raises:
            ServiceError: its kind says why.
        """
        with translated(arn):
            self._client(account, region).untag_resource(resourceArn=arn, tagKeys=keys)

    def extensible(self, target: Account, region: str, staging_account_id: str) -> dict[str, dict[str, str]]:
        """Return the tags of what is left to extend from a staging account into `target`, by ARN.

        Raises:
            ServiceError: its kind says why; never an incomplete answer.
        """
        with translated(f"DRS of {target.account_id} in {region}, staging account {staging_account_id}"):
            servers = _extensible(self._client(target, region), staging_account_id)
            return {server["arn"]: server.get("tags", {}) for server in servers}

    def extend(self, target: Account, region: str, arn: str) -> str:
        """Extend the staging server `arn` into `target`; return the ID of the extension.

        Raises:
            ServiceError: its kind says why.
        """
        with translated(arn):
            answer = self._client(target, region).create_extended_source_server(sourceServerArn=arn)
        return str(answer["sourceServer"]["sourceServerID"])

    def _client(self, account: Account, region: str) -> Any:
        return self._sessions.client(account, Access.WRITER, "drs", region)


class DrsProbe:
    """What is looked up in an account when it is validated; nothing is changed, whichever role is tried."""

    def __init__(self, sessions: CustomerSessions) -> None:
        self._sessions = sessions

    def identity(self, account: Account, access: Access) -> str:
        """Return the account that the role for `access` leads into.

        Raises:
            ServiceError: where it cannot be assumed.
        """
        with translated(f"{access} role of {account.account_id}"):
            client = self._sessions.client(account, access, "sts", hub_region())
            return str(client.get_caller_identity()["Account"])

    def admits(self, account: Account, access: Access, external_id: str | None) -> bool:
        """Return whether the account's role for `access` can be assumed with `external_id`; None: without one.

        Raises:
            ServiceError: where STS does not say.
        """
        try:
            with translated(f"{access} role of {account.account_id}"):
                self._sessions.try_role(account.role_arn(access) or "", external_id)
        except AccessDenied:
            return False
        return True

    def probe(self, account: Account, region: str) -> None:
        """Ask DRS for one server.

        Raises:
            ServiceError: its kind says how DRS stands there.
        """
        with translated(f"DRS of {account.account_id} in {region}"):
            self._client(account, region).describe_source_servers(maxResults=1)

    def staging_accounts(self, account: Account, region: str) -> list[str]:
        """Return the accounts that the target's extensions come from.

        Raises:
            ServiceError: its kind says why not.
        """
        with translated(f"DRS of {account.account_id} in {region}"):
            pages = self._client(account, region).get_paginator("list_staging_accounts").paginate()
            return [entry["accountID"] for page in pages for entry in page["accounts"]]

    def extensible(self, target: Account, region: str, staging_account_id: str) -> int:
        """Return how many servers of a staging account are left to extend.

        Raises:
            ServiceError: its kind says why they cannot be.
        """
        with translated(f"DRS of {target.account_id} in {region}, staging account {staging_account_id}"):
            return sum(1 for _ in _extensible(self._client(target, region), staging_account_id))

    def _client(self, account: Account, region: str) -> Any:
        return self._sessions.client(account, Access.READER, "drs", region)


def _extensible(client: Any, staging_account_id: str) -> Iterator[dict[str, Any]]:
    """Yield what a target's DRS lists as left to extend from a staging account, all pages."""
    pages = client.get_paginator("list_extensible_source_servers").paginate(
        stagingAccountID=staging_account_id, PaginationConfig={"PageSize": EXTENSIBLE_PAGE}
    )
    for page in pages:
        yield from page["items"]

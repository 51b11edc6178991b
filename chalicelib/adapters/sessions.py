"""AWS sessions: the hub's own, and those of customer accounts by assumed roles."""

from collections.abc import Callable
from functools import cache
from threading import RLock
from typing import Any

from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.session import Session as BotocoreSession
from botocore.session import get_session
from cachetools import LRUCache

from ..domain.accounts import Access, Account
from ..errors import AccessDenied
from .calls import CALLS

SESSION_SECONDS = 3600  # AWS STS: the most that a chained role session may last
CLIENTS_KEPT = 64  # about a megabyte each
_HUB_LOCK = RLock()
HUB_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=16)


@cache
def hub_session() -> BotocoreSession:
    """Return the session with the function's own role."""
    session = get_session()
    CALLS.watch(session)
    return session


def hub_client(service: str) -> Any:
    """Return a client of the hub's own `service`."""
    with _HUB_LOCK:  # making one is not safe for threads; using it is
        return _hub_client(service)


@cache
def _hub_client(service: str) -> Any:
    return hub_session().create_client(service, config=HUB_CONFIG)


def hub_region() -> str:
    """Return the region that the product runs in."""
    return str(hub_session().get_config_variable("region"))


class CustomerSessions:
    """Clients in customer accounts: one AssumeRole per account and role, renewed shortly before it expires.

    Args:
        hub_account_id: the account that the product runs in: the only one that needs no role.
        max_attempts: how often a call to a customer account's service is tried in all.
        read_timeout: seconds to wait for an answer.
    """

    def __init__(self, hub_account_id: str, max_attempts: int, read_timeout: int = 30) -> None:
        self._hub_account_id = hub_account_id
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": max_attempts},
            connect_timeout=5,
            read_timeout=read_timeout,
            max_pool_connections=16,
        )
        self._lock = RLock()
        self._sessions: dict[tuple[str, str], BotocoreSession] = {}
        self._clients: LRUCache[tuple[str, str, str, str], Any] = LRUCache(CLIENTS_KEPT)

    def client(self, account: Account, access: Access, service: str, region: str) -> Any:
        """Return a client of `service` in `region` of `account`, with the role for `access`.

        Raises:
            AccessDenied: where a foreign account has no such role. Its calls are never made with the hub's own
                credentials.
        """
        role_arn = account.role_arn(access) or ""
        if not role_arn and account.account_id != self._hub_account_id:
            raise AccessDenied(
                f"account {account.account_id} has no {access} role: register it with {access}RoleArn",
                code="RoleMissing",
            )
        key = (account.account_id, role_arn, service, region)
        with self._lock:  # sessions and the cache are not safe for threads; clients are
            client = self._clients.get(key)
            if client is None:
                session = self._session(account, role_arn)
                client = session.create_client(service, region_name=region, config=self._config)
                self._clients[key] = client
        return client

    def _session(self, account: Account, role_arn: str) -> BotocoreSession:
        if not role_arn:
            return hub_session()
        key = (role_arn, account.external_id or "")
        if key not in self._sessions:
            self._sessions[key] = _assumed(role_arn, account.external_id)
        return self._sessions[key]


def _assumed(role_arn: str, external_id: str | None) -> BotocoreSession:
    """Return a session whose credentials come from AssumeRole, when first needed and before they expire."""

    def assume() -> dict[str, str]:
        secret = {"ExternalId": external_id} if external_id else {}
        answer = hub_client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName="drs-active-regions", DurationSeconds=SESSION_SECONDS, **secret
        )["Credentials"]
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }

    session = get_session()
    session.register_component("credential_provider", CredentialResolver([_Provider(assume)]))
    session.register_component("data_loader", hub_session().get_component("data_loader"))  # models are read once
    CALLS.watch(session)
    return session


class _Provider(CredentialProvider):
    """A credential provider of one assumed role."""

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, assume: Callable[[], dict[str, str]]) -> None:
        self._assume = assume

    def load(self) -> DeferredRefreshableCredentials:
        """Return the credentials, fetched when they are first used and renewed 15 minutes before they expire."""
        return DeferredRefreshableCredentials(self._assume, self.METHOD)

"""AWS sessions: the hub's own, and those of customer accounts by assumed roles.

What makes them (`clients`) is imported with the first one: botocore's session is half of a cold start.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from cachetools import LRUCache

from ..domain.accounts import Access, Account
from ..errors import AccessDenied
from .pacing import paced
from .services import EXPIRED_CODES

if TYPE_CHECKING:
    from botocore.session import Session

SESSION_SECONDS = 3600  # AWS STS: the most that a chained role session may last
SHORTEST_SESSION = 900  # AWS STS: the least
CLIENTS_KEPT = 256  # a fifth of a megabyte each
_HUB_LOCK = RLock()
_hub_clients: dict[str, Any] = {}
HUB_ATTEMPTS = 5
CONNECTIONS = 16


@cache
def hub_session() -> "Session":
    """Return the session with the function's own role."""
    from .clients import own_session

    return own_session()


def hub_client(service: str) -> Any:
    """Return a client of the hub's own `service`."""
    with _HUB_LOCK:  # making one is not safe for threads; using it is
        if service not in _hub_clients:
            _hub_clients[service] = _made_hub_client(service)
        return _hub_clients[service]


@contextmanager
def hub_clients(**clients: Any) -> Iterator[None]:
    """Have `hub_client` return these clients, by service, within the block."""
    before = dict(_hub_clients)
    _hub_clients.update(clients)
    try:
        yield
    finally:
        _hub_clients.clear()
        _hub_clients.update(before)


def forget() -> None:
    """Drop the hub's session and clients: the next ones are made from the environment as it is then."""
    hub_session.cache_clear()
    _hub_clients.clear()


def _made_hub_client(service: str) -> Any:
    from .clients import client_of

    return client_of(hub_session(), service, retries=_retries(HUB_ATTEMPTS), max_pool_connections=CONNECTIONS)


def hub_region() -> str:
    """Return the region that the product runs in."""
    return str(hub_session().get_config_variable("region"))


class Purpose(StrEnum):
    """What a customer's account is entered for: the names of functions, as infra/customer-roles.yaml knows them."""

    INVENTORY = "inventory-worker"
    TAGS = "tags-worker"
    STAGING = "staging-worker"
    PROBE = "account-probe"


class CustomerSessions:
    """Clients in customer accounts: one AssumeRole per account and role, renewed shortly before it expires.

    Args:
        hub_account_id: the account that the product runs in: the only one that needs no role.
        purpose: what they are for; customers' roles know it by the session's name, and grant what belongs to it.
        max_attempts: how often a call to a customer account's service is tried in all.
        requests_per_second: the rate that each client keeps: of a process, per account, region and service.
        read_timeout: seconds to wait for an answer.
    """

    def __init__(
        self,
        hub_account_id: str,
        purpose: Purpose,
        max_attempts: int,
        requests_per_second: float,
        read_timeout: int = 30,
    ) -> None:
        self._hub_account_id = hub_account_id
        self._session_name = f"drs-active-regions-{purpose}"
        self._max_attempts = max_attempts
        self._requests_per_second = requests_per_second
        self._options = {"connect_timeout": 5, "read_timeout": read_timeout, "max_pool_connections": CONNECTIONS}
        self._lock = RLock()
        self._sessions: dict[_Role, Session] = {}
        self._clients: LRUCache[_ClientKey, Any] = LRUCache(CLIENTS_KEPT)

    def client(self, account: Account, access: Access, service: str, region: str, *, patient: bool = True) -> Any:
        """Return a client of `service` in `region` of `account`, with the role for `access`.

        Args:
            account: whose.
            access: which of its roles.
            service: as botocore names it.
            region: where.
            patient: whether calls that fail in passing are tried again.

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
        role = (role_arn, account.external_id or "")
        key = _ClientKey(account.account_id, role, service, region, self._max_attempts if patient else 1)
        with self._lock:  # sessions and the cache are not safe for threads; clients are
            client = self._clients.get(key)
            if client is None:
                client = self._clients[key] = self._made(key)
        return client

    def try_role(self, role_arn: str, external_id: str | None) -> None:
        """Assume a role with `external_id`, or without one, and forget its credentials.

        Raises:
            ClientError: where it does not let the hub in.
        """
        secret = {"ExternalId": external_id} if external_id else {}
        hub_client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName=self._session_name, DurationSeconds=SHORTEST_SESSION, **secret
        )

    def _made(self, key: "_ClientKey") -> Any:
        from .clients import client_of

        session, retries = self._session(key.role), _retries(key.attempts)
        client = client_of(session, key.service, key.region, retries=retries, **self._options)
        if key.role[0]:
            client.meta.events.register("after-call", lambda parsed, **_: self._drop_expired(key.role, parsed))
        return paced(client, self._requests_per_second, key.attempts)

    def _session(self, role: "_Role") -> "Session":
        if not role[0]:
            return hub_session()
        if role not in self._sessions:
            self._sessions[role] = _assumed(*role, self._session_name)
        return self._sessions[role]

    def _drop_expired(self, role: "_Role", answer: dict[str, Any]) -> None:
        """Forget a role's session that the service says is over before its time: the next call assumes it anew."""
        if answer.get("Error", {}).get("Code") in EXPIRED_CODES:
            with self._lock:
                self._sessions.pop(role, None)
                for key in [key for key in self._clients if key.role == role]:
                    del self._clients[key]


_Role = tuple[str, str]
"""A role's ARN and the ExternalId that it asks for; both empty for the hub's own."""


class _ClientKey(NamedTuple):
    """What makes a client."""

    account_id: str
    role: _Role
    service: str
    region: str
    attempts: int


def _assumed(role_arn: str, external_id: str, session_name: str) -> "Session":
    """Return a session with the role `role_arn`, assumed when it is first needed and again before it expires."""
    from .clients import assumed_session

    def assume() -> dict[str, str]:
        secret = {"ExternalId": external_id} if external_id else {}
        answer = hub_client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName=session_name, DurationSeconds=SESSION_SECONDS, **secret
        )["Credentials"]
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }

    return assumed_session(assume)


def _retries(attempts: int) -> dict[str, Any]:
    return {"mode": "standard", "total_max_attempts": attempts}

"""Makes botocore's sessions and clients.

The one module that imports botocore's session, which is half of a cold start: `sessions` imports this one when the
first session is needed.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.session import Session, get_session

from .calls import CALLS
from .lean_models import LeanLoader


def own_session() -> Session:
    """Return a session with the function's own role.

    STS is asked in the function's region: tokens of the global endpoint, botocore's default before 1.40, are refused by
    regions that an account has to opt in to (AWS SDKs and Tools Reference, "AWS STS Regional endpoints").
    """
    session = get_session()
    session.set_config_variable("sts_regional_endpoints", "regional")
    CALLS.watch(session)
    return session


def assumed_session(assume: Callable[[], dict[str, str]]) -> Session:
    """Return a session whose credentials come from `assume`, when first needed and before they expire.

    Args:
        assume: returns credentials and their `expiry_time`, as botocore's refreshable credentials want them.
    """
    session = own_session()
    session.register_component("credential_provider", CredentialResolver([_Provider(assume)]))
    session.register_component("data_loader", _models())
    return session


def client_of(session: Session, service: str, region: str | None = None, **options: Any) -> Any:
    """Return a client of `service`; `options` are those of botocore's `Config`."""
    return session.create_client(service, region_name=region, config=Config(**options))


@cache
def _models() -> LeanLoader:
    """Return the service models of all customer sessions: read once."""
    return LeanLoader()


class _Provider(CredentialProvider):
    """A credential provider of one assumed role."""

    METHOD = "assume-role"
    CANONICAL_NAME = None

    def __init__(self, assume: Callable[[], dict[str, str]]) -> None:
        self._assume = assume

    def load(self) -> DeferredRefreshableCredentials:
        """Return the credentials, fetched when they are first used and renewed 15 minutes before they expire."""
        return DeferredRefreshableCredentials(self._assume, self.METHOD)

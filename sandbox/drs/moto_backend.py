"""The simulated DRS as a backend of moto, registered at run time: `register()`, then `@mock_aws` as usual.

moto ships no `drs`. Should a later version do so, `register()` fails, and this module has done its duty.
"""

import re
import sys
import uuid
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import moto
from botocore.loaders import Loader
from moto import backend_index
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.responses import BaseResponse
from werkzeug.wrappers import Request as HttpRequest

from sandbox.drs import shared
from sandbox.drs.frontend import Request
from sandbox.drs.service_model import SERVICE

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/")
_ACCOUNT = re.compile(r"\d{12}")


class DrsResponse(BaseResponse):  # type: ignore[misc]  # moto is not typed for mypy here
    """Hands a request over to the core. A 12-digit access key is the account; any other is moto's to resolve."""

    def __init__(self) -> None:
        super().__init__(service_name=SERVICE)

    def _dispatch(self, request: HttpRequest, full_url: str, headers: object) -> tuple[int, dict[str, str], bytes]:
        self.setup_class(request, full_url, headers, use_raw_body=True)
        caller = Request(
            account=self._account(),
            region=self.region,
            method=request.method,
            path=request.path,
            query=request.args.to_dict(flat=False),
            body=request.get_data(),
        )
        reply = shared.FRONTEND.answer_blocking(caller)
        return reply.status, {**reply.headers, "x-amzn-RequestId": str(uuid.uuid4())}, reply.body

    def _account(self) -> str:
        credential = _CREDENTIAL.search(self.headers.get("Authorization", ""))
        if credential and _ACCOUNT.fullmatch(credential["key"]):
            return credential["key"]
        return str(self.get_current_account())


class DrsBackend(BaseBackend):  # type: ignore[misc]  # moto is not typed for mypy here
    """What moto wants of a backend: the URLs. The state is in `shared`, for every account and region."""

    @property
    def urls(self) -> dict[str, Any]:
        return {f"{_url_base()}/.*$": DrsResponse.dispatch}


def register() -> None:
    """Make `drs` a service of this process's moto; more than once does no harm.

    With every start and end of the outermost `mock_aws`, the simulated DRS is reset too.

    Raises:
        RuntimeError: moto ships a `drs` of its own.
    """
    if isinstance(sys.modules.get("moto.drs"), _DrsModule):
        return
    if any(name == SERVICE for name, _ in backend_index.backend_url_patterns):
        raise RuntimeError("this moto ships its own drs: drop sandbox.drs.moto_backend")
    module = _DrsModule(drs_backends=BackendDict(DrsBackend, SERVICE))
    sys.modules["moto.drs"] = module  # type: ignore[assignment]  # moto imports its backends by this name
    moto.drs = module
    # In place: moto's stubber and its mocks hold this very list.
    backend_index.backend_url_patterns.insert(0, (SERVICE, re.compile(_url_base())))
    _reset_with_moto()


class _DrsModule(SimpleNamespace):
    """Stands in for the package `moto.drs`."""


def _reset_with_moto() -> None:
    """Reset with moto, which by itself resets only backends that were called: servers may be there before a call."""
    reset_moto = BackendDict.reset

    def reset() -> None:
        reset_moto()
        shared.reset()

    BackendDict.reset = staticmethod(reset)


@lru_cache(maxsize=1)
def _url_base() -> str:
    """Endpoints in every partition, with FIPS and dual stack: the DNS suffixes are botocore's."""
    outputs = [partition["outputs"] for partition in Loader().load_data("partitions")["partitions"]]
    suffixes = {suffix for output in outputs for suffix in (output["dnsSuffix"], output["dualStackDnsSuffix"])}
    return rf"https?://{SERVICE}(-fips)?\.[a-z0-9-]+\.({'|'.join(map(re.escape, sorted(suffixes)))})"

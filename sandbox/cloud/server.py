"""The process that is the local cloud: `python -m sandbox.cloud.server` (the launcher starts it).

MiniStack of exactly the version that the patches were written for, with the patches, the simulated DRS as one more
service, and the control API under `/_sim/` on the same port.
"""

import asyncio
import importlib.metadata
import os
import resource
from typing import TYPE_CHECKING, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack_app
from ministack.core import iam_actions, lambda_runtime, router

from sandbox.cloud import control_api, patches
from sandbox.cloud.door import Door
from sandbox.cloud.gateway import Gateway
from sandbox.cloud.iam_decisions import IamDecisions
from sandbox.cloud.table_writes import TableWrites
from sandbox.drs import ministack_service, shared

if TYPE_CHECKING:
    from hypercorn.typing import Framework

MINISTACK_VERSION = "1.5.33"
DRS = "drs"


def build(port: int, secret: str) -> control_api.AsgiApp:
    """Return the cloud as one ASGI application. Changes MiniStack's modules: once per process.

    Args:
        port: the port that it is served on.
        secret: what its clients have to know.

    Raises:
        RuntimeError: MiniStack is of another version; its private functions may have changed.
    """
    installed = importlib.metadata.version("ministack")
    if installed != MINISTACK_VERSION:
        raise RuntimeError(f"the patches are for ministack {MINISTACK_VERSION}, not {installed}")
    skipped = {name for name in os.environ.get("SANDBOX_SKIP_PATCHES", "").split(",") if name}
    patches.apply(skipped)
    _register_drs()
    writes = TableWrites()
    Gateway(shared.CALLS, shared.FAULTS, writes).install()
    decisions = IamDecisions()
    decisions.install()
    return Door(control_api.mounted(ministack_app.app, writes, decisions), port, secret)


def _register_drs() -> None:
    """Make DRS a service of MiniStack: routed by credential scope, enforced by IAM from botocore's model."""
    ministack_app._loaded_modules[DRS] = ministack_service
    ministack_app.SERVICE_REGISTRY[DRS] = {"module": DRS}
    ministack_app.SERVICE_HANDLERS[DRS] = ministack_app._lazy_handler(DRS)
    router.SERVICE_PATTERNS[DRS] = {"credential_scope": DRS, "host_patterns": [r"^drs\."]}
    iam_actions.SERVICE_TO_IAM_NAMESPACE[DRS] = DRS
    iam_actions._BOTOCORE_SERVICE_MAP[DRS] = [DRS]


def main() -> None:
    """Serve until SIGTERM or SIGINT, then end Lambda's workers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    config = Config()
    port = int(os.environ["GATEWAY_PORT"])
    config.bind = [f"{os.environ.get('BIND_HOST', '127.0.0.1')}:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.2
    config.loglevel = os.environ.get("LOG_LEVEL", "WARNING")
    try:
        asyncio.run(serve(cast("Framework", build(port, os.environ.pop("SANDBOX_SECRET"))), config))
    finally:
        lambda_runtime.reset()


if __name__ == "__main__":
    main()

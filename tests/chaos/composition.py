"""The product's own wiring (`chalicelib.bootstrap`), its own adapters, on clients in memory.

Bootstrap's factories run as they are, with the settings of an environment. Replaced are botocore's clients, the clock,
and the thread pools: by ones whose threads take turns as Hypothesis draws. Every call of an adapter passes the
switchboard, and every request that it makes does.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.adapters import item_sizes, sessions
from chalicelib.observability import metrics
from chalicelib.services import work_loop
from chalicelib.services.active_region_filter import ActiveRegionFilter

from ..unit.stack import forget_wiring
from .disruptions import Gated, Switchboard
from .world import ENVIRONMENT, ChaosWorld


def filter_per_container(switchboard: Switchboard) -> type[ActiveRegionFilter]:
    """Return a region filter whose cache is that of the container which runs: bootstrap keeps one for all."""
    caches: dict[str, dict[str, Any]] = {}

    class FilterPerContainer(ActiveRegionFilter):
        def _cache(self) -> dict[str, Any]:
            invocation = switchboard.invocation
            return caches.setdefault(invocation.container if invocation else "", {"rows": None, "at": 0.0})

        @property
        def _cached(self) -> Any:
            return self._cache()["rows"]

        @_cached.setter
        def _cached(self, rows: Any) -> None:
            self._cache()["rows"] = rows

        @property
        def _read_at(self) -> float:
            return float(self._cache()["at"])

        @_read_at.setter
        def _read_at(self, at: float) -> None:
            self._cache()["at"] = at

    return FilterPerContainer


ADAPTERS = {
    "RegionStatusTable": "statuses",
    "ScanTable": "scans",
    "AccountsTable": "accounts",
    "InventoryTable": "inventory",
    "TelemetryTable": "telemetries",
    "WorkStateTable": "work_states",
    "RefusalsTable": "refusals",
    "RunsTable": "runs",
    "WorkQueue": "queue",
    "DeadLetterQueues": "letters",
    "FencedWrites": "writer",
}
"""The adapters that bootstrap names, and the names of their calls."""
ROWS_PER_TRANSACTION = 2


def threaded() -> list[Any]:
    """Return the modules of the product that make thread pools."""
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("chalicelib.")]
    return [module for module in modules if hasattr(module, "ThreadPoolExecutor")]


@contextmanager
def composed(world: ChaosWorld, switchboard: Switchboard, **settings: str) -> Iterator[None]:
    """Have bootstrap make the services on the clients of `world`, each call behind `switchboard`."""

    def gated(adapter: Any, name: str) -> Callable[..., Any]:
        return lambda *arguments, **more: Gated(name, adapter(*arguments, **more), switchboard)

    clients = {"dynamodb": world.dynamodb, "sqs": world.sqs}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, **settings}.items():
            patch.setenv(name, value)
        for adapter, name in ADAPTERS.items():
            patch.setattr(bootstrap, adapter, gated(getattr(bootstrap, adapter), name))
        patch.setattr(sessions, "_hub_client", clients.__getitem__)
        patch.setattr(time, "sleep", lambda _: None)
        patch.setattr(item_sizes, "ACTIONS_PER_TRANSACTION", ROWS_PER_TRANSACTION)
        patch.setattr(bootstrap, "CustomerSessions", lambda *_, **__: world.customers)
        patch.setattr(bootstrap, "ActiveRegionFilter", filter_per_container(switchboard))
        patch.setattr(bootstrap, "CALLS", world.calls)
        patch.setattr(bootstrap, "drs_regions", world.drs_regions)
        patch.setattr(bootstrap, "time", SimpleNamespace(time=world.clock))
        patch.setattr(metrics, "add_metric", lambda *_, **__: None)
        patch.setattr(work_loop, "count_calls", lambda _: None)
        for module in threaded():
            patch.setattr(module, "ThreadPoolExecutor", switchboard.turns.pool)
        forget_wiring()
        yield
    forget_wiring()

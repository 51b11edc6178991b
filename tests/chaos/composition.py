"""The product's own wiring (`chalicelib.bootstrap`) on adapters in memory.

Bootstrap's factories run as they are, with the settings of an environment; only the adapter classes that they name are
replaced, by ones that answer the world's ports, each behind the switchboard. Threads are replaced by a loop, so that a
run depends on what Hypothesis draws and on nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.observability import metrics
from chalicelib.services import attempts, extension_calls, replication_configurations, tag_sync, work_loop
from chalicelib.services.active_region_filter import ActiveRegionFilter
from chalicelib.settings import Settings

from ..factories import HUB
from ..unit.stack import forget_wiring
from .disruptions import Gated, Switchboard
from .world import ChaosWorld

ENVIRONMENT = {
    **{name.upper(): name for name, field in Settings.model_fields.items() if field.is_required()},
    "HUB_ACCOUNT_ID": HUB,
}
"""Every setting that has no default."""

POOLED = (attempts, extension_calls, replication_configurations, tag_sync)


class OneAfterAnother:
    """What the services need of a thread pool, on one thread: all of it is done, then the first error is raised."""

    def __init__(self, _workers: int) -> None:
        pass

    def __enter__(self) -> "OneAfterAnother":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def map(self, function: Callable[..., Any], *values: Any) -> Iterator[Any]:
        ends = [self._end(function, arguments) for arguments in zip(*values, strict=False)]
        return (self._result(end) for end in ends)

    @staticmethod
    def _end(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
        try:
            return function(*arguments), None
        except Exception as error:  # noqa: BLE001  as a future keeps it
            return None, error

    @staticmethod
    def _result(end: tuple[Any, Exception | None]) -> Any:
        value, error = end
        if error is not None:
            raise error
        return value


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


@contextmanager
def composed(world: ChaosWorld, switchboard: Switchboard) -> Iterator[None]:
    """Have bootstrap make the services on the ports of `world`, each behind `switchboard`."""

    def answers(name: str) -> Callable[..., Any]:
        gated = Gated(name, getattr(world, name), switchboard)
        return lambda *_, **__: gated

    adapters = {
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
        "DrsReader": "drs",
        "DrsWriter": "drs",
        "Ec2Reader": "ec2",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for adapter, port in adapters.items():
            patch.setattr(bootstrap, adapter, answers(port))
        patch.setattr(bootstrap, "FencedWrites", lambda *_: world.writer)
        patch.setattr(bootstrap, "CustomerSessions", lambda *_, **__: None)
        patch.setattr(bootstrap, "ActiveRegionFilter", filter_per_container(switchboard))
        patch.setattr(bootstrap, "CALLS", world.calls)
        patch.setattr(bootstrap, "drs_regions", world.drs_regions)
        patch.setattr(bootstrap, "time", SimpleNamespace(time=world.clock))
        patch.setattr(metrics, "add_metric", lambda *_, **__: None)
        patch.setattr(work_loop, "count_calls", lambda _: None)
        for module in POOLED:
            patch.setattr(module, "ThreadPoolExecutor", OneAfterAnother)
        forget_wiring()
        yield
    forget_wiring()

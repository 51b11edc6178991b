"""What the product logs and measures."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalicelib.observability import logger, metrics


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Observed:
    """Log lines and metrics of a block."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        self._records = records

    def lines(self, level: int = logging.DEBUG) -> list[str]:
        return [record.getMessage() for record in self._records if record.levelno >= level]

    def structured(self) -> list[dict[str, Any]]:
        """Return every line as it is written, with the keys that all lines carry."""
        return [json.loads(logger.registered_formatter.format(record)) for record in self._records]

    def metric(self, name: str) -> float:
        """The sum of a metric that was not written out yet."""
        return float(sum(metrics.metric_set.get(name, {"Value": [0]})["Value"]))


@contextmanager
def observing() -> Iterator[Observed]:
    """Collect what is logged and measured in the block."""
    kept = _Kept()
    metrics.clear_metrics()
    logger.addHandler(kept)
    level = logger.log_level
    logger.setLevel(logging.DEBUG)
    try:
        yield Observed(kept.records)
    finally:
        logger.setLevel(level)
        logger.removeHandler(kept)
        metrics.clear_metrics()

"""Fixtures of the chaos run, and the summary at its end."""

import logging

import pytest

from chalicelib.observability import logger

from .report import REPORT


@pytest.fixture(scope="package", autouse=True)
def quiet():
    """No logs, no metrics: a run makes a million of them."""
    before = logger.log_level
    logger.setLevel(logging.CRITICAL)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"}.items():
            patch.setenv(name, value)
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        patch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
        yield
    logger.setLevel(before)


def pytest_terminal_summary(terminalreporter, config):
    """Say what the runs did."""
    if REPORT.figures:
        terminalreporter.section(f"chaos, seed {config.getoption('--hypothesis-seed')}")
        for line in REPORT.lines():
            terminalreporter.write_line(line)

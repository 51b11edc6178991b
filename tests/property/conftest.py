"""Fixtures of the property tests."""

import logging

import pytest
from hypothesis import HealthCheck, settings

from chalicelib.observability import logger

from ..unit import stack

settings.register_profile("properties", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("properties")  # before the tests are defined: @given keeps what holds then


@pytest.fixture(scope="session", autouse=True)
def aws_environment():
    """Where boto3 thinks that it is, before any client is made."""
    logger.setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_DEFAULT_REGION": stack.HOME, "AWS_REGION": stack.HOME}.items():
            patch.setenv(name, value)
        yield

"""Fixtures of the property tests."""

import logging

import pytest

from chalicelib.observability import logger

from ..unit import stack


@pytest.fixture(scope="session", autouse=True)
def aws_environment():
    """Where boto3 thinks that it is, before any client is made."""
    logger.setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_DEFAULT_REGION": stack.HOME, "AWS_REGION": stack.HOME}.items():
            patch.setenv(name, value)
        yield

"""Fixtures of the unit tests."""

import logging

import pytest

from chalicelib.observability import logger

from ..fakes import World
from . import stack


@pytest.fixture(scope="session", autouse=True)
def aws_environment():
    """Where boto3 thinks that it is, before any client is made."""
    logger.setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"AWS_DEFAULT_REGION": stack.HOME, "AWS_REGION": stack.HOME}.items():
            patch.setenv(name, value)
        patch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # seconds, and no test asks for one
        yield


@pytest.fixture
def world():
    """The real services on the fakes, with no account yet."""
    return World()


@pytest.fixture
def deployed(monkeypatch):
    """The stack on moto, its environment set as a function's is."""
    with stack.deployed() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield environment

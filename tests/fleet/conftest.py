"""One local cloud with the product and the small fleet, taken through its first cycle, for the whole session."""

from contextlib import contextmanager

import pytest

from sandbox.cloud.packaging import AppSource
from sandbox.cloud.testing import running_cloud
from sandbox.demo.driving import INVENTORY, STAGING, Driver
from sandbox.demo.story import PARAMETERS
from sandbox.fleet.description import SMALL, read_description
from sandbox.fleet.generator import generate
from sandbox.fleet.planting import plant
from sandbox.fleet.waiting import settle

SECONDS = 180


@contextmanager
def finished(fleet, state_dir):
    """Run a cloud in which the product was given `fleet` and has been through its first cycle, at rest."""
    with running_cloud(state_dir, AppSource(parameters=PARAMETERS)) as cloud:
        plant(fleet, cloud)
        driver = Driver(cloud)
        for operation in (INVENTORY, STAGING):
            driver.finish(driver.start(operation)["runId"], SECONDS)
            settle(cloud, SECONDS)
        yield cloud


@pytest.fixture(scope="session")
def fleet():
    return generate(read_description(SMALL))


@pytest.fixture(scope="session")
def finished_cloud(fleet, tmp_path_factory):
    """A cloud in which everything is in place and at rest. Tests that change it put it right again."""
    with finished(fleet, tmp_path_factory.mktemp("fleet")) as cloud:
        yield cloud

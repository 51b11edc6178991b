"""One local cloud for the session: the stack with the small fleet, registered and synced once; schedules off."""

import logging
from pathlib import Path

import pytest

from chalicelib.observability import logger
from sandbox.cloud.packaging import REPO, AppSource
from sandbox.cloud.testing import running_cloud
from sandbox.fleet.description import SMALL, read_description
from sandbox.fleet.generator import generate
from sandbox.fleet.planting import plant
from sandbox.fleet.waiting import settle

from ..integration.stack import Stack
from .client import Api, Customers

PACKAGES = REPO / "sandbox" / ".state" / "packages"
PARAMETERS = {
    "EnableInventorySync": "false",
    "EnableTagSync": "false",
    "EnableStagingAccountSync": "false",
    # two at a time of each: every further one is one more cold start
    "InventoryConcurrency": "2",
    "TagsConcurrency": "2",
    "StagingConcurrency": "2",
}
REST_SECONDS = 180


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent and "deployed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cloud)
            item.add_marker(pytest.mark.xdist_group("api"))  # one cloud is enough


@pytest.fixture(scope="session", autouse=True)
def aws_environment():
    """Where boto3 thinks that it is, before any client is made."""
    logger.setLevel(logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
            patch.setenv(name, "us-east-1")
        yield


@pytest.fixture(scope="session")
def fleet():
    return generate(read_description(SMALL))


@pytest.fixture(scope="session")
def deployed(fleet, tmp_path_factory):
    app = AppSource(parameters=PARAMETERS, slim=True)
    with running_cloud(tmp_path_factory.mktemp("api"), app, cache_dir=PACKAGES) as cloud:
        stack = Stack(cloud)
        # no waiting for more records: the template tests look at the window that is deployed
        stack.functions.update_event_source_mapping(
            UUID=stack.mapping("ScanStream")["UUID"], MaximumBatchingWindowInSeconds=0
        )
        plant(fleet, cloud)
        for operation in ("sync_source_server_inventory", "sync_staging_accounts"):
            stack.operate(operation)
            settle(cloud, REST_SECONDS)
        yield stack


@pytest.fixture
def stack(deployed):
    """The stack; what a test breaks in the customers' services is mended behind it."""
    yield deployed
    deployed.heal()


@pytest.fixture(scope="session")
def api(deployed):
    return Api(deployed.cloud)


@pytest.fixture(scope="session")
def customers(deployed):
    """Makes new customer accounts, of which the product does not know yet."""
    return Customers(deployed.cloud)

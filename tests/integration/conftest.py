"""The deployed stack for the whole test run: schedules off, short intervals, three customer accounts with roles."""

from pathlib import Path

import pytest

from sandbox.cloud.packaging import REPO, AppSource
from sandbox.cloud.testing import running_cloud

from .customers import HUB, KINDS, Customers
from .registrar import Registrar
from .stack import Stack

PACKAGES = REPO / "sandbox" / ".state" / "packages"
PARAMETERS = {
    "EnableInventorySync": "false",
    "EnableTagSync": "false",
    "EnableStagingAccountSync": "false",
    "InventoryIntervalMinutes": "1",
    # two at a time of each: every further one is one more cold start
    "InventoryConcurrency": "2",
    "TagsConcurrency": "2",
    "StagingConcurrency": "2",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.cloud)
            item.add_marker(pytest.mark.xdist_group("integration"))  # one cloud is enough


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    # slim: what the functions need beside their code is the packaging tests' business
    app = AppSource(parameters=PARAMETERS, slim=True)
    with running_cloud(tmp_path_factory.mktemp("integration"), app, cache_dir=PACKAGES) as running:
        yield running


@pytest.fixture(scope="session")
def deployed(cloud):
    stack = Stack(cloud)
    # no waiting for more records: the template tests look at the window that is deployed
    mapping = stack.mapping("ScanStream")["UUID"]
    stack.functions.update_event_source_mapping(UUID=mapping, MaximumBatchingWindowInSeconds=0)
    return stack


@pytest.fixture(scope="session")
def registrar(deployed):
    outputs = deployed.cloud.outputs
    configuration = deployed.functions.get_function_configuration(FunctionName=deployed.name("Operations"))
    credentials = {
        "AWS_ENDPOINT_URL": outputs.endpoint,
        "AWS_ACCESS_KEY_ID": HUB,
        "AWS_SECRET_ACCESS_KEY": outputs.secret_access_key,
        "AWS_DEFAULT_REGION": outputs.region,
    }
    process = Registrar(configuration["Environment"]["Variables"] | credentials)
    yield process
    process.close()


@pytest.fixture(scope="session")
def accounts(cloud, registrar):
    customers = Customers(cloud, registrar)
    for account_id, kind in KINDS.items():
        customers.create_roles(account_id, kind)
    return customers


@pytest.fixture
def stack(deployed):
    """The stack as a new deployment."""
    deployed.wipe()
    yield deployed
    deployed.heal()
    deployed.settle()


@pytest.fixture
def customers(stack, accounts):
    """The customer accounts, with nothing in them, not registered."""
    return accounts

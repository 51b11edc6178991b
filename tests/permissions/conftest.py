from pathlib import Path

import pytest

from sandbox.cloud.packaging import REPO, AppSource
from sandbox.cloud.testing import running_cloud
from tests.integration.customers import KINDS, Customers

from .world import World

PACKAGES = REPO / "sandbox" / ".state" / "packages"
PARAMETERS = {"EnableInventorySync": "false", "EnableTagSync": "false", "EnableStagingAccountSync": "false"}


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent and "world" in item.fixturenames:
            item.add_marker(pytest.mark.cloud)
            item.add_marker(pytest.mark.xdist_group("permissions"))  # policies are changed: one after another


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    # slim: what the functions need beside their code is the packaging tests' business
    app = AppSource(parameters=PARAMETERS, slim=True)
    with running_cloud(tmp_path_factory.mktemp("permissions"), app, cache_dir=PACKAGES) as running:
        customers = Customers(running, registrar=None)
        for account_id, kind in KINDS.items():
            customers.create_roles(account_id, kind)
        made = World(running)
        made.prepare()
        yield made

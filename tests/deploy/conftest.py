"""One empty local cloud for the tests of deployments."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.cloud.testing import running_cloud
from scripts.deploy.deployment import Deployment
from scripts.deploy.display import Display

from .releases import BUCKET, make_bucket


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent and "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cloud)
            item.add_marker(pytest.mark.xdist_group("deploy"))  # one cloud is enough


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("deploy")) as running:
        make_bucket(running.hub().client("s3"), BUCKET)
        yield running


class Deploying:
    """Deployments to one stack, and what they showed."""

    def __init__(self, cloud, stack_name, bucket=BUCKET):
        self.shown = io.StringIO()
        self.questions = []
        self.stack_name = stack_name
        self._arguments = (cloud.hub(), stack_name, bucket, Display(Console(file=self.shown)))

    def deployment(self):
        return Deployment(*self._arguments, poll_seconds=0.1, patience_seconds=2)

    def deploy(self, release, parameters=None, answer=True, **options):
        self.deployment().deploy(release, parameters or {}, self._asked(answer), **options)

    def replace_code(self, release, answer=True):
        self.deployment().replace_code(release, self._asked(answer))

    def _asked(self, answer):
        def ask(question):
            self.questions.append(question)
            return answer

        return ask


@pytest.fixture(scope="session")
def deploying(cloud):
    return lambda stack_name, **options: Deploying(cloud, stack_name, **options)

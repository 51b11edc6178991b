"""A quarter of a minute of chaos on the local cloud: `make chaos-cloud` in small, so that it cannot rot."""

import pytest

from sandbox.chaos.ending import hasten
from sandbox.chaos.run import Chaos
from sandbox.chaos.timing import PARAMETERS, shorten
from sandbox.cloud.packaging import AppSource
from sandbox.cloud.testing import running_cloud
from sandbox.fleet.description import SMALL, read_description
from sandbox.fleet.generator import generate
from sandbox.fleet.planting import plant

SECONDS = 15
SEED = 4

pytestmark = pytest.mark.cloud


@pytest.fixture
def chaos(tmp_path):
    fleet = generate(read_description(SMALL))
    with running_cloud(tmp_path, AppSource(parameters=PARAMETERS, slim=True)) as cloud:
        shorten(cloud)
        plant(fleet, cloud)
        hasten(cloud)  # the first cycle is part of the chaos: there is work for workers to die at
        yield Chaos(fleet, cloud, SEED)


def test_nothing_is_lost(chaos):
    chaos.rage(SECONDS, lambda _: None)
    ending = chaos.end(lambda _: None, patient=False)

    assert ending.report.differences == []
    assert ending.poison_left
    assert chaos.told.changes.total() >= SECONDS / 3
    assert chaos.breaker.hits.total() > 0
    assert chaos.breaker.killed.total() > 0

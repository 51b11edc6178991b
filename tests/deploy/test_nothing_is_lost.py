"""An update and a way back in the middle of work lose nothing: no server, no message, no stream record."""

import threading
from types import SimpleNamespace

import pytest

from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.deployment import with_stack
from sandbox.demo.driving import FAILURE_QUEUES, INVENTORY, STAGING, Driver
from sandbox.demo.story import PARAMETERS
from sandbox.fleet.description import SMALL, read_description
from sandbox.fleet.generator import arrivals, generate
from sandbox.fleet.planting import plant, plant_servers
from sandbox.fleet.truth import compare
from sandbox.fleet.waiting import queued, settle
from scripts.deploy.errors import DeployError

from .releases import this_release, with_broken_api, with_file, with_resources

STAGE = "test"
NAME = f"drs-active-regions-{STAGE}"
SECONDS = 180
ARRIVALS = 6
SLOW = {"rules": [{"service": "drs", "operation": "DescribeSourceServers", "latencySeconds": 1.5}]}


@pytest.fixture(scope="module")
def running(cloud, deploying):
    """A stack that has taken a small fleet through its first cycle."""
    release = this_release(STAGE)
    deploying(NAME).deploy(release, PARAMETERS)
    hub = SandboxCloud(with_stack(cloud.outputs, NAME))
    fleet = generate(read_description(SMALL))
    plant(fleet, hub)
    driver = Driver(hub)
    for operation in (INVENTORY, STAGING):
        driver.finish(driver.start(operation)["runId"], SECONDS)
        settle(hub, SECONDS)
    assert compare(fleet, hub).ok
    return SimpleNamespace(cloud=hub, fleet=fleet, driver=driver, release=release)


def changed(resources):
    """Change attributes of a queue, and of the table whose stream drives everything."""
    resources["InventoryWork"]["Properties"]["MessageRetentionPeriod"] = 1209600
    resources["ScanTable"]["Properties"]["Tags"] = [{"Key": "version", "Value": "2"}]


def epochs(driver):
    return {item["workId"]: int(item["epoch"]) for item in driver.items("WorkStateTableName")}


def servers_appear(running, seed):
    """Let servers appear in a scope that is in use, behind the product's back."""
    target = running.fleet.of_kind("target")[0].account_id
    place = min(place for place in running.fleet.active_scopes if place[0] != target)
    servers, instances = arrivals(running.fleet, place, ARRIVALS, seed=seed)
    plant_servers(running.cloud, servers, instances)
    running.fleet = running.fleet.with_more(servers, instances)


def in_the_middle_of_work(running, deploy):
    """Deploy while every scope is being scanned; return the epochs before and what was left to do when it began."""
    before = epochs(running.driver)
    running.cloud.control("POST", "/faults", SLOW)
    run = running.driver.start(INVENTORY)
    deployed = threading.Thread(target=deploy)
    deployed.start()
    left = running.driver.progress(run["runId"])
    deployed.join()
    running.cloud.control("DELETE", "/faults")
    report = running.driver.finish(run["runId"], SECONDS)
    settle(running.cloud, SECONDS)
    return SimpleNamespace(before=before, left=left, report=report)


def nothing_is_lost(running, work):
    assert work.left["status"] != "DONE"
    assert work.report["failed"] == 0
    report = compare(running.fleet, running.cloud)
    assert report.ok, report.differences[:5]
    assert queued(running.cloud, FAILURE_QUEUES) == 0
    after = epochs(running.driver)
    assert all(after[item] >= epoch for item, epoch in work.before.items())
    scanned = {f"inventory#{scope['accountId']}#{scope['region']}" for scope in work.report["scopes"]}
    assert scanned
    assert all(after[item] > work.before[item] for item in scanned)


def test_an_update_in_the_middle_of_work(running, deploying):
    servers_appear(running, seed=1)
    new = with_resources(with_file(running.release, "chalicelib/new.py", "NEW = 1\n"), changed)
    work = in_the_middle_of_work(running, lambda: deploying(NAME).deploy(new, {"ProbeIntervalMinutes": "5"}))
    nothing_is_lost(running, work)
    running.release = new


def test_a_way_back_in_the_middle_of_work(running, deploying):
    servers_appear(running, seed=2)
    broken = with_resources(
        with_broken_api(running.release),
        lambda resources: resources["InventoryWork"]["Properties"].update(MessageRetentionPeriod=345600),
    )
    refused = []

    def deploy():
        try:
            deploying(NAME).deploy(broken, {"ProbeIntervalMinutes": "6"})
        except DeployError as error:
            refused.append(str(error))

    work = in_the_middle_of_work(running, deploy)
    assert "The previous version runs again" in refused[0]
    nothing_is_lost(running, work)

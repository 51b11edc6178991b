"""The installation in one account, the hub's own, by the very commands that the README shows."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cloud.packaging import REPO, AppSource
from sandbox.cloud.testing import running_cloud
from sandbox.demo.driving import until
from sandbox.demo.story import PARAMETERS
from sandbox.fleet.description import ONE_ACCOUNT, read_description
from sandbox.fleet.evidence import read_truth
from sandbox.fleet.generator import generate
from sandbox.fleet.planting import plant_accounts, plant_servers
from sandbox.fleet.tag_rules import expected_tags

HUB = "111111111111"
SECONDS = 60
ONLY_AWS_CLI_2 = " --cli-binary-format raw-in-base64-out"
"""Version 1, which is locked for development, takes a payload as it is and does not know the option."""

pytestmark = pytest.mark.cloud


def readme_commands():
    """Return the commands of the README's block on a single account, each on one line."""
    section = (REPO / "README.md").read_text().partition("\n## Use it on AWS\n")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1]
    return block.replace("\\\n", " ").splitlines()


def own_fleet():
    """Return the fleet of one account, with the hub's account in place of the generated one."""
    fleet = generate(read_description(ONE_ACCOUNT))
    [account] = fleet.accounts
    servers = [
        replace(server, account_id=HUB, origin=server.origin and replace(server.origin, account_id=HUB))
        for server in fleet.servers
    ]
    return replace(
        fleet,
        accounts=(replace(account, account_id=HUB),),
        servers=tuple(servers),
        instances=tuple(replace(instance, account_id=HUB) for instance in fleet.instances),
    )


@pytest.fixture(scope="module")
def own_cloud(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("one-account"), AppSource(parameters=PARAMETERS, slim=True)) as cloud:
        yield cloud


@pytest.fixture
def shell(own_cloud, tmp_path):
    """Run a command as the README's reader does, in a checkout (of which it needs `infra`)."""
    (tmp_path / "infra").symlink_to(REPO / "infra")
    outputs = own_cloud.outputs
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": outputs.endpoint,
        "AWS_ACCESS_KEY_ID": HUB,
        "AWS_SECRET_ACCESS_KEY": outputs.secret_access_key,
        "AWS_DEFAULT_REGION": outputs.region,
    }

    def run(command):
        line = f"set -eo pipefail; {command.replace(ONLY_AWS_CLI_2, '')}"
        ended = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"

    return run


def test_one_account_is_protected_by_the_five_commands_of_the_readme(own_cloud, shell, tmp_path):
    fleet = own_fleet()
    plant_accounts(fleet, own_cloud)
    plant_servers(own_cloud, fleet.servers, fleet.instances)
    deploy, register, roles, sync, ask = readme_commands()
    assert deploy == "scripts/deploy.sh dev"  # what the cloud was started with, by the tests of deployments
    assert wrong_tags(fleet, own_cloud)
    for command in (register, roles, sync):
        shell(command)
    assert not (tmp_path / "registered.json").exists()  # the ExternalId is a secret
    run = json.loads((tmp_path / "synced.json").read_text())
    assert (run["status"], run["scopesFailed"], run["totalServers"]) == ("DONE", 0, len(fleet.servers))
    shell(ask)
    servers = json.loads((tmp_path / "servers.json").read_text())["servers"]
    assert {one["sourceServerID"] for one in servers} == {server.server_id for server in fleet.servers}
    until(lambda: not wrong_tags(fleet, own_cloud), SECONDS, lambda: f"tags: {wrong_tags(fleet, own_cloud)}")


def wrong_tags(fleet, cloud):
    """Return the tags of each server that does not carry its instance's and those that it had before."""
    truth, before = read_truth(cloud), {server.server_id: server.tags for server in fleet.servers}
    return {
        server.server_id: server.tags
        for server in truth.servers()
        if server.tags != expected_tags(server, truth.instance_of(server), before[server.server_id])
    }

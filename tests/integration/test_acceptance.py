"""The acceptance run, whole, against the stack and three accounts of the local cloud."""

import os
import subprocess
import sys

import pytest

from sandbox.cloud.packaging import REPO
from tests.conformance.replaying import ReplayedSessions, read

from .customers import SOURCE, STAGING, TARGET

REGION = "us-east-1"


@pytest.fixture
def command(cloud, tmp_path):
    outputs = cloud.outputs
    profiles = {"target": TARGET, "staging": STAGING}
    secret = f"aws_secret_access_key = {outputs.secret_access_key}"
    lines = [f"[{name}]\naws_access_key_id = {account}\n{secret}\n" for name, account in profiles.items()]
    credentials = tmp_path / "credentials"
    credentials.write_text("\n".join(lines))
    account = {
        "AWS_ENDPOINT_URL": outputs.endpoint,
        "AWS_ACCESS_KEY_ID": outputs.access_key_id,
        "AWS_SECRET_ACCESS_KEY": outputs.secret_access_key,
        "AWS_REGION": outputs.region,
        "AWS_DEFAULT_REGION": outputs.region,
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_CONFIG_FILE": os.devnull,
    }
    foreign = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "scripts.accept", "--stack-name", outputs.stack_name, *arguments],
            cwd=REPO,
            env=environment | account,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def outcomes(done):
    """Return the outcome of each step, by its name."""
    words = ("ok", "failed", "not tried")
    lines = [line for line in done.stdout.splitlines() if line[:10].strip() in words]
    return {line[10:].partition(": ")[0]: line[:10].strip() for line in lines}


def plant_where_it_runs(cloud, customers):
    """Plant a server of the target whose instance runs in the target itself."""
    [server] = customers.plant(TARGET, REGION, originAccountId=TARGET, originRegion=REGION)
    instance = {"accountId": TARGET, "region": REGION, "instanceId": server.instance_id, "tags": {"Name": "theirs"}}
    cloud.control("POST", "/ec2/instances", [instance])
    return server


def test_everything_is_tried_and_taken_back(command, customers, cloud, tmp_path):
    customers.register()
    customers.join()
    server = plant_where_it_runs(cloud, customers)
    [staged] = customers.plant(STAGING, REGION)
    before = set(customers.drs(TARGET, REGION))

    done = command(
        *("--yes", "--patience", "120", "--record", str(tmp_path)),
        *("--target-profile", "target", "--staging-profile", "staging"),
        *("--server-arn", server.arn, "--staging-server-arn", staged.arn),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 ok, 0 failed, 0 not tried" in done.stdout, done.stdout
    assert set(customers.drs(TARGET, REGION)) == before
    assert "drs-active-regions-acceptance" not in customers.drs_tags(server)
    recorded = tmp_path / "answers.json"
    identifiers = (TARGET, STAGING, SOURCE, server.server_id, server.instance_id, server.hostname, staged.server_id)
    assert not [one for one in identifiers if one in recorded.read_text()]
    replay(read(recorded))


def replay(recording):
    """Read a recording through the product's adapters: every server and instance of it is readable."""
    sessions = ReplayedSessions(recording)
    servers, instances = sessions.everything()
    assert servers
    assert instances


def test_what_fails_stops_nothing_else(command, customers):
    customers.register(TARGET)
    customers.plant(TARGET, REGION)

    with customers.denied(TARGET, "drs-active-regions-reader", "drs:DescribeSourceServers"):
        done = command("--yes", "--patience", "120", "--account", TARGET, "--region", REGION)

    found = outcomes(done)
    assert done.returncode == 1
    assert (found["scan"], found["extension"], found["dead letters, work"]) == (
        "failed",
        "not tried",
        "ok",
    ), done.stdout


def test_nobody_to_ask_means_that_nothing_is_written(command, customers):
    customers.register(TARGET)
    customers.initialise(TARGET, REGION)

    done = command("--account", TARGET, "--target-profile", "target")

    found = outcomes(done)
    assert found["scan"] == "not tried"
    assert {found[f"dead letters, {queue}"] for queue in ("work", "stream", "schedules")} == {"not tried"}
    assert found["versions"] == "ok"
    assert done.returncode == 0, done.stdout

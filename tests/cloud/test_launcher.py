"""Start, reuse, replacement and end of a cloud."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.launcher import CloudError, CloudOptions, down, port_or_free, start, status, up
from sandbox.cloud.outputs import Outputs

from .conftest import sample_app
from .waiting import eventually


@pytest.fixture
def options(tmp_path):
    yield CloudOptions(port=0, state_dir=tmp_path)
    down(tmp_path)


def port_of(outputs):
    return int(outputs.endpoint.rsplit(":", 1)[1])


def processes_of(group):
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]


def quiet(_line):
    return None


def test_a_second_start_reuses_the_cloud_and_deploys_only_what_changed(options):
    lines = []
    first = up(options, sample_app(), quiet)
    second = up(options, sample_app(), lines.append)
    third = up(options, sample_app(parameters={"Concurrency": "3"}), quiet)

    assert second == first
    assert Outputs.read(options.outputs_file) == third
    assert any("deployed already" in line for line in lines)
    assert third.pid == first.pid
    mappings = SandboxCloud(third).hub().client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert {"MaximumConcurrency": 3} in [mapping.get("ScalingConfig") for mapping in mappings]


def test_down_ends_functions_too_and_frees_the_port(options):
    cloud = SandboxCloud(up(options, sample_app(), quiet))
    cloud.invoke(cloud.outputs.resources["Probe"], {})
    assert len(processes_of(cloud.outputs.pid)) == 2

    assert down(options.state_dir)
    assert processes_of(cloud.outputs.pid) == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port_of(cloud.outputs)))
    assert status(options.state_dir) is None
    assert not down(options.state_dir)


def test_a_killed_cloud_is_replaced_on_the_same_port(options):
    first = start(options, quiet)
    os.kill(first.pid, signal.SIGKILL)
    os.waitpid(first.pid, 0)
    assert status(options.state_dir) is None

    second = start(replace(options, port=port_of(first)), quiet)
    assert second.pid != first.pid
    assert second.endpoint == first.endpoint


def test_a_hanging_cloud_is_replaced(options):
    first = start(options, quiet)
    os.kill(first.pid, signal.SIGSTOP)

    second = start(replace(options, port=port_of(first)), quiet)
    assert second.pid != first.pid
    assert status(options.state_dir) == second


def test_another_process_with_the_noted_number_is_left_alone(options):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as other:
        Outputs(endpoint="http://127.0.0.1:9", pid=other.pid).write(options.outputs_file)
        try:
            assert not down(options.state_dir)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_port_in_use_is_named(options):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=f"port {port} is in use"):
            start(replace(options, port=port), quiet)


def test_the_callers_aws_settings_and_proxies_do_not_reach_the_cloud(options, monkeypatch):
    elsewhere = "http://127.0.0.1:9"
    for variable in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTPS_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, elsewhere)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    outputs = up(options, sample_app(), quiet)
    cloud = SandboxCloud(outputs)
    seen = cloud.invoke(outputs.resources["Probe"], {"identity": True})

    assert seen["endpoint"] == outputs.endpoint
    assert seen["environment"] == {}
    for service in ("s3", "drs", "sts", "dynamodb", "iam"):
        client = cloud.session("222222222222", "eu-south-2").client(service)
        assert client.meta.endpoint_url == outputs.endpoint


def test_a_stack_that_cannot_be_made_says_why(options, tmp_path):
    template = tmp_path / "bad.json"
    template.write_text('{"Resources": {"Odd": {"Type": "AWS::Odd::Thing"}}}')
    with pytest.raises(CloudError, match="AWS::Odd::Thing"):
        up(options, sample_app(merge_template=template), quiet)


def test_the_command_line(options):
    command = [sys.executable, "-m", "sandbox.cloud"]
    place = ["--state-dir", str(options.state_dir)]

    def run(*arguments):
        return subprocess.run([*command, *arguments, *place], capture_output=True, text=True, check=False)

    assert run("status").returncode == 1
    assert run("up", "--port", "0", "--no-deploy").returncode == 0
    assert run("status").returncode == 0
    assert run("down").stdout == "stopped\n"
    assert eventually(lambda: run("status").returncode == 1)


@pytest.mark.parametrize("program", ["sandbox.cloud", "sandbox.demo", "sandbox.chaos"])
@pytest.mark.parametrize("port", ["abc", "99999", "-1", "1e3", ""])
def test_what_is_no_port_is_told_in_one_line(program, port):
    arguments = ["up"] if program == "sandbox.cloud" else []
    told = subprocess.run(
        [sys.executable, "-m", program, *arguments, f"--port={port}"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert told.stderr.splitlines() == [f"error: argument --port: '{port}' is no port; 1 to 65535, or 0 for a free one"]


def test_a_port_of_the_environment_that_is_none_is_told_in_one_line(options):
    told = subprocess.run(
        [sys.executable, "-m", "sandbox.cloud", "up", "--no-deploy", "--state-dir", str(options.state_dir)],
        env={**os.environ, "SANDBOX_PORT": "many"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "SANDBOX_PORT: 'many' is no port" in told.stderr


def test_a_taken_port_gives_way_to_a_free_one():
    lines = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert port_or_free(taken, lines.append) == 0
    assert lines == [f"port {taken} is in use by another program; taking a free one"]
    assert port_or_free(taken, lines.append) == taken
    assert port_or_free(0, lines.append) == 0
    assert len(lines) == 1

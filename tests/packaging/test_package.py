"""The package that is deployed: what is in it, and whether every handler runs from it alone."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import zipfile
from http.server import ThreadingHTTPServer
from importlib.metadata import version
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import pytest
import yaml

from chalicelib.adapters.aws_regions import drs_regions
from sandbox.cloud.packaging import REPO, AppSource, build
from scripts.trim import SERVICES

from .on_lambda import EVENTS, SCHEDULED, EmptyTables, environment, logical, messages

pytestmark = pytest.mark.xdist_group("package")  # built once

CONFIG = json.loads((REPO / ".chalice" / "config.json").read_text())
FUNCTIONS = list(CONFIG["stages"]["dev"]["lambda_functions"])
LAMBDA_PACKAGE_LIMIT = 50 * 1024 * 1024  # AWS Lambda quotas: zipped, for direct upload
UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552: flags of a pyc file
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)

RUN = """
import importlib, json, sys
sys.path[:0] = {path!r}
module, _, name = {handler!r}.rpartition(".")
handler = getattr(importlib.import_module(module), name)
class Context:
    function_name, memory_limit_in_mb, aws_request_id = "function", 512, "1"
    invoked_function_arn = "arn:aws:lambda:us-east-1:111111111111:function:function"
    log_group_name = log_stream_name = "log"
    def get_remaining_time_in_millis(self):
        return 300000
answers = [handler(event, Context()) for event in json.loads(sys.stdin.read())]
home = {path!r}[0]
foreign = [
    getattr(module, "__file__", None)
    for module in list(sys.modules.values())
    if "site-packages" in (getattr(module, "__file__", None) or "")
]
print("ANSWERS" + json.dumps([answers, foreign]))
"""

CLIENTS = """
import json, sys
sys.path[:0] = [{path!r}]
import botocore
from chalicelib.adapters import aws_regions, clients
for service in {services!r}:
    for session in (clients.own_session(), clients.assumed_session(dict)):
        clients.client_of(session, service, "eu-west-1")
print(json.dumps({{"botocore": botocore.__version__, "regions": aws_regions.drs_regions()}}))
"""


@pytest.fixture(scope="module")
def package():
    built, _ = build(AppSource(), REPO / "sandbox" / ".state" / "packages")
    return built


@pytest.fixture(scope="module")
def template(package):
    return yaml.safe_load(package.template.read_text())


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    with zipfile.ZipFile(package.code) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def aws():
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyTables)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(template, name, events, path, aws):
    """Invoke a function's handler in an interpreter that sees `path` and the standard library alone."""
    handler = template["Resources"][logical(name)]["Properties"]["Handler"]
    program = textwrap.dedent(RUN).format(path=[str(part) for part in path], handler=handler)
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        input=json.dumps(events),
        env=environment(template, aws.server_port),
        cwd=path[0],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def answers_of(done):
    assert done.returncode == 0, done.stderr[-3000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("ANSWERS")]
    return json.loads(line.removeprefix("ANSWERS"))


def test_there_is_an_event_for_every_function():
    assert set(EVENTS) == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_handler_runs_from_the_package_alone(template, unpacked, aws, name):
    cases = EVENTS[name]
    answers, foreign = answers_of(run(template, name, [event for event, _ in cases], [unpacked], aws))

    assert foreign == []
    for answer, (event, expected) in zip(answers, cases, strict=True):
        assert expected(answer), (event, answer)


@pytest.mark.parametrize("kind", ["inventory", "tags", "staging"])
def test_a_worker_buries_from_the_package_what_it_cannot_read(template, unpacked, aws, kind):
    answers_of(run(template, f"{kind}_worker", [messages(kind)], [unpacked], aws))

    assert aws.asked.count("SendMessage") == 1
    assert aws.asked.count("UpdateItem") == 1


@pytest.mark.parametrize("missing", ["botocore", "cachetools", "pydantic", "aws_lambda_powertools", "chalice"])
def test_a_missing_requirement_would_be_noticed(template, unpacked, aws, tmp_path, missing):
    incomplete = tmp_path / "package"
    shutil.copytree(unpacked, incomplete, ignore=lambda _, names: {missing}.intersection(names))
    done = run(template, "inventory_worker", [], [incomplete], aws)

    assert done.returncode != 0
    assert f"No module named '{missing}" in done.stderr


def test_a_missing_setting_is_named_when_a_function_starts(template, unpacked, aws):
    given = {**template["Globals"]["Function"]["Environment"]["Variables"], "ACCOUNTS_TABLE": ""}
    changed = {**template, "Globals": {"Function": {"Environment": {"Variables": given}}}}
    done = run(changed, "tags_schedule", [SCHEDULED], [unpacked], aws)

    assert done.returncode != 0
    assert "SettingError" in done.stderr
    assert "ACCOUNTS_TABLE" in done.stderr


def test_it_holds_the_application_and_what_the_requirements_pin(unpacked):
    pinned = {
        re.sub(r"[-_.]+", "_", name).lower(): version
        for name, version in PINNED.findall((REPO / "requirements.txt").read_text())
    }
    shipped = {}
    for folder in unpacked.glob("*.dist-info"):
        name, version = folder.name.removesuffix(".dist-info").split("-", 1)
        shipped[re.sub(r"[-_.]+", "_", name).lower()] = version
    assert shipped == pinned


def test_it_holds_every_module_of_the_application(unpacked):
    wanted = {path.relative_to(REPO) for path in (REPO / "chalicelib").rglob("*.py")}
    shipped = {path.relative_to(unpacked) for path in (unpacked / "chalicelib").rglob("*.py")}
    assert shipped == wanted
    assert (unpacked / "app.py").read_text() == (REPO / "app.py").read_text()


def test_every_module_has_bytecode_that_is_used_without_a_look_at_its_source(unpacked):
    for module in unpacked.rglob("*.py"):
        if "dist-info" not in str(module):
            head = Path(cache_from_source(module)).read_bytes()[:8]
            assert head == MAGIC_NUMBER + UNCHECKED_HASH, module


@pytest.mark.parametrize(
    "name", ["tests", "sandbox", "benchmarks", "boto3", "moto", "ministack", ".chalice", "botocore/data/s3"]
)
def test_it_does_not_hold(unpacked, name):
    assert not (unpacked / name).exists()


def test_it_holds_the_models_of_the_services_that_are_called(unpacked):
    assert {path.name for path in (unpacked / "botocore" / "data").iterdir() if path.is_dir()} == SERVICES


def test_every_client_can_be_made_from_the_package_alone_and_every_region_is_known(unpacked):
    program = textwrap.dedent(CLIENTS).format(path=str(unpacked), services=sorted(SERVICES))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told == {"botocore": version("botocore"), "regions": drs_regions()}


def test_the_bill_of_materials_beside_it_names_what_ships(package, unpacked):
    bill = json.loads(package.materials.read_text())
    named = {(one["name"], one["version"]) for one in bill["components"]}
    assert named == set(PINNED.findall((REPO / "requirements.txt").read_text()))
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])


def test_it_is_small_enough_to_be_deployed(package):
    assert package.code.stat().st_size < LAMBDA_PACKAGE_LIMIT


def test_every_handler_of_the_template_is_a_function_of_the_configuration(template):
    handlers = {
        name: resource["Properties"]["Handler"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    assert set(handlers) == {logical(name) for name in FUNCTIONS}
    assert all(
        resource["Properties"]["CodeUri"] == "./deployment.zip"
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    )

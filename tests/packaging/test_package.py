"""The package that is deployed: what is in it, and whether every handler runs from it alone."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import pytest
import yaml

from sandbox.cloud.packaging import REPO, AppSource, build

pytestmark = pytest.mark.xdist_group("package")  # built once

CONFIG = json.loads((REPO / ".chalice" / "config.json").read_text())
FUNCTIONS = list(CONFIG["stages"]["dev"]["lambda_functions"])
LAMBDA_PACKAGE_LIMIT = 50 * 1024 * 1024  # AWS Lambda quotas: zipped, for direct upload
FROM_THE_RUNTIME = "boto3"  # docs/adr/0003
UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552: flags of a pyc file
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)$", re.MULTILINE)

SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "111111111111",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}


def rest(path, authorizer=None):
    return {
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"resourcePath": path, "httpMethod": "GET", "identity": {}, "requestId": "1"},
        "body": None,
        "isBase64Encoded": False,
    }


def message(number, body):
    return {
        "messageId": str(number),
        "receiptHandle": f"handle-{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:111111111111:work",
        "awsRegion": "us-east-1",
    }


def messages(kind):
    """Return one message that can never be worked off, and one about work that nobody asked for."""
    wake_up = {"kind": kind, "accountId": "222222222222", "region": "eu-west-1"}
    return {"Records": [message(1, "{not json"), message(2, json.dumps(wake_up))]}


REMOVED_RECORD = {
    "Records": [
        {
            "eventID": "1",
            "eventName": "REMOVE",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "Keys": {"region": {"S": "eu-west-1"}, "accountId": {"S": "222222222222"}},
                "SequenceNumber": "1",
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:111111111111:table/scans/stream/1",
        }
    ]
}

NOTHING_FAILED = {"batchItemFailures": []}

EVENTS = {
    "api_handler": [
        (rest("/health"), lambda answer: json.loads(answer["body"]) == {"status": "OK"}),
        (rest("/regions"), lambda answer: json.loads(answer["body"])["regions"] == []),
        (rest("/servers"), lambda answer: json.loads(answer["body"])["servers"] == []),
    ],
    "inventory_schedule": [(SCHEDULED, lambda answer: answer is None)],
    "tags_schedule": [(SCHEDULED, lambda answer: answer is None)],
    "staging_schedule": [(SCHEDULED, lambda answer: answer is None)],
    "inventory_worker": [(messages("inventory"), lambda answer: answer == NOTHING_FAILED)],
    "tags_worker": [(messages("tags"), lambda answer: answer == NOTHING_FAILED)],
    "staging_worker": [(messages("staging"), lambda answer: answer == NOTHING_FAILED)],
    "scan_stream": [(REMOVED_RECORD, lambda answer: answer == NOTHING_FAILED)],
    "operations": [
        ({"operation": "sync_tags", "wait": 1}, lambda answer: answer["plannedScopes"] == 0),
        ({"operation": "nonsense"}, lambda answer: answer["error"] == "UNKNOWN_OPERATION"),
    ],
    "maintenance": [
        ({"task": "reconcile"}, lambda answer: answer["registered"] == []),
        ({"task": "nonsense"}, lambda answer: answer["error"] == "INVALID_REQUEST"),
    ],
    "account_probe": [
        ({"probe": "validate", "accountId": "222222222222"}, lambda answer: answer["error"] == "NOT_FOUND"),
        ({"probe": "nonsense"}, lambda answer: answer["error"] == "INVALID_REQUEST"),
    ],
}
"""By function, events and whether an answer is the one expected of a stack with empty tables."""

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


class EmptyTables(BaseHTTPRequestHandler):
    """AWS as far as the handlers ask it: tables without items, queues that take everything."""

    ANSWERS = {
        "Scan": {"Items": [], "Count": 0, "ScannedCount": 0},
        "Query": {"Items": [], "Count": 0, "ScannedCount": 0},
        "GetItem": {},
        "BatchGetItem": {"Responses": {}, "UnprocessedKeys": {}},
        "SendMessage": {"MessageId": "1", "MD5OfMessageBody": ""},
    }

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
        self.server.asked.append(operation)
        status, content = 200, self.ANSWERS.get(operation)
        if operation == "UpdateItem":
            status, content = 400, {"__type": "com.amazonaws.dynamodb#ConditionalCheckFailedException", "message": "no"}
        elif content is None:
            status, content = 400, {"__type": "ValidationException", "message": f"{operation} was not expected"}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        return


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


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """A folder with what Lambda's runtime brings along, and nothing else of this environment."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in closure(FROM_THE_RUNTIME):
        for top in {file.parts[0] for file in distribution(name).files if ".." not in file.parts}:
            source = Path(distribution(name).locate_file(top))
            if source.exists() and top != "__pycache__" and not (folder / top).exists():
                (folder / top).symlink_to(source)
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


def closure(name, known=()):
    """Return a distribution and what it needs, without extras."""
    found = [*known, name]
    for requirement in distribution(name).requires or []:
        needed = re.match(r"[A-Za-z0-9_.-]+", requirement).group()
        if "extra ==" not in requirement and needed not in found:
            found = closure(needed, found)
    return found


def logical(name):
    return "APIHandler" if name == "api_handler" else "".join(word.capitalize() for word in name.split("_"))


def setting(name, value, endpoint):
    """Return a value for a setting of the template: its literal, or one that fits its name."""
    if isinstance(value, str):
        return value
    if name.endswith("_URL"):
        return f"{endpoint}/111111111111/{name}"
    return {"HUB_ACCOUNT_ID": "111111111111", "ENABLE_REGION_FILTERING": "true"}.get(
        name, "60" if name.endswith(("_MINUTES", "_PER_SECOND")) else name.lower()
    )


def run(template, name, events, path, aws):
    """Invoke a function's handler in an interpreter that sees `path` and the standard library alone."""
    endpoint = f"http://127.0.0.1:{aws.server_port}"
    given = template["Globals"]["Function"]["Environment"]["Variables"]
    environment = {
        **{key: setting(key, value, endpoint) for key, value in given.items()},
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "*",
    }
    handler = template["Resources"][logical(name)]["Properties"]["Handler"]
    program = textwrap.dedent(RUN).format(path=[str(part) for part in path], handler=handler)
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        input=json.dumps(events),
        env=environment,
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
def test_the_handler_runs_from_the_package_alone(template, unpacked, runtime, aws, name):
    cases = EVENTS[name]
    answers, foreign = answers_of(run(template, name, [event for event, _ in cases], [unpacked, runtime], aws))

    assert foreign == []
    for answer, (event, expected) in zip(answers, cases, strict=True):
        assert expected(answer), (event, answer)


@pytest.mark.parametrize("kind", ["inventory", "tags", "staging"])
def test_a_worker_buries_from_the_package_what_it_cannot_read(template, unpacked, runtime, aws, kind):
    answers_of(run(template, f"{kind}_worker", [messages(kind)], [unpacked, runtime], aws))

    assert aws.asked.count("SendMessage") == 1
    assert aws.asked.count("UpdateItem") == 1


@pytest.mark.parametrize("missing", ["cachetools", "pydantic", "aws_lambda_powertools", "chalice"])
def test_a_missing_requirement_would_be_noticed(template, unpacked, runtime, aws, tmp_path, missing):
    incomplete = tmp_path / "package"
    shutil.copytree(unpacked, incomplete, ignore=lambda _, names: {missing}.intersection(names))
    done = run(template, "inventory_worker", [], [incomplete, runtime], aws)

    assert done.returncode != 0
    assert f"No module named '{missing}" in done.stderr


def test_a_missing_setting_is_named_when_a_function_starts(template, unpacked, runtime, aws):
    given = {**template["Globals"]["Function"]["Environment"]["Variables"], "ACCOUNTS_TABLE": ""}
    changed = {**template, "Globals": {"Function": {"Environment": {"Variables": given}}}}
    done = run(changed, "tags_schedule", [SCHEDULED], [unpacked, runtime], aws)

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
    "name", ["tests", "sandbox", "benchmarks", "boto3", "botocore", "moto", "ministack", ".chalice"]
)
def test_it_does_not_hold(unpacked, name):
    assert not (unpacked / name).exists()


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

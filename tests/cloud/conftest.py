"""One local cloud with the sample app for the whole session (one per worker under xdist)."""

import itertools
from pathlib import Path

import pytest
from boto3.dynamodb.conditions import Key

from sandbox.cloud.packaging import AppSource
from sandbox.cloud.testing import running_cloud

from .waiting import eventually

SAMPLE = Path(__file__).parent / "sample_app"
_numbers = itertools.count()


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.cloud)


def sample_app(**changes):
    return AppSource(app_dir=SAMPLE, stack_name="sample", **changes)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), sample_app()) as running:
        yield running


@pytest.fixture
def name():
    """A prefix that no other test of the session uses."""
    return f"t{next(_numbers)}"


@pytest.fixture(autouse=True)
def no_faults(request):
    yield
    if "cloud" in request.fixturenames:
        request.getfixturevalue("cloud").control("DELETE", "/faults")


@pytest.fixture(scope="session")
def log(cloud):
    return TraceLog(cloud.hub().resource("dynamodb").Table("sample-log"))


@pytest.fixture(scope="session")
def queues(cloud):
    return Queues(cloud)


class TraceLog:
    """What the sample's functions noted down."""

    def __init__(self, table):
        self._table = table

    def of(self, kind, prefix=""):
        """The entries of a kind whose id starts with `prefix`, in the order of time."""
        condition = Key("pk").eq(kind) & Key("sk").begins_with(prefix) if prefix else Key("pk").eq(kind)
        return sorted(self._table.query(KeyConditionExpression=condition)["Items"], key=lambda item: float(item["at"]))

    def wait_for(self, kind, prefix="", count=1, seconds=10):
        return eventually(lambda: found if len(found := self.of(kind, prefix)) >= count else None, seconds)


class Queues:
    """The sample's queues by their logical names."""

    def __init__(self, cloud):
        self._urls = cloud.outputs.resources
        self.client = cloud.hub().client("sqs")

    def url(self, queue):
        return self._urls[queue]

    def arn(self, queue):
        return self.client.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]

    def send(self, queue, body):
        self.client.send_message(QueueUrl=self.url(queue), MessageBody=body)

    def receive(self, queue, holds, seconds=15):
        """Wait for the message whose body holds a text."""

        def look():
            answer = self.client.receive_message(
                QueueUrl=self.url(queue), MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
            )
            return next((item for item in answer.get("Messages", []) if holds in item["Body"]), None)

        return eventually(look, seconds)

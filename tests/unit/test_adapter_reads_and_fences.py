"""What the adapters ask of AWS: all of a list, what is current, and every transaction under its epoch."""

from types import SimpleNamespace

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.adapters import dynamodb
from chalicelib.adapters.drs import DrsReader, DrsWriter
from chalicelib.container import container
from chalicelib.errors import LeaseLost

from ..factories import EPOCH, REGION, SCOPE, STAGING, TARGET, account, arn_of, row_update, work
from ..ports import on_tables

MORE_AND_END = [{"nextToken": "more"}, {}]


def stubbed(service, operation, *pages):
    """A client of `service` that answers with these pages, one after another, and what stands for sessions."""
    client = boto3.client(service, REGION, aws_access_key_id="test", aws_secret_access_key="test")
    stub = Stubber(client)
    for page in pages:
        stub.add_response(operation, page)
    stub.activate()
    return SimpleNamespace(client=lambda *_, **__: client)


def test_what_is_left_to_extend_is_listed_to_its_last_page():
    first, second = arn_of("s-1", STAGING), arn_of("s-2", STAGING)
    pages = [{"items": [{"arn": first}], "nextToken": "more"}, {"items": [{"arn": second}]}]
    sessions = stubbed("drs", "list_extensible_source_servers", *pages)
    assert set(DrsWriter(sessions).extensible(account(), REGION, STAGING)) == {first, second}


def test_source_servers_are_listed_to_their_last_page():
    servers = [f"s-{number:017x}" for number in range(2)]
    pages = [
        {"items": [{"sourceServerID": server}], **more} for server, more in zip(servers, MORE_AND_END, strict=True)
    ]
    sessions = stubbed("drs", "describe_source_servers", *pages)
    found = DrsReader(sessions).source_servers(account(), REGION)
    assert [server["sourceServerID"] for server in found] == servers


class TestConsistentReads:
    """Indexes are a moment behind; what decides what is written is never read from a moment ago."""

    @pytest.fixture
    def requests(self, deployed):
        """The parameters of every read of a table that is made from now on."""
        made = []
        events = dynamodb.client().meta.events
        for operation in ("GetItem", "BatchGetItem", "Query", "Scan"):
            events.register(f"provide-client-params.dynamodb.{operation}", lambda params, **_: made.append(params))
        return made

    @pytest.mark.parametrize(
        "read",
        [
            lambda: container().ports.telemetries.read(SCOPE),
            lambda: container().ports.scans.read(SCOPE),
            lambda: container().ports.scans.of_region(REGION),
            lambda: container().ports.scans.of_scopes([SCOPE]),
            lambda: container().ports.accounts.read(TARGET),
            lambda: container().ports.accounts.memberships(TARGET),
            lambda: container().ports.inventory.read([("s-1", REGION)]),
            lambda: container().ports.statuses.read(REGION),
            lambda: [*container().ports.statuses.read_all()],
            lambda: container().ports.refusals.of_target(SCOPE),
            lambda: container().ports.work_states.read([work()]),
        ],
    )
    def test_a_read_by_key_sees_what_was_written_before(self, requests, read):
        read()
        (request,) = requests
        asked = [request, *request.get("RequestItems", {}).values()]
        assert any(one.get("ConsistentRead") for one in asked), request


class TestFence:
    @pytest.fixture
    def ports(self, deployed):
        container().ports.actions_per_transaction = 2
        return on_tables()

    @pytest.mark.parametrize("transactions", [1, 2])
    def test_a_worker_that_is_overtaken_between_two_transactions_writes_no_more(self, ports, transactions):
        lease, seen = ports.leased(), []

        def overtake(**_):
            seen.append(1)
            if len(seen) == transactions:
                ports.work_states.request(work(), EPOCH + 1800)
                assert ports.work_states.take(work(), EPOCH + 400, EPOCH + 730)

        dynamodb.client().meta.events.register("after-call.dynamodb.TransactWriteItems", overtake)
        with pytest.raises(LeaseLost):
            ports.writer.write(lease, [row_update(f"s-{number}") for number in range(8)])
        written = ports.inventory.read((f"s-{number}", REGION) for number in range(8))
        assert sorted(written) == [f"s-{number}" for number in range(2 * transactions)]

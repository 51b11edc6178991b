"""The adapters of customer accounts' services and of the queues, on moto and the simulated DRS."""

import secrets
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from moto import mock_aws

from chalicelib.adapters import clients, dynamodb, pauses, telemetry_table
from chalicelib.adapters.accounts_table import AccountsTable
from chalicelib.adapters.calls import CALLS, CallCounter
from chalicelib.adapters.drs import DrsReader, DrsWriter
from chalicelib.adapters.ec2 import FILTER_LIMIT, Ec2Reader
from chalicelib.adapters.pacing import paced
from chalicelib.adapters.services import translated
from chalicelib.adapters.sessions import CLIENTS_KEPT, CustomerSessions, Purpose, hub_client
from chalicelib.adapters.stored_records import NEWER
from chalicelib.container import container
from chalicelib.domain.accounts import Access, AccountKind
from chalicelib.domain.leases import DueWork
from chalicelib.domain.servers import Telemetry
from chalicelib.domain.work import WorkKind
from chalicelib.errors import (
    AccessDenied,
    DrsActiveRegionsError,
    LeaseLost,
    NotOptedIn,
    QuotaExceeded,
    Refused,
    ResourceNotFound,
    ServiceError,
    TableUnavailable,
    Throttled,
    Uninitialized,
)
from sandbox.drs import moto_backend
from sandbox.drs.control import control

from ..factories import (
    EPOCH,
    HUB,
    REGION,
    SCOPE,
    SOURCE,
    STAGING,
    TARGET,
    account,
    message,
    row_update,
    scan_record,
    scope_telemetry,
    work,
)


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("ThrottlingException", Throttled),
            ("RequestLimitExceeded", Throttled),
            ("TooManyRequestsException", Throttled),
            ("AccessDenied", AccessDenied),
            ("AccessDeniedException", AccessDenied),
            ("UnauthorizedOperation", AccessDenied),
            ("UnrecognizedClientException", NotOptedIn),
            ("AuthFailure", NotOptedIn),
            ("UninitializedAccountException", Uninitialized),
            ("ResourceNotFoundException", ResourceNotFound),
            ("ValidationException", Refused),
            ("ConflictException", Refused),
            ("ServiceQuotaExceededException", QuotaExceeded),
            ("InternalServerException", ServiceError),
            ("SomethingNew", ServiceError),
        ],
    )
    def test_they_are_told_apart_by_code_not_by_text(self, code, kind):
        with pytest.raises(ServiceError) as raised, translated("web-1"):
            raise self.error(code, "UninitializedAccountException: misleading text")
        assert type(raised.value) is kind
        assert raised.value.code == code
        assert str(raised.value).startswith(f"web-1: DescribeSourceServers: {code}")

    def test_bad_credentials_of_the_hub_are_not_taken_for_a_region(self):
        with pytest.raises(ServiceError) as raised, translated("x"):
            raise self.error("InvalidClientTokenId", "no", operation="AssumeRole")
        assert type(raised.value) is ServiceError

    def test_a_role_that_cannot_be_assumed_is_access_denied(self):
        with pytest.raises(AccessDenied), translated("x"):
            raise self.error("AccessDenied", "no", operation="AssumeRole")

    @pytest.mark.parametrize(
        "answer",
        [
            {"retryAfterSeconds": 7},
            {"ResponseMetadata": {"HTTPHeaders": {"retry-after": "7"}}},
        ],
    )
    def test_the_service_says_when_to_try_again(self, answer):
        with pytest.raises(Throttled) as raised, translated("x"):
            raise self.error("ThrottlingException", "slow down", **answer)
        assert raised.value.retry_after_seconds == 7

    @pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "", "\u00b2"])
    def test_it_may_not_say_so(self, header):
        headers = {"ResponseMetadata": {"HTTPHeaders": {"retry-after": header}}}
        with pytest.raises(Throttled) as raised, translated("x"):
            raise self.error("ThrottlingException", "slow down", **headers)
        assert raised.value.retry_after_seconds is None

    @pytest.mark.parametrize("error", [ConnectTimeoutError(endpoint_url="u"), ReadTimeoutError(endpoint_url="u")])
    def test_a_lost_connection_is_the_service_s_error_too(self, error):
        with pytest.raises(ServiceError) as raised, translated("web-1"):
            raise error
        assert raised.value.code == type(error).__name__

    def test_a_bug_is_no_service_error(self):
        with pytest.raises(KeyError), translated("x"):
            raise KeyError("mine")

    @staticmethod
    def error(code, text, operation="DescribeSourceServers", **answer):
        return ClientError({"Error": {"Code": code, "Message": text}, **answer}, operation)


@pytest.fixture
def cloud():
    """Customer accounts with DRS; a role of an account leads into it."""
    moto_backend.register()
    with mock_aws():
        yield lambda path, body: control("POST", path, body)[1]


@pytest.fixture
def sessions():
    return CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000)


def servers(cloud, count, account_id=TARGET, **values):
    specs = [
        {"accountId": account_id, "region": REGION, "hostname": f"h-{number}", **values} for number in range(count)
    ]
    return cloud("/servers", {"servers": specs})["servers"]


class TestDrs:
    def test_every_page_is_read(self, cloud, sessions):
        cloud("/settings", {"pageCap": 2, "defaultPageSize": 2})
        made = servers(cloud, 5)
        mark = CALLS.snapshot()
        found = list(DrsReader(sessions).source_servers(account(), REGION))
        assert {server["sourceServerID"] for server in found} == {server["sourceServerID"] for server in made}
        assert CALLS.calls_since(mark)["drs:DescribeSourceServers"] == 3

    def test_a_scope_that_is_not_set_up_says_so(self, cloud, sessions):
        with pytest.raises(Uninitialized):
            list(DrsReader(sessions).source_servers(account(), REGION))

    def test_a_region_that_is_not_opted_into_says_so(self, cloud, sessions):
        cloud("/accounts", {"accountId": TARGET, "regions": {"me-south-1": {"optedIn": False}}})
        with pytest.raises(NotOptedIn):
            list(DrsReader(sessions).source_servers(account(), "me-south-1"))

    def test_a_throttled_page_is_not_an_incomplete_answer(self, cloud, sessions):
        servers(cloud, 3)
        cloud("/faults", {"rules": [{"operation": "DescribeSourceServers", "error": "ThrottlingException"}]})
        with pytest.raises(Throttled):
            list(DrsReader(sessions).source_servers(account(), REGION))

    def test_a_replication_configuration_is_told_without_its_envelope(self, cloud, sessions):
        server = servers(cloud, 1)[0]["sourceServerID"]
        told = DrsReader(sessions).replication_configuration(account(), REGION, server)
        assert told
        assert not {"ResponseMetadata", "sourceServerID"} & told.keys()
        with pytest.raises(ResourceNotFound):
            DrsReader(sessions).replication_configuration(account(), REGION, "s-0123456789abcdef9")

    def test_tags_are_set_and_removed(self, cloud, sessions):
        arn = servers(cloud, 1)[0]["arn"]
        writer = DrsWriter(sessions)
        writer.tag(account(), REGION, arn, {"Name": "web", "env": "prod"})
        writer.untag(account(), REGION, arn, ["env"])
        assert next(DrsReader(sessions).source_servers(account(), REGION))["tags"] == {"Name": "web"}

    def test_what_is_extensible_is_extended_once(self, cloud, sessions):
        cloud("/accounts", {"accountId": STAGING, "trusts": [TARGET]})
        cloud("/accounts", {"accountId": TARGET, "regions": {REGION: {"initialised": True}}})
        cloud("/settings", {"pageCap": 2, "defaultPageSize": 2})
        made = {server["arn"] for server in servers(cloud, 5, STAGING)}
        writer = DrsWriter(sessions)
        assert set(writer.extensible(account(), REGION, STAGING)) == made
        arn = min(made)
        assert writer.extend(account(), REGION, arn).startswith("s-")
        assert set(writer.extensible(account(), REGION, STAGING)) == made - {arn}
        with pytest.raises(Refused):
            writer.extend(account(), REGION, arn)

    def test_a_staging_account_that_does_not_trust_is_access_denied(self, cloud, sessions):
        cloud("/accounts", {"accountId": TARGET, "regions": {REGION: {"initialised": True}}})
        arn = servers(cloud, 1, STAGING)[0]["arn"]
        with pytest.raises(AccessDenied):
            DrsWriter(sessions).extend(account(), REGION, arn)


class TestEc2:
    def test_instances_are_looked_up_in_batches_and_what_is_gone_is_left_out(self, cloud, sessions):
        sts = boto3.client("sts", REGION)
        role = account(SOURCE).reader_role_arn
        key = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        ec2 = boto3.client(
            "ec2",
            REGION,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            aws_session_token=key["SessionToken"],
        )
        made = ec2.run_instances(ImageId="ami-12345678", MinCount=3, MaxCount=3)["Instances"]
        ids = [instance["InstanceId"] for instance in made]
        gone = [f"i-{number:017x}" for number in range(FILTER_LIMIT)]
        reader, origin = Ec2Reader(sessions), account(SOURCE, AccountKind.SOURCE)
        mark = CALLS.snapshot()
        assert set(reader.instances(origin, REGION, [*ids, *gone, ids[0]])) == set(ids)
        assert CALLS.calls_since(mark)["ec2:DescribeInstances"] == 2
        assert reader.instances(account(TARGET), REGION, ids) == {}


class TestSessions:
    def test_clients_are_kept_and_the_oldest_dropped(self, cloud, sessions):
        first = sessions.client(account(), Access.READER, "sts", "eu-west-1")
        assert sessions.client(account(), Access.READER, "sts", "eu-west-1") is first
        sessions._clients.clear()
        assert sessions.client(account(), Access.READER, "sts", "eu-west-1") is not first
        assert sessions._clients.maxsize == CLIENTS_KEPT

    def test_a_new_external_id_is_a_new_session(self, cloud, sessions):
        for external_id in ("one", "two", None):
            sessions._clients.clear()
            sessions.client(account(external_id=external_id), Access.READER, "sts", "eu-west-1")
        assert len(sessions._sessions) == 3

    def test_sts_is_asked_in_the_function_s_region_whatever_botocore_s_default(self, monkeypatch):
        monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        own, assumed = clients.own_session(), clients.assumed_session(dict)
        urls = {clients.client_of(session, "sts", "eu-west-1").meta.endpoint_url for session in (own, assumed)}
        assert urls == {"https://sts.eu-west-1.amazonaws.com"}


class TestPacing:
    """Waits that the service asks for, its rate, and credentials that end before their time."""

    @pytest.fixture
    def waits(self, monkeypatch):
        """The seconds that were waited, by botocore and by the rate, without waiting."""
        waited = []
        monkeypatch.setattr("botocore.endpoint.time.sleep", waited.append)
        return waited

    @staticmethod
    def throttle(cloud, seconds, times):
        rule = {"operation": "DescribeSourceServers", "error": "ThrottlingException", "times": times}
        cloud("/faults", {"rules": [{**rule, "retryAfterSeconds": seconds}]})

    def test_a_wait_that_is_asked_for_is_kept(self, cloud, waits):
        servers(cloud, 1)
        self.throttle(cloud, 7, times=2)
        assert (
            len(list(DrsReader(CustomerSessions(HUB, Purpose.INVENTORY, 4, 1000)).source_servers(account(), REGION)))
            == 1
        )
        assert waits == [7.0, 7.0]

    def test_a_long_one_is_left_to_the_scope_s_next_try(self, cloud, waits):
        servers(cloud, 1)
        self.throttle(cloud, 60, times=1)
        with pytest.raises(Throttled) as raised:
            list(DrsReader(CustomerSessions(HUB, Purpose.INVENTORY, 4, 1000)).source_servers(account(), REGION))
        assert (raised.value.retry_after_seconds, waits) == (60, [])

    def test_attempts_are_bounded_all_the_same(self, cloud, waits):
        servers(cloud, 1)
        self.throttle(cloud, 1, times=9)
        mark = CALLS.snapshot()
        with pytest.raises(Throttled):
            list(DrsReader(CustomerSessions(HUB, Purpose.INVENTORY, 3, 1000)).source_servers(account(), REGION))
        assert CALLS.calls_since(mark)["drs:DescribeSourceServers"] == 3

    def test_an_error_that_asks_for_no_wait_is_left_to_botocore(self, cloud, waits):
        servers(cloud, 1)
        cloud("/faults", {"rules": [{"operation": "DescribeSourceServers", "error": "InternalServerException"}]})
        mark = CALLS.snapshot()
        with pytest.raises(ServiceError, match="InternalServerException"):
            list(DrsReader(CustomerSessions(HUB, Purpose.INVENTORY, 3, 1000)).source_servers(account(), REGION))
        assert CALLS.calls_since(mark)["drs:DescribeSourceServers"] == len(waits) + 1 == 3

    def test_an_impatient_look_is_not_repeated(self, cloud, waits):
        servers(cloud, 1)
        self.throttle(cloud, 1, times=1)
        reader = DrsReader(CustomerSessions(HUB, Purpose.INVENTORY, 4, 1000))
        with pytest.raises(Throttled):
            reader.probe(account(), REGION)
        reader.probe(account(), REGION)

    def test_each_client_keeps_its_rate(self, cloud, monkeypatch):
        waited = []
        monkeypatch.setattr("chalicelib.adapters.pacing.time.monotonic", lambda: 50.0)
        servers(cloud, 1)
        client = paced(
            CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000).client(account(), Access.READER, "drs", REGION),
            2,
            1,
            waited.append,
        )
        for _ in range(4):
            client.describe_source_servers()
        assert waited == [0.5, 1.0]

    def test_a_session_that_ended_before_its_time_is_assumed_anew(self, cloud):
        servers(cloud, 1)
        sessions = CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000)
        reader, mark = DrsReader(sessions), CALLS.snapshot()
        reader.probe(account(), REGION)
        expired = {"operation": "DescribeSourceServers", "error": "ExpiredTokenException", "status": 403, "times": 1}
        cloud("/faults", {"rules": [expired]})
        with pytest.raises(ServiceError) as raised:
            reader.probe(account(), REGION)
        assert raised.value.code == "ExpiredTokenException"
        reader.probe(account(), REGION)
        assert CALLS.calls_since(mark)["sts:AssumeRole"] == 2

    def test_credentials_that_expire_in_the_middle_of_a_scan_are_renewed(self, cloud):
        cloud("/settings", {"pageCap": 1, "defaultPageSize": 1})
        servers(cloud, 3)
        sessions = CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000)
        listing, mark = DrsReader(sessions).source_servers(account(), REGION), CALLS.snapshot()
        found = [next(listing)]
        [session] = sessions._sessions.values()
        session.get_credentials()._expiry_time = datetime.now(UTC) + timedelta(minutes=5)
        found += list(listing)
        assert len({server["sourceServerID"] for server in found}) == 3
        assert CALLS.calls_since(mark)["sts:AssumeRole"] == 2


class TestCallCounter:
    def test_only_what_was_made_since_is_told(self):
        counter = CallCounter()
        counter._count(event_name="before-send.drs.DescribeSourceServers")
        mark = counter.snapshot()
        counter._count(event_name="before-send.ec2.DescribeInstances")
        assert counter.calls_since(mark) == {"ec2:DescribeInstances": 1}


class TestDynamoDb:
    def test_unprocessed_keys_are_asked_for_again(self, deployed, monkeypatch):
        works = [work(scope=SCOPE._replace(account_id=f"{number:012d}")) for number in range(5)]
        for each in works:
            container().ports.work_states.request(each, EPOCH)
        client, asked = dynamodb.client(), []
        real = client.batch_get_item

        def stingy(RequestItems):
            (table, request), *_ = RequestItems.items()
            asked.append(len(request["Keys"]))
            some = {**request, "Keys": request["Keys"][:2]}
            answer = real(RequestItems={table: some})
            left = request["Keys"][2:]
            return {**answer, "UnprocessedKeys": {table: {**request, "Keys": left}} if left else {}}

        monkeypatch.setattr(client, "batch_get_item", stingy)
        assert set(container().ports.work_states.read(works)) == set(works)
        assert asked == [5, 3, 1]

    def test_keys_that_stay_unprocessed_are_an_error_and_no_short_answer(self, deployed, monkeypatch):
        def stingy(RequestItems):
            return {"Responses": {}, "UnprocessedKeys": RequestItems}

        monkeypatch.setattr(pauses, "LONGEST_SECONDS", 0)
        monkeypatch.setattr(dynamodb.client(), "batch_get_item", stingy)
        with pytest.raises(TableUnavailable, match="1 of 1 keys"):
            container().ports.work_states.read([work()])

    def test_a_transaction_that_conflicts_all_the_time_is_an_error(self, deployed, monkeypatch):
        lease, attempts = self.leased(), []

        def conflicting(**_):
            attempts.append(1)
            raise self.cancelled("None", "TransactionConflict")

        monkeypatch.setattr(pauses, "LONGEST_SECONDS", 0)
        monkeypatch.setattr(dynamodb.client(), "transact_write_items", conflicting)
        with pytest.raises(DrsActiveRegionsError, match="conflicted 8 times"):
            container().ports.writer.write(lease, [row_update()])
        assert len(attempts) == 8

    def test_a_transaction_conflict_is_tried_again(self, deployed, monkeypatch):
        lease = self.leased()
        client, attempts = dynamodb.client(), []
        real = client.transact_write_items

        def conflicting(**parameters):
            attempts.append(1)
            if len(attempts) < 3:
                raise self.cancelled("None", "TransactionConflict")
            return real(**parameters)

        monkeypatch.setattr(client, "transact_write_items", conflicting)
        container().ports.writer.write(lease, [row_update()])
        assert container().ports.inventory.read([("s-1", REGION)])
        assert len(attempts) == 3

    def test_a_transaction_whose_epoch_is_over_is_told_by_its_reasons(self, cancelling):
        with pytest.raises(LeaseLost):
            cancelling("ConditionalCheckFailed", "None")([row_update()])

    @pytest.mark.parametrize("code", ["ConditionalCheckFailed", "ValidationError"])
    def test_a_row_that_cancels_its_transaction_is_left_out(self, cancelling, code):
        (unwritten,) = cancelling("None", code)([row_update()])
        assert unwritten.write == row_update()

    def test_what_is_no_row_and_cancels_its_transaction_is_an_error(self, cancelling):
        with pytest.raises(DrsActiveRegionsError, match="inventory#"):
            cancelling("None", "ValidationError")([scan_record()])

    @pytest.fixture
    def cancelling(self, deployed, monkeypatch):
        """Writes whose transactions are cancelled for such reasons."""
        lease = self.leased()

        def write_with(*codes):
            def cancelled(**_):
                raise self.cancelled(*codes)

            monkeypatch.setattr(dynamodb.client(), "transact_write_items", cancelled)
            return lambda writes: container().ports.writer.write(lease, writes)

        return write_with

    def test_an_item_that_stays_busy_is_an_error_after_eight_tries(self, deployed, monkeypatch):
        attempts = []

        def busy(**_):
            attempts.append(1)
            raise ClientError({"Error": {"Code": "TransactionConflictException"}}, "UpdateItem")

        monkeypatch.setattr(pauses, "LONGEST_SECONDS", 0)
        monkeypatch.setattr(dynamodb.client(), "update_item", busy)
        with pytest.raises(TableUnavailable, match="busy 8 times"):
            container().ports.work_states.request(work(), EPOCH)
        assert len(attempts) == 8

    def test_another_error_of_a_table_is_not_swallowed(self, deployed, monkeypatch):
        def refuses(**_):
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateItem")

        lease = self.leased()
        container().ports.accounts.create(account())
        for operation in ("update_item", "put_item", "transact_write_items", "delete_item"):
            monkeypatch.setattr(dynamodb.client(), operation, refuses)
        due = DueWork(work(), EPOCH)
        calls = [
            lambda: container().ports.work_states.claim(due, EPOCH, EPOCH),
            lambda: container().ports.work_states.retire(due),
            lambda: container().ports.work_states.take(work(), EPOCH, EPOCH),
            lambda: container().ports.work_states.fail(lease, "x", EPOCH),
            lambda: container().ports.accounts.create(account()),
            lambda: container().ports.accounts.replace(account()),
            lambda: container().ports.writer.write(lease, [scan_record()]),
        ]
        for call in calls:
            with pytest.raises(ClientError, match="AccessDenied"):
                call()

    def test_a_scan_record_that_does_not_parse_is_an_error_of_its_scope(self, deployed):
        lease = self.leased()
        container().ports.writer.write(lease, [scan_record(), scan_record(account_id=STAGING)])
        item = dynamodb.marshal({**scan_record().item(), "state": "NONSENSE", "serverCount": 7})
        dynamodb.client().put_item(TableName=deployed["SCAN_TABLE"], Item=item)
        broken, fine = container().ports.scans.of_region(REGION)
        assert (broken.state, broken.server_count) == ("ERROR", 7)
        assert broken.error_message == NEWER
        assert fine == scan_record(account_id=STAGING)

    def test_the_telemetry_of_4000_servers_fits_into_an_item(self):
        def entry():
            arn = f"arn:aws:drs:{REGION}:{STAGING}:source-server/s-{secrets.token_hex(8)}"
            moment = (
                f"2026-03-01T12:{secrets.randbelow(60):02d}:{secrets.randbelow(60):02d}.{secrets.randbelow(10**6):06d}Z"
            )
            return Telemetry(
                secrets.token_hex(8),
                secrets.token_hex(8),
                secrets.randbelow(900),
                secrets.randbelow(2**33),
                None,
                moment,
                arn,
            )

        full = scope_telemetry(SCOPE, 1, **{f"s-{secrets.token_hex(8)}": entry() for _ in range(4000)})
        item = telemetry_table.to_item(full)
        size = sum(len(name) + len(str(value).encode() if name != "servers" else value) for name, value in item.items())
        assert size < 400 * 1024
        assert telemetry_table.from_item(item) == full

    @staticmethod
    def leased():
        container().ports.work_states.request(work(), EPOCH)
        return container().ports.work_states.take(work(), EPOCH, EPOCH + 330).lease

    @staticmethod
    def cancelled(*codes):
        reasons = [{"Code": code} for code in codes]
        answer = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        return ClientError(answer, "TransactWriteItems")


class TestQueues:
    def test_each_kind_has_its_queue(self, deployed):
        messages = [message(kind, status_version=3) for kind in WorkKind for _ in range(12)]
        container().ports.queue.send(messages)
        sqs = boto3.client("sqs", "us-east-1")
        for kind in WorkKind:
            url = deployed[f"{kind.upper()}_QUEUE_URL"]
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "12"
            body = sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"]
            assert type(messages[0]).model_validate_json(body) == message(kind, status_version=3)

    def test_a_batch_that_is_taken_in_part_is_an_error(self, deployed, monkeypatch):
        monkeypatch.setattr(hub_client("sqs"), "send_message_batch", lambda **_: {"Failed": [{"Id": "0"}]})
        with pytest.raises(DrsActiveRegionsError, match="refused 1 of 1"):
            container().ports.queue.send([message()])


class TestAccounts:
    def test_an_account_stored_before_there_were_tenants_belongs_to_the_default_one(self, deployed):
        table = deployed["ACCOUNTS_TABLE"]
        item = {name: value for name, value in account().item().items() if name != "tenant"}
        hub_client("dynamodb").put_item(TableName=table, Item=dynamodb.marshal({**item, "record": "ACCOUNT"}))
        registry = AccountsTable(table, default_tenant="acme")
        assert registry.read(TARGET).tenant == "acme"
        assert [one.tenant for one in registry.read_all()] == ["acme"]

    def test_an_account_keeps_the_tenant_that_it_was_registered_with(self, deployed):
        registry = AccountsTable(deployed["ACCOUNTS_TABLE"], default_tenant="acme")
        registry.create(account(tenant="globex"))
        assert registry.read(TARGET).tenant == "globex"

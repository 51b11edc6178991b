"""Items that a newer version wrote, read after a rollback: as something safe, and never as fine (ADR 24)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters import dynamodb
from chalicelib.adapters.scan_table import _record
from chalicelib.adapters.stored_records import NEWER, SAFE, stored
from chalicelib.adapters.telemetry_table import from_item, to_item
from chalicelib.adapters.work_state_table import SHARDS
from chalicelib.domain.accounts import Account, AccountStatus, Membership
from chalicelib.domain.extension import Refusal
from chalicelib.domain.regions import RegionStatus, ScanRecord, ScopeState
from chalicelib.domain.results import Run, WorkResult
from chalicelib.domain.servers import ServerRow, Telemetry
from chalicelib.domain.work import WorkKind
from chalicelib.errors import TableUnavailable

from ..factories import (
    EPOCH,
    NOW,
    REGION,
    SCOPE,
    account,
    membership,
    outcome,
    refusal,
    region_status,
    row_update,
    run,
    scan_record,
    scope_telemetry,
    topology,
    work,
)
from ..ports import on_tables
from .observing import observing

ITEMS = {
    ScanRecord: scan_record().item(),
    RegionStatus: region_status().item(),
    WorkResult: outcome(None, tags_version=3).result.item(),
    Account: account().item(),
    Membership: membership().item(),
    Refusal: refusal().item(),
    Run: run().item(),
}
NAMES = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=8).map("newer{}".format)
VALUES = st.none() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.booleans())
ENUMERATED = [(model, name) for model, safe in SAFE.items() for name in safe if name in ITEMS.get(model, {})]


@pytest.mark.parametrize("model", ITEMS)
@given(further=st.dictionaries(NAMES, VALUES))
def test_further_attributes_are_left_out(model, further):
    assert stored(model, {**ITEMS[model], **further}) == model.of(ITEMS[model])


@pytest.mark.parametrize(("model", "name"), ENUMERATED)
@given(value=NAMES)
def test_a_value_of_a_newer_version_reads_as_something_safe(model, name, value):
    found = stored(model, {**ITEMS[model], name: value})
    match found:
        case ScanRecord():
            assert (found.state, found.error_message) == (ScopeState.ERROR, NEWER)
            assert found.server_count == scan_record().server_count
        case RegionStatus():
            assert (found.status, found.error_message) == (ScopeState.ERROR, NEWER)
        case WorkResult():
            assert (found.failed, found.tags_version, found.message) == (True, None, NEWER)
        case Account():
            assert found.status is AccountStatus.INACTIVE
        case Refusal():
            assert found.due(NOW) is refusal().due(NOW)


def test_what_has_no_safe_reading_is_an_error_by_name():
    with pytest.raises(TableUnavailable, match="RegionStatus: serverCount"):
        stored(RegionStatus, {**ITEMS[RegionStatus], "serverCount": {"living": 3}})


@given(further=st.lists(VALUES, max_size=3))
def test_further_values_of_telemetry_are_left_out(further):
    longer = {"s-1": (*Telemetry("h", "e", 1), *further)}
    item = to_item(scope_telemetry(SCOPE, 1)._replace(servers=longer))
    assert from_item(item).servers == {"s-1": Telemetry("h", "e", 1)}


def test_a_scan_record_that_cannot_be_read_at_all_is_an_error_of_its_scope():
    found = _record({**scan_record().item(), "serverCount": 7, "lastChecked": []})
    assert (found.state, found.server_count) == (ScopeState.ERROR, 7)


class TestOnTables:
    @pytest.fixture
    def ports(self, deployed):
        return on_tables()

    def test_work_with_a_result_of_a_newer_version_is_begun_and_its_run_counts_it_as_failed(self, ports, deployed):
        ports.work_states.request(work(), EPOCH)
        lease = ports.work_states.take(work(), EPOCH, EPOCH + 330).lease
        ports.work_states.finish(lease, outcome(None), EPOCH)
        ports.work_states.request(work(), EPOCH)
        dynamodb.write(
            "update_item",
            TableName=deployed["WORK_STATE_TABLE"],
            Key=dynamodb.marshal({"workId": work().key}),
            UpdateExpression="SET #result.#state = :newer",
            ExpressionAttributeNames={"#result": "result", "#state": "state"},
            ExpressionAttributeValues=dynamodb.marshal({":newer": "PARTIAL"}),
        )
        assert ports.work_states.read([work()])[work()].result.failed
        assert ports.work_states.take(work(), EPOCH, EPOCH + 330).result.failed

    def test_where_a_server_came_from_is_kept_as_a_newer_version_knows_it(self, ports):
        known = topology().item()
        known["originalSourceRegion"]["source"] = "operator"
        history = [{"at": "2026-03-01T12:00:00.000Z", "kind": "MIGRATED"}]
        ports.writer.write(ports.leased(), [row_update("s-1", topology=known, history=history, instanceState="GONE")])
        row = ports.inventory.read([("s-1", REGION)])["s-1"]
        assert row.topology.item() == known
        assert [event.item() for event in row.history] == history
        assert row.instance_state is None
        assert isinstance(row, ServerRow)

    @pytest.mark.parametrize("key", ["gardening#111111111111#eu-west-1", "inventory", "x"])
    def test_an_item_whose_key_names_no_work_is_left_out_of_what_is_due(self, ports, deployed, key):
        ports.work_states.request(work(), EPOCH)
        for shard in range(SHARDS):
            dynamodb.write(
                "put_item",
                TableName=deployed["WORK_STATE_TABLE"],
                Item=dynamodb.marshal(
                    {"workId": f"{key}{shard}", "dueShard": f"inventory#{shard}", "nextDueAt": EPOCH}
                ),
            )
        with observing() as seen:
            assert [due.work for due in ports.work_states.due(WorkKind.INVENTORY, EPOCH)] == [work()]
            assert seen.metric("UnreadableWorkItems") == SHARDS

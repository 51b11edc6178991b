"""The same checks against the fakes and against the adapters on moto: what holds of one, holds of the other."""

from datetime import timedelta
from hashlib import sha512

import pytest

from chalicelib.container import container
from chalicelib.domain.accounts import AccountKind, AccountStatus
from chalicelib.domain.extension import RefusalReason
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.results import Problem
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import InventoryIndex, Partition, Position, Telemetry
from chalicelib.domain.work import WorkKind
from chalicelib.domain.writes import ForgetScan, ForgetTelemetry, RefuseExtension, UpdateServer
from chalicelib.errors import AlreadyExists, DrsActiveRegionsError, InvalidRequest, LeaseLost, NotFound, RowChanged

from ..factories import (
    EPOCH,
    NOW,
    OTHER,
    REGION,
    SCOPE,
    SECOND,
    STAGING,
    TARGET,
    account,
    arn_of,
    membership,
    message,
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
from ..ports import in_memory, on_tables
from . import dynamodb_limits, stack

AGAIN = EPOCH + 1800
UNTIL = EPOCH + 330
BURIED = {"deletedAt": "2026-03-01T12:00:00.000Z", "scope": None}


@pytest.fixture(params=["fakes", "tables", "busy tables"])
def ports(request):
    """Ports in memory; on tables; and on tables in which each write of an item meets a transaction first."""
    if request.param == "fakes":
        yield in_memory()
        return
    request.getfixturevalue("deployed")
    with dynamodb_limits.enforced():
        if request.param == "tables":
            yield on_tables()
            return
        with dynamodb_limits.busy():
            yield on_tables()


def sha512_texts(number):
    """Texts that no compression makes smaller."""
    return [sha512(str(each).encode()).hexdigest() for each in range(number)]


@pytest.fixture
def states(ports):
    return ports.work_states


def state_of(states, of=None):
    of = of or work()
    return states.read([of])[of]


class TestWorkStates:
    def test_nothing_is_known_of_work_that_nobody_asked_for(self, states):
        assert states.read([work()]) == {}

    def test_work_that_nobody_asked_for_cannot_be_taken(self, states):
        assert states.take(work(), EPOCH, UNTIL) is None
        assert states.read([work()]) == {}

    def test_an_ask_tells_what_settles_it(self, states):
        assert [states.request(work(), AGAIN), states.request(work(), AGAIN)] == [1, 2]

    def test_an_asked_for_work_comes_due_again_should_its_message_be_lost(self, states):
        states.request(work(), AGAIN)
        assert list(states.due(WorkKind.INVENTORY, AGAIN - 1)) == []
        assert [due.next_due_at for due in states.due(WorkKind.INVENTORY, AGAIN)] == [AGAIN]

    def test_a_lease_keeps_others_out_until_it_has_run_out(self, states):
        states.request(work(), AGAIN)
        assert states.take(work(), EPOCH, UNTIL).lease.epoch == 1
        assert states.take(work(), UNTIL, UNTIL + 330) is None
        assert states.take(work(), UNTIL + 1, UNTIL + 330).lease.epoch == 2

    def test_leased_work_comes_due_when_its_lease_runs_out(self, states):
        states.request(work(), AGAIN)
        states.take(work(), EPOCH, UNTIL)
        assert [due.next_due_at for due in states.due(WorkKind.INVENTORY, AGAIN)] == [UNTIL]

    def test_finished_work_is_done_and_due_at_the_next_time(self, states):
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        problem = Problem(subject="s-1", code="NOT_FOUND", message="gone")
        came_of_it = outcome(EPOCH + 900, probe=True, counts={"servers": 3}, problems=[problem], tags_version=7)
        assert not states.finish(lease, came_of_it, AGAIN)
        state = state_of(states)
        assert (state.done, state.wanted, state.lease_until, state.next_due_at) == (1, 1, None, EPOCH + 900)
        assert state.result == came_of_it.result
        assert [due.probe for due in states.due(WorkKind.INVENTORY, EPOCH + 900)] == [True]

    def test_finished_work_without_a_next_time_leaves_the_index(self, states):
        states.request(work(), AGAIN)
        states.finish(states.take(work(), EPOCH, UNTIL).lease, outcome(None), AGAIN)
        assert list(states.due(WorkKind.INVENTORY, AGAIN * 2)) == []
        assert state_of(states).next_due_at is None

    def test_what_is_asked_for_during_the_work_is_one_more_run(self, states):
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        states.request(work(), AGAIN)
        states.request(work(), AGAIN)
        assert states.finish(lease, outcome(EPOCH + 900), AGAIN + 5)
        state = state_of(states)
        assert (state.done, state.wanted, state.next_due_at) == (1, 3, AGAIN + 5)
        again = states.take(work(), EPOCH + 10, UNTIL).lease
        assert again.requested_at_lease == 3
        assert not states.finish(again, outcome(EPOCH + 900), AGAIN)
        assert states.take(work(), EPOCH + 20, UNTIL) is None

    def test_more_wanted_comes_due_even_where_the_outcome_has_no_next_time(self, states):
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        states.request(work(), AGAIN)
        assert states.finish(lease, outcome(None), AGAIN + 5)
        assert state_of(states).next_due_at == AGAIN + 5

    def test_a_superseded_worker_cannot_finish(self, states):
        states.request(work(), AGAIN)
        slow = states.take(work(), EPOCH, UNTIL).lease
        states.take(work(), UNTIL + 1, UNTIL + 330)
        with pytest.raises(LeaseLost):
            states.finish(slow, outcome(None), AGAIN)
        assert state_of(states).done == 0

    def test_a_superseded_worker_cannot_finish_when_more_was_wanted(self, states):
        states.request(work(), AGAIN)
        slow = states.take(work(), EPOCH, UNTIL).lease
        states.request(work(), AGAIN)
        states.take(work(), UNTIL + 1, UNTIL + 330)
        with pytest.raises(LeaseLost):
            states.finish(slow, outcome(None), AGAIN)

    def test_failed_work_is_given_back_with_the_reason(self, states):
        states.request(work(), AGAIN)
        states.fail(states.take(work(), EPOCH, UNTIL).lease, "ValueError: " + "x" * 2000, AGAIN)
        state = state_of(states)
        assert (state.done, state.lease_until, state.next_due_at) == (0, None, AGAIN)
        assert state.last_error.startswith("ValueError: x")
        assert state.last_error.endswith("x ... (1012 more characters)")
        assert states.take(work(), EPOCH + 1, UNTIL).lease.epoch == 2

    def test_a_superseded_worker_s_failure_changes_nothing(self, states):
        states.request(work(), AGAIN)
        slow = states.take(work(), EPOCH, UNTIL).lease
        states.take(work(), UNTIL + 1, UNTIL + 330)
        states.fail(slow, "too late", AGAIN)
        state = state_of(states)
        assert (state.last_error, state.lease_until) == (None, UNTIL + 330)

    def test_success_forgets_the_error_and_the_intent(self, states):
        states.request(work(), AGAIN)
        first = states.take(work(), EPOCH, UNTIL).lease
        states.record_intent(first, {"s-1": {"Name": "digest"}})
        states.fail(first, "boom", AGAIN)
        taken = states.take(work(), EPOCH + 1, UNTIL)
        assert taken.intent == {"s-1": {"Name": "digest"}}
        states.finish(taken.lease, outcome(None), AGAIN)
        states.request(work(), AGAIN)
        assert states.take(work(), EPOCH + 2, UNTIL).intent == {}
        assert state_of(states).last_error is None

    def test_the_last_result_is_handed_to_the_next_run(self, states):
        states.request(work(), AGAIN)
        states.finish(states.take(work(), EPOCH, UNTIL).lease, outcome(None, tags_version=4), AGAIN)
        states.request(work(), AGAIN)
        assert states.take(work(), EPOCH + 1, UNTIL).result.tags_version == 4

    def test_a_superseded_worker_cannot_note_an_intent(self, states):
        states.request(work(), AGAIN)
        slow = states.take(work(), EPOCH, UNTIL).lease
        states.take(work(), UNTIL + 1, UNTIL + 330)
        with pytest.raises(LeaseLost):
            states.record_intent(slow, {"s-1": {"Name": "digest"}})

    def test_the_epoch_survives_that_the_work_is_asked_for_again(self, states):
        states.request(work(), AGAIN)
        states.finish(states.take(work(), EPOCH, UNTIL).lease, outcome(None), AGAIN)
        states.request(work(), due_again=EPOCH)
        state = state_of(states)
        assert (state.epoch, state.wanted, state.done, state.next_due_at) == (1, 2, 1, EPOCH)

    def test_one_planner_claims_what_two_see_due(self, states):
        states.request(work(), due_again=EPOCH)
        due = next(iter(states.due(WorkKind.INVENTORY, EPOCH)))
        assert states.claim(due, EPOCH, AGAIN) == 2
        assert states.claim(due, EPOCH, AGAIN + 1) is None
        assert state_of(states).next_due_at == AGAIN

    def test_a_lease_knows_the_tick_that_it_was_claimed_for(self, states):
        states.request(work(), due_again=EPOCH)
        states.claim(next(iter(states.due(WorkKind.INVENTORY, EPOCH))), EPOCH - 7, AGAIN)
        assert states.take(work(), EPOCH, UNTIL).lease.tick_at == EPOCH - 7

    def test_idle_work_is_asked_for_and_waiting_work_is_not(self, states):
        assert states.request_unless_waiting(work(), EPOCH, AGAIN) == 1
        assert states.request_unless_waiting(work(), AGAIN - 1, AGAIN + 900) is None
        assert state_of(states).next_due_at == AGAIN
        assert states.request_unless_waiting(work(), AGAIN, AGAIN + 900) == 2

    def test_work_under_way_is_waiting_and_finished_work_is_not(self, states):
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        assert states.request_unless_waiting(work(), EPOCH + 1, AGAIN) is None
        states.finish(lease, outcome(EPOCH + 900), AGAIN)
        assert states.request_unless_waiting(work(), EPOCH + 1, AGAIN) == 2

    def test_released_work_is_wanted_still_and_keeps_its_notes(self, states):
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        states.record_intent(lease, {"s-1": {"Name": "digest"}})
        states.release(lease, AGAIN)
        state = state_of(states)
        assert (state.done, state.wanted, state.lease_until, state.next_due_at) == (0, 1, None, AGAIN)
        again = states.take(work(), EPOCH + 1, UNTIL)
        assert (again.intent, again.failures, again.lease.epoch) == ({"s-1": {"Name": "digest"}}, 0, 2)
        with pytest.raises(LeaseLost):
            states.release(lease, AGAIN)

    def test_failures_are_counted_until_the_work_is_finished(self, states):
        states.request(work(), AGAIN)
        for number in range(3):
            taken = states.take(work(), EPOCH + number, UNTIL)
            assert taken.failures == number
            states.fail(taken.lease, "boom", AGAIN)
        states.finish(states.take(work(), EPOCH + 3, UNTIL).lease, outcome(None), AGAIN)
        states.request(work(), AGAIN)
        assert states.take(work(), EPOCH + 4, UNTIL).failures == 0

    def test_a_worker_that_died_is_known_to_the_next_and_counted(self, states):
        states.request(work(), AGAIN)
        assert not states.take(work(), EPOCH, UNTIL).died
        second = states.take(work(), UNTIL + 1, UNTIL + 330)
        assert (second.died, second.failures, second.lease.epoch) == (True, 1, 2)
        states.finish(second.lease, outcome(None), AGAIN)
        states.request(work(), AGAIN)
        third = states.take(work(), UNTIL + 2, UNTIL + 330)
        assert (third.died, third.failures) == (False, 0)

    @pytest.mark.parametrize("given_back", ["fail", "release", "put_off"])
    def test_whoever_gives_the_lease_back_has_not_died(self, states, given_back):
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        arguments = {"fail": ("boom", AGAIN), "release": (AGAIN,), "put_off": ("boom", EPOCH)}[given_back]
        getattr(states, given_back)(lease, *arguments)
        again = states.take(work(), EPOCH + 1, UNTIL)
        assert (again.died, again.failures) == (False, 1 if given_back == "fail" else 0)

    def test_work_that_is_put_off_is_not_taken_before_its_time(self, states):
        states.request(work(), AGAIN)
        states.put_off(states.take(work(), EPOCH, UNTIL).lease, "its worker died", AGAIN + 900)
        state = state_of(states)
        assert (state.last_error, state.lease_until, state.next_due_at) == ("its worker died", None, AGAIN + 900)
        assert states.take(work(), AGAIN + 899, AGAIN + 1200) is None
        assert states.request_unless_waiting(work(), AGAIN, AGAIN + 900) is None
        assert states.take(work(), AGAIN + 900, AGAIN + 1200).lease.epoch == 2

    def test_work_that_is_put_off_is_begun_when_it_is_asked_for_or_claimed(self, states):
        states.request(work(), AGAIN)
        states.put_off(states.take(work(), EPOCH, UNTIL).lease, "its worker died", AGAIN + 900)
        states.request(work(), AGAIN)
        second = states.take(work(), EPOCH + 1, UNTIL).lease
        states.put_off(second, "its worker died", AGAIN + 900)
        states.claim(next(iter(states.due(WorkKind.INVENTORY, AGAIN + 900))), EPOCH, AGAIN)
        assert states.take(work(), EPOCH + 2, UNTIL).lease.epoch == 3

    def test_an_error_is_noted_while_the_work_goes_on(self, states):
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        states.note_error(lease, "the worker before it died")
        state = state_of(states)
        assert (state.last_error, state.lease_until, state.failures) == ("the worker before it died", UNTIL, 1)

    def test_a_superseded_worker_neither_notes_an_error_nor_puts_off(self, states):
        states.request(work(), AGAIN)
        slow = states.take(work(), EPOCH, UNTIL).lease
        states.take(work(), UNTIL + 1, UNTIL + 330)
        with pytest.raises(LeaseLost):
            states.note_error(slow, "too late")
        with pytest.raises(LeaseLost):
            states.put_off(slow, "too late", AGAIN)
        assert state_of(states).lease_until == UNTIL + 330

    def test_retired_work_is_not_due_until_it_is_asked_for(self, states):
        states.request(work(), AGAIN)
        states.finish(states.take(work(), EPOCH, UNTIL).lease, outcome(EPOCH), AGAIN)
        assert states.retire(next(iter(states.due(WorkKind.INVENTORY, EPOCH))))
        assert list(states.due(WorkKind.INVENTORY, AGAIN)) == []
        states.request(work(), AGAIN)
        assert len(list(states.due(WorkKind.INVENTORY, AGAIN))) == 1

    def test_work_that_was_asked_for_meanwhile_is_not_retired(self, states):
        states.request(work(), due_again=EPOCH)
        seen = next(iter(states.due(WorkKind.INVENTORY, EPOCH)))
        states.request(work(), AGAIN)
        states.retire(seen)
        assert state_of(states).next_due_at == AGAIN

    def test_work_that_is_still_wanted_is_not_retired(self, states):
        states.request(work(), AGAIN)
        seen = next(iter(states.due(WorkKind.INVENTORY, AGAIN)))
        assert not states.retire(seen)
        states.finish(states.take(work(), EPOCH, UNTIL).lease, outcome(AGAIN), AGAIN)
        assert states.retire(seen)
        assert not states.retire(seen)
        assert state_of(states).next_due_at is None

    def test_due_work_is_told_by_kind(self, states):
        for kind in WorkKind:
            states.request(work(kind), due_again=EPOCH)
        assert [due.work for due in states.due(WorkKind.TAGS, EPOCH)] == [work(WorkKind.TAGS)]

    def test_all_due_work_is_found_whatever_its_shard(self, states):
        works = {work(scope=Scope(f"{number:012d}", REGION)) for number in range(30)}
        for each in works:
            states.request(each, due_again=EPOCH)
        assert {due.work for due in states.due(WorkKind.INVENTORY, EPOCH)} == works

    def test_retrying_what_was_refused_is_remembered_until_it_is_done(self, states):
        of = work(WorkKind.STAGING)
        states.request(of, AGAIN, retry_refused=True)
        first = states.take(of, EPOCH, UNTIL).lease
        assert first.retry_refused
        states.finish(first, outcome(None), AGAIN)
        states.request(of, AGAIN)
        assert not states.take(of, EPOCH + 1, UNTIL).lease.retry_refused

    def test_a_dry_run_is_work_of_its_own(self, states):
        states.request(work(WorkKind.TAGS, dry_run=True), AGAIN)
        assert states.take(work(WorkKind.TAGS), EPOCH, UNTIL) is None
        assert states.take(work(WorkKind.TAGS, dry_run=True), EPOCH, UNTIL).lease.work.dry_run

    def test_more_than_a_hundred_items_are_read(self, states):
        works = [work(scope=Scope(f"{number:012d}", REGION)) for number in range(130)]
        for each in works:
            states.request(each, AGAIN)
        assert set(states.read(works)) == set(works)


class TestFencedWrites:
    def test_an_update_makes_a_row_of_given_attributes(self, ports):
        ports.writer.write(ports.leased(), [row_update("s-1", sourceTags={"Name": "web"}, topology=topology().item())])
        row = ports.inventory.read([("s-1", REGION)])["s-1"]
        assert (row.account_id, row.source_tags, row.first_seen) == (TARGET, {"Name": "web"}, NOW)
        assert row.topology == topology()

    def test_an_update_leaves_other_attributes_and_what_is_set_once(self, ports):
        lease = ports.leased()
        ports.writer.write(lease, [row_update("s-1", managedTagKeys=["Name"])])
        later = {"hostname": "renamed", "fqdn": None}
        ports.writer.write(lease, [UpdateServer("s-1", SCOPE, later, first={"firstSeen": "2030-01-01T00:00:00.000Z"})])
        row = ports.inventory.read([("s-1", REGION)])["s-1"]
        assert (row.hostname, row.managed_tag_keys, row.first_seen) == ("renamed", ["Name"], NOW)

    def test_none_removes_an_attribute(self, ports):
        lease = ports.leased()
        ports.writer.write(lease, [row_update("s-1", fqdn="web.example.com")])
        ports.writer.write(lease, [UpdateServer("s-1", SCOPE, {"fqdn": None, "hostname": "web"})])
        assert ports.inventory.read([("s-1", REGION)])["s-1"].fqdn is None

    def test_a_tombstone_leaves_the_scope_s_index_and_stays_readable(self, ports):
        lease = ports.leased()
        ports.writer.write(lease, [row_update("s-1", topology=topology().item()), row_update("s-2")])
        ports.writer.write(lease, [UpdateServer("s-1", SCOPE, BURIED)])
        assert [row.source_server_id for row in ports.inventory.of_scope(SCOPE)] == ["s-2"]
        buried = ports.inventory.read([("s-1", REGION)])["s-1"]
        assert not buried.living
        assert buried.topology == topology()

    def test_the_row_of_another_account_is_refused(self, ports):
        ports.writer.write(ports.leased(), [row_update("s-1")])
        theirs = Scope(OTHER, REGION)
        lease = ports.leased(work(scope=theirs))
        (unwritten,) = ports.writer.write(lease, [row_update("s-1", theirs), row_update("s-2", theirs)])
        assert (unwritten.write.source_server_id, "another account" in unwritten.reason) == ("s-1", True)
        assert ports.inventory.read([("s-1", REGION)])["s-1"].account_id == TARGET
        assert ports.inventory.read([("s-2", REGION)])["s-2"].account_id == OTHER

    def test_rows_that_together_are_too_large_for_a_transaction_are_written_in_several(self, ports):
        rows = [row_update(f"s-{number:03}", drsTags={"Name": "x" * 200_000}) for number in range(25)]
        assert ports.writer.write(ports.leased(), rows) == []
        assert len(ports.inventory.read((f"s-{number:03}", REGION) for number in range(25))) == 25

    def test_rows_that_grew_too_large_for_a_transaction_are_written_in_several(self, ports):
        """An update sets a part of a row; what counts is the whole."""
        lease = ports.leased()
        for start in (0, 11):
            large = [row_update(f"s-{start + each:03}", drsTags={"Name": "x" * 200_000}) for each in range(11)]
            ports.writer.write(lease, large)
        smaller = [UpdateServer(f"s-{number:03}", SCOPE, {"fqdn": "web"}) for number in range(22)]
        assert ports.writer.write(lease, smaller) == []
        assert ports.inventory.read([("s-021", REGION)])["s-021"].fqdn == "web"

    def test_a_row_that_is_too_large_costs_itself_only(self, ports):
        lease, tags = ports.leased(), {f"{number:03}": "x" * 1000 for number in range(420)}
        rows = [row_update("s-1"), row_update("s-2", sourceTags=tags), row_update("s-3")]
        (unwritten,) = ports.writer.write(lease, rows)
        assert (unwritten.write.source_server_id, "size" in unwritten.reason) == ("s-2", True)
        assert set(ports.inventory.read((f"s-{number}", REGION) for number in (1, 2, 3))) == {"s-1", "s-3"}

    def test_what_stands_or_falls_together_is_not_taken_apart(self, ports):
        lease = ports.leased()
        noise = sha512_texts(9000)
        entries = {f"s-{number}": Telemetry(noise[number]) for number in range(9000)}
        with pytest.raises(DrsActiveRegionsError):
            ports.writer.write(lease, [scope_telemetry(SCOPE, 1, **entries), scan_record()])
        assert ports.scans.read(SCOPE) is None

    @pytest.mark.parametrize("key", ["hostname", "sourceAccountId"])
    def test_an_empty_key_of_an_index_is_absent(self, ports, key):
        assert ports.writer.write(ports.leased(), [row_update("s-1", **{key: ""}), row_update("s-2")]) == []
        rows = ports.inventory.read([("s-1", REGION), ("s-2", REGION)])
        assert rows["s-1"].item().get(key) is None
        assert rows.keys() == {"s-1", "s-2"}

    def test_an_update_of_a_row_that_changed_since_it_was_read_is_refused(self, ports):
        lease = ports.leased()
        ports.writer.write(lease, [row_update("s-1", drsHash="one")])
        ports.writer.write(lease, [UpdateServer("s-1", SCOPE, {"drsHash": "two"}, seen_hash="one")])
        late = UpdateServer("s-1", SCOPE, {"drsHash": "three"}, seen_hash="one")
        for outdated in (late, late._replace(source_server_id="s-2"), late._replace(scope=Scope(OTHER, REGION))):
            with pytest.raises(RowChanged):
                ports.writer.write(lease, [row_update("s-3"), outdated])
        assert ports.inventory.read([("s-1", REGION)])["s-1"].drs_hash == "two"
        assert ports.inventory.read([("s-2", REGION), ("s-3", REGION)]) == {}

    def test_a_lost_epoch_writes_nothing(self, ports):
        slow = ports.leased()
        ports.work_states.take(work(), UNTIL + 1, UNTIL + 330)
        with pytest.raises(LeaseLost):
            ports.writer.write(slow, [row_update("s-1"), scope_telemetry(), scan_record(), refusal()])
        assert ports.inventory.read([("s-1", REGION)]) == {}
        assert ports.scans.read(SCOPE) is None
        assert ports.telemetries.read(SCOPE) is None
        assert ports.refusals.of_target(SCOPE) == {}

    def test_the_epoch_of_other_work_in_the_scope_does_not_fence(self, ports):
        tags = ports.leased(work(WorkKind.TAGS))
        ports.leased(work(WorkKind.INVENTORY))
        ports.writer.write(tags, [row_update("s-1")])
        assert "s-1" in ports.inventory.read([("s-1", REGION)])

    def test_more_rows_than_a_transaction_takes_are_written(self, ports):
        ports.writer.write(ports.leased(), [row_update(f"s-{number:03d}") for number in range(101)])
        assert len(list(ports.inventory.of_scope(SCOPE))) == 101
        keys = [(f"s-{number:03d}", REGION) for number in range(101)]
        assert len(ports.inventory.read(keys)) == 101

    def test_nothing_to_write_is_fine(self, ports):
        ports.writer.write(ports.leased(), [])

    def test_a_scan_record_is_kept_whole(self, ports):
        record = scan_record(
            state=ScopeState.THROTTLED,
            error_message="Rate exceeded",
            server_count=7,
            extended_count=2,
            ec2_errors=["x"],
        )
        ports.writer.write(ports.leased(), [record])
        assert ports.scans.read(SCOPE) == record

    def test_a_refusal_is_kept_and_can_be_forgotten(self, ports):
        one, other = refusal(), refusal(arn_of("s-2", STAGING), reason=RefusalReason.REMOVED, next_try_at=NOW)
        ports.writer.write(ports.leased(work(WorkKind.STAGING)), [one, other])
        assert ports.refusals.forget(one)
        assert not ports.refusals.forget(one)
        since = other.since + timedelta(minutes=1)
        assert not ports.refusals.forget(other.model_copy(update={"since": since}))
        assert ports.refusals.of_target(SCOPE) == {other.staging_source_server_arn: other}
        assert ports.refusals.of_target(Scope(TARGET, SECOND)) == {}

    def test_a_refusal_is_recorded_over_the_one_that_its_run_has_read_and_no_other(self, ports):
        lease, read = ports.leased(work(WorkKind.STAGING)), refusal()
        again = read.model_copy(update={"attempts": 2})
        assert ports.writer.write(lease, [RefuseExtension(read, None)]) == []
        assert ports.writer.write(lease, [RefuseExtension(again, read)]) == []
        removed, other = refusal(reason=RefusalReason.REMOVED), refusal(arn_of("s-2", STAGING))
        ports.writer.write(ports.leased(), [removed])
        for seen in (None, read, again):
            late = RefuseExtension(again, seen)
            (unwritten,) = ports.writer.write(lease, [late, RefuseExtension(other, None)])
            assert (unwritten.write, "meanwhile" in unwritten.reason) == (late, True)
            found = ports.refusals.of_target(SCOPE)
            assert found[removed.staging_source_server_arn] == removed
            assert found[other.staging_source_server_arn] == other
            ports.refusals.forget(other)
        assert ports.writer.write(lease, [RefuseExtension(again, removed)]) == []
        assert ports.refusals.of_target(SCOPE) == {again.staging_source_server_arn: again}

    def test_what_is_known_of_a_scope_can_be_forgotten(self, ports):
        lease = ports.leased()
        ports.writer.write(lease, [scope_telemetry(), scan_record(), scan_record(SECOND)])
        ports.writer.write(lease, [ForgetTelemetry(SCOPE), ForgetScan(SCOPE)])
        assert ports.telemetries.read(SCOPE) is None
        assert ports.scans.read(SCOPE) is None
        assert ports.scans.read(Scope(TARGET, SECOND)) is not None
        ports.writer.write(lease, [ForgetTelemetry(SCOPE), ForgetScan(SCOPE)])

    def test_a_lost_epoch_forgets_nothing(self, ports):
        slow = ports.leased()
        ports.writer.write(slow, [scope_telemetry(), scan_record()])
        ports.work_states.take(work(), UNTIL + 1, UNTIL + 330)
        with pytest.raises(LeaseLost):
            ports.writer.write(slow, [ForgetTelemetry(SCOPE), ForgetScan(SCOPE)])
        assert ports.scans.read(SCOPE) is not None


class TestTelemetry:
    def test_it_comes_back_as_it_was(self, ports):
        entry = Telemetry("a" * 16, "b" * 16, 5, 4096, "2026-01-01", "2026-01-02", "arn:o", "arn:e", "EXTENDED", False)
        telemetry = scope_telemetry(SCOPE, 3, **{"s-1": entry, "s-2": Telemetry("c" * 16)})
        ports.writer.write(ports.leased(), [telemetry])
        assert ports.telemetries.read(SCOPE) == telemetry

    def test_nothing_is_known_of_a_scope_that_was_never_scanned(self, ports):
        assert ports.telemetries.read(SCOPE) is None


class TestScans:
    def test_records_are_read_by_region_and_by_scope(self, ports):
        lease = ports.leased()
        here, there = scan_record(account_id=STAGING), scan_record(SECOND)
        ports.writer.write(lease, [scan_record(), here, there])
        assert ports.scans.of_region(REGION) == [scan_record(), here]
        assert ports.scans.of_scopes([there.scope, here.scope, Scope(OTHER, REGION)]) == [here, there]
        assert ports.scans.of_region("eu-north-1") == []

    def test_more_than_a_hundred_scopes_are_read(self, ports):
        records = [scan_record(account_id=f"{number:012d}") for number in range(130)]
        ports.writer.write(ports.leased(), records)
        assert ports.scans.of_scopes(record.scope for record in records) == records
        assert ports.scans.of_region(REGION) == records


def pages_of(inventory, partition, limit):
    """Every row of a partition, page by page."""
    rows, after, more = [], None, True
    while more:
        page = inventory.page(partition, limit, after)
        assert len(page.rows) <= limit
        rows, more = [*rows, *page.rows], page.more
        after = Position(rows[-1].source_server_id, rows[-1].replication_region) if rows else None
    return [row.source_server_id for row in rows]


class TestInventoryPages:
    @pytest.fixture
    def seven(self, ports):
        """Seven servers, one of them buried, and one of another name, origin and staging account."""
        lease = ports.leased()
        attributes = {"stagingAccountId": STAGING, "sourceAccountId": OTHER, "hostname": "web"}
        ports.writer.write(lease, [row_update(f"s-{number}", **attributes) for number in range(7)])
        ports.writer.write(lease, [row_update("s-9"), UpdateServer("s-3", SCOPE, BURIED)])
        return ports.inventory

    @pytest.mark.parametrize("limit", [1, 2, 7, 8, 200])
    def test_a_scope_s_pages_are_its_living_servers(self, seven, limit):
        partition = Partition(InventoryIndex.SCOPE, SCOPE.key)
        assert pages_of(seven, partition, limit) == ["s-0", "s-1", "s-2", "s-4", "s-5", "s-6", "s-9"]

    @pytest.mark.parametrize(
        ("index", "value"),
        [
            (InventoryIndex.STAGING_ACCOUNT, STAGING),
            (InventoryIndex.SOURCE_ACCOUNT, OTHER),
            (InventoryIndex.HOSTNAME, "web"),
        ],
    )
    def test_the_other_indexes_hold_tombstones_too(self, seven, index, value):
        assert pages_of(seven, Partition(index, value), 2) == [f"s-{number}" for number in range(7)]

    def test_an_empty_partition_is_one_empty_page(self, seven):
        assert pages_of(seven, Partition(InventoryIndex.HOSTNAME, "nobody"), 2) == []

    def test_a_server_is_found_without_its_region(self, seven):
        assert [row.replication_region for row in seven.of_server("s-3")] == [REGION]
        assert seven.of_server("s-8") == []


class TestRegionStatuses:
    def test_a_first_row_is_version_one_and_each_write_the_next(self, ports):
        assert ports.statuses.replace(None, region_status(version=0))
        first = ports.statuses.read(REGION)
        assert first == region_status(version=1)
        assert ports.statuses.replace(first, region_status(server_count=5))
        assert ports.statuses.read(REGION) == region_status(server_count=5, version=2)

    def test_a_write_on_an_older_version_does_not_hold(self, ports):
        ports.statuses.replace(None, region_status())
        first = ports.statuses.read(REGION)
        ports.statuses.replace(first, region_status(server_count=5))
        assert not ports.statuses.replace(first, region_status(server_count=9))
        assert not ports.statuses.replace(None, region_status(server_count=9))
        assert ports.statuses.read(REGION).server_count == 5

    def test_a_row_that_is_gone_is_not_written_on_its_version(self, ports):
        assert not ports.statuses.replace(region_status(version=3), region_status(server_count=9))
        assert ports.statuses.read(REGION) is None

    def test_a_row_is_deleted_on_its_version_only(self, ports):
        ports.statuses.replace(None, region_status())
        first = ports.statuses.read(REGION)
        ports.statuses.replace(first, region_status(server_count=5))
        assert not ports.statuses.delete(first)
        assert ports.statuses.delete(ports.statuses.read(REGION))
        assert ports.statuses.read(REGION) is None
        assert not ports.statuses.delete(first)

    def test_all_rows_are_sorted_by_region(self, ports):
        assert ports.statuses.read_all() == []
        for region in (SECOND, REGION):
            ports.statuses.replace(None, region_status(region, error_message="it failed", last_success=NOW))
        assert [status.region for status in ports.statuses.read_all()] == [REGION, SECOND]

    def test_times_keep_milliseconds(self, ports):
        moment = NOW + timedelta(microseconds=123_456)
        ports.statuses.replace(None, region_status(last_checked=moment))
        assert ports.statuses.read(REGION).last_checked == NOW + timedelta(milliseconds=123)


class TestAccounts:
    def test_an_account_comes_back_as_it_was_registered(self, ports):
        ports.accounts.create(account())
        assert ports.accounts.read(TARGET) == account()
        assert ports.accounts.read(OTHER) is None

    def test_an_account_is_registered_once(self, ports):
        ports.accounts.create(account())
        with pytest.raises(AlreadyExists, match=TARGET):
            ports.accounts.create(account(name="another"))
        assert ports.accounts.read(TARGET).name == account().name

    def test_all_accounts_are_accounts_not_memberships(self, ports):
        for registered in (account(), account(STAGING, AccountKind.STAGING)):
            ports.accounts.create(registered)
        ports.accounts.create_membership(membership())
        assert [each.account_id for each in ports.accounts.read_all()] == [TARGET, STAGING]

    def test_accounts_are_told_by_kind(self, ports):
        for account_id, kind in (("5" * 12, AccountKind.STAGING), ("6" * 12, AccountKind.TARGET)):
            ports.accounts.create(account(account_id, kind))
        ports.accounts.create(account())
        assert [each.account_id for each in ports.accounts.of_kind(AccountKind.TARGET)] == [TARGET, "6" * 12]
        assert [each.account_id for each in ports.accounts.read_all()] == [TARGET, "6" * 12, "5" * 12]

    def test_a_registered_account_is_replaced(self, ports):
        ports.accounts.create(account())
        ports.accounts.replace(account(name="another", external_id=None))
        assert ports.accounts.read(TARGET) == account(name="another", external_id=None)

    def test_what_is_not_registered_or_being_removed_is_not_replaced(self, ports):
        with pytest.raises(NotFound):
            ports.accounts.replace(account())
        ports.accounts.create(account(status=AccountStatus.REMOVING))
        with pytest.raises(NotFound):
            ports.accounts.replace(account())
        assert ports.accounts.read(TARGET).status is AccountStatus.REMOVING

    def test_an_account_and_a_membership_are_deleted_once(self, ports):
        ports.accounts.create(account())
        ports.accounts.create_membership(membership())
        assert ports.accounts.delete_membership(TARGET, STAGING)
        assert not ports.accounts.delete_membership(TARGET, STAGING)
        ports.accounts.delete(TARGET, AccountStatus.REMOVING)
        assert ports.accounts.read(TARGET) == account()
        for _ in range(2):
            ports.accounts.delete(TARGET, AccountStatus.ACTIVE)
        assert ports.accounts.read(TARGET) is None

    def test_an_external_id_is_one_account_s_until_it_goes_or_changes_it(self, ports):
        ports.accounts.create(account())
        mine = account().external_id
        for attempt in (ports.accounts.create, ports.accounts.create):
            with pytest.raises(InvalidRequest, match="externalId"):
                attempt(account(OTHER, external_id=mine))
        assert ports.accounts.read(OTHER) is None
        ports.accounts.create(account(OTHER))
        with pytest.raises(InvalidRequest, match="externalId"):
            ports.accounts.replace(account(OTHER, external_id=mine))
        ports.accounts.replace(account(external_id="another-of-its-own"))
        ports.accounts.replace(account(OTHER, external_id=mine))
        ports.accounts.delete(TARGET, AccountStatus.ACTIVE)
        ports.accounts.create(account(STAGING, external_id="another-of-its-own"))
        ports.accounts.replace(account(OTHER, external_id=mine, name="the same again"))

    def test_memberships_are_told_from_both_sides(self, ports):
        rules = membership(TARGET, STAGING, include_tags={"env": "prod"}, exclude_tags={"skip": "*"})
        for each in (rules, membership(TARGET, OTHER), membership(OTHER, STAGING)):
            ports.accounts.create_membership(each)
        assert ports.accounts.memberships(TARGET) == [rules, membership(TARGET, OTHER)]
        assert ports.accounts.targets_of(STAGING) == [TARGET, OTHER]
        assert ports.accounts.targets_of(TARGET) == []

    def test_a_membership_is_made_once(self, ports):
        ports.accounts.create_membership(membership())
        with pytest.raises(AlreadyExists, match=STAGING):
            ports.accounts.create_membership(membership())


class TestRuns:
    def test_a_run_of_more_than_a_thousand_scopes_comes_back_whole(self, ports):
        asked = {work(scope=Scope(f"{number:012d}", REGION)): number for number in range(2100)}
        ports.runs.store(run(), asked)
        assert ports.runs.read("run-1") == (run(), asked)

    def test_storing_a_run_again_is_harmless(self, ports):
        for _ in range(2):
            ports.runs.store(run(), {work(): 1})
        assert ports.runs.read("run-1") == (run(), {work(): 1})

    def test_a_key_is_remembered_for_what_it_was_used_for_first(self, ports):
        assert ports.runs.remember("a", "one request", "run-1", EPOCH, EPOCH + 60) is None
        assert ports.runs.remember("a", "another", "run-2", EPOCH + 59, AGAIN) == ("one request", "run-1")
        assert ports.runs.remember("b", "another", "run-2", EPOCH, EPOCH + 60) is None
        assert ports.runs.read("run-1") is None

    def test_a_key_whose_time_is_over_is_good_for_anything_while_dynamodb_has_not_deleted_it(self, ports):
        """DynamoDB: items that have expired are deleted within a few days."""
        ports.runs.remember("a", "one request", "run-1", EPOCH, EPOCH + 60)
        assert ports.runs.remember("a", "another", "run-2", EPOCH + 60, EPOCH + 120) is None
        assert ports.runs.remember("a", "one request", "run-3", EPOCH + 119, AGAIN) == ("another", "run-2")

    def test_the_latest_runs_of_a_kind_come_newest_first(self, ports):
        for number in range(5):
            kind = WorkKind.TAGS if number == 2 else WorkKind.INVENTORY
            ports.runs.store(run(f"run-{number}", kind=kind, created_at=NOW + timedelta(seconds=number)), {work(): 1})
        latest = ports.runs.latest(WorkKind.INVENTORY, 2, None)
        assert [each.run_id for each in latest] == ["run-4", "run-3"]
        before = latest[-1].item()["createdAt"]
        assert [each.run_id for each in ports.runs.latest(WorkKind.INVENTORY, 10, before)] == ["run-1", "run-0"]
        assert ports.runs.latest(WorkKind.STAGING, 10, None) == []

    def test_there_is_no_such_run(self, ports):
        assert ports.runs.read("run-2") is None


class TestQueue:
    def test_messages_of_every_kind_are_taken(self, ports):
        ports.queue.send(message(kind) for kind in WorkKind for _ in range(12))

    def test_nothing_to_send_is_fine(self, ports):
        ports.queue.send([])


@pytest.fixture
def small_pages(deployed):
    """Queries and scans of the adapters come in pages of three items."""
    with stack.pages_of(3):
        yield


@pytest.mark.usefixtures("small_pages")
class TestAdaptersOnly:
    def test_every_page_of_every_query_is_read(self):
        states, writer = container().ports.work_states, container().ports.writer
        works = {work(scope=Scope(f"{number:012d}", REGION)) for number in range(40)}
        for each in works:
            states.request(each, due_again=EPOCH)
        assert {due.work for due in states.due(WorkKind.INVENTORY, EPOCH)} == works
        states.request(work(), AGAIN)
        lease = states.take(work(), EPOCH, UNTIL).lease
        records = [scan_record(account_id=f"{number:012d}") for number in range(10)]
        refused = [refusal(arn_of(f"s-{number}", STAGING)) for number in range(10)]
        writer.write(lease, [*records, *refused, *(row_update(f"s-{number}") for number in range(10))])
        assert container().ports.scans.of_region(REGION) == records
        assert len(container().ports.refusals.of_target(SCOPE)) == 10
        assert len(list(container().ports.inventory.of_scope(SCOPE))) == 10

    def test_every_page_of_every_scan_is_read(self):
        for number in range(10):
            container().ports.accounts.create(account(f"{number:012d}"))
            container().ports.accounts.create_membership(membership(TARGET, f"{number:012d}"))
            container().ports.statuses.replace(None, region_status(f"eu-west-{number}"))
        assert len(container().ports.accounts.read_all()) == 10
        assert len(container().ports.accounts.memberships(TARGET)) == 10
        assert len(container().ports.statuses.read_all()) == 10

    def test_every_part_of_a_run_is_read(self):
        asked = {work(scope=Scope(f"{number:012d}", REGION)): 1 for number in range(4500)}
        container().ports.runs.store(run(), asked)
        assert container().ports.runs.read("run-1") == (run(), asked)

"""Registration, change and removal of accounts."""

import pytest
from pydantic import ValidationError

from chalicelib.domain.accounts import MOST_TARGETS, AccountKind, AccountStatus
from chalicelib.domain.leases import Outcome
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind
from chalicelib.errors import AlreadyExists, InvalidRequest, NotFound

from ..factories import (
    EPOCH,
    HUB,
    OTHER,
    REGION,
    REGIONS,
    SCOPE,
    SECOND,
    SOURCE,
    STAGING,
    TARGET,
    account,
    arn_of,
    membership,
    region_status,
    wire_server,
    work_result,
)
from ..fakes import World


def works_of(account_id):
    return {WorkId(WorkKind.INVENTORY, Scope(account_id, region)) for region in REGIONS}


class TestRegister:
    def test_every_scope_is_scanned_at_once(self, world):
        world.registry.register(account())
        assert set(world.queue.works()) == works_of(TARGET)
        assert world.accounts.read(TARGET) == account()

    def test_the_first_scan_can_be_left_to_the_planner(self, world):
        world.registry.register(account(), scan_now=False)
        assert world.queue.messages == []
        world.statuses.replace(None, region_status())
        world.tick()
        assert set(world.queue.works()) == works_of(TARGET)

    def test_a_worker_that_still_takes_the_account_away_does_not_take_its_new_due_time(self, world):
        """It took the account away and has yet to say that it is done, when the account is registered again."""
        work = WorkId(WorkKind.INVENTORY, SCOPE)
        world.registry.register(account(), scan_now=False)
        world.tick()
        lease = world.work_states.take(work, EPOCH, EPOCH + 330).lease
        world.accounts.delete(TARGET, AccountStatus.ACTIVE)
        world.registry.register(account(), scan_now=False)
        world.work_states.finish(lease, Outcome(work_result(), None), EPOCH + 1800)
        assert world.work_states.items[work].next_due_at is not None

    def test_a_source_account_has_no_work(self, world):
        world.registry.register(account(SOURCE, AccountKind.SOURCE))
        assert world.work_states.items == {}

    def test_an_inactive_account_has_no_work(self, world):
        world.registry.register(account(status=AccountStatus.INACTIVE))
        assert world.work_states.items == {}
        assert world.queue.messages == []

    @pytest.mark.parametrize(
        ("missing", "kind"),
        [
            ("reader_role_arn", AccountKind.TARGET),
            ("reader_role_arn", AccountKind.SOURCE),
            ("writer_role_arn", AccountKind.TARGET),
            ("writer_role_arn", AccountKind.STAGING),
        ],
    )
    def test_a_foreign_account_needs_its_roles(self, world, missing, kind):
        with pytest.raises(InvalidRequest, match=missing.split("_")[0]):
            world.registry.register(account(kind=kind, **{missing: None}))
        assert world.accounts.read(TARGET) is None
        assert world.work_states.items == {}

    def test_a_foreign_account_needs_an_external_id(self, world):
        with pytest.raises(InvalidRequest, match="externalId"):
            world.registry.register(account(external_id=None))
        assert world.accounts.read(TARGET) is None

    def test_an_external_id_belongs_to_one_account(self, world):
        world.registry.register(account())
        with pytest.raises(InvalidRequest, match="externalId: another account") as refused:
            world.registry.register(account(STAGING, AccountKind.STAGING, external_id=account().external_id))
        assert account().external_id not in str(refused.value)
        assert world.accounts.read(STAGING) is None

    def test_a_source_account_needs_no_writer(self, world):
        world.registry.register(account(SOURCE, AccountKind.SOURCE, writer_role_arn=None))
        assert world.accounts.read(SOURCE)

    def test_the_hub_needs_no_role(self, world):
        world.registry.register(account(HUB, reader_role_arn=None, writer_role_arn=None))
        assert world.accounts.read(HUB)

    def test_an_account_is_registered_once(self, world):
        world.registry.register(account())
        with pytest.raises(AlreadyExists):
            world.registry.register(account())

    def test_a_registration_that_stopped_half_way_can_be_repeated(self, world):
        for work in works_of(TARGET):
            world.work_states.request(work, due_again=0)
        world.registry.register(account())
        assert set(world.queue.works()) == works_of(TARGET)


class TestStagingAccounts:
    @pytest.fixture
    def world(self):
        world = World()
        world.add_account(TARGET)
        world.add_account(STAGING, AccountKind.STAGING)
        return world

    def test_what_it_holds_already_is_extended(self, world):
        world.drs.add(wire_server("s-1", STAGING))
        world.cycle()
        world.registry.add_staging_account(membership())
        assert world.queue.works() == [WorkId(WorkKind.STAGING, SCOPE)]
        world.settle()
        assert len(world.drs.extensions(SCOPE)) == 1

    def test_asked_for_again_after_its_answer_was_lost_it_extends_what_is_there(self, world):
        """DynamoDB took the membership and failed to say so: botocore tries again, and finds it there."""
        world.drs.add(wire_server("s-1", STAGING))
        world.cycle()
        world.accounts.create_membership(membership())
        with pytest.raises(AlreadyExists):
            world.registry.add_staging_account(membership())
        assert world.queue.works() == [WorkId(WorkKind.STAGING, SCOPE)]

    @pytest.mark.parametrize(
        ("target", "staging", "error"),
        [
            (TARGET, OTHER, NotFound),
            (OTHER, STAGING, NotFound),
            (TARGET, TARGET, InvalidRequest),
            (SOURCE, STAGING, InvalidRequest),
            (TARGET, SOURCE, InvalidRequest),
        ],
    )
    def test_both_must_be_registered_and_have_drs(self, world, target, staging, error):
        world.add_account(SOURCE, AccountKind.SOURCE)
        with pytest.raises(error):
            world.registry.add_staging_account(membership(target, staging))
        assert world.accounts.members == {}

    def test_it_is_added_once_and_removed_once(self, world):
        world.registry.add_staging_account(membership())
        with pytest.raises(AlreadyExists):
            world.registry.add_staging_account(membership())
        assert world.registry.staging_accounts(TARGET) == ([membership()], {})
        world.registry.remove_staging_account(TARGET, STAGING)
        with pytest.raises(NotFound):
            world.registry.remove_staging_account(TARGET, STAGING)

    @pytest.mark.parametrize("change", [{"tenant": "globex"}, {"partition": "aws-us-gov"}])
    def test_both_belong_to_one_tenant_and_partition(self, world, change):
        stored = world.accounts.read(STAGING)
        world.accounts.accounts[STAGING] = stored.model_copy(update=change)
        with pytest.raises(InvalidRequest, match="stagingAccountId"):
            world.registry.add_staging_account(membership())
        assert world.accounts.members == {}

    def test_a_membership_across_tenants_that_is_stored_all_the_same_is_told_and_ignored(self, world):
        world.registry.add_staging_account(membership())
        world.drs.add(wire_server("s-1", STAGING))
        world.cycle()
        world.accounts.replace(world.accounts.read(STAGING).model_copy(update={"tenant": "globex"}))
        assert world.registry.staging_accounts(TARGET).valid == []
        assert "tenant" in world.registry.staging_accounts(TARGET).ignored[STAGING]
        assert world.registry.staged_regions(TARGET) == []

    def test_a_source_account_has_no_regions_to_extend_in(self, world):
        world.add_account(SOURCE, AccountKind.SOURCE)
        with pytest.raises(InvalidRequest, match="source account"):
            world.registry.staged_regions(SOURCE)

    def test_an_account_may_be_target_and_staging_account_at_once(self, world):
        """AWS DRS, "Using multiple staging accounts": servers are recovered into these accounts or a single target."""
        world.add_account(OTHER)
        world.registry.add_staging_account(membership(STAGING, OTHER))
        world.registry.add_staging_account(membership(TARGET, STAGING))
        world.drs.add(wire_server("s-1", OTHER), wire_server("s-2", STAGING))
        for _ in range(3):
            world.cycle()
        staged, target = Scope(STAGING, REGION), SCOPE
        assert set(world.drs.extensions(staged)) == {arn_of("s-1", OTHER)}
        assert set(world.drs.extensions(target)) == {arn_of("s-2", STAGING)}  # an extension is not extended again

    def test_two_accounts_may_extend_each_other_s_servers_once(self, world):
        world.registry.add_staging_account(membership(TARGET, STAGING))
        world.registry.add_staging_account(membership(STAGING, TARGET))
        world.drs.add(wire_server("s-1", TARGET), wire_server("s-2", STAGING))
        for _ in range(4):
            world.cycle()
        assert set(world.drs.extensions(SCOPE)) == {arn_of("s-2", STAGING)}
        assert set(world.drs.extensions(Scope(STAGING, REGION))) == {arn_of("s-1", TARGET)}

    def test_a_staging_account_has_no_more_targets_than_its_drs_can_trust(self, world):
        for number in range(MOST_TARGETS):
            world.accounts.create_membership(membership(f"{number:012d}", STAGING))
        with pytest.raises(InvalidRequest, match=str(MOST_TARGETS)):
            world.registry.add_staging_account(membership())


class TestChange:
    def test_a_role_that_changed_is_tried_at_once(self, world):
        world.add_account(TARGET)
        world.registry.change(account(reader_role_arn=f"arn:aws:iam::{TARGET}:role/other"))
        assert set(world.queue.works()) == works_of(TARGET)

    def test_a_new_name_is_no_reason_to_scan(self, world):
        world.add_account(TARGET)
        world.registry.change(account(name="renamed"))
        assert world.registry.account(TARGET).name == "renamed"
        assert world.queue.messages == []

    def test_an_account_that_was_switched_off_is_left_alone(self, world):
        world.add_account(TARGET)
        world.cycle()
        world.registry.change(account(status=AccountStatus.INACTIVE))
        mark = world.calls.snapshot()
        world.clock.advance(100_000)
        world.cycle()
        assert world.calls.calls_since(mark) == {}
        world.registry.change(account())
        world.settle()
        assert world.calls.calls_since(mark)

    def test_its_external_id_cannot_become_anothers(self, world):
        world.registry.register(account())
        world.registry.register(account(STAGING, AccountKind.STAGING))
        with pytest.raises(InvalidRequest, match="externalId"):
            world.registry.change(account(STAGING, AccountKind.STAGING, external_id=account().external_id))
        world.registry.change(account(name="its own stays its own"))

    def test_drs_is_neither_given_to_an_account_nor_taken_from_it(self, world):
        world.add_account(TARGET)
        with pytest.raises(InvalidRequest, match="kind"):
            world.registry.change(account(kind=AccountKind.SOURCE))
        world.registry.change(account(kind=AccountKind.STAGING))

    @pytest.mark.parametrize("changed", [TARGET, STAGING])
    def test_its_tenant_changes_only_while_it_has_no_memberships(self, world, changed):
        world.add_account(TARGET)
        world.add_staging(STAGING, TARGET)
        with pytest.raises(InvalidRequest, match=f"tenant.*{TARGET}/{STAGING}"):
            world.registry.change(world.accounts.read(changed).model_copy(update={"tenant": "globex"}))
        world.registry.remove_staging_account(TARGET, STAGING)
        world.registry.change(world.accounts.read(changed).model_copy(update={"tenant": "globex"}))
        assert world.accounts.read(changed).tenant == "globex"

    def test_an_unknown_account_cannot_change(self, world):
        with pytest.raises(NotFound):
            world.registry.change(account())


class TestPaused:
    def test_nothing_is_extended_into_an_inactive_target(self, world):
        world.add_account(TARGET)
        world.add_staging(STAGING, TARGET)
        world.drs.add(wire_server("s-1", STAGING))
        world.run_work(WorkKind.INVENTORY, Scope(STAGING, REGION))
        world.registry.change(account(status=AccountStatus.INACTIVE))
        outcome = world.run_work(WorkKind.STAGING, Scope(TARGET, REGION))
        assert outcome.result.message == "the account is not active"
        assert not world.drs.extensions(Scope(TARGET, REGION))


class TestRemove:
    def test_rows_become_tombstones_and_records_and_account_go(self, world):
        world.add_account(TARGET)
        world.add_staging(STAGING, TARGET)
        world.add_account(OTHER)
        world.drs.add(wire_server("s-1"), wire_server("s-2", region=SECOND), wire_server("s-3", OTHER))
        world.cycle()
        assert world.registry.remove(TARGET) == len(REGIONS)
        world.settle()
        assert world.accounts.read(TARGET) is None
        assert not world.inventory.row("s-1").living
        assert world.inventory.row("s-1").topology
        assert {scan.account_id for scan in world.scans.records.values()} == {STAGING, OTHER}
        assert world.statuses.rows[REGION].server_count == 1
        assert world.statuses.rows[SECOND].server_count == 0
        assert world.accounts.members == {}

    def test_a_staging_account_is_none_of_its_targets_any_more(self, world):
        world.add_account(TARGET)
        world.add_staging(STAGING, TARGET)
        world.registry.remove(STAGING)
        assert world.accounts.members == {}

    def test_a_removal_does_not_forbid_extensions_for_ever(self, world):
        world.add_account(TARGET)
        world.add_staging(STAGING, TARGET)
        world.drs.add(wire_server("s-1", STAGING))
        world.cycle()
        world.registry.remove(TARGET)
        world.settle()
        assert world.refusals.of_target(SCOPE) == {}

    def test_an_account_that_comes_back_goes_on_counting_epochs(self, world):
        world.add_account(TARGET)
        world.drs.add(wire_server("s-1"))
        world.cycle()
        world.registry.remove(TARGET)
        world.settle()
        epoch = world.work_states.items[WorkId(WorkKind.INVENTORY, SCOPE)].epoch
        world.registry.register(account())
        world.settle()
        assert world.inventory.row("s-1").living
        assert world.work_states.items[WorkId(WorkKind.INVENTORY, SCOPE)].epoch > epoch

    def test_a_source_account_goes_at_once(self, world):
        world.add_account(SOURCE, AccountKind.SOURCE)
        assert world.registry.remove(SOURCE) == 0
        with pytest.raises(NotFound):
            world.registry.account(SOURCE)

    def test_a_scan_that_was_at_work_when_the_account_went_leaves_nothing_behind(self, world):
        world.add_account()
        world.drs.add(wire_server())
        listing = world.drs.source_servers

        def listing_while_the_account_goes(*asked):
            world.drs.source_servers = listing
            world.registry.remove(TARGET)
            world.settle()
            assert world.accounts.read(TARGET) is None
            yield from listing(*asked)

        world.drs.source_servers = listing_while_the_account_goes
        world.scan()
        world.settle()
        assert world.scans.records == {}
        assert world.statuses.rows == {}
        assert world.inventory.living(SCOPE) == set()

    def test_a_removal_that_comes_late_leaves_an_account_that_came_back(self, world):
        world.add_account()
        world.cycle()
        world.registry.remove(TARGET)
        delete = world.accounts.delete

        def late(*asked):
            world.accounts.delete = delete
            delete(*asked)
            world.add_account(name="again")
            delete(*asked)

        world.accounts.delete = late
        world.settle()
        assert world.accounts.read(TARGET).name == "again"

    def test_removing_twice_is_harmless(self, world):
        world.add_account(TARGET)
        world.registry.remove(TARGET)
        world.registry.remove(TARGET)
        world.settle()
        assert world.accounts.read(TARGET) is None


class TestQueries:
    def test_accounts_are_told_by_kind(self, world):
        world.add_account(STAGING, AccountKind.STAGING)
        world.add_account(TARGET)
        assert [each.account_id for each in world.registry.accounts()] == [TARGET, STAGING]
        assert [each.account_id for each in world.registry.accounts(AccountKind.STAGING)] == [STAGING]

    def test_scopes_are_told_with_their_scan_and_their_work(self, world):
        world.add_account(TARGET)
        world.scan()
        told = {scope.scope: scope for scope in world.registry.scopes(TARGET)}
        assert set(told) == {Scope(TARGET, region) for region in REGIONS}
        assert told[SCOPE].scan == world.scans.read(SCOPE)
        assert told[SCOPE].work.done == told[SCOPE].work.wanted > 0
        assert told[Scope(TARGET, SECOND)].scan is None


class TestRecord:
    def test_a_role_of_another_account_is_refused(self):
        with pytest.raises(ValidationError, match="another account"):
            account(reader_role_arn=f"arn:aws:iam::{OTHER}:role/reader")

    @pytest.mark.parametrize("path", ["a/../reader", "..", "a//reader", "/reader", "a..b", "reader/"])
    def test_a_role_whose_path_climbs_or_has_a_hole_is_refused(self, path):
        with pytest.raises(ValidationError, match="pattern"):
            account(reader_role_arn=f"arn:aws:iam::{TARGET}:role/{path}")

    @pytest.mark.parametrize("path", ["reader", "a/b/reader", "a.b/drs.reader", "team=a,b@c+d_e-f/x"])
    def test_a_role_with_a_path_is_accepted(self, path):
        arn = f"arn:aws:iam::{TARGET}:role/{path}"
        assert account(reader_role_arn=arn).reader_role_arn == arn

    @pytest.mark.parametrize("values", [{"account_id": "12"}, {"external_id": "a b"}, {"name": ""}])
    def test_what_does_not_fit_is_refused(self, values):
        with pytest.raises(ValidationError):
            account(**values)

    def test_the_external_id_is_in_no_representation(self):
        assert "external-" not in repr(account())

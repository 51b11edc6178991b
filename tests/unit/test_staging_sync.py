"""Staging sync of one target scope."""

import pytest

from chalicelib.domain.extension import RefusalReason
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.errors import (
    AccessDenied,
    QuotaExceeded,
    ServiceError,
    TableUnavailable,
    Throttled,
)

from ..factories import EPOCH, OTHER, REGION, SCOPE, STAGING, TARGET, arn_of, wire_server
from ..fakes import Crash, World

LIST, EXTEND = "drs:ListExtensibleSourceServers", "drs:CreateExtendedSourceServer"
STAGED = Scope(STAGING, REGION)


def a_world(count=1, membership=None, **values):
    """A target whose staging account holds scanned servers s-1 ... that are not extended yet."""
    world = World(**values)
    world.add_account(TARGET)
    world.add_staging(STAGING, TARGET, **(membership or {}))
    world.drs.add(*(wire_server(f"s-{number}", STAGING) for number in range(1, count + 1)))
    world.scan(STAGED)
    world.queue.messages.clear()
    return world


@pytest.fixture
def world():
    return a_world()


def original(number=1):
    return arn_of(f"s-{number}", STAGING)


def sync(world, **values):
    return world.run_work(WorkKind.STAGING, SCOPE, **values)


def refusal_of(world, number=1):
    return world.refusals.of_target(SCOPE).get(original(number))


def subjects(outcome):
    return {problem.subject: (problem.code, problem.message) for problem in outcome.result.problems}


class TestExtension:
    def test_a_new_server_is_extended_into_the_target(self, world):
        outcome = sync(world)
        assert set(world.drs.extensions(SCOPE)) == {original()}
        assert outcome.result.counts["extended"] == 1
        assert outcome.next_due == EPOCH + 300

    def test_the_target_is_scanned_so_that_the_extension_appears(self, world):
        sync(world)
        assert [work.kind for work in world.queue.works()] == [WorkKind.INVENTORY]
        world.settle()
        assert world.scans.read(SCOPE).extended_count == 1

    def test_what_is_extended_already_costs_no_drs_call(self, world):
        sync(world)
        world.settle()
        mark = world.calls.snapshot()
        sync(world)
        assert world.calls.calls_since(mark) == {}

    def test_a_second_run_before_the_scan_extends_nothing_twice(self, world):
        sync(world)
        world.queue.messages.clear()
        sync(world)
        assert set(world.drs.extensions(SCOPE)) == {original()}

    def test_a_second_run_before_the_scan_does_not_put_the_server_off_for_good(self, world):
        sync(world)
        sync(world)
        world.settle()
        world.clock.advance(100_000)
        mark = world.calls.snapshot()
        assert sync(world).result.counts["candidates"] == 0
        assert world.calls.calls_since(mark) == {}

    def test_every_staging_account_of_the_target_is_looked_at(self, world):
        world.add_staging(OTHER, TARGET)
        world.drs.add(wire_server("s-9", OTHER))
        world.scan(Scope(OTHER, REGION))
        sync(world)
        assert set(world.drs.extensions(SCOPE)) == {original(), arn_of("s-9", OTHER)}

    def test_a_staging_account_without_servers_here_causes_no_call(self):
        world = a_world(count=0)
        outcome = sync(world)
        assert world.calls.scopes(LIST) == set()
        assert outcome.result.message == "none of its staging accounts is active here"
        assert outcome.next_due is None

    def test_a_region_that_is_not_active_is_left_alone(self, world):
        world.statuses.rows[REGION] = world.statuses.rows[REGION].model_copy(update={"server_count": 0})
        outcome = sync(world, status_version=99)
        assert outcome.result.message == "the region is not active"
        assert world.calls.scopes(LIST) == set()

    def test_servers_that_fail_back_or_are_extensions_are_no_originals(self, world):
        world.drs.add(wire_server("s-2", STAGING, direction="FAILBACK"))
        world.scan(STAGED)
        assert sync(world).result.counts["originals"] == 1

    def test_more_than_the_cap_is_left_for_the_next_run(self):
        world = a_world(count=5, extensions_per_run=2)
        outcome = sync(world)
        assert (outcome.result.counts["extended"], outcome.result.counts["left"]) == (2, 3)
        world.settle()
        sync(world)
        world.settle()
        sync(world)
        assert len(world.drs.extensions(SCOPE)) == 5


class TestDryRun:
    def test_it_says_what_would_be_extended_and_does_nothing(self, world):
        world.drs.add(wire_server("s-2", STAGING))
        world.scan(STAGED)
        outcome = sync(world, dry_run=True)
        assert outcome.result.counts["would_extend"] == 2
        assert outcome.result.changes == [{"extend": original(n), "into": TARGET} for n in (1, 2)]
        assert world.drs.extensions(SCOPE) == {}
        assert EXTEND not in world.calls.calls_since(type(world.calls.made)())
        assert outcome.next_due is None

    def test_it_records_no_refusal(self):
        world = a_world(membership={"exclude_tags": {"skip": "*"}})
        world.drs.add(wire_server("s-1", STAGING, tags={"skip": "1"}))
        world.scan(STAGED)
        outcome = sync(world, dry_run=True)
        assert outcome.result.counts["would_refuse"] == 1
        assert refusal_of(world) is None


class TestTags:
    @pytest.mark.parametrize(
        ("rules", "tags", "extended"),
        [
            ({"include_tags": {"env": "prod"}}, {"env": "prod"}, True),
            ({"include_tags": {"env": "prod"}}, {"env": "test"}, False),
            ({"include_tags": {"env": "*"}}, {"env": "test"}, True),
            ({"include_tags": {"env": "*"}}, {}, False),
            ({"exclude_tags": {"skip": "*"}}, {"skip": "yes"}, False),
            ({"exclude_tags": {"skip": "yes"}}, {"skip": "no"}, True),
            ({"include_tags": {"env": "prod"}, "exclude_tags": {"skip": "*"}}, {"env": "prod", "skip": ""}, False),
        ],
    )
    def test_the_membership_s_tags_decide(self, rules, tags, extended):
        world = a_world(count=0, membership=rules)
        world.drs.add(wire_server("s-1", STAGING, tags=tags))
        world.scan(STAGED)
        sync(world)
        assert (original() in world.drs.extensions(SCOPE)) is extended
        assert (refusal_of(world) is None) is extended

    def test_what_is_excluded_is_recorded_and_no_candidate_until_its_time(self):
        world = a_world(membership={"exclude_tags": {"skip": "*"}})
        world.drs.add(wire_server("s-1", STAGING, tags={"skip": "1"}))
        world.scan(STAGED)
        outcome = sync(world)
        assert refusal_of(world).reason is RefusalReason.EXCLUDED
        assert subjects(outcome)[original()][0] == "EXCLUDED"
        assert sync(world).result.counts["candidates"] == 0
        assert world.calls.scopes(LIST) == set()

    def test_a_server_that_is_no_longer_excluded_is_extended_in_time(self):
        world = a_world(membership={"exclude_tags": {"skip": "*"}})
        world.drs.add(wire_server("s-1", STAGING, tags={"skip": "1"}))
        world.scan(STAGED)
        sync(world)
        world.drs.get(original())["tags"] = {}
        world.scan(STAGED)
        world.clock.advance(901)
        sync(world)
        assert original() in world.drs.extensions(SCOPE)
        assert refusal_of(world) is None


class TestQuota:
    def test_what_exceeds_the_target_s_room_is_refused(self):
        world = a_world(count=3, servers_per_scope=4)
        world.drs.add(*(wire_server(f"s-own{number}") for number in range(3)))
        world.scan(SCOPE)
        outcome = sync(world)
        assert len(world.drs.extensions(SCOPE)) == 1
        assert {r.reason for r in world.refusals.of_target(SCOPE).values()} == {RefusalReason.QUOTA}
        assert outcome.result.counts["refused"] == 2

    def test_where_the_target_was_never_scanned_drs_decides(self):
        world = a_world(count=3, servers_per_scope=1)
        sync(world)
        assert len(world.drs.extensions(SCOPE)) == 3

    def test_a_quota_of_drs_itself_is_recorded(self, world):
        world.fault(EXTEND, QuotaExceeded("300 servers replicate", "ServiceQuotaExceededException"))
        sync(world)
        assert (refusal_of(world).reason, refusal_of(world).message) == (RefusalReason.QUOTA, "300 servers replicate")


class TestRefusals:
    def test_what_drs_refuses_is_recorded_with_its_message(self, world):
        world.drs.refused[original()] = "the default EBS key"
        outcome = sync(world)
        refused = refusal_of(world)
        assert refused.reason is RefusalReason.REFUSED
        assert "the default EBS key" in refused.message
        assert "the default EBS key" in subjects(outcome)[original()][1]
        assert outcome.result.counts["failed"] == 1

    def test_what_is_refused_costs_no_call_until_its_time(self, world):
        world.drs.refused[original()] = "the default EBS key"
        sync(world)
        mark = world.calls.snapshot()
        assert sync(world).result.counts["candidates"] == 0
        assert world.calls.calls_since(mark) == {}
        world.clock.advance(901)
        sync(world)
        assert refusal_of(world).attempts == 2

    def test_a_server_that_is_extended_at_last_is_refused_no_more(self, world):
        world.drs.refused[original()] = "the default EBS key"
        sync(world)
        world.drs.refused.clear()
        world.clock.advance(901)
        sync(world)
        assert refusal_of(world) is None

    def test_a_staging_account_that_does_not_trust_the_target_is_named(self, world):
        world.drs.untrusting.add(STAGING)
        outcome = sync(world)
        assert refusal_of(world).reason is RefusalReason.NOT_TRUSTED
        assert STAGING in subjects(outcome)[original()][1]
        assert EXTEND not in world.calls.calls_since(type(world.calls.made)())

    def test_one_that_trusts_nobody_does_not_hold_up_another(self, world):
        world.add_staging(OTHER, TARGET)
        world.drs.add(wire_server("s-9", OTHER))
        world.scan(Scope(OTHER, REGION))
        world.drs.untrusting.add(STAGING)
        sync(world)
        assert set(world.drs.extensions(SCOPE)) == {arn_of("s-9", OTHER)}

    def test_an_access_error_of_one_extension_is_recorded(self, world):
        world.fault(EXTEND, AccessDenied("no role trusts DRS", "AccessDeniedException"))
        sync(world)
        assert refusal_of(world).reason is RefusalReason.NOT_TRUSTED

    def test_an_original_that_is_gone_meanwhile_is_no_failure_of_the_run(self, world):
        world.drs.remove(original())
        outcome = sync(world)
        assert outcome.result.state is ScopeState.AVAILABLE
        assert world.drs.extensions(SCOPE) == {}

    def test_what_passes_by_itself_is_tried_in_the_next_run(self, world):
        world.fault(EXTEND, Throttled("slow down", "ThrottlingException"), times=1)
        outcome = sync(world)
        assert outcome.result.state is ScopeState.THROTTLED
        assert refusal_of(world) is None
        sync(world)
        assert original() in world.drs.extensions(SCOPE)

    @pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException"])
    def test_a_confirmation_that_is_throttled_is_told(self, world, code):
        world.fault(LIST, Throttled("slow down", code))
        outcome = sync(world)
        assert outcome.result.state is ScopeState.THROTTLED
        assert outcome.result.problems
        assert refusal_of(world) is None
        assert EXTEND not in world.calls.calls_since(type(world.calls.made)())

    def test_a_confirmation_that_fails_is_recorded_or_told(self, world):
        world.fault(LIST, ServiceError("it broke", "InternalServerException"))
        outcome = sync(world)
        assert "it broke" in str(subjects(outcome))
        assert world.drs.extensions(SCOPE) == {}


class TestAlreadyExtended:
    def test_what_drs_refuses_and_no_longer_lists_is_taken_as_done(self, world):
        """Somebody else extends it between the confirmation and our call."""
        extend = world.drs.extend

        def overtaken(target, region, arn):
            world.drs.extend = extend
            extend(target, region, arn)
            return extend(target, region, arn)

        world.drs.extend = overtaken
        outcome = sync(world)
        assert (outcome.result.counts["extended"], outcome.result.counts["failed"]) == (1, 0)
        assert refusal_of(world) is None
        assert WorkKind.INVENTORY in {work.kind for work in world.queue.works()}

    def test_a_lost_answer_is_not_extended_again(self, world):
        world.fault(EXTEND, ServiceError("lost", "ReadTimeoutError"), after_effect=True, times=1)
        sync(world)
        sync(world)
        world.settle()
        assert set(world.drs.extensions(SCOPE)) == {original()}

    def test_an_error_while_listing_again_does_not_lose_what_was_made(self):
        world = a_world(count=2)
        world.drs.refused[original(1)] = "the default EBS key"
        listing = world.drs.extensible
        world.drs.extensible = _once_then(listing, Throttled("slow down", "ThrottlingException"))
        sync(world)
        assert original(2) in world.drs.extensions(SCOPE)
        assert WorkKind.INVENTORY in {work.kind for work in world.queue.works()}


class TestExtensionErrors:
    @pytest.fixture
    def broken(self, world):
        world.drs.extension_errors[original()] = "the KMS key is not shared"
        sync(world)
        world.settle()
        return world

    def test_they_are_reported_with_the_service_s_message(self, broken):
        outcome = sync(broken)
        refused = refusal_of(broken)
        assert (refused.reason, refused.message) == (RefusalReason.EXTENSION_ERROR, "the KMS key is not shared")
        assert set(broken.drs.extensions(SCOPE)) == {original()}
        assert outcome.result.counts["extended_before"] == 1

    def test_they_back_off(self, broken):
        sync(broken)
        broken.clock.advance(60)
        sync(broken)
        assert refusal_of(broken).attempts == 1
        broken.clock.advance(901)
        sync(broken)
        assert refusal_of(broken).attempts == 2


class TestRemovedOnPurpose:
    @pytest.fixture
    def removed(self, world):
        sync(world)
        world.settle()
        extension = world.drs.extensions(SCOPE)[original()]
        world.drs.remove(arn_of(extension))
        world.scan_emptied(SCOPE)
        world.queue.messages.clear()
        return world

    def test_it_is_not_made_again(self, removed):
        removed.clock.advance(10**7)
        sync(removed)
        assert removed.drs.extensions(SCOPE) == {}

    def test_it_is_made_again_when_somebody_asks(self, removed):
        sync(removed, retry_refused=True)
        assert set(removed.drs.extensions(SCOPE)) == {original()}
        assert refusal_of(removed) is None

    def test_asking_once_is_not_asking_for_ever(self, removed):
        sync(removed, retry_refused=True)
        removed.settle()
        extension = removed.drs.extensions(SCOPE)[original()]
        removed.drs.remove(arn_of(extension))
        removed.scan_emptied(SCOPE)
        sync(removed)
        assert removed.drs.extensions(SCOPE) == {}

    def test_a_run_between_the_burial_and_the_new_list_of_servers_does_not_forget_it(self, world):
        """The list still shows the extension: it is older than the refusal, and says nothing against it."""
        sync(world)
        world.settle()
        world.drs.remove(arn_of(world.drs.extensions(SCOPE)[original()]))
        world.scan(SCOPE)
        world.writer.interruptions = [None, Crash()]
        with pytest.raises(Crash):
            world.run_work(WorkKind.INVENTORY, SCOPE)
        sync(world)
        world.clock.advance(1000)
        world.scan(SCOPE)
        sync(world)
        assert refusal_of(world).reason is RefusalReason.REMOVED
        assert world.drs.extensions(SCOPE) == {}


class TestCare:
    def test_nothing_is_extended_on_a_guess(self, world):
        world.telemetries.broken = True
        with pytest.raises(TableUnavailable):
            sync(world)
        assert world.calls.scopes(LIST) == set()

    def test_nothing_is_begun_when_the_lease_is_about_to_run_out(self):
        world = a_world(count=2)
        listing = world.drs.extensible

        def slow(*arguments):
            world.clock.advance(300)
            return listing(*arguments)

        world.drs.extensible = slow
        outcome = sync(world)
        assert world.drs.extensions(SCOPE) == {}
        assert {code for code, _ in subjects(outcome).values()} == {"OUT_OF_TIME"}
        assert refusal_of(world) is None

    def test_a_target_that_is_not_registered_is_not_touched(self, world):
        world.accounts.accounts.clear()
        outcome = sync(world)
        assert (outcome.result.message, outcome.next_due) == ("the account is not active", None)
        assert world.calls.scopes(LIST) == set()


def _once_then(call, error):
    calls = []

    def run(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            raise error
        return call(*arguments)

    return run


class TestMembershipsThatDoNotHold:
    def test_a_staging_account_of_another_tenant_is_neither_read_nor_extended_and_is_reported(self, world):
        world.accounts.replace(world.accounts.read(STAGING).model_copy(update={"tenant": "globex"}))
        before = world.calls.snapshot()
        outcome = sync(world)
        assert world.calls.calls_since(before) == {}
        assert subjects(outcome)[f"staging account {STAGING}"][0] == "MEMBERSHIP_IGNORED"
        assert outcome.result.counts["problems"] == 1

    def test_it_costs_the_target_s_other_staging_accounts_nothing(self, world):
        world.add_staging(OTHER, TARGET)
        world.drs.add(wire_server("s-9", OTHER))
        world.scan(Scope(OTHER, REGION))
        world.accounts.replace(world.accounts.read(STAGING).model_copy(update={"tenant": "globex"}))
        outcome = sync(world)
        assert set(world.drs.extensions(SCOPE)) == {arn_of("s-9", OTHER)}
        assert f"staging account {STAGING}" in subjects(outcome)

    def test_a_server_that_names_another_account_s_arn_is_not_extended(self, world):
        world.drs.add(wire_server("s-2", STAGING, arn=arn_of("s-7", OTHER)))
        world.scan(STAGED)
        sync(world)
        assert set(world.drs.extensions(SCOPE)) == {original()}

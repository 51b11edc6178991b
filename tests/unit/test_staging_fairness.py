"""Staging accounts do not keep each other waiting, and what changes meanwhile is neither forgotten nor waited out."""

import pytest

from chalicelib.domain.extension import RefusalReason
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.errors import Refused, ServiceError

from ..factories import OTHER, REGION, SCOPE, STAGING, TARGET, arn_of, membership, wire_server
from ..fakes import World

LIST, EXTEND = "drs:ListExtensibleSourceServers", "drs:CreateExtendedSourceServer"
BROKEN = ServiceError("internal error", "InternalServerException")


def sync(world, **values):
    return world.run_work(WorkKind.STAGING, SCOPE, **values)


def a_world(first, second=0, rules=None, **values):
    """A target with so many servers in one staging account, and so many in another."""
    world = World(**values)
    world.add_account()
    world.add_staging(**(rules or {}))
    world.add_staging(OTHER)
    world.drs.add(*(wire_server(f"s-{number:03}", STAGING) for number in range(first)))
    world.drs.add(*(wire_server(f"s-b{number}", OTHER) for number in range(second)))
    world.scan(Scope(STAGING, REGION))
    world.scan(Scope(OTHER, REGION))
    return world


def extended_of(world, account_id):
    return [arn for arn in world.drs.extensions(SCOPE) if account_id in arn]


class TestShares:
    def test_a_staging_account_that_cannot_be_listed_takes_no_share(self):
        world = a_world(12, 5, extensions_per_run=10)
        world.fault(LIST, BROKEN, SCOPE, subject=STAGING)
        outcome = sync(world)
        assert len(extended_of(world, OTHER)) == 5
        assert "internal error" in str(outcome.result.problems)

    def test_the_cap_is_dealt_out_in_turns(self):
        world = a_world(12, 5, extensions_per_run=6)
        sync(world)
        assert [len(extended_of(world, account)) for account in (STAGING, OTHER)] == [3, 3]

    def test_room_in_the_target_is_for_what_drs_confirms(self):
        world = a_world(12, 3, servers_per_scope=3)
        world.scan(SCOPE)
        world.fault(LIST, BROKEN, SCOPE, subject=STAGING)
        sync(world)
        assert len(extended_of(world, OTHER)) == 3
        assert world.refusals.of_target(SCOPE) == {}

    def test_servers_that_always_fail_do_not_fill_the_cap_for_ever(self):
        world = a_world(6, extensions_per_run=2)
        for number in range(3):
            world.fault(EXTEND, BROKEN, SCOPE, subject=arn_of(f"s-{number:03}", STAGING))
        for _ in range(8):
            sync(world)
            world.clock.advance(300)
        assert len(extended_of(world, STAGING)) == 3


class TestChangesMeanwhile:
    @pytest.fixture
    def excluded(self):
        """A server that is excluded for a day by the rules of its membership."""
        world = a_world(1, rules={"include_tags": {"dr": "yes"}})
        for _ in range(12):
            sync(world)
            world.clock.advance(90_000)
        sync(world)
        (refused,) = world.refusals.of_target(SCOPE).values()
        assert (refused.next_try_at - refused.since).days > 1
        return world

    def test_new_rules_of_a_membership_apply_at_once(self, excluded):
        excluded.accounts.members[TARGET, STAGING] = membership()
        sync(excluded)
        assert extended_of(excluded, STAGING)
        assert excluded.refusals.of_target(SCOPE) == {}

    def test_so_do_new_tags_of_the_server(self, excluded):
        excluded.drs.get(arn_of("s-000", STAGING))["tags"] = {"dr": "yes"}
        excluded.scan(Scope(STAGING, REGION))
        sync(excluded)
        assert extended_of(excluded, STAGING)

    def test_what_is_as_it_was_is_not_judged_again(self, excluded):
        assert sync(excluded).result.counts["candidates"] == 0

    def test_a_removal_on_purpose_during_a_run_is_remembered(self):
        world = a_world(1)
        world.drs.add(wire_server("s-own"))
        original = arn_of("s-000", STAGING)
        world.drs.refused[original] = "default EBS key"
        sync(world)
        world.drs.refused.clear()
        world.drs.extend(world.accounts.read(TARGET), REGION, original)
        world.clock.advance(60)
        world.scan()
        extension = world.drs.extensions(SCOPE)[original]
        forget = world.refusals.forget

        def meanwhile(refusal):
            world.refusals.forget = forget
            world.drs.remove(arn_of(extension))
            world.clock.advance(60)
            world.scan()
            return forget(refusal)

        world.refusals.forget = meanwhile
        sync(world)
        assert world.refusals.of_target(SCOPE)[original].reason is RefusalReason.REMOVED
        world.clock.advance(90_000)
        sync(world)
        assert world.drs.extensions(SCOPE) == {}

    def test_what_drs_refuses_does_not_stand_in_for_a_removal_on_purpose_meanwhile(self):
        """Somebody extends the server and takes it back while the run asks; the run was refused, and says so last."""
        world = a_world(1)
        world.drs.add(wire_server("s-own"))
        original, extend = arn_of("s-000", STAGING), world.drs.extend

        def meanwhile(target, region, arn):
            world.drs.extend = extend
            world.scan()
            by_hand = extend(target, region, arn)
            world.scan()
            world.drs.remove(arn_of(by_hand))
            world.scan()
            raise Refused("it is being extended", "ValidationException")

        world.drs.extend = meanwhile
        told = sync(world).result
        assert world.refusals.of_target(SCOPE)[original].reason is RefusalReason.REMOVED
        assert (original, "NOT_STORED") in {(problem.subject, problem.code) for problem in told.problems}
        world.clock.advance(90_000)
        sync(world)
        assert world.drs.extensions(SCOPE) == {}

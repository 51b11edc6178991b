"""A server is filed for the account that its ARN names, and a row that another account has is nobody else's."""

import pytest

from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind

from ..factories import (
    OTHER,
    REGION,
    SCOPE,
    SECOND,
    SOURCE,
    TARGET,
    arn_of,
    extended_area,
    instance,
    membership,
    wire_server,
)
from ..fakes import World

THEIRS = Scope(OTHER, REGION)
SECRET = "host-of-the-first-tenant"


@pytest.fixture
def world():
    """Two tenants, each with an account that holds one server of its own."""
    world = World()
    world.add_account(TARGET, tenant="acme")
    world.add_account(OTHER, tenant="globex")
    world.drs.add(wire_server("s-1", hostname=SECRET, instance="i-1", origin=(TARGET, REGION)))
    world.drs.add(wire_server("s-own", OTHER))
    world.ec2.add(TARGET, REGION, instance("i-1", tags={"Name": SECRET}))
    return world


def claim(world, **values):
    """Have the second tenant's DRS list the first one's server."""
    world.drs.servers[THEIRS]["s-1"] = wire_server("s-1", OTHER, **{"arn": arn_of("s-1"), **values})


def told(outcome):
    return [(problem.subject, problem.code) for problem in outcome.result.problems]


def test_whoever_claims_a_server_first_does_not_get_it(world):
    claim(world)
    outcome = world.scan(THEIRS)
    assert told(outcome) == [("s-1", "UNREADABLE")]
    assert "another account" in outcome.result.problems[0].message
    assert world.inventory.living(THEIRS) == {"s-own"}
    assert world.scans.read(THEIRS).server_count == 1
    assert told(world.scan(SCOPE)) == []
    assert world.inventory.row("s-1").account_id == TARGET


@pytest.mark.parametrize("arn", [arn_of("s-7", OTHER), arn_of("s-1", OTHER, SECOND), arn_of("s-1", SOURCE)])
def test_an_arn_names_the_account_the_region_and_the_server_that_are_listed(world, arn):
    claim(world, arn=arn)
    assert told(world.scan(THEIRS)) == [("s-1", "UNREADABLE")]
    assert world.inventory.living(THEIRS) == {"s-own"}


def test_a_server_that_is_known_stays_as_it_was_known(world):
    world.scan(SCOPE)
    before = world.inventory.row("s-1")
    world.drs.servers[SCOPE]["s-1"]["arn"] = arn_of("s-1", OTHER)
    assert told(world.scan(SCOPE)) == [("s-1", "UNREADABLE")]
    assert world.inventory.row("s-1") == before


def test_an_extension_has_an_arn_of_its_target(world):
    world.drs.add(wire_server("s-2", staging=extended_area(arn_of("s-9", SOURCE), SOURCE)))
    assert told(world.scan(SCOPE)) == []
    assert world.inventory.living(SCOPE) == {"s-1", "s-2"}


def test_a_record_in_the_other_direction_has_an_arn_of_the_account_that_lists_it(world):
    way_back = {"direction": "FAILBACK", "reversedDirectionSourceServerArn": arn_of("s-1", TARGET, SECOND)}
    world.drs.add(wire_server("s-3", **way_back))
    assert told(world.scan(SCOPE)) == []
    assert world.inventory.row("s-3").replication_direction == "FAILBACK"


class TestAClaimThatFits:
    """The same ID under an ARN of the account that lists it: two accounts cannot both have it."""

    @pytest.fixture
    def claimed(self, world):
        world.scan(SCOPE)
        claim(world, arn=arn_of("s-1", OTHER), instance="i-1", origin=(OTHER, REGION))
        return world

    def test_the_row_stays_and_the_conflict_is_reported(self, claimed):
        before = claimed.inventory.row("s-1")
        outcome = claimed.scan(THEIRS)
        assert told(outcome) == [("s-1", "NOT_STORED")]
        assert "another account" in outcome.result.problems[0].message
        assert claimed.inventory.row("s-1") == before
        assert claimed.inventory.living(THEIRS) == {"s-own"}

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_its_tags_are_neither_planned_nor_told(self, claimed, dry_run):
        claimed.scan(THEIRS)
        mark = claimed.calls.snapshot()
        outcome = claimed.run_work(WorkKind.TAGS, THEIRS, dry_run=dry_run)
        assert SECRET not in outcome.result.model_dump_json()
        assert claimed.calls.calls_since(mark) == {}

    def test_it_is_extended_by_the_rules_of_no_other_row(self, claimed):
        target = "555555555555"
        claimed.add_account(target, tenant="globex")
        claimed.registry.add_staging_account(membership(target, OTHER, include_tags={"Name": SECRET}))
        claimed.scan(THEIRS)
        claimed.run_work(WorkKind.STAGING, Scope(target, REGION))
        assert claimed.drs.extensions(Scope(target, REGION)) == {}

"""A row that cannot be written costs itself only: its scope goes on, says so, and tries it again."""

import json
import zlib
from hashlib import sha512

import pytest

from chalicelib.adapters.item_sizes import item_bytes
from chalicelib.adapters.telemetry_table import to_item
from chalicelib.domain.regions import ScopeState
from chalicelib.domain.servers import Telemetry
from chalicelib.domain.work import WorkKind
from chalicelib.errors import ServiceError

from ..factories import REGION, SCOPE, STAGING, TARGET, arn_of, instance, scope_telemetry, wire_server
from ..fakes import Crash

TOO_MUCH = {f"{number:02}": "x" * 9000 for number in range(50)}  # no AWS service lets it pass; whatever fills a row


@pytest.fixture
def fleet(world):
    world.add_account()
    for name in ("s-1", "s-2", "s-3"):
        world.drs.add(wire_server(name, instance=f"i-{name}", origin=(TARGET, REGION)))
        world.ec2.add(TARGET, REGION, instance(f"i-{name}", tags={"Name": name}))
    return world


def test_a_scan_writes_the_others_reports_the_row_and_tries_it_again(fleet):
    fleet.drs.get(arn_of("s-2"))["tags"] = TOO_MUCH
    told = fleet.scan().result
    assert [(problem.subject, problem.code) for problem in told.problems] == [("s-2", "NOT_STORED")]
    assert fleet.inventory.living(SCOPE) == {"s-1", "s-3"}
    assert fleet.scans.read(SCOPE).server_count == 3
    fleet.drs.get(arn_of("s-2"))["tags"] = {}
    assert fleet.scan().result.problems == []
    assert fleet.inventory.living(SCOPE) == {"s-1", "s-2", "s-3"}


def test_a_row_that_cannot_be_buried_is_buried_by_a_later_scan(fleet):
    fleet.scan()
    row = fleet.inventory.items["s-2", REGION]
    fleet.inventory.items["s-2", REGION] = {**row, "filler": "x" * 409_000}
    fleet.drs.remove(arn_of("s-2"))
    fleet.clock.advance(900)
    assert [problem.code for problem in fleet.scan().result.problems] == ["NOT_STORED"]
    fleet.inventory.items["s-2", REGION] = row
    fleet.clock.advance(900)
    assert fleet.scan().result.problems == []
    assert not fleet.inventory.row("s-2").living


def test_tags_whose_row_cannot_be_written_are_not_taken_as_in_place(fleet):
    fleet.scan()
    fleet.inventory.items["s-2", REGION]["filler"] = "x" * 409_500
    told = fleet.run_work(WorkKind.TAGS).result
    assert (told.counts["tagged"], told.tags_version) == (2, None)
    assert [(problem.subject, problem.code) for problem in told.problems] == [("s-2", "NOT_STORED")]


def problems(result):
    return {(problem.subject, problem.code) for problem in result.problems}


def test_a_note_of_a_worker_that_died_whose_row_cannot_be_written_is_reported(fleet):
    """The server is skipped by then, so that nothing else would speak of the tags that it carries."""
    fleet.scan()
    fleet.writer.interruptions = [Crash()]
    with pytest.raises(Crash):
        fleet.run_work(WorkKind.TAGS)
    fleet.clock.advance(1000)
    fleet.drs.get(arn_of("s-2"))["dataReplicationInfo"]["dataReplicationState"] = "DISCONNECTED"
    fleet.scan()
    fleet.inventory.items["s-2", REGION]["filler"] = "x" * 409_500
    told = fleet.run_work(WorkKind.TAGS).result
    assert problems(told) == {("s-2", "DISCONNECTED"), ("s-2", "NOT_STORED")}
    assert "Name" in next(problem.message for problem in told.problems if problem.code == "NOT_STORED")
    assert told.tags_version is None


def test_a_change_without_an_answer_whose_row_cannot_be_written_is_reported_as_both(fleet):
    fleet.scan()
    lost = ServiceError("the answer was lost", "ReadTimeoutError")
    fleet.fault("drs:TagResource", lost, subject=arn_of("s-2"), after_effect=True)
    fleet.inventory.items["s-2", REGION]["filler"] = "x" * 409_500
    told = fleet.run_work(WorkKind.TAGS).result
    assert problems(told) == {("s-2", "ReadTimeoutError"), ("s-2", "NOT_STORED")}
    assert (told.counts["tagged"], told.counts["failed"]) == (2, 1)


def test_a_row_that_is_left_alone_with_its_tags_is_no_failure_of_the_scope(fleet):
    """Only its server is tried again: DRS answers, so that the others need not wait for it ever longer."""
    fleet.scan()
    fleet.inventory.items["s-2", REGION]["filler"] = "x" * 409_500
    fleet.run_work(WorkKind.TAGS)
    for _ in range(4):
        outcome = fleet.run_work(WorkKind.TAGS)
    assert (outcome.result.state, outcome.result.counts["tagged"]) == (ScopeState.AVAILABLE, 0)
    assert (outcome.result.failures, problems(outcome.result)) == (0, {("s-2", "NOT_STORED")})


def test_a_replication_configuration_whose_row_cannot_be_written_is_reported(fleet):
    ask = fleet.drs.replication_configuration

    def grown(account, region, server):
        if server == "s-2":
            fleet.inventory.items["s-2", REGION]["filler"] = "x" * 409_500
        return ask(account, region, server)

    fleet.drs.replication_configuration = grown
    told = fleet.scan().result
    assert problems(told) == {("s-2", "NOT_STORED")}
    assert not fleet.telemetries.read(SCOPE).servers["s-2"].topology_complete


@pytest.mark.parametrize(("servers", "fits"), [(3000, True), (4000, True), (10_000, False)])
def test_how_many_servers_a_scope_s_telemetry_holds(servers, fits):
    """DRS lets an account hold 4,000 servers in a region; above 400 KB the scan fails by name, and nothing is lost."""

    def noise(number, length):
        return sha512(str(number).encode()).hexdigest()[:length]

    entries = {
        f"s-{noise(number, 17)}": Telemetry(
            noise(-number, 16),
            noise(number + 0.5, 16),
            number % 977,
            number * 4096,
            "2026-03-01T12:00:00.000Z",
            f"2026-03-01T12:00:{number % 60:02}.000Z",
            arn_of(f"s-{noise(number, 17)}", STAGING),
        )
        for number in range(1, servers + 1)
    }
    item = to_item(scope_telemetry(SCOPE, 1, **entries))
    assert len(json.loads(zlib.decompress(item["servers"]))) == servers
    assert (item_bytes({"servers": {"B": item["servers"]}}) < 400_000) is fits

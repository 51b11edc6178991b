"""Progress of runs, and their summary."""

import pytest

from chalicelib.api import syncs
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.errors import NotFound, NotOptedIn, ServiceError, TableUnavailable, Uninitialized

from ..factories import REGION, SCOPE, SECOND, TARGET, THIRD, run, wire_server
from ..fakes import World

DESCRIBE = "drs:DescribeSourceServers"
UNINITIALIZED = Uninitialized("not set up", "UninitializedAccountException")
ELSEWHERE = Scope(TARGET, SECOND)


@pytest.fixture
def world():
    world = World()
    world.add_account(TARGET)
    world.drs.add(wire_server("s-1"), wire_server("s-2"), wire_server("s-3", region=SECOND))
    world.cycle()
    return world


def summary(progress):
    """The summary (R8), as it goes out."""
    answer = syncs._answer(progress.run).model_copy(update=syncs._summary(progress))
    return answer.model_dump(mode="json", by_alias=True)


def progress_of(world, of):
    return world.run_reader.progress(of.run_id)


def test_a_run_is_running_until_every_scope_is_done(world):
    of = world.sync()
    assert (progress_of(world, of).status, progress_of(world, of).waiting) == ("RUNNING", 2)
    world.deliver()
    assert (progress_of(world, of).done, progress_of(world, of).waiting) == (1, 1)
    world.settle()
    assert progress_of(world, of).status == "DONE"


def test_calls_and_counts_are_summed_up(world):
    of = world.sync()
    world.settle()
    progress = progress_of(world, of)
    assert progress.calls == {DESCRIBE: 2}
    assert progress.counts["servers"] == 3
    assert progress.calls_saved == 3


def test_a_scope_that_answered_with_an_error_has_failed(world):
    world.fault(DESCRIBE, ServiceError("it broke", "InternalServerException"), SCOPE)
    of = world.sync()
    world.settle()
    progress = progress_of(world, of)
    assert (progress.status, progress.failed) == ("DONE", 1)
    assert summary(progress)["errors"] == [{"accountId": TARGET, "region": REGION, "error": "it broke"}]


def test_a_worker_s_own_failure_is_told_while_the_scope_waits(world):
    world.telemetries.broken = True
    of = world.sync(scopes=[SCOPE])
    world.settle()
    progress = progress_of(world, of)
    assert (progress.status, progress.failed, progress.waiting) == ("RUNNING", 1, 1)
    assert TableUnavailable.__name__ in progress.scopes[0].error
    world.telemetries.broken = False
    world.redeliver()
    world.settle()
    assert (progress_of(world, of).status, progress_of(world, of).failed) == ("DONE", 0)


def test_an_account_that_does_not_use_drs_there_has_not_failed(world):
    world.fault(DESCRIBE, Uninitialized("not set up", "UninitializedAccountException"))
    of = world.sync(scopes=[Scope(TARGET, "us-west-2")])
    world.settle()
    assert (progress_of(world, of).failed, progress_of(world, of).done) == (0, 1)


def test_an_unknown_run_is_not_found(world):
    with pytest.raises(NotFound, match="run-7"):
        world.run_reader.progress("run-7")


def test_waiting_ends_when_the_run_does(world):
    of = world.sync()
    world.run_reader._sleep = lambda _: world.settle()
    assert world.run_reader.wait(of, 20).status == "DONE"


def test_waiting_is_bounded_however_long_is_asked_for(world):
    of = world.sync()
    before = world.clock()
    assert world.run_reader.wait(of, 3600).status == "RUNNING"
    assert 25 <= world.clock() - before < 27


def test_there_is_nothing_to_wait_for_where_nothing_was_planned(world):
    assert world.run_reader.wait(run(planned_scopes=0), 20) is None


def test_the_summary_speaks_the_seed_s_words(world):
    of = world.sync()
    world.settle()
    told = summary(progress_of(world, of))
    assert (told["totalServers"], told["regionCounts"]) == (3, {REGION: 2, SECOND: 1})
    assert (told["regionsScanned"], told["scopesScanned"], told["scopesSkipped"]) == (2, 2, 3)
    assert (told["apiCalls"], told["errors"], told["status"]) == (2, [], "DONE")


def test_the_summary_of_tags_counts_no_servers_by_region(world):
    of = world.sync(WorkKind.TAGS)
    world.settle()
    assert summary(progress_of(world, of))["totalServers"] is None


def test_the_latest_runs_come_first_of_one_kind_or_of_all(world):
    made = []
    for kind in (WorkKind.INVENTORY, WorkKind.TAGS, WorkKind.INVENTORY):
        world.clock.advance(1)
        made.append(world.sync(kind, scopes=[SCOPE]).run_id)
    latest = world.run_reader.latest
    assert [of.run_id for of in latest(None, 2)] == [made[2], made[1]]
    assert [of.run_id for of in latest(WorkKind.INVENTORY, 2)] == [made[2], made[0]]
    assert [of.run_id for of in latest(None, 1, latest(None, 1)[0].item()["createdAt"])] == [made[1]]


@pytest.mark.parametrize("error", [NotOptedIn("the token is invalid", "UnrecognizedClientException"), UNINITIALIZED])
def test_a_scope_with_servers_that_does_not_answer_has_failed_whatever_it_says(world, error):
    world.fault(DESCRIBE, error, SCOPE)
    of = world.sync(scopes=[SCOPE])
    world.settle()
    assert (progress_of(world, of).done, progress_of(world, of).failed) == (1, 1)


@pytest.mark.parametrize("error", [NotOptedIn("the token is invalid", "UnrecognizedClientException"), UNINITIALIZED])
def test_one_without_servers_has_not(world, error):
    idle = Scope(TARGET, THIRD)
    world.fault(DESCRIBE, error, idle)
    of = world.sync(scopes=[idle])
    world.settle()
    assert (progress_of(world, of).done, progress_of(world, of).failed) == (1, 0)

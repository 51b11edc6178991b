"""A sync that is asked for twice with one key is one run, whatever became of the first attempt."""

import pytest

from chalicelib.domain.work import WorkKind
from chalicelib.errors import InvalidRequest
from chalicelib.services.work.planner import SyncRequest
from chalicelib.services.work.repeated_requests import KEY_SECONDS, RepeatedRequests

from ..factories import SCOPE
from ..fakes import Crash

ASKED = SyncRequest(WorkKind.INVENTORY, [SCOPE], requested_by="arn:somebody")


@pytest.fixture
def syncs(world):
    world.add_account()
    return RepeatedRequests(world.planner, world.runs, world.clock)


def test_the_same_key_gives_the_same_run_and_asks_once(world, syncs):
    first = syncs.sync(ASKED, "k-1")
    world.clock.advance(60)
    again = syncs.sync(ASKED, "k-1")
    assert again == first
    assert len(world.queue.messages) == 1
    assert len(world.runs.runs) == 1


def test_without_a_key_each_request_is_a_new_run(world, syncs):
    assert syncs.sync(ASKED, None).run_id != syncs.sync(ASKED, None).run_id


def test_keys_are_each_callers_own(world, syncs):
    other = ASKED._replace(requested_by="arn:somebody-else")
    assert syncs.sync(ASKED, "k-1").run_id != syncs.sync(other, "k-1").run_id


@pytest.mark.parametrize("change", [{"scopes": None}, {"kind": WorkKind.TAGS}, {"retry_refused": True}])
def test_a_key_of_another_request_is_refused(world, syncs, change):
    syncs.sync(ASKED, "k-1")
    with pytest.raises(InvalidRequest, match="idempotencyKey"):
        syncs.sync(ASKED._replace(**change), "k-1")


def test_after_a_day_a_key_begins_a_run_of_its_own(world, syncs):
    first = syncs.sync(ASKED, "k-1")
    world.clock.advance(KEY_SECONDS - 1)
    assert syncs.sync(ASKED, "k-1") == first
    world.clock.advance(1)
    assert syncs.sync(ASKED._replace(kind=WorkKind.TAGS), "k-1").run_id != first.run_id


def test_what_died_half_way_goes_on_under_the_same_run(world, syncs, monkeypatch):
    """The key is written first: the caller's second attempt finishes what the first one began."""
    store = world.runs.store

    def dies(*_):
        raise Crash("before the run is stored")

    world.runs.store = dies
    with pytest.raises(Crash):
        syncs.sync(ASKED, "k-1")
    world.runs.store = store
    [(begun, _)] = world.runs.keys.values()
    assert syncs.sync(ASKED, "k-1").run_id == begun.run_id
    assert list(world.runs.runs) == [begun.run_id]

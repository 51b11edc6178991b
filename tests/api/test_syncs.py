"""The list of syncs: the newest first, page by page."""

import pytest

KIND = "tags"


@pytest.fixture(scope="module")
def runs(api, fleet):
    """Five syncs, in the order of time."""
    account_id, region = fleet.active_scopes[0]
    body = {"kind": KIND, "dryRun": True, "scopes": [{"accountId": account_id, "region": region}]}
    return [api.expect(202, "POST", "syncs", body)["runId"] for _ in range(5)]


def listed(api, limit, **parameters):
    found, token = [], {}
    while True:
        page = api.get("syncs", limit=limit, **parameters, **token)
        assert len(page["runs"]) <= limit
        found += [run["runId"] for run in page["runs"]]
        if page["nextToken"] is None:
            return found
        token = {"nextToken": page["nextToken"]}


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_of_any_size_give_each_run_once_the_newest_first(api, runs, limit):
    assert listed(api, limit, kind=KIND)[: len(runs)] == runs[::-1]


@pytest.mark.parametrize("limit", [3, 100])
def test_runs_of_every_kind_are_listed_by_time(api, runs, limit):
    every = listed(api, limit)
    times = [api.get(f"syncs/{run_id}")["run"]["createdAt"] for run_id in every]

    assert times == sorted(times, reverse=True)
    assert len(every) == len(set(every))
    assert set(every) == {run_id for kind in ("inventory", "tags", "staging") for run_id in listed(api, 100, kind=kind)}


def test_a_run_in_the_list_is_the_run_that_was_answered(api, runs):
    [told] = api.get("syncs", kind=KIND, limit=1)["runs"]
    run = api.get(f"syncs/{runs[-1]}")["run"]
    assert {name: told[name] for name in run if name in told} == {name: run[name] for name in run if name in told}


@pytest.mark.parametrize(
    "token", ["0", "garbage", "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000+02:00", ""]
)
def test_a_token_that_is_none_of_ours_is_refused(api, token):
    answer = api.expect(400, "GET", "syncs", nextToken=token)
    assert answer["message"].startswith("nextToken:")


@pytest.mark.parametrize(("name", "value"), [("limit", 0), ("limit", 101), ("kind", "everything"), ("page", 2)])
def test_a_parameter_that_does_not_fit_is_refused_by_name(api, name, value):
    assert api.expect(400, "GET", "syncs", **{name: value})["message"].startswith(f"{name}:")

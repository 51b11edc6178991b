"""Marks, slopes and minima: what decides whether a benchmark passes."""

import pytest

from benchmarks import minimum
from benchmarks.figures import Figure, at_least, at_most, exactly, within
from benchmarks.fleets import ACTIVE, INITIALISED, F, Fleet
from benchmarks.measurements.growth import slope

REGIONS = [f"region-{number}" for number in range(34)]


@pytest.mark.parametrize(
    ("bound", "reached", "missed", "text"),
    [
        (at_most(1.1), 1.1, 1.11, "<= 1.100"),
        (at_least(0.94), 0.94, 0.93, ">= 0.940"),
        (within(-0.05, 0.05), 0.0, 0.06, "-0.050 to 0.050"),
        (exactly(0), 0, 1, "0"),
    ],
)
def test_a_mark_is_reached_or_missed(bound, reached, missed, text):
    assert Figure(reached, "", "", bound).ok
    assert not Figure(missed, "", "", bound).ok
    assert Figure(reached, "", "", bound).record()["bound"] == text


def test_a_figure_without_a_mark_is_told_only():
    assert Figure(7, "s", "").ok


@pytest.mark.parametrize("power", [0, 1, 2])
def test_the_slope_is_the_exponent(power):
    assert slope([3, 30, 300], [5 * size**power for size in (3, 30, 300)]) == pytest.approx(power)


def test_the_minimum_of_four_targets_is_known():
    """28 calls per steady cycle with 4 AssumeRole, 1,228 for the first tag sync, 2,428 for the extension of 2,400."""
    targets = Fleet(F._replace(accounts=4), REGIONS)
    assert minimum.inventory_steady(targets) + 4 == 28
    assert minimum.tags_first(targets) + minimum.inventory_steady(targets) + 4 == 1228
    assert minimum.staging_first(Fleet(F, REGIONS)) + 4 == 2428


def test_a_fleet_is_the_same_every_time_and_as_described():
    one, other = Fleet(F, REGIONS), Fleet(F, REGIONS)
    assert one.accounts == other.accounts
    for account in one.accounts:
        assert len(set(account.initialised)) == INITIALISED
        assert len(set(account.active)) == ACTIVE
        assert set(account.active) <= set(account.initialised)
    servers = [server for scope in one.active for server in one.servers(scope)]
    assert len({server["sourceServerID"] for server in servers}) == 3600
    assert all(server["originRegion"] != server["region"] for server in servers)
    assert all(len(tags) == 6 for scope in one.active for _, tags in one.instances(scope))

"""Which regions are active, and the module for callers inside the product."""

import pytest

from chalicelib import active_region_filter
from chalicelib.adapters.aws_regions import drs_regions
from chalicelib.container import container
from chalicelib.domain.scopes import Scope
from chalicelib.errors import InvalidRequest, TableUnavailable
from chalicelib.services.active_region_filter import ActiveRegionFilter

from ..factories import OTHER, REGION, REGIONS, SECOND, TARGET, lease, region_status, scan_record, work
from ..fakes import FakeClock, FakeRegionStatuses
from .observing import observing


@pytest.fixture
def statuses():
    statuses = FakeRegionStatuses()
    for region in REGIONS:
        statuses.replace(None, region_status(region, int(region in (REGION, SECOND))))
    return statuses


def made(statuses, **values):
    return ActiveRegionFilter(statuses, lambda partition="aws": REGIONS, FakeClock(), **values)


def test_regions_with_servers_are_active(statuses):
    decision = made(statuses).decide()
    assert (decision.regions, decision.skipped, decision.filtered) == ([REGION, SECOND], 3, True)
    assert decision.total_scopes == 5


def test_a_decision_is_read_from_the_table_every_time(statuses):
    region_filter = made(statuses)
    region_filter.decide()
    region_filter.decide()
    assert statuses.reads == 2


def test_hits_and_misses_are_counted(statuses):
    with observing() as seen:
        region_filter = made(statuses)
        for _ in range(3):
            region_filter.active_regions()
        assert (seen.metric("RegionCacheMisses"), seen.metric("RegionCacheHits")) == (1, 2)


def test_with_the_kill_switch_every_region_is_used_and_no_table_read(statuses):
    region_filter = made(statuses, enabled=False)
    assert region_filter.active_regions() == REGIONS
    assert not region_filter.decide().filtered
    assert statuses.reads == 0


def test_never_synced_is_not_kept_in_the_cache():
    statuses = FakeRegionStatuses()
    region_filter = made(statuses)
    assert region_filter.active_regions() == REGIONS
    statuses.replace(None, region_status(REGION, 1))
    assert region_filter.active_regions() == [REGION]


def test_a_table_that_cannot_be_read_shows_as_fallback_here_and_as_error_in_the_status(statuses):
    statuses.broken = True
    region_filter = made(statuses)
    assert region_filter.active_regions() == REGIONS
    with pytest.raises(TableUnavailable):
        region_filter.statuses()


def test_where_nothing_is_known_a_region_is_touched_whatever_its_partition(statuses):
    statuses.broken = True
    assert made(statuses).is_active("us-gov-west-1", version=1)


def test_the_cache_says_when_it_was_read(statuses):
    region_filter = made(statuses)
    region_filter.statuses()
    assert region_filter.as_of == FakeClock().now


@pytest.mark.usefixtures("deployed")
class TestSeedModule:
    def test_an_empty_table_falls_back_to_all_regions(self):
        with observing() as seen:
            assert active_region_filter.get_active_regions() == drs_regions()
            assert seen.metric("FallbackCount") == 1

    def test_a_status_that_is_written_is_seen_at_once(self):
        active_region_filter.update_region_status(REGION, 3)
        assert active_region_filter.get_active_regions() == [REGION]
        active_region_filter.update_region_status(SECOND, 1)
        assert active_region_filter.get_active_regions() == [REGION, SECOND]
        active_region_filter.update_region_status(SECOND, 0, "it broke")
        assert active_region_filter.get_active_regions() == [REGION, SECOND]
        active_region_filter.update_region_status(SECOND, 0)
        assert active_region_filter.get_active_regions() == [REGION]

    def test_a_table_can_be_given(self, statuses):
        assert active_region_filter.get_active_regions(statuses) == [REGION, SECOND]

    def test_the_cache_can_be_dropped(self):
        active_region_filter.update_region_status(REGION, 3)
        active_region_filter.get_active_regions()
        container().ports.statuses.replace(None, region_status(SECOND, 1))
        assert active_region_filter.get_active_regions() == [REGION]
        active_region_filter.invalidate_region_cache()
        assert active_region_filter.get_active_regions() == [REGION, SECOND]

    def test_active_regions_are_told_by_account(self):
        container().ports.work_states.request(work(), 0)
        container().ports.work_states.take(work(), 1, 2)
        records = [scan_record(), scan_record(SECOND), scan_record(account_id=OTHER, server_count=0)]
        container().ports.writer.write(lease(), records)
        told = active_region_filter.get_active_regions_multi_account([TARGET, OTHER, TARGET])
        assert told == {TARGET: [REGION, SECOND], OTHER: []}

    def test_a_table_that_is_gone_is_a_fallback(self, monkeypatch):
        monkeypatch.setattr(container().ports.statuses, "_table", "no-such-table")
        assert active_region_filter.get_active_regions() == drs_regions()


def test_drs_regions_are_botocore_s_by_partition():
    assert {"eu-west-1", "us-east-1"} < set(drs_regions())
    assert len(drs_regions()) >= 34
    assert all(region.startswith("us-gov-") for region in drs_regions("aws-us-gov"))
    with pytest.raises(InvalidRequest, match="aws-moon"):
        drs_regions("aws-moon")


def test_scopes_sort_by_account():
    assert sorted([Scope(OTHER, REGION), Scope(TARGET, SECOND)])[0].account_id == TARGET

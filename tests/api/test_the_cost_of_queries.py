"""What a query of the inventory costs: reads that are bounded by the page, not by the fleet. Figures are printed."""

import pytest

from .measure_query import CASES, REGION, SERVERS_PER_ACCOUNT, fill, measure_api, measure_in_process, say

REQUESTS = 10
MOST_READS = 4  # status rows, scan records of the region, and where a page goes over the end of a scope: two of these
MOST_READS_FILTERED = 10  # 1,000 rows, 200 at a time


@pytest.fixture(scope="module")
def filled(deployed):
    fill(deployed, 1500, first_account=0)
    return deployed


def most(case):
    return MOST_READS_FILTERED if "tag" in case.filters else MOST_READS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_reads_through_the_api_are_bounded_by_the_page(filled, capsys, case):
    figures = measure_api(filled, case, REQUESTS)
    with capsys.disabled():
        say(f"\n  1,500 servers, {case.name}, API: {figures}")
    assert 0 < figures.reads <= most(case)


def test_reads_in_process_do_not_grow_with_the_fleet(filled, capsys):
    few = {case.name: measure_in_process(filled, case, REQUESTS) for case in CASES}
    fill(filled, 3000, first_account=10)
    for case in CASES:
        many = measure_in_process(filled, case, REQUESTS)
        with capsys.disabled():
            say(f"\n  4,500 servers, {case.name}, in process: {many}")
        assert 0 < many.reads <= most(case)
        assert many.reads <= few[case.name].reads + 1
    assert filled.active()[REGION] == 4500 > 4 * SERVERS_PER_ACCOUNT

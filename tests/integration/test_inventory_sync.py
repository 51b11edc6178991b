"""Scenario 3: inventory sync keeps region status current, and who reads it next sees that."""

from .customers import ORIGIN_REGION, STAGING, TARGET
from .waiting import eventually

REGION, NEW = "eu-west-1", "ap-northeast-1"


def regions(stack):
    response = stack.cloud.api("GET", "regions")
    assert response.status_code == 200
    return response.json()


def test_it_writes_the_counts_of_every_account_to_the_regions_row(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 2)
    customers.plant(TARGET, REGION, state="STALLED")
    customers.plant(STAGING, REGION)
    summary = stack.operate("sync_source_server_inventory")
    stack.settle()

    row = stack.statuses()[REGION]
    seen = [row[name] for name in ("status", "serverCount", "replicatingCount", "accounts", "activeAccounts")]
    assert seen == ["AVAILABLE", 4, 3, 2, 2]
    assert summary["regionCounts"] == {REGION: 4}
    idle = [row for region, row in stack.statuses().items() if region != REGION]
    assert {(row["status"], int(row["serverCount"])) for row in idle} == {("UNINITIALIZED", 0)}
    assert all("lastChecked" in row for row in idle)


def test_the_rest_api_shows_the_regions_right_after_the_first_sync(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 2)
    assert regions(stack)["regions"] == []

    stack.scan((TARGET, REGION))
    answer = regions(stack)
    assert answer["activeRegions"] == [REGION]
    assert [row["serverCount"] for row in answer["regions"]] == [2]


def test_what_the_rest_api_keeps_is_no_older_than_its_time_to_live(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION)
    with stack.environment("APIHandler", REGION_CACHE_TTL_SECONDS="1"):
        stack.scan((TARGET, REGION))
        eventually(lambda: regions(stack)["activeRegions"] == [REGION])
        customers.plant(TARGET, NEW)
        stack.scan((TARGET, NEW))
        eventually(lambda: regions(stack)["activeRegions"] == [NEW, REGION], seconds=2)


def test_the_next_operation_works_in_a_region_that_has_just_become_active(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION)
    stack.scan((TARGET, REGION))
    assert stack.operate("sync_tags")["regionsUsed"] == [REGION]

    [server] = customers.plant(TARGET, NEW, tags={"env": "prod"})
    stack.scan((TARGET, NEW))
    # the worker that synced these tags held a status from before, in which the region was not there
    assert customers.drs_tags(server)["env"] == "prod"
    run = stack.operate("sync_tags")
    assert run["regionsUsed"] == [NEW, REGION]
    assert run["regionsSkipped"] == len(stack.cloud.hub().get_available_regions("drs")) - 2


def test_a_region_that_lost_its_last_server_is_no_longer_worked_in(stack, customers):
    customers.register()
    [gone] = customers.plant(TARGET, REGION)
    customers.plant(TARGET, NEW)
    stack.scan((TARGET, REGION), (TARGET, NEW))

    customers.remove(gone)
    stack.scan((TARGET, REGION), (TARGET, NEW))
    assert stack.active() == {NEW: 1, REGION: 1}  # one empty listing may be a fault of DRS's
    stack.scan((TARGET, REGION), (TARGET, NEW))
    assert stack.active() == {NEW: 1}
    assert stack.operate("sync_tags")["regionsUsed"] == [NEW]


def test_a_server_that_is_gone_leaves_its_failback_originals(stack, customers):
    customers.register()
    [gone] = customers.plant(TARGET, REGION)
    stack.scan((TARGET, REGION))
    customers.remove(gone)
    stack.scan((TARGET, REGION))
    assert ["deletedAt" in row for row in stack.items("InventoryTable")] == [False]
    stack.scan((TARGET, REGION))

    [tombstone] = stack.items("InventoryTable")
    assert "deletedAt" in tombstone
    assert "scope" not in tombstone
    assert tombstone["topology"]["originalSourceRegion"]["value"] == ORIGIN_REGION


def test_a_second_scan_without_change_writes_no_row_and_asks_for_one_page(stack, customers):
    customers.register()
    customers.plant(TARGET, REGION, 3)
    stack.scan((TARGET, REGION))
    # the tags that were set meanwhile are no change to the next scan either
    stack.forget_calls()
    stack.scan((TARGET, REGION))

    called = {operation: count for (service, operation, *_), count in stack.calls("drs", "ec2").items()}
    assert called == {"DescribeSourceServers": 1, "DescribeInstances": 1}
    assert stack.name("InventoryTable") not in stack.cloud.tables()

"""What each permission is needed for: short stories, each of which fails where a permission that it needs is missing.

A scenario brings the stack into the state that it starts from, has one function do something, and asserts what must
have come of it. The table that says which permission is proven by which scenario is `proofs.py`.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from tests.integration.customers import SOURCE, STAGING, TARGET
from tests.integration.waiting import eventually

from .world import AGENT, REGION, STAGED, WORKERS, logical

QUEUES = {"inventory-worker": "InventoryWork", "tags-worker": "TagsWork", "staging-worker": "StagingWork"}
SCHEDULES = {"inventory-schedule": "inventory", "tags-schedule": "tags", "staging-schedule": "staging"}
NEWCOMER = "555555555555"
EPOCH = "1970-01-01T00:00:00.000Z"
HELPERS = {
    *("purge", "every_region_has_its_turn", "newcomer", "starts_a_sync", "lists_servers", "tells"),
    *("redrives", "redrive", "letter"),
}


def purge(world, *queues):
    for queue in queues:
        world.stack.sqs.purge_queue(QueueUrl=world.stack.url(queue))


# --- workers ---


def scans_a_new_account(world, function):
    world.start("registered")
    world.work(function)
    assert world.item("ScanTable", REGION, TARGET)["state"] == "AVAILABLE"
    row = world.item("InventoryTable", AGENT, REGION)
    assert row.get("sourceTags") == {"Name": "host-a1"}
    assert row["topology"]["originalReplicationConfiguration"]["source"] == "drs"


def enters_an_account_for_the_first_time(world, function):
    """Without credentials from an earlier event."""
    world.cold(function)
    {
        "inventory-worker": scans_a_new_account,
        "tags-worker": tags_what_differs,
        "staging-worker": extends_what_is_new,
        "account-probe": validates_roles,
    }[function](world, function)


def notes_that_an_extension_was_removed(world, function):
    world.start("extended")  # the tables: in DRS, nothing is extended
    world.work(function)
    assert len(world.stack.items("RefusalsTable")) == len(STAGED)


def removes_an_account(world, function):
    world.start("scanned")
    world.change("AccountsTable", (TARGET, "ACCOUNT"), status="removing")
    world.work(function)
    assert world.item("AccountsTable", TARGET, "ACCOUNT") is None
    assert world.item("ScanTable", REGION, TARGET) is None
    assert world.item("TelemetryTable", f"{TARGET}#{REGION}") is None
    assert "deletedAt" in world.item("InventoryTable", AGENT, REGION)


def buries_what_cannot_be_worked_off(world, function):
    world.start("registered")
    purge(world, "WorkDeadLetters")
    world.deliver(function, "neither JSON nor work")
    assert world.waiting("WorkDeadLetters") == 1


def wakes_itself_for_what_was_asked_for_meanwhile(world, function):
    world.start("registered" if function == "inventory-worker" else "scanned")
    purge(world, QUEUES[function])
    slow = {"inventory-worker": "DescribeSourceServers", "staging-worker": "ListExtensibleSourceServers"}
    world.stack.fault(operation=slow.get(function, "TagResource"), latencySeconds=0.25)
    with ThreadPoolExecutor(1) as pool:
        work = world.want(function)
        body = json.dumps({"kind": WORKERS[function], "accountId": TARGET, "region": REGION})
        job = pool.submit(world.deliver, function, body)
        eventually(lambda: job.done() or "leaseUntil" in world.item("WorkStateTable", work.key), pause=0.01)
        world.want(function)
        job.result()
    assert world.waiting(QUEUES[function]) == 1


def puts_off_what_failed(world, function):
    world.start("scanned")
    url = world.stack.url(QUEUES[function])
    purge(world, QUEUES[function])
    world.want(function)
    world.change("AccountsTable", (TARGET, "ACCOUNT"), kind="unheard of")
    world.stack.send(QUEUES[function], {"kind": WORKERS[function], "accountId": TARGET, "region": REGION})
    [message] = world.stack.sqs.receive_message(QueueUrl=url, VisibilityTimeout=1)["Messages"]
    world.fails(function, message["Body"], message["ReceiptHandle"])
    time.sleep(1.1)
    assert "Messages" not in world.stack.sqs.receive_message(QueueUrl=url)


def tags_what_differs(world, function):
    world.start("scanned")
    world.work(function)
    assert world.item("InventoryTable", AGENT, REGION).get("managedTagKeys") == ["Name"]
    assert world.tags_in_drs(TARGET, AGENT).get("Name") == "host-a1"


def removes_tags_that_are_gone(world, function):
    world.start("scanned")
    row = {"drsTags": {"agent": "theirs", "Old": "1"}, "managedTagKeys": ["Old"]}
    world.change("InventoryTable", (AGENT, REGION), **row)
    world.retag(TARGET, AGENT, row["drsTags"])
    world.work(function)
    assert world.tags_in_drs(TARGET, AGENT) == {"agent": "theirs", "Name": "host-a1"}


def leaves_an_idle_region_alone(world, function):
    world.start("scanned")
    world.cold(function)
    world.change("RegionStatusTable", (REGION,), serverCount=0)
    item = world.work(function, statusVersion=1)
    assert item["result"].get("message") == "the region is not active"


def extends_what_is_new(world, function):
    world.start("scanned")
    purge(world, "InventoryWork")
    world.work(function)
    assert world.extended() == sorted(STAGED)
    assert world.waiting("InventoryWork") == 1  # the target is to be scanned


def remembers_what_drs_refuses(world, function):
    world.start("scanned")
    world.stack.fault(operation="CreateExtendedSourceServer", error="ServiceQuotaExceededException", status=402)
    world.work(function)
    assert len(world.stack.items("RefusalsTable")) == len(STAGED)


def forgets_refusals_of_what_is_extended(world, function):
    world.start("scanned")
    for server in STAGED:
        arn = f"arn:aws:drs:{REGION}:{STAGING}:source-server/{server}"
        refusal = {"reason": "QUOTA", "message": "full", "attempts": 1, "since": EPOCH, "nextTryAt": EPOCH}
        world.put("RefusalsTable", {"targetScope": f"{TARGET}#{REGION}", "stagingSourceServerArn": arn, **refusal})
    world.work(function)
    assert world.stack.items("RefusalsTable") == []


# --- the stream's function ---


def folds_a_region_and_asks_for_work(world, _):
    world.start("scanned")
    world.stack.empty("RegionStatusTable")
    purge(world, "TagsWork", "StagingWork")
    world.fold(TARGET, STAGING)
    assert world.item("RegionStatusTable", REGION)["serverCount"] == 3
    assert (world.waiting("TagsWork"), world.waiting("StagingWork")) == (2, 1)


def forgets_a_region_without_scans(world, _):
    world.start("scanned")
    world.stack.empty("ScanTable")
    world.fold(TARGET, gone=True)
    assert world.item("RegionStatusTable", REGION) is None


# --- schedules ---


def plans_what_is_due(world, function):
    kind = SCHEDULES[function]
    world.start("scanned")
    queue = QUEUES[f"{kind}-worker"]
    purge(world, queue)
    world.due(kind)
    world.tick(function)
    [run] = world.stack.runs(kind)
    assert (run["mode"], run["regionsUsed"]) == ("due", [REGION])
    assert world.waiting(queue) == 1


def plans_every_scope_of_a_new_deployment(world, function):
    kind = SCHEDULES[function]
    world.start("registered")
    queues = {"InventoryWork", QUEUES[f"{kind}-worker"]}
    purge(world, *queues)
    world.tick(function)
    [run] = world.stack.runs(kind)
    assert run["mode"] == "fallback"
    assert all(world.waiting(queue) for queue in queues)


def restores_what_was_lost(world, function):
    world.start("scanned")
    world.change("RegionStatusTable", (REGION,), serverCount=99)
    world.stack.empty("WorkStateTable")
    with every_region_has_its_turn(world, function):
        world.tick(function)
    assert world.item("RegionStatusTable", REGION)["serverCount"] == 3
    lost = [f"{kind}#{TARGET}#{REGION}" for kind in ("inventory", "tags", "staging")]
    assert [key for key in lost if world.item("WorkStateTable", key) is None] == []


def forgets_the_status_of_a_region_without_scans(world, function):
    world.start("scanned")
    world.stack.empty("ScanTable")
    with every_region_has_its_turn(world, function):
        world.tick(function)
    assert world.item("RegionStatusTable", REGION) is None


def every_region_has_its_turn(world, function):
    """A resync that restores everything in one tick: its period is one interval."""
    return world.stack.environment(logical(function), PROBE_INTERVAL_MINUTES="15")


# --- API and direct invocation ---


def tells_the_status_of_regions(world, function):
    world.start("scanned")
    world.cold(function)
    assert [one["region"] for one in world.ask(function, "list_regions")["regions"]] == [REGION]


def registers_an_account(world, function):
    world.start("scanned")
    purge(world, "InventoryWork")
    world.ask(function, "register_account", **newcomer("target"))
    assert world.item("AccountsTable", NEWCOMER, "ACCOUNT")["kind"] == "target"
    assert world.waiting("InventoryWork") > 10  # every region of it


def newcomer(kind):
    role = f"arn:aws:iam::{NEWCOMER}:role/drs-active-regions"
    return {
        "accountId": NEWCOMER,
        "name": "new",
        "kind": kind,
        "readerRoleArn": f"{role}-reader",
        "writerRoleArn": f"{role}-writer",
        "externalId": "between-us-and-the-newcomer",
    }


def lists_accounts(world, function):
    world.start("scanned")
    assert len(world.ask(function, "list_accounts")["accounts"]) == 3


def removes_a_source_account(world, function):
    world.start("scanned")
    world.ask(function, "remove_account", accountId=SOURCE)
    assert world.item("AccountsTable", SOURCE, "ACCOUNT") is None


def removes_a_staging_account_and_its_membership(world, function):
    world.start("scanned")
    world.ask(function, "remove_account", accountId=STAGING)
    assert world.item("AccountsTable", TARGET, f"STAGING#{STAGING}") is None


def lists_staging_accounts(world, function):
    world.start("scanned")
    told = world.ask(function, "list_staging_accounts", accountId=TARGET)
    assert [one["stagingAccountId"] for one in told["stagingAccounts"]] == [STAGING]


def tells_how_an_account_stands(world, function):
    world.start("scanned")
    regions = world.ask(function, "list_account_regions", accountId=TARGET)["regions"]
    assert [one["serverCount"] for one in regions if one["region"] == REGION] == [1]


def starts_an_inventory_sync(world, function):
    starts_a_sync(world, function, "inventory", TARGET)


def starts_a_tag_sync(world, function):
    starts_a_sync(world, function, "tags", TARGET)


def starts_a_staging_sync(world, function):
    starts_a_sync(world, function, "staging", TARGET)


def starts_a_sync(world, function, kind, account_id):
    world.start("scanned")
    queue = QUEUES[f"{kind}-worker"]
    purge(world, queue)
    run = world.ask(function, "start_sync", kind=kind, scopes=[{"accountId": account_id, "region": REGION}])
    assert world.waiting(queue) == 1
    assert world.item("RunsTable", run["runId"], "RUN")["kind"] == kind


def follows_a_run(world, function):
    world.start("scanned")
    run = {"runId": "r-1", "kind": "inventory", "mode": "named", "requestedBy": "test", "createdAt": EPOCH}
    counts = {"dryRun": False, "regionsUsed": [REGION], "regionsSkipped": 0, "plannedScopes": 1, "probes": 0}
    world.put("RunsTable", {**run, **counts, "part": "RUN", "totalScopes": 1, "expiresAt": 9_999_999_999})
    assert world.ask(function, "get_sync", runId="r-1")["run"]["runId"] == "r-1"


def lists_runs(world, function):
    world.start("scanned")
    assert world.ask(function, "list_syncs") == {"runs": [], "nextToken": None}


def shows_a_server(world, function):
    world.start("scanned")
    assert world.ask(function, "get_server", sourceServerId=AGENT)["server"]["hostname"] == "host-a1"


def lists_servers_of_a_region(world, function):
    lists_servers(world, function, 3, region=REGION)


def lists_servers_by_hostname(world, function):
    lists_servers(world, function, 1, hostname="host-a1")


def lists_servers_of_a_source_account(world, function):
    lists_servers(world, function, 3, sourceAccountId=SOURCE)


def lists_servers_of_a_staging_account(world, function):
    lists_servers(world, function, 2, stagingAccountId=STAGING)


def lists_servers(world, function, expected, **query):
    world.start("scanned")
    assert len(world.ask(function, "list_servers", **query)["servers"]) == expected


def tells_how_full_an_account_is(world, function):
    world.start("scanned")
    needs = world.ask(function, "get_account_capacity", accountId=TARGET)["extensionNeeds"]
    assert [one["waiting"] for one in needs if one["region"] == REGION] == [2]


def has_an_account_validated(world, function):
    world.start("scanned")
    assert world.ask(function, "validate_account", accountId=SOURCE)["ok"] is True


def has_everything_reconciled(world, function):
    world.start("scanned")
    assert world.ask(function, "reconcile")["orphans"] == []


# --- maintenance ---


def tells_dead_work(world, function):
    tells(world, function, "work", "WorkDeadLetters")


def tells_failed_ticks(world, function):
    tells(world, function, "schedules", "ScheduleFailures")


def tells_failed_records(world, function):
    tells(world, function, "stream", "StreamFailures")


def tells(world, function, name, queue):
    letter(world, queue)
    answer = world.invoke(function, {"task": "list_dead_letters", "queue": name, "limit": 1})
    assert len(answer["deadLetters"]) == 1
    assert world.stack.received(queue, 1, seconds=0.5)  # it was put back


def redrives_dead_work(world, function):
    redrives(world, function, "work", "WorkDeadLetters")


def redrives_failed_ticks(world, function):
    redrives(world, function, "schedules", "ScheduleFailures")


def redrives_failed_records(world, function):
    redrives(world, function, "stream", "StreamFailures")


def redrives(world, function, name, queue):
    letter(world, queue)
    answer = redrive(world, function, name)
    assert (len(answer["redriven"]), answer["more"]) == (1, False)
    assert world.waiting(queue) == 0


def redrive(world, function, name, limit=100):
    return world.invoke(function, {"task": "redrive_dead_letters", "queue": name, "limit": limit, "discard": False})


def letter(world, queue):
    """Put a letter of some work into a dead-letter queue."""
    world.start("scanned")
    purge(world, queue, "InventoryWork")
    world.stack.send(queue, {"kind": "inventory", "accountId": TARGET, "region": REGION})


def asks_for_dead_work_again(world, function):
    letter(world, "WorkDeadLetters")
    redrive(world, function, "work", limit=1)
    assert world.waiting("InventoryWork") == 1


def reconciles_what_fell_behind(world, function):
    world.start("scanned")
    world.stack.empty("RegionStatusTable")
    world.stack.empty("WorkStateTable")
    purge(world, "TagsWork", "StagingWork")
    answer = world.invoke(function, {"task": "reconcile"})
    assert answer.get("repairedRegions") == [REGION]
    assert (world.waiting("TagsWork"), world.waiting("StagingWork")) == (2, 1)


def reconciles_a_region_without_scans(world, function):
    world.start("scanned")
    world.stack.empty("ScanTable")
    answer = world.invoke(function, {"task": "reconcile"})
    assert answer.get("repairedRegions") == [REGION]
    assert world.item("RegionStatusTable", REGION) is None


# --- the account probe ---


def validates_roles(world, function):
    world.start("scanned")
    checks = world.invoke(function, {"probe": "validate", "accountId": TARGET})["checks"]
    assert [check["ok"] for check in checks if check["name"] in ("readerRole", "writerRole")] == [True, True]
    assert [check["ok"] for check in checks if check["subject"] == REGION] == [True]


def validates_a_staging_account(world, function):
    world.start("scanned")
    probe = {"probe": "validate_staging", "accountId": TARGET, "stagingAccountId": STAGING}
    answer = world.invoke(function, probe)
    assert answer["ok"] is True
    assert answer["counts"] == [
        {"region": REGION, "stagingServers": 2, "targetServers": 1, "resultingServers": 3, "withinQuota": True}
    ]


def discovers_staging_accounts(world, function):
    world.start("extended")
    answer = world.invoke(function, {"probe": "discover", "accountId": TARGET})
    assert [(one["stagingAccountId"], one["registered"]) for one in answer["stagingAccounts"]] == [(STAGING, True)]
    assert len(answer["notSeen"]) == 1  # what it never sees, and nothing that failed


SCENARIOS = {
    name: scenario
    for name, scenario in list(globals().items())
    if callable(scenario)
    and getattr(scenario, "__module__", None) == __name__
    and not name.startswith("_")
    and name
    not in {
        "purge",
        "every_region_has_its_turn",
        "newcomer",
        "starts_a_sync",
        "lists_servers",
        "tells",
        "redrives",
        "redrive",
        "letter",
    }
}

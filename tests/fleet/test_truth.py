"""The comparison with the truth: it finds nothing wrong with a finished run, and can fail."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from sandbox.demo.driving import until
from sandbox.fleet.evidence import read_product, read_truth
from sandbox.fleet.truth import Failing, compare, compared
from sandbox.fleet.waiting import settle

REACTION_SECONDS = 60

pytestmark = pytest.mark.cloud


@pytest.fixture
def table(finished_cloud):
    """Return a table of the product by its stack output."""
    return lambda output: finished_cloud.hub().resource("dynamodb").Table(finished_cloud.outputs.stack[output])


@contextmanager
def tampered(table, key, replacement):
    """Replace the item at `key` by `replacement` (None: remove it) for the time of the block."""
    names = [name["AttributeName"] for name in table.key_schema]
    original = table.get_item(Key=key, ConsistentRead=True)["Item"]
    table.delete_item(Key=key)
    if replacement is not None:
        table.put_item(Item=replacement(original))
    try:
        yield original
    finally:
        if replacement is not None:
            changed = replacement(original)
            table.delete_item(Key={name: changed[name] for name in names})
        table.put_item(Item=original)


def an_extension(cloud):
    """A server with everything: an extension of a machine on EC2."""
    truth = read_truth(cloud)
    return min(
        (server for server in truth.servers() if server.extends and truth.instance_of(server)),
        key=lambda server: server.server_id,
    )


def wait_for_rest(cloud, fleet):
    """Wait until the product has reacted to a scan record that was tampered with and put right again."""
    until(lambda: compare(fleet, cloud).ok, REACTION_SECONDS, lambda: str(compare(fleet, cloud).differences[:3]))
    settle(cloud, REACTION_SECONDS)


def told(report):
    return {(difference.what, difference.where) for difference in report.differences}


def test_nothing_differs_after_a_finished_run(finished_cloud, fleet):
    report = compare(fleet, finished_cloud)
    assert report.differences == []
    assert report.checked["servers"] > len(fleet.servers)
    assert all(report.checked[kind] for kind in ("tags in DRS", "extensions", "refusals", "region status", "API"))


def test_defect_1_a_removed_write_is_named(finished_cloud, fleet, table):
    server = an_extension(finished_cloud)
    key = {"sourceServerID": server.server_id, "replicationRegion": server.place[1]}
    with tampered(table("InventoryTableName"), key, None):
        report = compare(fleet, finished_cloud)
    assert ("living server", server.where) in told(report)
    (difference,) = [one for one in report.differences if one.what == "living server"]
    assert (difference.expected, difference.found) == ("a living row", None)


def test_defect_2_a_count_zeroed_on_error_is_named(finished_cloud, fleet, table):
    account, region = place = an_extension(finished_cloud).place
    failed = {"state": "ERROR", "errorMessage": "InternalServerException: injected", "lastChecked": "2999-01-01T00:00Z"}

    def zeroed(record):
        return {**record, **failed, "serverCount": 0, "replicatingCount": 0, "extendedCount": 0}

    truth = read_truth(finished_cloud)
    with tampered(table("ScanTableName"), {"region": region, "accountId": account}, zeroed) as record:
        product = read_product(finished_cloud)
    report = compared(fleet, truth, product, {place: Failing("ERROR", "InternalServerException")})
    wait_for_rest(finished_cloud, fleet)
    (difference,) = [one for one in report.differences if one.what == "scan.serverCount"]
    assert difference[1:] == (f"{account}/{region}", record["serverCount"], 0)


def test_defect_3_a_wrong_region_is_named(finished_cloud, fleet, table):
    server = an_extension(finished_cloud)
    key = {"sourceServerID": server.server_id, "replicationRegion": server.place[1]}

    def moved(row):
        return {**row, "replicationRegion": "eu-south-2"}

    with tampered(table("InventoryTableName"), key, moved):
        report = compare(fleet, finished_cloud)
    where = f"{server.place[0]}/eu-south-2/{server.server_id} ({server.hostname})"
    assert {("living server", server.where), ("extra living server", where)} <= told(report)


@pytest.mark.parametrize("name", ["sourceRegion", "sourceAccountId", "sourceAvailabilityZone", "hostname", "scope"])
def test_a_wrong_attribute_is_named(finished_cloud, fleet, table, name):
    server = an_extension(finished_cloud)
    key = {"sourceServerID": server.server_id, "replicationRegion": server.place[1]}
    with tampered(table("InventoryTableName"), key, lambda row: {**row, name: "elsewhere"}):
        report = compare(fleet, finished_cloud)
    assert (f"server.{name}", server.where) in told(report)


def test_a_lost_tag_is_named(finished_cloud, fleet):
    server = an_extension(finished_cloud)
    drs = finished_cloud.session(server.place[0], server.place[1]).client("drs")
    drs.untag_resource(resourceArn=server.arn, tagKeys=["Name"])
    try:
        report = compare(fleet, finished_cloud)
    finally:
        drs.tag_resource(resourceArn=server.arn, tags={"Name": server.tags["Name"]})
    assert {("tags", server.where), ("server.drsTags", server.where)} == told(report)


def test_a_lost_refusal_and_a_needless_one_are_named(finished_cloud, fleet, table):
    refusals = table("RefusalsTableName")
    refusal = refusals.scan()["Items"][0]
    key = {name: refusal[name] for name in ("targetScope", "stagingSourceServerArn")}
    with tampered(refusals, key, lambda row: {**row, "stagingSourceServerArn": "arn:unheard-of"}):
        report = compare(fleet, finished_cloud)
    assert {one.what for one in report.differences} == {"staging-refusals", "needless refusal"}


def test_a_wrong_region_status_is_named(finished_cloud, fleet, table):
    region = an_extension(finished_cloud).place[1]
    with tampered(table("RegionStatusTableName"), {"region": region}, lambda row: {**row, "serverCount": 1}):
        report = compare(fleet, finished_cloud)
    assert ("region.serverCount", region) in told(report)


def test_a_failure_that_was_expected_and_did_not_happen_is_named(finished_cloud, fleet):
    place = an_extension(finished_cloud).place
    report = compare(fleet, finished_cloud, {place: Failing("THROTTLED", "ThrottlingException")})
    assert ("scan.state", "/".join(place)) in told(report)


def test_an_extension_that_was_removed_on_purpose_must_not_be_there(finished_cloud, fleet):
    extension = an_extension(finished_cloud)
    removed = replace(fleet, unextended=frozenset({(extension.place[0], extension.extends)}))
    report = compare(removed, finished_cloud)
    assert {one.what for one in report.differences} == {"unwanted extension", "staging-refusals"}


def test_what_a_former_membership_extended_may_stay_and_what_nobody_asked_for_may_not(finished_cloud, fleet):
    over = replace(fleet, memberships=(), former=fleet.memberships)
    assert "unwanted extension" not in {one.what for one in compare(over, finished_cloud).differences}
    never = replace(fleet, memberships=())
    assert "unwanted extension" in {one.what for one in compare(never, finished_cloud).differences}


def test_servers_of_an_account_that_is_not_registered_must_not_live(finished_cloud, fleet):
    account_id = an_extension(finished_cloud).place[0]
    others = tuple(account for account in fleet.accounts if account.account_id != account_id)
    told = {one.what for one in compare(replace(fleet, accounts=others), finished_cloud).differences}
    assert {"extra living server", "tombstone", "needless scan record"} <= told

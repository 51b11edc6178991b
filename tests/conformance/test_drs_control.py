"""The control API, by way of both adapters."""

import time

from .conftest import REGION, STAGING, STRANGER, TARGET
from .test_drs_conformance import code

KEY = {"accountId": STAGING, "region": REGION}


def server(**fields):
    return {**KEY, "hostname": "host", **fields}


def add(*specs, **options):
    return ("POST", "/servers", {"servers": list(specs), **options})


def the_record(cloud, account=STAGING, region=REGION):
    (scope,) = cloud.control("GET", f"/truth?accountId={account}&region={region}")["scopes"]
    (only,) = scope["servers"]
    return only["record"]


def test_ids_are_kept_where_given_and_else_the_same_after_every_reset(cloud):
    given = "s-" + "Z" * 17
    first, second = cloud.control(*add(server(sourceServerID=given), server()))["servers"]
    assert first["sourceServerID"] == given
    cloud.control("POST", "/reset")
    _, again = cloud.control(*add(server(sourceServerID=given), server()))["servers"]
    assert again == second


def test_adding_servers_initialises_their_scope(cloud):
    cloud.servers(1)
    assert len(cloud.client(STAGING).describe_source_servers()["items"]) == 1


def test_18000_servers_are_added_in_seconds(cloud):
    scopes = [{"accountId": f"{number:012d}", "region": REGION, "hostname": "host"} for number in range(60)]
    began = time.monotonic()
    cloud.control(*add(*(scopes * 300)))
    assert time.monotonic() - began < 10
    page = cloud.client("000000000059").describe_source_servers(maxResults=300)
    assert len(page["items"]) == 300


def test_the_replication_quota_is_per_account_and_region_and_can_be_forced(cloud):
    cloud.control("POST", "/settings", {"replicatingServersQuota": 2})
    cloud.servers(2)
    cloud.servers(2, region="eu-west-2")
    cloud.servers(1, state="DISCONNECTED")
    assert cloud.refused(*add(server())) == ["servers"]
    assert cloud.refused(*add(*[server(region="eu-west-3")] * 3)) == ["servers"]
    cloud.servers(1, force=True)
    assert len(cloud.client(STAGING).describe_source_servers()["items"]) == 4


def test_extensions_do_not_use_the_replication_quota(cloud):
    cloud.control("POST", "/settings", {"replicatingServersQuota": 1})
    (source,) = cloud.servers(1)
    cloud.servers(1, account=TARGET, extendedFrom=source["arn"])
    cloud.servers(1, account=TARGET)
    assert len(cloud.client(TARGET).describe_source_servers()["items"]) == 2


def test_an_extension_can_be_seeded_without_trust(cloud):
    (source,) = cloud.servers(1)
    cloud.control(*add({"accountId": TARGET, "region": REGION, "extendedFrom": source["arn"], "tags": {"a": "b"}}))
    record = the_record(cloud, TARGET)
    assert record["stagingArea"]["stagingSourceServerArn"] == source["arn"]
    assert (record["tags"], record["sourceProperties"]["identificationHints"]["hostname"]) == ({"a": "b"}, "host-0")


def test_what_is_wrong_is_named_and_nothing_is_added(cloud):
    missing = f"arn:aws:drs:{REGION}:{STRANGER}:source-server/s-{'0' * 17}"
    taken = "s-" + "Z" * 17
    cloud.servers(1, sourceServerID=taken)
    (source,) = cloud.servers(1)
    extension = {"accountId": TARGET, "region": REGION, "extendedFrom": source["arn"]}
    cloud.account(STRANGER, opted_in=False)
    for field, specs in {
        "servers.1.accountId": [server(), server(accountId="1")],
        "servers.0.region": [server(region="atlantis-1")],
        "servers.0.sourceServerID": [server(sourceServerID="s-1")],
        "servers.0.state": [server(state="FINE")],
        "servers.0.instanceId": [server(instanceId="i-xyz")],
        "servers.0.tags": [server(tags={f"k{number}": "v" for number in range(51)})],
        "servers.0.colour": [server(colour="red")],
        "servers.0": [server(originAccountId=STRANGER)],
        "servers.1.sourceServerID": [server(), server(sourceServerID=taken)],
        "servers.1.extendedFrom": [server(), server(extendedFrom=missing)],
        "servers.2.extendedFrom": [server(), extension, extension],
    }.items():
        assert cloud.refused(*add(*specs)) == [field]
    assert cloud.refused(*add(server(accountId=STRANGER))) == ["servers.0.region"]
    assert len(cloud.client(STAGING).describe_source_servers()["items"]) == 2


def test_a_server_changes_where_it_is_told_to_and_nowhere_else(cloud):
    (added,) = cloud.servers(1, instanceId="i-0123456789abcdef0", tags={"a": "1"})
    before = the_record(cloud)
    recovery = "i-0fedcba9876543210"
    cloud.change(
        added["sourceServerID"],
        state="STALLED",
        lagSeconds=7200,
        tags={"b": "2"},
        hostname="renamed",
        recoveryInstanceId=recovery,
        lastLaunchResult="FAILED",
        direction="FAILBACK",
    )
    after = the_record(cloud)
    assert after["dataReplicationInfo"]["dataReplicationState"] == "STALLED"
    assert after["dataReplicationInfo"]["lagDuration"].startswith("PT2H")
    assert after["tags"] == {"b": "2"}
    assert after["sourceProperties"]["identificationHints"]["hostname"] == "renamed"
    assert after["sourceProperties"]["identificationHints"]["awsInstanceID"] == "i-0123456789abcdef0"
    assert (after["recoveryInstanceId"], after["lastLaunchResult"]) == (recovery, "FAILED")
    assert after["lifeCycle"]["lastLaunch"]["status"] == "FAILED"
    assert after["replicationDirection"] == "FAILBACK"
    assert after["sourceServerID"] == before["sourceServerID"]

    cloud.change(added["sourceServerID"], recoveryInstanceId=None)
    last = the_record(cloud)
    assert "recoveryInstanceId" not in last
    assert (last["tags"], last["lastLaunchResult"]) == ({"b": "2"}, "FAILED")


def test_a_change_to_an_unknown_server_changes_nothing(cloud):
    (added,) = cloud.servers(1)
    known = {**KEY, "sourceServerID": added["sourceServerID"]}
    for second, field in (
        ({**KEY, "sourceServerID": "s-" + "0" * 17}, "servers.1.sourceServerID"),
        ({**known, "state": "FINE"}, "servers.1.state"),
    ):
        changes = {"servers": [{**known, "remove": True}, second]}
        assert cloud.refused("PATCH", "/servers", changes) == [field]
    assert cloud.refused("PATCH", "/servers", {"servers": [known, known]}) == [
        "servers.0.sourceServerID",
    ]
    assert the_record(cloud)["sourceServerID"] == added["sourceServerID"]


def test_the_extension_error_of_an_extension_can_come_and_go(cloud):
    (source,) = cloud.servers(1)
    (extension,) = cloud.servers(1, account=TARGET, extendedFrom=source["arn"])
    cloud.change(extension["sourceServerID"], TARGET, extensionError="The staging account left")
    assert the_record(cloud, TARGET)["stagingArea"]["status"] == "EXTENSION_ERROR"
    cloud.change(extension["sourceServerID"], TARGET, extensionError=None)
    assert the_record(cloud, TARGET)["stagingArea"]["status"] == "EXTENDED"


def test_the_truth_tells_what_the_wire_does_not(cloud):
    cloud.account(TARGET, "eu-west-2", opted_in=False, initialised=False)
    cloud.account(STAGING, trusts=[TARGET])
    (source,) = cloud.servers(1, defaultEbsKey=True, extensionError="no key")
    (extension,) = cloud.servers(1, account=TARGET, extendedFrom=source["arn"])
    truth = cloud.control("GET", "/truth")
    scopes = {(scope["accountId"], scope["region"]): scope for scope in truth["scopes"]}
    assert set(scopes) == {(TARGET, "eu-west-2"), (STAGING, REGION), (TARGET, REGION)}
    hidden = scopes[TARGET, "eu-west-2"]
    assert (hidden["optedIn"], hidden["initialised"], hidden["servers"]) == (False, False, [])
    (original,) = scopes[STAGING, REGION]["servers"]
    assert (original["defaultEbsKey"], original["extensionError"]) == (True, "no key")
    assert original["record"]["arn"] == source["arn"]
    assert scopes[TARGET, REGION]["extensions"] == {source["arn"]: extension["sourceServerID"]}
    assert truth["trusts"] == {STAGING: [TARGET]}
    assert truth["settings"]["pageCap"] == 300


def test_settings_change_one_by_one_and_wrong_ones_are_named(cloud):
    cloud.control("POST", "/settings", {"pageCap": 5})
    settings = cloud.control("POST", "/settings", {"defaultPageSize": 3})
    assert (settings["pageCap"], settings["defaultPageSize"]) == (5, 3)
    assert cloud.refused("POST", "/settings", {"pageCap": 0}) == ["pageCap"]
    assert cloud.refused("POST", "/settings", {"pageCup": 1}) == ["pageCup"]


def test_faults_are_listed_with_their_hits_and_dropped(cloud):
    cloud.fault(operation="InitializeService", latencySeconds=0.001)
    cloud.client().initialize_service()
    (rule,) = cloud.control("GET", "/faults")["rules"]
    assert (rule["operation"], rule["service"], rule["hits"]) == ("InitializeService", ".*", 1)
    assert cloud.control("DELETE", "/faults")["rules"] == []
    assert cloud.refused("POST", "/faults", {"rules": [{"rate": 2}]}) == ["rules.0.rate"]
    assert cloud.refused("POST", "/faults", {"rules": [{"operation": "("}]}) == ["rules.0.operation"]


def test_calls_are_filtered_by_service(cloud):
    cloud.client().initialize_service()
    assert cloud.control("GET", "/calls?service=dynamodb")["calls"] == []
    assert len(cloud.control("GET", "/calls?service=drs")["calls"]) == 1


def test_a_reset_forgets_everything(cloud):
    cloud.servers(1)
    cloud.account(STAGING, trusts=[TARGET])
    cloud.control("POST", "/settings", {"pageCap": 5})
    cloud.fault(error="ThrottlingException")
    cloud.control("POST", "/reset")
    truth = cloud.control("GET", "/truth")
    assert (truth["scopes"], truth["trusts"], truth["settings"]["pageCap"]) == ([], {}, 300)
    assert cloud.control("GET", "/faults")["rules"] == cloud.control("GET", "/calls")["calls"] == []


def test_a_region_that_is_not_used_answers_as_it_is_told(cloud):
    drs = cloud.client(STRANGER)
    assert code(drs.describe_source_servers) == ("UninitializedAccountException", 400)
    cloud.control("POST", "/settings", {"unusedError": "BadRequestException"})
    assert code(drs.describe_source_servers) == ("BadRequestException", 400)


def test_the_configuration_of_an_extension_is_denied_unless_told_otherwise(cloud):
    (source,) = cloud.servers(1)
    (extension,) = cloud.servers(1, account=TARGET, extendedFrom=source["arn"])
    ask = cloud.client(TARGET).get_replication_configuration
    assert code(ask, sourceServerID=extension["sourceServerID"]) == ("AccessDeniedException", 403)
    cloud.control("POST", "/settings", {"configuresExtensions": True})
    assert ask(sourceServerID=extension["sourceServerID"])["sourceServerID"] == extension["sourceServerID"]


def test_an_instance_may_be_without_an_origin(cloud):
    cloud.servers(1, instanceId="i-0123456789abcdef0")
    record = the_record(cloud)
    assert record["sourceProperties"]["identificationHints"]["awsInstanceID"] == "i-0123456789abcdef0"
    assert "sourceCloudProperties" not in record

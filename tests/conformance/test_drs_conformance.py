"""What the simulated DRS does for a caller, operation by operation, on both adapters."""

import json
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.drs.service_model import service_model

from .conftest import REGION, STAGING, STRANGER, TARGET

INSTANCE = "i-0123456789abcdef0"


def refusal(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value.response


def code(call, **params):
    response = refusal(call, **params)
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def scan(client, page_size=None, **params):
    pages = client.get_paginator("describe_source_servers").paginate(PaginationConfig={"PageSize": page_size}, **params)
    return [server for page in pages for server in page["items"]]


def describe_one(client):
    (server,) = client.describe_source_servers()["items"]
    return server


# Initialisation, opt-in, isolation


def test_an_account_that_never_used_drs_is_uninitialised_until_it_initialises(cloud):
    drs = cloud.client()
    assert code(drs.describe_source_servers) == ("UninitializedAccountException", 400)
    metadata = drs.initialize_service()["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == 204
    assert metadata["RequestId"]
    assert drs.describe_source_servers()["items"] == []


def test_initialisation_is_by_account_and_region(cloud):
    cloud.client().initialize_service()
    for other in (cloud.client(STRANGER), cloud.client(region="eu-west-2")):
        assert code(other.describe_source_servers)[0] == "UninitializedAccountException"


def test_initialising_again_keeps_the_one_default_template(cloud):
    drs = cloud.client()
    drs.initialize_service()
    (template,) = drs.describe_replication_configuration_templates()["items"]
    drs.initialize_service()
    assert drs.describe_replication_configuration_templates()["items"] == [template]
    ident = template["replicationConfigurationTemplateID"]
    wanted = drs.describe_replication_configuration_templates(replicationConfigurationTemplateIDs=[ident])
    assert wanted["items"] == [template]
    missing = {"replicationConfigurationTemplateIDs": ["rct-" + "0" * 17]}
    assert code(drs.describe_replication_configuration_templates, **missing) == ("ResourceNotFoundException", 404)


MISSING = f"arn:aws:drs:{REGION}:{STAGING}:source-server/s-{'0' * 17}"
UNINITIALISED = [
    ("describe_source_servers", {}),
    (
        "create_extended_source_server",
        {"sourceServerArn": MISSING},
    ),
    ("list_extensible_source_servers", {"stagingAccountID": STAGING}),
    ("list_staging_accounts", {}),
    ("get_replication_configuration", {"sourceServerID": "s-" + "0" * 17}),
    ("describe_replication_configuration_templates", {}),
    ("delete_source_server", {"sourceServerID": "s-" + "0" * 17}),
    ("disconnect_source_server", {"sourceServerID": "s-" + "0" * 17}),
    ("stop_replication", {"sourceServerID": "s-" + "0" * 17}),
    ("start_replication", {"sourceServerID": "s-" + "0" * 17}),
    ("retry_data_replication", {"sourceServerID": "s-" + "0" * 17}),
    ("start_recovery", {"sourceServers": [{"sourceServerID": "s-" + "0" * 17}]}),
    ("describe_jobs", {}),
    ("describe_recovery_instances", {}),
    ("terminate_recovery_instances", {"recoveryInstanceIDs": [INSTANCE]}),
    ("disconnect_recovery_instance", {"recoveryInstanceID": INSTANCE}),
    ("delete_recovery_instance", {"recoveryInstanceID": INSTANCE}),
    ("reverse_replication", {"recoveryInstanceID": INSTANCE}),
]
TAGGING = [
    ("tag_resource", {"resourceArn": "arn:aws:drs:eu-west-1:1:source-server/s-1", "tags": {"a": "b"}}),
    ("untag_resource", {"resourceArn": "arn:aws:drs:eu-west-1:1:source-server/s-1", "tagKeys": ["a"]}),
    ("list_tags_for_resource", {"resourceArn": "arn:aws:drs:eu-west-1:1:source-server/s-1"}),
]


@pytest.mark.parametrize(("method", "params"), UNINITIALISED)
def test_every_operation_that_models_it_answers_uninitialised(cloud, method, params):
    assert code(getattr(cloud.client(), method), **params) == ("UninitializedAccountException", 400)


@pytest.mark.parametrize(("method", "params"), [*UNINITIALISED, *TAGGING, ("initialize_service", {})])
def test_a_region_that_is_not_opted_in_knows_no_credentials(cloud, method, params):
    cloud.account(opted_in=False)
    response = refusal(getattr(cloud.client(), method), **params)
    assert response["Error"] == {
        "Code": "UnrecognizedClientException",
        "Message": "The security token included in the request is invalid.",
    }
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_account_sees_and_touches_only_its_own_servers(cloud):
    (server,) = cloud.servers(account=STAGING)
    cloud.account(STRANGER)
    stranger, by_id = cloud.client(STRANGER), {"sourceServerID": server["sourceServerID"]}
    assert stranger.describe_source_servers()["items"] == []
    for call in (stranger.disconnect_source_server, stranger.delete_source_server):
        assert code(call, **by_id) == ("ResourceNotFoundException", 404)
    assert code(stranger.get_replication_configuration, **by_id) == ("ResourceNotFoundException", 404)
    assert code(stranger.list_tags_for_resource, resourceArn=server["arn"]) == ("ResourceNotFoundException", 404)
    assert code(stranger.tag_resource, resourceArn=server["arn"], tags={"a": "b"})[0] == "ResourceNotFoundException"
    assert len(cloud.client(STAGING).describe_source_servers()["items"]) == 1


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-eusc"])
def test_every_partition_and_region_of_botocore_answers(cloud, partition):
    regions = boto3.Session().get_available_regions("drs", partition_name=partition)
    assert regions
    for region in regions[:: 1 if cloud.endpoint is None else 8]:
        drs = cloud.client(region=region)
        drs.initialize_service()
        (template,) = drs.describe_replication_configuration_templates()["items"]
        assert template["arn"].startswith(f"arn:{partition}:drs:{region}:{TARGET}:")


# Source servers on the wire


def test_a_server_of_ec2_tells_where_it_runs(cloud):
    origin = {"originAccountId": STRANGER, "originRegion": "us-east-1", "originAvailabilityZone": "us-east-1c"}
    cloud.servers(instanceId=INSTANCE, tags={"Name": 'a "50%" name'}, cpuCores=4, ramBytes=1 << 34, **origin)
    server = describe_one(cloud.client(STAGING))
    assert server["sourceCloudProperties"] == {
        "originAccountID": STRANGER,
        "originRegion": "us-east-1",
        "originAvailabilityZone": "us-east-1c",
    }
    assert re.fullmatch(r"s-[0-9a-zA-Z]{17}", server["sourceServerID"])
    assert server["arn"] == f"arn:aws:drs:{REGION}:{STAGING}:source-server/{server['sourceServerID']}"
    assert server["tags"] == {"Name": 'a "50%" name'}
    assert server["sourceProperties"]["identificationHints"]["awsInstanceID"] == INSTANCE
    assert server["sourceProperties"]["cpus"][0]["cores"] == 4
    assert server["sourceProperties"]["ramBytes"] == 1 << 34
    assert server["stagingArea"] == {"status": "NOT_EXTENDED", "stagingAccountID": STAGING}
    assert server["replicationDirection"] == "FAILOVER"
    assert server["lastLaunchResult"] == "NOT_STARTED"


def test_an_on_premises_server_has_no_cloud_properties(cloud):
    cloud.servers(vmwareUuid="4212-aa")
    server = describe_one(cloud.client(STAGING))
    assert "sourceCloudProperties" not in server
    assert "awsInstanceID" not in server["sourceProperties"]["identificationHints"]


def test_failback_and_recovery_show(cloud):
    arn = f"arn:aws:drs:eu-west-2:{STAGING}:source-server/s-{'a' * 17}"
    cloud.servers(
        direction="FAILBACK",
        reversedDirectionSourceServerArn=arn,
        recoveryInstanceId=INSTANCE,
        lastLaunchResult="SUCCEEDED",
        sourceNetworkID="sn-" + "b" * 17,
    )
    server = describe_one(cloud.client(STAGING))
    assert server["replicationDirection"] == "FAILBACK"
    assert server["reversedDirectionSourceServerArn"] == arn
    assert server["recoveryInstanceId"] == INSTANCE
    assert server["lifeCycle"]["lastLaunch"]["status"] == "LAUNCHED"
    assert server["sourceNetworkID"] == "sn-" + "b" * 17


@pytest.mark.parametrize("state", service_model().shape_for("DataReplicationState").metadata["enum"])
def test_every_replication_state_is_a_valid_record(cloud, state):
    cloud.servers(state=state, diskBytes=[1 << 30, 1 << 31])
    info = describe_one(cloud.client(STAGING))["dataReplicationInfo"]
    assert info["dataReplicationState"] == state
    assert ("dataReplicationError" in info) == (state == "STALLED")
    assert ("lagDuration" in info) == (state not in {"DISCONNECTED", "STOPPED"})
    assert ("etaDateTime" in info) == (state == "INITIAL_SYNC")


def lag_seconds(server):
    parts = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", server["dataReplicationInfo"]["lagDuration"]).groups()
    hours, minutes, seconds = (int(part or 0) for part in parts)
    return hours * 3600 + minutes * 60 + seconds


def test_lag_is_at_most_30_seconds_for_the_healthy_and_hours_for_the_stalled(cloud):
    cloud.servers(100)
    cloud.servers(2, state="STALLED")
    cloud.servers(1, state="STALLED", lagSeconds=9 * 3600)
    servers = scan(cloud.client(STAGING))
    assert all(0 <= lag_seconds(server) <= 30 for server in servers[:100])
    assert len({lag_seconds(server) for server in servers[:100]}) > 10
    assert all(lag_seconds(server) >= 7200 for server in servers[100:])
    assert lag_seconds(servers[102]) >= 9 * 3600


# Paging and filters


def test_pages_are_full_in_order_and_complete(cloud):
    ids = [server["sourceServerID"] for server in cloud.servers(23)]
    drs = cloud.client(STAGING)
    assert [server["sourceServerID"] for server in scan(drs, 5)] == ids
    pages = list(drs.get_paginator("describe_source_servers").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["items"]) for page in pages] == [5, 5, 5, 5, 3]


def test_the_cap_bounds_every_page_and_the_default_those_who_do_not_ask(cloud):
    cloud.servers(20)
    cloud.control("POST", "/settings", {"pageCap": 7, "defaultPageSize": 4})
    drs = cloud.client(STAGING)
    assert len(drs.describe_source_servers(maxResults=300)["items"]) == 7
    assert len(drs.describe_source_servers()["items"]) == 4
    assert len(scan(drs)) == len(scan(drs, 300)) == 20


def test_a_last_page_that_is_just_full_has_no_token(cloud):
    cloud.servers(6)
    first = cloud.client(STAGING).describe_source_servers(maxResults=3)
    second = cloud.client(STAGING).describe_source_servers(maxResults=3, nextToken=first["nextToken"])
    assert "nextToken" not in second


def test_a_scan_neither_skips_nor_repeats_while_servers_come_and_go(cloud):
    ids = [server["sourceServerID"] for server in cloud.servers(9)]
    drs = cloud.client(STAGING)
    first = drs.describe_source_servers(maxResults=3)
    for gone in (ids[0], ids[2], ids[4]):
        cloud.change(gone, remove=True)
    cloud.servers(1)
    second = drs.describe_source_servers(maxResults=100, nextToken=first["nextToken"])
    seen = [server["sourceServerID"] for server in first["items"] + second["items"]]
    assert len(seen) == len(set(seen)) == 9
    assert set(ids) - {ids[4]} <= set(seen)


def test_a_malformed_or_foreign_token_is_refused(cloud):
    cloud.servers(3)
    cloud.servers(3, account=STRANGER)
    foreign = cloud.client(STRANGER).describe_source_servers(maxResults=1)["nextToken"]
    for token in ("nonsense", "AAAA", "%%%", foreign):
        response = refusal(cloud.client(STAGING).describe_source_servers, nextToken=token)
        assert response["Error"]["Code"] == "ValidationException"
        assert response["fieldList"][0]["name"] == "nextToken"


def test_filters_by_id_hardware_and_staging_account(extendable):
    ids = [server["sourceServerID"] for server in extendable.servers(3)]
    (ec2,) = extendable.servers(1, instanceId=INSTANCE)
    (vmware,) = extendable.servers(1, vmwareUuid="4212-aa", macAddress="02:aa:00:00:00:01")
    drs = extendable.client(STAGING)

    def found(**filters):
        return [server["sourceServerID"] for server in scan(drs, filters=filters)]

    everything = [*ids, ec2["sourceServerID"], vmware["sourceServerID"]]
    assert found(sourceServerIDs=[ids[2], ids[0], "s-" + "0" * 17]) == [ids[0], ids[2]]
    assert found(hardwareId=INSTANCE) == [ec2["sourceServerID"]]
    assert found(hardwareId="4212-aa") == found(hardwareId="02:aa:00:00:00:01") == [vmware["sourceServerID"]]
    assert found(hardwareId="nothing") == []
    assert found(sourceServerIDs=[], stagingAccountIDs=[]) == everything
    assert found(stagingAccountIDs=[STAGING]) == everything
    assert found(stagingAccountIDs=[STRANGER]) == []
    assert found(sourceServerIDs=[ids[0]], hardwareId=INSTANCE) == []


def test_the_filter_by_staging_account_finds_extensions(extendable):
    (source,) = extendable.servers(1)
    extendable.servers(2, account=TARGET)
    target = extendable.client(TARGET)
    target.create_extended_source_server(sourceServerArn=source["arn"])
    (found,) = scan(target, filters={"stagingAccountIDs": [STAGING]})
    assert found["stagingArea"]["stagingSourceServerArn"] == source["arn"]
    assert len(scan(target)) == 3


# Validation


INVALID = [
    ("describe_source_servers", {"maxResults": 0}, "maxResults"),
    ("describe_source_servers", {"maxResults": "1"}, "maxResults"),
    ("describe_source_servers", {"filters": {"sourceServerIDs": ["s-" + "a" * 17] * 201}}, "filters.sourceServerIDs"),
    ("describe_source_servers", {"filters": {"sourceServerIDs": ["bad"]}}, "filters.sourceServerIDs.0"),
    ("describe_source_servers", {"filters": {"stagingAccountIDs": ["1"]}}, "filters.stagingAccountIDs.0"),
    ("describe_source_servers", {"filters": {"hardwareId": "x" * 257}}, "filters.hardwareId"),
    ("describe_source_servers", {"nextToken": "x" * 2049}, "nextToken"),
    ("list_staging_accounts", {"maxResults": 51}, "maxResults"),
    ("list_extensible_source_servers", {"stagingAccountID": STAGING, "maxResults": 301}, "maxResults"),
    ("list_extensible_source_servers", {}, "stagingAccountID"),
    ("create_extended_source_server", {}, "sourceServerArn"),
    ("create_extended_source_server", {"sourceServerArn": "arn:aws:s3:::a-bucket-of-mine"}, "sourceServerArn"),
    ("get_replication_configuration", {"sourceServerID": "s-short"}, "sourceServerID"),
    ("tag_resource", {"resourceArn": "arn:aws:drs:eu-west-1:1:source-server/s-1", "tags": {"k": "v" * 257}}, "tags.k"),
    ("untag_resource", {"resourceArn": "arn:aws:drs:eu-west-1:1:source-server/s-1"}, "tagKeys"),
    ("list_tags_for_resource", {"resourceArn": "not-an-arn"}, "resourceArn"),
    ("start_recovery", {}, "sourceServers"),
    ("start_recovery", {"sourceServers": []}, "sourceServers"),
    ("start_recovery", {"sourceServers": [{"sourceServerID": "s-" + "a" * 17}] * 201}, "sourceServers"),
    ("start_recovery", {"sourceServers": [{}]}, "sourceServers.0.sourceServerID"),
    (
        "start_recovery",
        {"sourceServers": [{"sourceServerID": "s-" + "a" * 17, "recoverySnapshotID": "snap-1"}]},
        "sourceServers.0.recoverySnapshotID",
    ),
    ("start_recovery", {"sourceServers": [{"sourceServerID": "s-" + "a" * 17}], "isDrill": "yes"}, "isDrill"),
    ("describe_jobs", {"filters": {"jobIDs": ["drsjob-1"]}}, "filters.jobIDs.0"),
    ("describe_jobs", {"filters": {"fromDate": "yesterday"}}, "filters.fromDate"),
    ("describe_jobs", {"filters": {"toDate": "2026-02-31T00:00:00Z"}}, "filters.toDate"),
    ("describe_jobs", {"maxResults": 0}, "maxResults"),
    (
        "describe_recovery_instances",
        {"filters": {"recoveryInstanceIDs": [INSTANCE] * 201}},
        "filters.recoveryInstanceIDs",
    ),
    ("describe_recovery_instances", {"filters": {"sourceServerIDs": ["bad"]}}, "filters.sourceServerIDs.0"),
    ("terminate_recovery_instances", {"recoveryInstanceIDs": []}, "recoveryInstanceIDs"),
    ("disconnect_recovery_instance", {"recoveryInstanceID": "i-xyz"}, "recoveryInstanceID"),
    ("delete_recovery_instance", {}, "recoveryInstanceID"),
    ("reverse_replication", {}, "recoveryInstanceID"),
    ("stop_replication", {"sourceServerID": "s-short"}, "sourceServerID"),
    ("start_replication", {}, "sourceServerID"),
    ("retry_data_replication", {}, "sourceServerID"),
]


@pytest.mark.parametrize(("method", "params", "field"), INVALID)
def test_what_the_model_forbids_is_refused_by_the_service(cloud, method, params, field):
    cloud.account()
    response = refusal(getattr(cloud.client(checked=False), method), **params)
    assert response["Error"]["Code"] == "ValidationException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["reason"] == "fieldValidationFailed"
    assert field in [item["name"] for item in response["fieldList"]]


def test_an_operation_that_is_not_simulated_answers_a_modelled_error(cloud):
    cloud.account()
    response = refusal(cloud.client().describe_job_log_items, jobID="drsjob-" + "0" * 17)
    assert (response["Error"]["Code"], response["reason"]) == ("ValidationException", "unknownOperation")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


# Extensions


def test_an_extension_is_the_same_machine_with_an_identity_of_its_own(extendable):
    origin = {"originAccountId": STRANGER, "originRegion": "us-east-1"}
    (source,) = extendable.servers(1, instanceId=INSTANCE, tags={"from": "staging"}, **origin)
    target = extendable.client(TARGET)
    answer = target.create_extended_source_server(sourceServerArn=source["arn"], tags={"from": "target"})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    extension, original = answer["sourceServer"], describe_one(extendable.client(STAGING))
    assert extension["stagingArea"] == {
        "status": "EXTENDED",
        "stagingAccountID": STAGING,
        "stagingSourceServerArn": source["arn"],
    }
    assert extension["tags"] == {"from": "target"}
    assert extension["arn"] == f"arn:aws:drs:{REGION}:{TARGET}:source-server/{extension['sourceServerID']}"
    assert extension["sourceServerID"] != original["sourceServerID"]
    assert extension["sourceCloudProperties"] == original["sourceCloudProperties"]
    hints = "identificationHints"
    assert extension["sourceProperties"][hints] == original["sourceProperties"][hints]
    assert describe_one(target)["sourceServerID"] == extension["sourceServerID"]


def test_an_extension_follows_its_original(extendable):
    (source,) = extendable.servers(1)
    target = extendable.client(TARGET)
    target.create_extended_source_server(sourceServerArn=source["arn"])
    describe_one(target)
    extendable.change(source["sourceServerID"], state="STALLED")
    assert describe_one(target)["dataReplicationInfo"]["dataReplicationState"] == "STALLED"
    extendable.client(STAGING).disconnect_source_server(sourceServerID=source["sourceServerID"])
    assert describe_one(target)["dataReplicationInfo"]["dataReplicationState"] == "DISCONNECTED"


def test_a_disconnected_extension_leaves_its_original_replicating(extendable):
    (source,) = extendable.servers(1)
    target = extendable.client(TARGET)
    extension = target.create_extended_source_server(sourceServerArn=source["arn"])["sourceServer"]
    target.disconnect_source_server(sourceServerID=extension["sourceServerID"])
    assert describe_one(target)["dataReplicationInfo"]["dataReplicationState"] == "DISCONNECTED"
    original = describe_one(extendable.client(STAGING))
    assert original["dataReplicationInfo"]["dataReplicationState"] == "CONTINUOUS"


def test_deleting_an_original_leaves_its_extension(extendable):
    (source,) = extendable.servers(1)
    target, staging = extendable.client(TARGET), extendable.client(STAGING)
    target.create_extended_source_server(sourceServerArn=source["arn"])
    staging.disconnect_source_server(sourceServerID=source["sourceServerID"])
    staging.delete_source_server(sourceServerID=source["sourceServerID"])
    assert describe_one(target)["stagingArea"]["stagingSourceServerArn"] == source["arn"]
    assert target.list_staging_accounts()["accounts"] == [{"accountID": STAGING}]


def test_a_deleted_extension_can_be_made_again(extendable):
    (source,) = extendable.servers(1)
    target = extendable.client(TARGET)
    extension = target.create_extended_source_server(sourceServerArn=source["arn"])["sourceServer"]
    target.disconnect_source_server(sourceServerID=extension["sourceServerID"])
    target.delete_source_server(sourceServerID=extension["sourceServerID"])
    assert target.list_staging_accounts()["accounts"] == []
    again = target.create_extended_source_server(sourceServerArn=source["arn"])["sourceServer"]
    assert again["sourceServerID"] != extension["sourceServerID"]


def test_what_is_left_to_extend_shrinks_and_never_offers_extensions(extendable):
    sources = extendable.servers(5, tags={"a": "b"})
    target = extendable.client(TARGET)
    listed, *_ = target.list_extensible_source_servers(stagingAccountID=STAGING)["items"]
    assert listed == {"hostname": "host-0", "arn": sources[0]["arn"], "tags": {"a": "b"}}
    target.create_extended_source_server(sourceServerArn=sources[1]["arn"])
    pages = target.get_paginator("list_extensible_source_servers").paginate(
        stagingAccountID=STAGING, PaginationConfig={"PageSize": 3}
    )
    sizes, arns = zip(*[(len(page["items"]), [item["arn"] for item in page["items"]]) for page in pages], strict=True)
    assert sizes == (3, 1)
    assert [*chain(*arns)] == [source["arn"] for source in sources if source is not sources[1]]

    extendable.account(STRANGER)
    extendable.account(TARGET, trusts=[STRANGER])
    assert extendable.client(STRANGER).list_extensible_source_servers(stagingAccountID=TARGET)["items"] == []


def test_one_original_can_be_extended_by_several_targets_once_each(extendable):
    (source,) = extendable.servers(1)
    extendable.account(STRANGER)
    extendable.account(STAGING, trusts=[TARGET, STRANGER])
    for account in (TARGET, STRANGER):
        extendable.client(account).create_extended_source_server(sourceServerArn=source["arn"])
    response = refusal(extendable.client(TARGET).create_extended_source_server, sourceServerArn=source["arn"])
    assert response["Error"]["Code"] == "ValidationException"
    assert "already extended" in response["Error"]["Message"]


def test_staging_accounts_are_those_of_existing_extensions_paged(extendable):
    accounts = [f"{number:012d}" for number in (7, 5, 9)]
    for account in accounts:
        extendable.account(account, trusts=[TARGET])
        (source,) = extendable.servers(1, account=account)
        extendable.client(TARGET).create_extended_source_server(sourceServerArn=source["arn"])
    pages = list(
        extendable.client(TARGET).get_paginator("list_staging_accounts").paginate(PaginationConfig={"PageSize": 2})
    )
    assert [[account["accountID"] for account in page["accounts"]] for page in pages] == [
        ["000000000005", "000000000007"],
        ["000000000009"],
    ]


def test_an_extension_needs_the_original_to_exist(extendable):
    response = refusal(extendable.client(TARGET).create_extended_source_server, sourceServerArn=MISSING)
    assert response["Error"]["Code"] == "ResourceNotFoundException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert (response["resourceId"], response["resourceType"]) == ("s-" + "0" * 17, "SourceServer")


def test_an_extension_needs_trust(extendable):
    (source,) = extendable.servers(1)
    extendable.account(STRANGER)
    stranger = extendable.client(STRANGER)
    assert code(stranger.create_extended_source_server, sourceServerArn=source["arn"]) == ("AccessDeniedException", 403)
    assert code(stranger.list_extensible_source_servers, stagingAccountID=STAGING) == ("AccessDeniedException", 403)


def test_an_extension_needs_a_customer_managed_key(extendable):
    (source,) = extendable.servers(1, defaultEbsKey=True)
    response = refusal(extendable.client(TARGET).create_extended_source_server, sourceServerArn=source["arn"])
    assert response["Error"]["Code"] == "ValidationException"
    assert "default EBS encryption key" in response["Error"]["Message"]
    extendable.change(source["sourceServerID"], defaultEbsKey=False)
    extendable.client(TARGET).create_extended_source_server(sourceServerArn=source["arn"])


def test_an_extension_is_made_in_the_region_of_its_original_and_not_of_an_extension(extendable):
    (source,) = extendable.servers(1)
    extendable.account(TARGET, "eu-west-2")
    elsewhere = extendable.client(TARGET, "eu-west-2")
    assert code(elsewhere.create_extended_source_server, sourceServerArn=source["arn"])[0] == "ValidationException"
    extension = extendable.client(TARGET).create_extended_source_server(sourceServerArn=source["arn"])["sourceServer"]
    extendable.account(STRANGER)
    extendable.account(TARGET, trusts=[STRANGER])
    twice = extendable.client(STRANGER).create_extended_source_server
    assert code(twice, sourceServerArn=extension["arn"])[0] == "ValidationException"


def test_an_extension_can_go_wrong_and_still_exist(extendable):
    (source,) = extendable.servers(1, extensionError="The KMS key is not shared")
    target = extendable.client(TARGET)
    target.create_extended_source_server(sourceServerArn=source["arn"])
    area = describe_one(target)["stagingArea"]
    assert (area["status"], area["errorMessage"]) == ("EXTENSION_ERROR", "The KMS key is not shared")
    assert target.list_extensible_source_servers(stagingAccountID=STAGING)["items"] == []


def test_a_full_target_refuses_with_its_quota(extendable):
    sources = extendable.servers(2)
    extendable.control("POST", "/settings", {"totalServersQuota": 1})
    target = extendable.client(TARGET)
    target.create_extended_source_server(sourceServerArn=sources[0]["arn"])
    response = refusal(target.create_extended_source_server, sourceServerArn=sources[1]["arn"])
    assert response["Error"]["Code"] == "ServiceQuotaExceededException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 402
    assert (response["resourceType"], response["serviceCode"]) == ("SourceServer", "drs")


# Tags


def test_tags_are_set_read_and_removed(cloud):
    (server,) = cloud.servers(1, tags={"old": "1", "kept": "2"})
    drs, arn = cloud.client(STAGING), server["arn"]
    assert describe_one(drs)["tags"] == {"old": "1", "kept": "2"}
    drs.tag_resource(resourceArn=arn, tags={"new": "3", "old": "4"})
    assert describe_one(drs)["tags"] == {"old": "4", "kept": "2", "new": "3"}
    assert drs.list_tags_for_resource(resourceArn=arn)["tags"] == {"old": "4", "kept": "2", "new": "3"}
    drs.untag_resource(resourceArn=arn, tagKeys=["old", "new", "never there"])
    assert drs.list_tags_for_resource(resourceArn=arn)["tags"] == {"kept": "2"}
    assert describe_one(drs)["tags"] == {"kept": "2"}


def test_a_template_can_be_tagged(cloud):
    drs = cloud.client()
    drs.initialize_service()
    arn = drs.describe_replication_configuration_templates()["items"][0]["arn"]
    drs.tag_resource(resourceArn=arn, tags={"a": "b"})
    assert drs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "b"}


def test_fifty_tags_fit_and_no_more(cloud):
    (server,) = cloud.servers(1)
    drs, arn = cloud.client(STAGING), server["arn"]
    drs.tag_resource(resourceArn=arn, tags={f"key-{number}": "v" for number in range(50)})
    drs.tag_resource(resourceArn=arn, tags={"key-0": "changed"})
    assert code(drs.tag_resource, resourceArn=arn, tags={"key-50": "v"}) == ("ValidationException", 400)
    assert len(drs.list_tags_for_resource(resourceArn=arn)["tags"]) == 50


def test_reserved_tag_keys_are_refused(cloud):
    (server,) = cloud.servers(1)
    call = cloud.client(STAGING).tag_resource
    assert code(call, resourceArn=server["arn"], tags={"aws:stack-name": "x"})[0] == "ValidationException"


def test_the_tag_operations_need_the_whole_arn(cloud):
    (server,) = cloud.servers(1)
    wrong = server["arn"].replace(REGION, "eu-west-2")
    call = cloud.client(STAGING).list_tags_for_resource
    assert code(call, resourceArn=wrong) == ("ResourceNotFoundException", 404)


# Replication configuration, disconnecting, deleting


def test_the_replication_configuration_of_a_server(cloud):
    (server,) = cloud.servers(1, diskBytes=[1 << 30, 1 << 31])
    configuration = cloud.client(STAGING).get_replication_configuration(sourceServerID=server["sourceServerID"])
    assert configuration["sourceServerID"] == server["sourceServerID"]
    assert [disk["isBootDisk"] for disk in configuration["replicatedDisks"]] == [True, False]
    assert "replicationConfigurationTemplateID" not in configuration


def test_a_server_is_disconnected_before_it_is_deleted(cloud):
    (server,) = cloud.servers(1)
    drs, by_id = cloud.client(STAGING), {"sourceServerID": server["sourceServerID"]}
    response = refusal(drs.delete_source_server, **by_id)
    assert response["Error"]["Code"] == "ConflictException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert (response["resourceId"], response["resourceType"]) == (server["sourceServerID"], "SourceServer")
    disconnected = drs.disconnect_source_server(**by_id)["dataReplicationInfo"]
    assert disconnected["dataReplicationState"] == "DISCONNECTED"
    assert disconnected["replicatedDisks"][0]["totalStorageBytes"] == 0
    assert "lagDuration" not in disconnected
    assert drs.delete_source_server(**by_id)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert drs.describe_source_servers()["items"] == []
    assert code(drs.delete_source_server, **by_id) == ("ResourceNotFoundException", 404)


def test_a_server_with_a_recovery_instance_cannot_be_disconnected(cloud):
    (server,) = cloud.servers(1, recoveryInstanceId=INSTANCE)
    by_id = {"sourceServerID": server["sourceServerID"]}
    assert code(cloud.client(STAGING).disconnect_source_server, **by_id) == ("ConflictException", 409)


# The real AWS CLI


def test_the_aws_cli_pages_through_the_sandbox(http_cloud):
    # The CLI is a process of its own, out of moto's reach.
    http_cloud.servers(5)
    command = [
        str(Path(sys.executable).with_name("aws")),
        *("drs", "describe-source-servers", "--endpoint-url", http_cloud.endpoint, "--region", REGION),
        *("--page-size", "2", "--output", "json"),
    ]
    keys = {"AWS_ACCESS_KEY_ID": STAGING, "AWS_SECRET_ACCESS_KEY": "test"}
    done = subprocess.run(command, env={**os.environ, **keys}, capture_output=True, text=True, timeout=30, check=True)
    assert len(json.loads(done.stdout)["items"]) == 5
    assert http_cloud.calls("DescribeSourceServers") == [(3, 0)]

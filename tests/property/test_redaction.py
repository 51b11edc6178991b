"""Redaction: nothing that tells whose an answer is remains, and what referred to each other still does."""

import json
import re
from functools import cache

import botocore.session
from hypothesis import given
from hypothesis import strategies as st

from scripts.accept.recording import Answer, without_identifiers

HEX = "0123456789abcdef"
ACCOUNTS = st.from_regex(r"[1-9][0-9]{11}", fullmatch=True)
INSTANCES = st.text(HEX, min_size=17, max_size=17).filter(lambda text: not text.startswith("000")).map("i-{}".format)
SERVERS = st.text(HEX, min_size=17, max_size=17).filter(lambda text: not text.startswith("000")).map("s-{}".format)
IPS = st.one_of(
    st.from_regex(r"10\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    st.from_regex(r"fd00:[1-9a-f]{4}::[1-9a-f]{1,4}", fullmatch=True),
)
NAMES = st.one_of(
    st.from_regex(r"[a-z]{4}-prod[0-9]{2}(\.corp\.example)?", fullmatch=True),
    st.text("äöüß…", min_size=4, max_size=9),
    st.from_regex(r"Zq[A-Za-z/:=+.@ -]{4,12}Q", fullmatch=True),
)
TAGS = st.dictionaries(NAMES, NAMES, max_size=3)


@cache
def operation(service, name):
    return botocore.session.get_session().get_service_model(service).operation_model(name)


@st.composite
def recordings(draw):
    """Return identifiers, and a recording that holds them in all places that identifiers have."""
    account, server, instance, ip, name = (draw(one) for one in (ACCOUNTS, SERVERS, INSTANCES, IPS, NAMES))
    tags = draw(TAGS)
    arn = f"arn:aws:drs:eu-west-1:{account}:source-server/{server}"
    role = f"arn:aws:sts::{account}:assumed-role/{name}/{name}"
    item = {
        "sourceServerID": server,
        "arn": arn,
        "tags": tags,
        "dataReplicationInfo": {"dataReplicationState": "CONTINUOUS", "lagDuration": "PT5M"},
        "sourceCloudProperties": {"originAccountID": account, "originRegion": "eu-west-2"},
        "sourceProperties": {
            "identificationHints": {"hostname": name, "fqdn": name, "awsInstanceID": instance},
            "networkInterfaces": [{"ips": [ip], "macAddress": "06:11:22:33:44:55", "isPrimary": True}],
            "os": {"fullString": name},
            "lastUpdatedDateTime": "2026-01-01T00:00:00Z",
        },
        "notInTheModel": name,
    }
    ec2_tags = [{"Key": key, "Value": value} for key, value in tags.items()]
    placed = {"InstanceId": instance, "InstanceType": "m5.large", "PrivateIpAddress": ip, "Tags": ec2_tags}
    error = {"Error": {"Code": "AccessDeniedException", "Message": f"{role} may not touch {arn}"}}
    credentials = {"AccessKeyId": f"AKIA{name}", "SecretAccessKey": f"secret{name}", "SessionToken": name}
    answers = [
        Answer(operation("drs", "DescribeSourceServers"), "eu-west-1", {}, 200, {"items": [item], "nextToken": name}),
        Answer(operation("drs", "DescribeSourceServers"), "eu-west-1", {"nextToken": name}, 403, error),
        Answer(
            operation("ec2", "DescribeInstances"),
            "eu-west-2",
            {"Filters": [{"Name": "instance-id", "Values": [instance]}]},
            200,
            {"Reservations": [{"OwnerId": account, "Instances": [placed]}]},
        ),
        Answer(
            operation("sts", "AssumeRole"),
            "eu-west-1",
            {"RoleArn": role, "ExternalId": f"external {name}", "RoleSessionName": name},
            200,
            {"AssumedRoleUser": {"Arn": role, "AssumedRoleId": name}, "Credentials": credentials},
        ),
        Answer(operation("sts", "GetCallerIdentity"), "eu-west-1", {}, 200, {"Account": account, "Arn": role}),
        Answer(operation("drs", "UntagResource"), "eu-west-1", {"resourceArn": arn, "tagKeys": [name]}, 200, {}),
    ]
    return {account, server, instance, ip, name, "06:11:22:33:44:55", "secret", *tags, *tags.values()}, answers


def texts(value):
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


@given(recordings())
def test_no_identifier_remains(recording):
    identifiers, answers = recording
    left = list(texts(without_identifiers(answers)))
    for identifier in identifiers:
        whole = re.compile(rf"(?<![0-9A-Za-z.:]){re.escape(identifier)}(?![0-9A-Za-z.:])")
        assert not [text for text in left if whole.search(text)]


@given(recordings())
def test_what_refers_to_each_other_still_does(recording):
    _, answers = recording
    listing, refused, instances, assumed, caller, untagged = without_identifiers(answers)
    [item] = listing["answer"]["items"]
    [reservation] = instances["answer"]["Reservations"]
    account = item["sourceCloudProperties"]["originAccountID"]
    hints = item["sourceProperties"]["identificationHints"]
    assert item["arn"] == f"arn:aws:drs:eu-west-1:{account}:source-server/{item['sourceServerID']}"
    assert untagged["parameters"]["resourceArn"] == item["arn"]
    assert reservation["OwnerId"] == caller["answer"]["Account"] == account
    assert reservation["Instances"][0]["InstanceId"] == hints["awsInstanceID"]
    assert instances["parameters"] == {"Filters": [{"Name": "instance-id", "Values": [hints["awsInstanceID"]]}]}
    assert {tag["Key"]: tag["Value"] for tag in reservation["Instances"][0]["Tags"]} == item["tags"]
    assert refused["parameters"]["nextToken"] == listing["answer"]["nextToken"]
    assert refused["error"] == {"code": "AccessDeniedException"}
    assert "Credentials" not in assumed["answer"]


@given(recordings())
def test_what_the_product_goes_by_stays(recording):
    _, answers = recording
    listing, _, instances, *_ = without_identifiers(answers)
    [item] = listing["answer"]["items"]
    assert item["dataReplicationInfo"] == {"dataReplicationState": "CONTINUOUS", "lagDuration": "PT5M"}
    assert item["sourceCloudProperties"]["originRegion"] == "eu-west-2"
    assert item["sourceProperties"]["lastUpdatedDateTime"] == "2026-01-01T00:00:00Z"
    assert "notInTheModel" not in item
    assert instances["answer"]["Reservations"][0]["Instances"][0]["InstanceType"] == "m5.large"


def test_stand_ins_are_as_many_as_originals_and_none_is_one_of_them():
    taken = {"Account": "000000000001", "UserId": "text-1", "Arn": "arn:aws:iam::999999999999:root"}
    [told] = without_identifiers([Answer(operation("sts", "GetCallerIdentity"), "eu-west-1", {}, 200, taken)])
    answer = told["answer"]
    assert len(set(answer.values())) == len(taken)
    assert not set(answer.values()) & set(taken.values())
    assert "000000000001" not in json.dumps(told)

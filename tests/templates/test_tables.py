"""Tables are what docs/data-model.md says."""

import re

import pytest

from sandbox.cloud.packaging import REPO

INDEX = re.compile(r"`(\w+Index)`(?: \(`(\w+)` / `(\w+)`)?")
REBUILT = {"RegionStatusTable", "ScanTable", "TelemetryTable", "RunsTable"}
"""What the next scans write anew; every other table survives its stack."""


def documented():
    """Return the rows of the document's first table by their first cell."""
    lines = (REPO / "docs" / "data-model.md").read_text().split("\n\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): dict(zip(("key", "indexes", "stream"), row[1:4], strict=True)) for row in rows}


def keys(schema):
    return [part["AttributeName"] for part in sorted(schema, key=lambda part: part["KeyType"] != "HASH")]


@pytest.fixture(scope="module")
def tables(resources):
    """Tables by the name that the document uses."""
    return {
        table["TableName"]["Fn::Sub"].removeprefix("${Project}-${Stage}-"): table
        for table in resources("AWS::DynamoDB::Table").values()
    }


def test_the_document_describes_every_table_and_no_other(tables):
    assert set(tables) == set(documented())


@pytest.mark.parametrize("name", documented())
def test_keys_are_as_documented(tables, name):
    assert keys(tables[name]["KeySchema"]) == re.findall(r"`(\w+)`", documented()[name]["key"])


@pytest.mark.parametrize("name", documented())
def test_indexes_are_as_documented(tables, name):
    found = {index["IndexName"]: keys(index["KeySchema"]) for index in tables[name].get("GlobalSecondaryIndexes", [])}
    told = INDEX.findall(documented()[name]["indexes"])
    assert {index for index, *_ in told} == set(found)
    assert all(found[index] == [part for part in key if part] for index, *key in told if key[0])


@pytest.mark.parametrize("name", documented())
def test_streams_are_as_documented(tables, name):
    stream = tables[name].get("StreamSpecification", {}).get("StreamViewType")
    assert stream == ("NEW_AND_OLD_IMAGES" if "new and old images" in documented()[name]["stream"] else None)


def test_every_attribute_that_is_defined_is_a_key(tables):
    for name, table in tables.items():
        schemas = [table["KeySchema"], *(index["KeySchema"] for index in table.get("GlobalSecondaryIndexes", []))]
        used = {part["AttributeName"] for schema in schemas for part in schema}
        assert {attribute["AttributeName"] for attribute in table["AttributeDefinitions"]} == used, name


def test_every_table_is_encrypted_recoverable_and_paid_by_request(tables):
    for name, table in tables.items():
        encryption, none = table["SSESpecification"], {"Ref": "AWS::NoValue"}
        assert encryption == {
            "SSEEnabled": True,
            "SSEType": {"Fn::If": ["TablesHaveAKey", "KMS", none]},
            "KMSMasterKeyId": {"Fn::If": ["TablesHaveAKey", {"Ref": "TablesKeyArn"}, none]},
        }, name
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name
        assert table["BillingMode"] == "PAY_PER_REQUEST", name


def test_runs_expire_and_nothing_else_does(tables):
    expiring = {
        name: table["TimeToLiveSpecification"] for name, table in tables.items() if "TimeToLiveSpecification" in table
    }
    assert expiring == {"runs": {"AttributeName": "expiresAt", "Enabled": True}}


def test_what_no_scan_can_bring_back_survives_the_stack(template):
    policies = {
        name: (resource["DeletionPolicy"], resource["UpdateReplacePolicy"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::DynamoDB::Table"
    }
    assert {name for name, policy in policies.items() if policy != ("Retain", "Retain")} == REBUILT

import io
import json
import zipfile

import pytest

from scripts.deploy.release import Release, differs_in_code_only, keep_tables, reproducible

TABLE = {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Delete", "Properties": {"TableName": "t"}}
FUNCTION = {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "./deployment.zip", "MemorySize": 512}}
SOURCE = {"Parameters": {"Stage": {}}, "Resources": {"Table": TABLE, "Function": FUNCTION}}


def zipped(files, year=2026):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), content)
    return target.getvalue()


def test_equal_content_is_an_equal_package():
    one, other = zipped({"a.py": "1", "b.py": "2"}), zipped({"b.py": "2", "a.py": "1"}, year=2025)
    assert one != other
    assert reproducible(one) == reproducible(other)
    assert reproducible(one) != reproducible(zipped({"a.py": "1", "b.py": "3"}))


def test_a_package_keeps_its_files_and_their_modes():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        entry = zipfile.ZipInfo("run.sh")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, "true")
    with zipfile.ZipFile(io.BytesIO(reproducible(target.getvalue()))) as archive:
        assert archive.read("run.sh") == b"true"
        assert archive.getinfo("run.sh").external_attr == 0o755 << 16


@pytest.mark.parametrize("locked", [True, False])
def test_tables_are_kept_outside_dev_and_nothing_else_changes(locked):
    kept = keep_tables(SOURCE, locked=locked)["Resources"]
    assert kept["Table"] == {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": {"TableName": "t", "DeletionProtectionEnabled": locked},
    }
    assert kept["Function"] == FUNCTION
    assert SOURCE["Resources"]["Table"] == TABLE


@pytest.mark.parametrize(("stage", "protected"), [("dev", False), ("test", True), ("staging", True), ("prod", True)])
def test_stages_that_protect_their_tables(stage, protected):
    template = json.loads(Release(stage, SOURCE, b"").template("s3://bucket/key", locked=True))
    assert ("DeletionProtectionEnabled" in template["Resources"]["Table"]["Properties"]) is protected
    assert template["Resources"]["Function"]["Properties"]["CodeUri"] == "s3://bucket/key"


def test_code_alone_differs_where_only_its_place_does():
    one, other = (json.loads(Release("prod", SOURCE, b"").template(f"s3://b/{key}", locked=True)) for key in "12")
    assert one != other
    assert differs_in_code_only(one, other)
    other["Resources"]["Function"]["Properties"]["MemorySize"] = 256
    assert not differs_in_code_only(one, other)

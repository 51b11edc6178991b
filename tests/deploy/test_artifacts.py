"""The deployment bucket: whose it is, who is kept out, and that what was put is what is used."""

import base64
import hashlib
import json

import boto3
import pytest
from moto import mock_aws

from scripts.deploy.artifacts import Artifacts
from scripts.deploy.bucket import faults
from scripts.deploy.errors import DeployError

from .releases import make_bucket

ACCOUNT = "123456789012"  # moto's
BUCKET = "deployments"
CODE, OTHER = b"the code", b"other code"


@pytest.fixture
def s3(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


@pytest.fixture
def asked(s3):
    """Every request's parameters, in order."""
    requests = []
    s3.meta.events.register("provide-client-params.s3", lambda params, **_: requests.append(dict(params)))
    return requests


@pytest.fixture
def bucket(s3):
    make_bucket(s3, BUCKET)
    return Artifacts(s3, BUCKET, "stack", ACCOUNT)


@pytest.fixture
def objects(bucket, s3):
    """The same for objects: moto denies them without a look at the policy's condition."""
    s3.delete_bucket_policy(Bucket=BUCKET)
    return bucket


def sha256(body):
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_a_bucket_as_it_has_to_be(bucket, s3):
    bucket.check()
    assert list(faults(s3, BUCKET, ACCOUNT)) == []


def test_the_bill_of_materials_is_beside_the_package(objects, s3):
    place = objects.put_code(CODE)
    objects.put_materials(CODE, b"{}")
    objects.put_materials(OTHER, b"")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys == [place.key.removesuffix(".zip") + ".cdx.json", place.key]


def public(s3):
    s3.delete_public_access_block(Bucket=BUCKET)


def half_public(s3):
    block = {"BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True}
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)


def without_versions(s3):
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def without_policy(s3):
    s3.delete_bucket_policy(Bucket=BUCKET)


def with_policy(**changes):
    def change(s3):
        [statement] = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Statement": [statement | changes]}))

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (public, "public access is not blocked"),
        (half_public, "public access is not blocked"),
        (without_versions, "versioning is not enabled"),
        (without_policy, "does not refuse plain HTTP"),
        (with_policy(Resource=f"arn:aws:s3:::{BUCKET}/*"), "does not refuse plain HTTP"),
        (with_policy(Action="s3:GetObject"), "does not refuse plain HTTP"),
        (with_policy(Effect="Allow"), "does not refuse plain HTTP"),
        (with_policy(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), "does not refuse plain HTTP"),
        (with_policy(Condition={"Bool": {"aws:SecureTransport": "true"}}), "does not refuse plain HTTP"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_said_with_the_way_out(bucket, s3, change, said):
    change(s3)
    with pytest.raises(DeployError, match=rf"{said}.*infra/deployment-bucket\.yaml"):
        bucket.check()


def test_every_request_names_the_account_that_the_bucket_belongs_to(bucket, s3, asked):
    bucket.check()
    s3.delete_bucket_policy(Bucket=BUCKET, ExpectedBucketOwner=ACCOUNT)  # moto denies objects without its condition
    bucket.put_template("{}")
    place = bucket.put_code(CODE)
    bucket.missing(json.dumps({"Resources": {"F": {"Properties": {"CodeUri": place.for_sam}}}}))
    assert len(asked) >= 8
    assert {one.get("ExpectedBucketOwner") for one in asked} == {ACCOUNT}


def test_code_is_put_once_with_its_checksum(objects, s3, asked):
    place = objects.put_code(CODE)
    assert objects.put_code(CODE) == objects.code_of(sha256(CODE)) == place
    assert [one["ChecksumSHA256"] for one in asked if "Body" in one] == [sha256(CODE)]
    versions = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert [(one["Key"], one["VersionId"]) for one in versions] == [(place.key, place.version)]


def test_what_somebody_else_wrote_in_its_place_is_not_used(objects, s3):
    first = objects.put_code(CODE)
    s3.put_object(Bucket=BUCKET, Key=first.key, Body=OTHER)
    assert objects.code_of(sha256(CODE)) is None
    again = objects.put_code(CODE)
    assert again.version != first.version
    got = s3.get_object(Bucket=BUCKET, Key=again.key, VersionId=again.version)["Body"].read()
    assert (got, objects.code_of(sha256(CODE))) == (CODE, again)


def test_an_object_without_a_checksum_is_read(objects, s3):
    place = objects.put_code(CODE)
    s3.put_object(Bucket=BUCKET, Key=place.key, Body=CODE)
    found = objects.code_of(sha256(CODE))
    assert found is not None
    assert found.version != place.version


def test_code_that_is_gone_is_missed_in_its_version(objects, s3):
    place = objects.put_code(CODE)
    template = json.dumps({"Resources": {"F": {"Properties": {"CodeUri": place.for_sam}}}})
    assert objects.missing(template) == []
    s3.delete_object(Bucket=BUCKET, Key=place.key, VersionId=place.version)
    assert objects.missing(template) == [f"s3://{BUCKET}/{place.key}"]
    old = json.dumps({"Resources": {"F": {"Properties": {"CodeUri": f"s3://{BUCKET}/gone.zip"}}}})
    assert objects.missing(old) == [f"s3://{BUCKET}/gone.zip"]

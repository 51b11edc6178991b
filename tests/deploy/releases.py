"""Releases of this working tree, and changed ones."""

import copy
import io
import json
import zipfile
from dataclasses import replace

import yaml
from samtranslator.yaml_helper import yaml_parse

from sandbox.cloud.packaging import REPO, AppSource, build
from scripts.deploy.release import Release, reproducible

BUCKET = "deployments"
PACKAGES = REPO / "sandbox" / ".state" / "packages"


def make_bucket(s3, name):
    """Make a bucket as `infra/deployment-bucket.yaml` makes it."""
    template = yaml_parse((REPO / "infra" / "deployment-bucket.yaml").read_text())["Resources"]
    settings = template["Bucket"]["Properties"]
    [statement] = template["Policy"]["Properties"]["PolicyDocument"]["Statement"]
    arn = f"arn:aws:s3:::{name}"
    assert statement["Resource"] == [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}]
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": [arn, f"{arn}/*"]}]}
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=settings["VersioningConfiguration"])
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=settings["PublicAccessBlockConfiguration"])
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


def this_release(stage):
    # slim: what the functions need beside their code is the packaging tests' business
    built, _ = build(AppSource(slim=True), PACKAGES)
    return Release(stage, yaml.safe_load(built.template.read_text()), reproducible(built.code.read_bytes()))


def with_file(release, name, text):
    """Return the release with a file of its package added or replaced."""
    changed = io.BytesIO()
    folder, _, module = name.removesuffix(".py").rpartition("/")
    bytecode = f"{folder}/__pycache__/{module}"
    with zipfile.ZipFile(io.BytesIO(release.code)) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            if entry.filename != name and not entry.filename.startswith(f"{bytecode}."):
                new.writestr(entry, old.read(entry))
        new.writestr(name, text)
    return replace(release, code=reproducible(changed.getvalue()))


def with_resources(release, change):
    """Return the release with its template's resources changed by `change`."""
    source = copy.deepcopy(release.source)
    change(source["Resources"])
    return replace(release, source=source)


def with_broken_api(release):
    return with_file(release, "chalicelib/api/health.py", "raise RuntimeError('broken')\n")

"""A release: the template and the code of one version, as they are deployed to a stage."""

import base64
import copy
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.cloud.deployment import CODE_REFERENCE
from sandbox.cloud.packaging import AppSource, build

Template = dict[str, Any]
UNPROTECTED_STAGE = "dev"
FUNCTION = "AWS::Serverless::Function"
TABLE = "AWS::DynamoDB::Table"
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
"""A failed first deployment takes its empty tables with it; after that nothing but a person deletes a table."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold."""


@dataclass(frozen=True)
class Release:
    """One version for one stage.

    Attributes:
        stage: dev, test, staging or prod.
        source: the template as it was packaged; functions refer to their code as `./deployment.zip`.
        code: the package of all functions.
        materials: the bill of materials of the package (CycloneDX); empty where there is none.
    """

    stage: str
    source: Template
    code: bytes
    materials: bytes = b""

    @property
    def protects_tables(self) -> bool:
        """Whether the tables of the stage outlive mistakes."""
        return self.stage != UNPROTECTED_STAGE

    @property
    def code_sha256(self) -> str:
        """The code's digest as Lambda tells it (`CodeSha256`)."""
        return base64.b64encode(hashlib.sha256(self.code).digest()).decode()

    @property
    def parameters(self) -> set[str]:
        """The names of the template's parameters."""
        return set(self.source.get("Parameters", {}))

    def template(self, code_uri: str | Mapping[str, str], *, locked: bool) -> str:
        """Return the template with the code's place in it.

        Args:
            code_uri: where the code is, as SAM's `CodeUri`: `s3://bucket/key`, or bucket, key and version.
            locked: with deletion protection of the tables, where the stage has it. A stack is made without and locked
                afterwards, because CloudFormation could not remove locked tables if making the stack failed.
        """
        template = _with_code(self.source, code_uri)
        if self.protects_tables:
            template = keep_tables(template, locked=locked)
        return json.dumps(template, indent=1)


def package(stage: str, cache_dir: Path) -> Release:
    """Build the release of this working tree for `stage`.

    Raises:
        PackagingError: Chalice refused the app.
    """
    built, _ = build(AppSource(stage=stage, for_aws=True), cache_dir)
    source: Template = yaml.safe_load(built.template.read_text())
    return Release(stage, source, reproducible(built.code.read_bytes()), built.materials.read_bytes())


def keep_tables(template: Template, *, locked: bool) -> Template:
    """Return the template with every table kept when its stack goes, and locked against deletion where `locked`.

    CloudFormation takes no condition in a DeletionPolicy (docs/adr/0016).
    """
    kept = copy.deepcopy(template)
    for resource in kept["Resources"].values():
        if resource["Type"] == TABLE:
            resource.update(KEPT)
            resource["Properties"]["DeletionProtectionEnabled"] = locked
    return kept


def reproducible(package_zip: bytes) -> bytes:
    """Return the zip with the same files in the order of their names and without times: equal content, equal bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package_zip)) as old, zipfile.ZipFile(target, "w") as new:
        for entry in sorted(old.infolist(), key=lambda entry: entry.filename):
            same = zipfile.ZipInfo(entry.filename, EPOCH)
            same.external_attr = entry.external_attr
            same.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(same, old.read(entry))
    return target.getvalue()


def differs_in_code_only(deployed: Template, released: Template) -> bool:
    """Return whether two templates are equal but for where their functions' code is."""
    return _with_code(deployed, CODE_REFERENCE) == _with_code(released, CODE_REFERENCE)


def _with_code(template: Template, uri: str | Mapping[str, str]) -> Template:
    changed = copy.deepcopy(template)
    for function in _functions(changed):
        function["Properties"]["CodeUri"] = uri if isinstance(uri, str) else dict(uri)
    return changed


def _functions(template: Template) -> list[Template]:
    return [resource for resource in template["Resources"].values() if resource["Type"] == FUNCTION]

"""Releases of this working tree, and changed ones."""

import copy
import io
import zipfile
from dataclasses import replace

import yaml

from sandbox.cloud.packaging import REPO, AppSource, build
from scripts.deploy.release import Release, reproducible

BUCKET = "deployments"
PACKAGES = REPO / "sandbox" / ".state" / "packages"


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

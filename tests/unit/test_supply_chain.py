"""The locked requirements, what is left out of the package, and its bill of materials."""

import ast
import json
import re
import zipfile
from pathlib import Path

import pytest
from botocore.loaders import Loader

from scripts.materials import Locked, materials, read_locked
from scripts.trim import SERVICES, trim

REPO = Path(__file__).parents[2]
FILES = ("requirements", "requirements-oldest", "requirements-dev", "requirements-checkov")
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_locked_by_version_and_hash(name):
    locked = {canonical(one.name) for one in read_locked((REPO / f"{name}.txt").read_text())}
    wanted = {
        canonical(NAME.match(line).group())
        for line in (REPO / f"{name}.in").read_text().splitlines()
        if NAME.match(line)
    }
    assert wanted <= locked


@pytest.mark.parametrize("name", FILES)
def test_no_lock_names_where_packages_come_from(name):
    text = (REPO / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^--", text, re.M)


def test_what_ships_is_what_is_tested():
    shipped = {one[:2] for one in read_locked((REPO / "requirements.txt").read_text())}
    tested = {one[:2] for one in read_locked((REPO / "requirements-dev.txt").read_text())}
    assert shipped <= tested


@pytest.mark.parametrize("line", ["cachetools==8.0.1", "cachetools>=8", "-e ."])
def test_a_requirement_that_is_not_locked_is_refused(line):
    with pytest.raises(ValueError, match="not locked"):
        list(read_locked(f"# a comment\n{line}\n"))


def test_a_lock_is_read_with_markers_extras_and_hashes():
    text = "coverage[toml]==7.1 ; python_version < '4' \\\n    --hash=sha256:" + "a" * 64 + " \\\n    --hash=sha256:"
    assert list(read_locked(text + "b" * 64 + "\n    # via pytest-cov\n")) == [
        Locked("coverage", "7.1", ["a" * 64, "b" * 64])
    ]


def test_equal_requirements_make_an_equal_bill():
    shipped = [Locked("cachetools", "8.0.1", ["a" * 64]), Locked("pydantic", "2.13.5", ["b" * 64])]
    bill = json.loads(materials(shipped))
    assert materials(shipped) == materials(shipped)
    assert [(one["purl"], one["externalReferences"][0]["hashes"][0]["content"]) for one in bill["components"]] == [
        ("pkg:pypi/cachetools@8.0.1", "a" * 64),
        ("pkg:pypi/pydantic@2.13.5", "b" * 64),
    ]
    assert json.loads(materials(shipped[:1]))["serialNumber"] != bill["serialNumber"]


def test_models_stay_in_the_package_of_exactly_the_services_that_are_called():
    known = set(Loader().list_available_services("service-2"))
    called = {
        argument.value
        for path in (REPO / "chalicelib").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("client")
        for argument in call.args
        if isinstance(argument, ast.Constant) and argument.value in known
    }
    assert called == SERVICES


def test_a_package_keeps_code_and_the_newest_models_of_what_is_called(tmp_path):
    package = tmp_path / "deployment.zip"
    kept = [
        "app.py",
        "botocore/session.py",
        "botocore/data/endpoints.json",
        "botocore/data/ec2/2016-11-15/service-2.json.gz",
        "other/data/s3/2006-03-01/service-2.json.gz",
    ]
    unused = [
        "botocore/data/ec2/2015-10-01/service-2.json.gz",
        "botocore/data/ec2/2016-11-15/examples-1.json",
        "botocore/data/s3/2006-03-01/service-2.json.gz",
    ]
    with zipfile.ZipFile(package, "w") as archive:
        for name in kept + unused:
            archive.writestr(name, name)
    for _ in range(2):
        trim(package)
        with zipfile.ZipFile(package) as archive:
            assert archive.namelist() == kept
            assert [archive.read(name).decode() for name in kept] == kept
    assert [path.name for path in tmp_path.iterdir()] == [package.name]

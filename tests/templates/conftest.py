"""The template as it is deployed: Chalice's, with the project's own merged in."""

import copy
from pathlib import Path

import pytest
import yaml
from samtranslator.translator.transform import transform

from sandbox.cloud.packaging import REPO, AppSource, build
from scripts.deploy.release import Release


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("package"))  # built once


class NoManagedPolicies:
    """SAM looks AWS's managed policies up where a template names one; this template names none."""

    def load(self):
        return {}


@pytest.fixture(scope="session")
def translated(template):
    """The template as CloudFormation gets it from SAM."""
    source = copy.deepcopy(template)
    for resource in source["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/code.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # SAM asks which partition it is in
        return transform(source, {}, NoManagedPolicies())


@pytest.fixture(scope="session")
def template_file():
    # the template does not depend on the requirements, which take long to fetch
    package, _ = build(AppSource(slim=True), REPO / "sandbox" / ".state" / "packages")
    return package.template


@pytest.fixture(scope="session")
def template(template_file):
    return yaml.safe_load(template_file.read_text())


@pytest.fixture(scope="session")
def protected_template_file(template, tmp_path_factory):
    """The template as it is deployed to stages that keep their tables."""
    path = tmp_path_factory.mktemp("protected") / "template.json"
    path.write_text(Release("prod", template, b"").template("s3://bucket/code.zip", locked=True))
    return path


@pytest.fixture(scope="session")
def resources(template):
    """Return the properties of all resources of a type, by logical name."""

    def of_type(kind):
        found = template["Resources"].items()
        return {name: resource["Properties"] for name, resource in found if resource["Type"] == kind}

    return of_type


@pytest.fixture(scope="session")
def functions(resources):
    return resources("AWS::Serverless::Function")


@pytest.fixture(scope="session")
def events(functions):
    """Return (function, properties of the event) of every event of a type."""

    def of_type(kind):
        return [
            (name, event["Properties"])
            for name, function in functions.items()
            for event in function.get("Events", {}).values()
            if event["Type"] == kind
        ]

    return of_type

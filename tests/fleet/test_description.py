import pytest
import yaml

from sandbox.fleet.description import DEFAULT, ONE_ACCOUNT, SMALL, TENANTS, DescriptionError, describe, read_description
from sandbox.fleet.generator import generate


def small(**parts):
    """The small description with parts of it changed, e.g. servers={"total": 0}."""
    content = yaml.safe_load(SMALL.read_text())
    for part, changes in parts.items():
        content[part] = {**content[part], **changes}
    return content


@pytest.mark.parametrize("path", [DEFAULT, SMALL, ONE_ACCOUNT, TENANTS])
def test_the_files_fit(path):
    assert read_description(path).name == path.stem


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"servers": {"total": 0}}, "servers.total"),
        ({"servers": {"staging": 1.5}}, "servers.staging"),
        ({"servers": {"specials": {"onPremise": 1}}}, "servers.specials.onPremise"),
        ({"accounts": {"targets": "many"}}, "accounts.targets"),
        ({"accounts": {"stagingWithoutTrust": 2}}, "accounts"),
        ({"accounts": {"sharedStaging": 1}}, "accounts"),
        ({"accounts": {"targets": 2, "sharedStaging": 4}}, "accounts"),
        ({"accounts": {"tenants": 2}}, "accounts"),
        ({"accounts": {"stagingPerTarget": 0, "stagingWithoutTrust": 0}}, r"\(file\)"),
        ({"servers": {"specials": {"foreignOrigin": 1}}}, r"\(file\)"),
        ({"regions": {"activePerAccount": 4}}, "regions"),
        ({"regions": {"unused": ["eu-west-1"]}}, "regions"),
    ],
)
def test_what_does_not_fit_is_named(parts, named):
    with pytest.raises(DescriptionError, match=rf"(^|; ){named}: "):
        describe(small(**parts))


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(DescriptionError, match=r"absent\.yaml"):
        read_description(tmp_path / "absent.yaml")


def test_a_region_that_drs_lacks_is_named():
    with pytest.raises(DescriptionError, match=r"regions\.used: no DRS regions: eu-west-99"):
        generate(describe(small(regions={"used": ["eu-west-1", "us-east-1", "eu-west-99"]})))


@pytest.mark.parametrize(
    ("servers", "named"),
    [
        ({"specials": {"onPremises": 999}}, r"servers\.specials\.on_premises"),
        ({"staging": 0.9, "extended": 1.0}, r"servers\.staging"),
    ],
)
def test_too_few_servers_are_told(servers, named):
    with pytest.raises(DescriptionError, match=named):
        generate(describe(small(servers=servers)))

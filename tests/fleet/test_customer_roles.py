"""The template that customers get."""

import json
import re
import re._parser as sre_parser
import subprocess
import sys
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from chalicelib.adapters.sessions import Purpose
from sandbox.fleet.roles import READER, TEMPLATE, WRITER
from scripts.authorization.reference import Reference

PRODUCT = "drs-active-regions-"
REFERENCE = Reference()


@pytest.fixture(scope="module")
def template():
    return yaml_parse(TEMPLATE.read_text())


def statements(role):
    for policy in role["Properties"]["Policies"]:
        document = policy["Fn::If"][1] if "Fn::If" in policy else policy
        yield from document["PolicyDocument"]["Statement"]


def test_it_passes_cfn_lint():
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    checked = subprocess.run([cfn_lint, TEMPLATE], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_no_action_is_a_wildcard(template):
    for role in ("ReaderRole", "WriterRole"):
        actions = [action for statement in statements(template["Resources"][role]) for action in statement["Action"]]
        assert not [action for action in actions if "*" in action]


def test_only_what_has_no_resource_type_applies_to_everything(template):
    for role in ("ReaderRole", "WriterRole"):
        for statement in statements(template["Resources"][role]):
            without = [not REFERENCE.actions(action)[0].arn_formats for action in statement["Action"]]
            assert without == [statement["Resource"] == "*"] * len(without), statement["Sid"]


def test_the_reader_cannot_write(template):
    actions = [
        action for statement in statements(template["Resources"]["ReaderRole"]) for action in statement["Action"]
    ]
    assert all(action.split(":")[1].startswith(("Describe", "List", "Get")) for action in actions)


def trusted(role):
    """Return the statements of a role's trust policy by the function that they let in."""
    document = role["Properties"]["AssumeRolePolicyDocument"]
    found = [one["Fn::If"][1] if "Fn::If" in one else one for one in document["Statement"]]
    return {one["Condition"]["StringEquals"]["sts:RoleSessionName"].removeprefix(PRODUCT): one for one in found}


@pytest.mark.parametrize("role", ["ReaderRole", "WriterRole"])
def test_functions_of_the_hub_alone_are_trusted_each_by_its_role_and_only_with_the_external_id(template, role):
    for function, statement in trusted(template["Resources"][role]).items():
        assert statement["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${HubAccountId}:root"}}
        session = {"sts:ExternalId": {"Ref": "ExternalId"}, "sts:RoleSessionName": f"{PRODUCT}{function}"}
        arn = f"arn:${{AWS::Partition}}:iam::${{HubAccountId}}:role${{HubRolePath}}{function}/*"
        assert statement["Condition"] == {"StringEquals": session, "ArnLike": {"aws:PrincipalArn": {"Fn::Sub": arn}}}


def test_only_the_functions_that_need_a_role_are_let_in(template):
    readers, writers = (trusted(template["Resources"][role]) for role in ("ReaderRole", "WriterRole"))
    assert set(readers) == {Purpose.INVENTORY, Purpose.PROBE}
    assert set(writers) == {Purpose.TAGS, Purpose.STAGING, Purpose.PROBE}


def test_what_the_writer_may_do_depends_on_the_session(template):
    sessions = {"tag": Purpose.TAGS, "extend": Purpose.STAGING}
    for policy in template["Resources"]["WriterRole"]["Properties"]["Policies"]:
        document = policy["Fn::If"][1] if "Fn::If" in policy else policy
        purpose = sessions[document["PolicyName"].partition("-")[0]]
        for statement in document["PolicyDocument"]["Statement"]:
            assert statement["Condition"]["StringLike"] == {"aws:userid": f"*:{PRODUCT}{purpose}"}


def test_staging_accounts_limit_what_aws_can_limit(template):
    extend = {one["Sid"]: one for one in statements(template["Resources"]["WriterRole"]) if "Staging" in one["Sid"]}
    [statement] = extend.values()
    assert statement["Action"] == ["drs:GetReplicationConfiguration"]
    condition, accounts, otherwise = statement["Condition"]["StringEquals"]["Fn::If"]
    assert (condition, otherwise) == ("HasStagingAccounts", {"Ref": "AWS::NoValue"})
    assert list(accounts) == ["aws:ResourceAccount"]
    assert template["Parameters"]["StagingAccounts"]["Default"] == ""


def test_the_external_id_is_a_secret_of_some_length(template):
    assert template["Parameters"]["ExternalId"]["NoEcho"] is True
    assert template["Parameters"]["ExternalId"]["MinLength"] >= 16
    assert template["Parameters"]["ExternalId"]["MaxLength"] == 256


LONGEST_PARTITION = "aws-us-gov"
TRUST_POLICY_CHARACTERS = 2048
"""IAM and STS quotas, "Role trust policy length"; whitespace does not count."""


@pytest.mark.parametrize("role", ["ReaderRole", "WriterRole"])
def test_the_trust_policy_fits_with_the_longest_value_of_every_parameter(template, role):
    longest = {
        "AWS::Partition": LONGEST_PARTITION,
        "HubAccountId": "1" * 12,
        "ExternalId": "x" * template["Parameters"]["ExternalId"]["MaxLength"],
        "HubRolePath": "x" * longest_match(template["Parameters"]["HubRolePath"]["AllowedPattern"]),
    }

    def rendered(node):
        match node:
            case {"Ref": name}:
                return longest[name]
            case {"Fn::Sub": text}:
                return re.sub(r"\$\{([^}]+)\}", lambda found: longest[found[1]], text)
            case {"Fn::If": [_, yes, _]}:
                return rendered(yes)
            case dict():
                return {key: rendered(value) for key, value in node.items()}
            case list():
                return [rendered(value) for value in node]
        return node

    document = rendered(template["Resources"][role]["Properties"]["AssumeRolePolicyDocument"])
    assert len(json.dumps(document, separators=(",", ":"))) <= TRUST_POLICY_CHARACTERS


def longest_match(pattern):
    """Return how long a text can be that a parameter's AllowedPattern lets pass."""
    return int(sre_parser.parse(pattern).getwidth()[1])


def test_a_source_account_gets_no_writer(template):
    assert template["Resources"]["WriterRole"]["Condition"] == "HasDrs"
    names = [template["Parameters"][name]["Default"] for name in ("ReaderRoleName", "WriterRoleName")]
    assert names == [READER, WRITER]


@pytest.mark.cloud
def test_the_roles_in_an_account_are_the_templates(finished_cloud, fleet):
    for account in fleet.accounts:
        iam = finished_cloud.session(account.account_id).client("iam")
        names = {role["RoleName"] for role in iam.list_roles()["Roles"]}
        assert names == ({READER} if account.kind == "source" else {READER, WRITER})

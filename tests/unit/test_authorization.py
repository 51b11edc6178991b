"""The check of policies against AWS's service authorization reference finds each kind of mistake."""

import json
from pathlib import Path

import pytest

from scripts.authorization.__main__ import check, main
from scripts.authorization.arns import can_name
from scripts.authorization.reference import Reference

REPO = Path(__file__).parents[2]
SERVERS = "arn:aws:drs:*:*:source-server/*"
TEMPLATE = """
Resources:
  Work: {Type: "AWS::SQS::Queue"}
  Servers: {Type: "AWS::DynamoDB::Table"}
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument: {Statement: [%s]}
"""


@pytest.fixture
def found(tmp_path):
    """Return what is wrong with one statement, given as the members of a policy's or a template's statement."""

    def of(effect="Allow", **elements):
        statement = {"Sid": "One", "Effect": effect, **elements}
        file = tmp_path / "policy.yaml"
        file.write_text(TEMPLATE % json.dumps(statement))
        return [line.partition("One: ")[2] for line in check([file])]

    return of


class TestActions:
    @pytest.mark.parametrize("action", ["drs:ExtendSourceServer", "drss:TagResource", "drs:tagresource", "drs:Foo*"])
    def test_an_unknown_action_is_found(self, found, action):
        assert found(Action=[action], Resource="*") == [f"AWS knows no action {action}"]

    def test_also_among_those_that_are_meant_not(self, found):
        assert found(NotAction=["drs:Extend"], Resource="*") == ["AWS knows no action drs:Extend"]

    def test_a_wildcard_that_names_actions_is_fine(self, found):
        assert found("Deny", Principal="*", Action="sqs:*", Resource={"Fn::GetAtt": ["Work", "Arn"]}) == []

    def test_an_unknown_element_is_found(self, found):
        assert found(Action="drs:DescribeSourceServers", Resource="*", Conditions={}) == [
            "there is no element Conditions"
        ]


class TestResources:
    def test_an_action_without_resource_type_is_never_authorised_on_an_arn(self, found):
        """An Allow of it on ARNs allows nothing: every extension of a server would be denied."""
        assert found(Action=["drs:CreateExtendedSourceServer"], Resource=SERVERS) == [
            f"drs:CreateExtendedSourceServer has no resource type: it is authorised on * and never on {SERVERS}"
        ]
        assert found(Action=["drs:CreateExtendedSourceServer"], Resource="*") == []

    def test_a_resource_of_another_kind_is_found(self, found):
        [line] = found(Action="drs:GetReplicationConfiguration", Resource="arn:aws:drs:*:*:job/*")
        assert line.startswith("drs:GetReplicationConfiguration is never authorised on arn:aws:drs:*:*:job/*, but on ")

    def test_one_resource_that_fits_excuses_no_other(self, found):
        index = {"Fn::Sub": "${Servers.Arn}/index/ByName"}
        table = {"Fn::GetAtt": ["Servers", "Arn"]}
        assert found(Action="dynamodb:Query", Resource=[table, index]) == []
        [line] = found(Action="dynamodb:GetItem", Resource=[table, index])
        assert "dynamodb:GetItem is never authorised on" in line

    def test_everything_is_too_much_where_a_resource_is_required(self, found):
        [line] = found(Action="drs:GetReplicationConfiguration", Resource="*")
        assert line.startswith("drs:GetReplicationConfiguration on * although it can be limited to arn:")

    def test_a_resources_own_policy_may_mean_itself(self, found):
        principal = {"AWS": "arn:aws:iam::111122223333:root"}
        assert found(Principal=principal, Action="kms:Decrypt", Resource="*") == []

    def test_a_wildcard_of_actions_of_which_none_fits_is_found(self, found):
        assert found("Deny", Action="sqs:*", Resource={"Fn::GetAtt": ["Servers", "Arn"]}) == [
            "none of its actions is ever authorised on arn:aws:dynamodb:us-east-1:111122223333:table/Servers"
        ]

    @pytest.mark.parametrize(
        "resource", [{"Fn::GetAtt": ["Nowhere", "Arn"]}, {"Fn::ImportValue": "x"}, {"Ref": "Work"}]
    )
    def test_what_cannot_be_resolved_is_found(self, found, resource):
        assert any("stands for is not known" in line for line in found(Action="sqs:SendMessage", Resource=resource))

    def test_both_branches_of_a_condition_count(self, found):
        branches = {"Fn::If": ["Some", SERVERS, {"Ref": "AWS::NoValue"}]}
        assert found(Action="drs:GetReplicationConfiguration", Resource=[branches]) == []
        assert len(found(Action="drs:ListStagingAccounts", Resource=[branches])) == 1


class TestConditions:
    def test_an_unknown_key_is_found(self, found):
        condition = {"StringEquals": {"drs:StagingAccount": "111122223333"}}
        assert found(Action="drs:CreateExtendedSourceServer", Resource="*", Condition=condition) == [
            "condition key drs:StagingAccount is unknown to drs:CreateExtendedSourceServer"
        ]

    def test_a_key_that_one_of_the_actions_does_not_offer_is_found(self, found):
        """The statement would not hold for that action."""
        condition = {"StringEquals": {"aws:RequestTag/owner": "us"}}
        actions = ["drs:CreateExtendedSourceServer", "drs:DescribeSourceServers"]
        assert found(Action=actions, Resource="*", Condition=condition) == [
            "condition key aws:RequestTag/owner is unknown to drs:DescribeSourceServers"
        ]
        assert found(Action=actions[:1], Resource="*", Condition=condition) == []

    @pytest.mark.parametrize("key", ["aws:userid", "AWS:PrincipalArn", "sts:ExternalId"])
    def test_global_keys_and_those_of_the_action_are_known_in_any_case(self, found, key):
        resource = "arn:aws:iam::*:role/reader"
        assert found(Action="sts:AssumeRole", Resource=resource, Condition={"StringLike": {key: "x"}}) == []

    def test_an_unknown_operator_is_found(self, found):
        condition = {"StringEqual": {"aws:userid": "x"}}
        assert found(Action="drs:ListStagingAccounts", Resource="*", Condition=condition) == [
            "there is no condition operator StringEqual"
        ]


@pytest.mark.parametrize(
    ("pattern", "arn_format", "fits"),
    [
        ("*", "arn:${Partition}:sqs:${Region}:${Account}:${QueueName}", True),
        ("arn:aws:sqs:us-east-1:1:work", "arn:${Partition}:sqs:${Region}:${Account}:${QueueName}", True),
        ("arn:aws:sns:us-east-1:1:work", "arn:${Partition}:sqs:${Region}:${Account}:${QueueName}", False),
        ("arn:aws:sqs:us-east-1:work", "arn:${Partition}:sqs:${Region}:${Account}:${QueueName}", False),
        ("arn:aws:s3:::bucket", "arn:${Partition}:s3:::${BucketName}/${ObjectName}", False),
        ("arn:aws:s3:::bucket/*", "arn:${Partition}:s3:::${BucketName}/${ObjectName}", True),
        ("arn:aws:x:r:1:t/a*c/e", "arn:${Partition}:x:${R}:${A}:t/${One}/e", True),
        ("arn:aws:x:r:1:t/a?c/f", "arn:${Partition}:x:${R}:${A}:t/${One}/e", False),
    ],
)
def test_which_arns_a_pattern_can_name(pattern, arn_format, fits):
    assert can_name(pattern, arn_format) is fits


def test_the_reference_tells_which_actions_of_drs_have_a_resource_type():
    """Service Authorization Reference, "Actions defined by AWS Elastic Disaster Recovery"."""
    reference = Reference()
    [extend] = reference.actions("drs:CreateExtendedSourceServer")
    [configuration] = reference.actions("drs:GetReplicationConfiguration")
    assert (extend.arn_formats, configuration.needs_resource) == (frozenset(), True)


def test_a_file_without_a_policy_is_wrong(tmp_path, capsys):
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    assert main([str(empty)]) == 1
    assert "holds no policy" in capsys.readouterr().err

import pytest

from scripts.deploy.errors import DeployError
from scripts.deploy.stack import Action, Change, action_for


@pytest.mark.parametrize("status", [None, "REVIEW_IN_PROGRESS"])
def test_a_stack_that_is_not_there_yet_is_made(status):
    assert action_for("s", status) is Action.CREATE


@pytest.mark.parametrize(
    "status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"]
)
def test_a_stack_that_works_is_updated(status):
    assert action_for("s", status) is Action.UPDATE


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("UPDATE_IN_PROGRESS", "wait until it has ended"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "wait until it has ended"),
        ("ROLLBACK_COMPLETE", "delete-stack --stack-name s"),
        ("CREATE_FAILED", "delete-stack --stack-name s"),
        ("DELETE_FAILED", "delete-stack --stack-name s"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name s"),
        ("IMPORT_ROLLBACK_FAILED", "runbooks/deployment.md"),
    ],
)
def test_a_stack_in_trouble_is_left_alone_and_the_message_says_what_to_do(status, advice):
    with pytest.raises(DeployError, match="stack s is") as refusal:
        action_for("s", status)
    assert status in str(refusal.value)
    assert advice in str(refusal.value)


@pytest.mark.parametrize(
    ("action", "kind", "replacement", "loses"),
    [
        ("Remove", "AWS::DynamoDB::Table", "", True),
        ("Modify", "AWS::SQS::Queue", "True", True),
        ("Modify", "AWS::DynamoDB::Table", "Conditional", False),
        ("Modify", "AWS::DynamoDB::Table", "False", False),
        ("Remove", "AWS::Lambda::Function", "", False),
    ],
)
def test_what_loses_data(action, kind, replacement, loses):
    assert Change(action, "X", kind, replacement, "").loses_data is loses

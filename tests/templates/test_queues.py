"""Queues: who is kept out, and which dead-letter queue is whose."""

import pytest

WORK = {"InventoryWork": "inventory-work", "TagsWork": "tags-work", "StagingWork": "staging-work"}


@pytest.fixture(scope="module")
def queues(resources):
    return resources("AWS::SQS::Queue")


@pytest.fixture(scope="module")
def statements(resources):
    """The statements of each queue's policy, by their names."""
    found = {}
    for policy in resources("AWS::SQS::QueuePolicy").values():
        [queue] = [one["Ref"] for one in policy["Queues"]]
        assert queue not in found, "of two policies of a queue, the one that is deployed last counts"
        found[queue] = {one["Sid"]: one for one in policy["PolicyDocument"]["Statement"]}
    return found


def test_every_queue_is_encrypted_and_has_a_policy(queues, statements):
    assert set(statements) == set(queues)
    for queue in queues.values():
        none = {"Ref": "AWS::NoValue"}
        assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["QueuesHaveAKey", none, True]}
        assert queue["KmsMasterKeyId"] == {"Fn::If": ["QueuesHaveAKey", {"Ref": "QueuesKeyArn"}, none]}


def test_every_queue_refuses_unencrypted_transport(statements):
    for queue, named in statements.items():
        assert named["EncryptedTransportOnly"] == {
            "Sid": "EncryptedTransportOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": {"Fn::GetAtt": [queue, "Arn"]},
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }


def test_every_queue_refuses_other_accounts(statements):
    for queue, named in statements.items():
        statement = named["ThisAccountAndServicesThatAreLetInOnly"]
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "sqs:*")
        assert statement["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
        assert statement["Condition"] == {
            "StringNotEqualsIfExists": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        }


def test_only_eventbridge_is_let_in_and_only_for_the_schedules(statements):
    allowed = [
        (queue, one) for queue, named in statements.items() for one in named.values() if one["Effect"] == "Allow"
    ]
    [(queue, statement)] = allowed
    assert queue == "ScheduleFailures"
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert len(statement["Condition"]["ArnEquals"]["aws:SourceArn"]) == 3


def test_the_work_queues_alone_may_use_their_dead_letter_queue(queues):
    sources = {queues[name]["QueueName"]["Fn::Sub"] for name in WORK}
    allowed = queues["WorkDeadLetters"]["RedriveAllowPolicy"]
    assert allowed["redrivePermission"] == "byQueue"
    assert {arn["Fn::Sub"].rsplit(":", 1)[-1] for arn in allowed["sourceQueueArns"]} == sources
    for name in WORK:
        assert queues[name]["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["WorkDeadLetters", "Arn"]}


def test_the_failure_queues_are_nobodys_dead_letter_queue(queues):
    for name in ("ScheduleFailures", "StreamFailures"):
        assert queues[name]["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}

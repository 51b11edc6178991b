"""ExternalIds and credentials stay where they belong: in no error, no log, no representation."""

import logging

import boto3
import pytest
from moto import mock_aws
from pydantic import ValidationError

from chalicelib import observability  # noqa: F401  sets the loggers' levels
from chalicelib.adapters import sessions
from chalicelib.adapters.sessions import CustomerSessions, Purpose
from chalicelib.domain.accounts import Access, Account

from ..factories import account

MARKER = "marker-of-an-external-id"
HUB, TARGET = "111111111111", "222222222222"
ROW = {
    "accountId": TARGET,
    "name": "target",
    "kind": "target",
    "readerRoleArn": f"arn:aws:iam::{TARGET}:role/reader",
    "externalId": MARKER,
}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "unheard of"},
        {"name": ""},
        {"partition": "aws-cn"},  # the model's own check, which sees the whole row
        {"readerRoleArn": f"arn:aws:iam::{HUB}:role/reader"},
        {"externalId": f"{MARKER} with a blank"},
        {"externalId": [MARKER]},
        {"externalId": MARKER * 100},
        {"accountId": None},
    ],
    ids=["kind", "name", "partition", "role", "blank", "list", "long", "account"],
)
def test_a_row_that_does_not_parse_says_what_is_wrong_and_not_what_it_holds(change):
    with pytest.raises(ValidationError) as refused:
        Account.of({**ROW, **change})
    assert MARKER not in str(refused.value)
    assert MARKER not in repr(refused.value)


@pytest.mark.parametrize("told", [repr, str, format, "{!r:}".format])
def test_an_account_does_not_tell_its_external_id(told):
    assert MARKER not in told(account(external_id=MARKER))


@mock_aws
def test_botocore_does_not_log_requests_whatever_the_level_of_the_root_logger(caplog, monkeypatch):
    """At DEBUG it logs parameters and signed headers."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", HUB)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-access-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    sessions.forget()
    caplog.set_level(logging.DEBUG)
    boto3.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument="{}")
    caplog.clear()
    entered = CustomerSessions(HUB, Purpose.INVENTORY, 1, 1000)
    client = entered.client(account(account_id=TARGET, external_id=MARKER), Access.READER, "sts", "us-east-1")
    assert client.get_caller_identity()["Account"] == TARGET
    sessions.forget()

    told = "\n".join(record.getMessage() for record in caplog.records)
    assert MARKER not in told
    assert "a-secret-access-key" not in told
    assert "SecretAccessKey" not in told

"""What each function may do in a customer's account, by the role that it enters: the table of `test_customers.py`."""

READER, WRITER = "reader", "writer"
EXEMPT = {
    "drs:DescribeSourceServers": "as staging-worker: CreateExtendedSourceServer asks for it on AWS, not here",
    "drs:GetReplicationConfiguration": "as staging-worker: CreateExtendedSourceServer asks for it on AWS, not here",
}
_ASKED_BY_AWS = ""
"""Instead of a scenario: see EXEMPT."""

SESSIONS: dict[tuple[str, str], dict[str, str]] = {
    ("inventory-worker", READER): {
        "drs:DescribeSourceServers": "scans_a_new_account",
        "drs:GetReplicationConfiguration": "scans_a_new_account",
        "ec2:DescribeInstances": "scans_a_new_account",
    },
    ("account-probe", READER): {
        "drs:DescribeSourceServers": "validates_roles",
        "drs:ListExtensibleSourceServers": "validates_a_staging_account",
        "drs:ListStagingAccounts": "discovers_staging_accounts",
    },
    ("account-probe", WRITER): {},
    ("tags-worker", WRITER): {
        "drs:TagResource": "tags_what_differs",
        "drs:UntagResource": "removes_tags_that_are_gone",
    },
    ("staging-worker", WRITER): {
        "drs:ListExtensibleSourceServers": "extends_what_is_new",
        "drs:CreateExtendedSourceServer": "extends_what_is_new",
        "drs:DescribeSourceServers": _ASKED_BY_AWS,
        "drs:GetReplicationConfiguration": _ASKED_BY_AWS,
    },
}
"""By function and role: the actions, each with the scenario that fails without it."""

ACTIONS = sorted(
    {action for allowed in SESSIONS.values() for action in allowed}
    | {
        "drs:DeleteSourceServer",
        "drs:DisconnectSourceServer",
        "drs:StartRecovery",
        "drs:StopReplication",
        "drs:TerminateRecoveryInstances",
        "ec2:TerminateInstances",
    }
)

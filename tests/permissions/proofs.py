"""The table: which scenario proves that a permission is needed, and what nobody may do.

`test_matrix.py` holds it against the policy files: a permission without a proof fails, and so does a proof without a
permission. `test_needed.py` takes each permission away and sees its scenario fail; `test_denied.py` asks for everything
else. `docs/permissions.md` is made from it.
"""

from .matrix import Permission

EXEMPT: dict[str, str] = {
    "logs:CreateLogStream": "AWS writes the function's log with its role; the local cloud writes it itself",
    "logs:PutLogEvents": "AWS writes the function's log with its role; the local cloud writes it itself",
    "xray:PutTraceSegments": "the local cloud has no X-Ray",
    "xray:PutTelemetryRecords": "the local cloud has no X-Ray",
    "dynamodb:DescribeStream": "the event source's; the local cloud reads streams without asking the role",
    "dynamodb:GetRecords": "the event source's; the local cloud reads streams without asking the role",
    "dynamodb:GetShardIterator": "the event source's; the local cloud reads streams without asking the role",
    "dynamodb:ListStreams": "the event source's; the local cloud reads streams without asking the role",
    "sqs:SendMessage ScheduleFailures": "Lambda delivers failed ticks with the role; the local cloud does not ask it",
    "sqs:SendMessage StreamFailures": "Lambda delivers failed records with the role; the local cloud does not ask it",
    **{
        f"sqs:{action} {queue}": "the event source's; the local cloud reads queues without asking the role"
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
        for queue in ("InventoryWork", "TagsWork", "StagingWork")
    },
}
"""Permissions that the platform uses and the local cloud does not enforce, by action or by action and resource."""

NOT_ASKABLE = (
    "logs:",
    "xray:",
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
)
"""Beginnings of actions that the local cloud never enforces, whoever asks: their denial is read, not tried."""

_WORKER = {
    "buries_what_cannot_be_worked_off": ["sqs:SendMessage WorkDeadLetters"],
}
_SCHEDULE = {
    "plans_what_is_due": [
        "dynamodb:Scan RegionStatusTable",
        "dynamodb:Query WorkStateTable/index/DueIndex",
        "dynamodb:UpdateItem WorkStateTable",
        "dynamodb:PutItem RunsTable",
    ],
    "plans_every_scope_of_a_new_deployment": ["dynamodb:Query AccountsTable/index/KindIndex"],
}
_OPERATIONS = {
    "tells_the_status_of_regions": ["dynamodb:Scan RegionStatusTable"],
    "registers_an_account": ["dynamodb:PutItem AccountsTable", "dynamodb:UpdateItem WorkStateTable"],
    "lists_accounts": ["dynamodb:Query AccountsTable/index/KindIndex"],
    "lists_staging_accounts": ["dynamodb:GetItem AccountsTable", "dynamodb:Query AccountsTable"],
    "removes_a_source_account": ["dynamodb:DeleteItem AccountsTable"],
    "removes_a_staging_account_and_its_membership": ["dynamodb:Query AccountsTable/index/MemberIndex"],
    "tells_how_an_account_stands": ["dynamodb:BatchGetItem ScanTable", "dynamodb:BatchGetItem WorkStateTable"],
    "starts_an_inventory_sync": ["dynamodb:PutItem RunsTable", "sqs:SendMessage InventoryWork"],
    "starts_a_tag_sync": ["sqs:SendMessage TagsWork"],
    "starts_a_staging_sync": ["sqs:SendMessage StagingWork"],
    "follows_a_run": ["dynamodb:Query RunsTable"],
    "lists_runs": ["dynamodb:Query RunsTable/index/RunIndex"],
    "shows_a_server": ["dynamodb:Query InventoryTable", "dynamodb:GetItem ScanTable"],
    "lists_servers_of_a_region": ["dynamodb:Query ScanTable", "dynamodb:Query InventoryTable/index/ScopeIndex"],
    "lists_servers_by_hostname": ["dynamodb:Query InventoryTable/index/HostnameIndex"],
    "lists_servers_of_a_source_account": ["dynamodb:Query InventoryTable/index/SourceAccountIndex"],
    "lists_servers_of_a_staging_account": ["dynamodb:Query InventoryTable/index/StagingAccountIndex"],
    "tells_how_full_an_account_is": ["dynamodb:GetItem TelemetryTable"],
    "has_an_account_validated": ["lambda:InvokeFunction AccountProbe"],
    "has_everything_reconciled": ["lambda:InvokeFunction Maintenance"],
}
_QUESTIONS = {
    name: [one for one in needed if not one.startswith(("sqs:", "lambda:", "dynamodb:PutItem", "dynamodb:UpdateItem"))]
    for name, needed in _OPERATIONS.items()
    if name.startswith(("tells_", "lists_", "follows_", "shows_"))
}
_DEAD_LETTERS = {"dead_work": "WorkDeadLetters", "failed_ticks": "ScheduleFailures", "failed_records": "StreamFailures"}

PROOFS: dict[str, dict[str, list[str]]] = {
    "inventory-schedule": {
        **_SCHEDULE,
        "plans_what_is_due": [*_SCHEDULE["plans_what_is_due"], "sqs:SendMessage InventoryWork"],
        "restores_what_was_lost": [
            "dynamodb:Query AccountsTable/index/MemberIndex",
            "dynamodb:Query ScanTable",
            "dynamodb:GetItem RegionStatusTable",
            "dynamodb:PutItem RegionStatusTable",
            "dynamodb:BatchGetItem WorkStateTable",
        ],
        "forgets_the_status_of_a_region_without_scans": ["dynamodb:DeleteItem RegionStatusTable"],
    },
    "tags-schedule": {
        "plans_what_is_due": [*_SCHEDULE["plans_what_is_due"], "sqs:SendMessage TagsWork"],
        "plans_every_scope_of_a_new_deployment": [
            *_SCHEDULE["plans_every_scope_of_a_new_deployment"],
            "sqs:SendMessage InventoryWork",
        ],
    },
    "staging-schedule": {
        "plans_what_is_due": [*_SCHEDULE["plans_what_is_due"], "sqs:SendMessage StagingWork"],
        "plans_every_scope_of_a_new_deployment": [
            *_SCHEDULE["plans_every_scope_of_a_new_deployment"],
            "dynamodb:Query AccountsTable/index/MemberIndex",
            "sqs:SendMessage InventoryWork",
        ],
    },
    "inventory-worker": {
        **_WORKER,
        "scans_a_new_account": [
            "dynamodb:GetItem AccountsTable",
            "dynamodb:GetItem ScanTable",
            "dynamodb:GetItem TelemetryTable",
            "dynamodb:Query InventoryTable/index/ScopeIndex",
            "dynamodb:BatchGetItem InventoryTable",
            "dynamodb:UpdateItem InventoryTable",
            "dynamodb:PutItem ScanTable",
            "dynamodb:PutItem TelemetryTable",
            "dynamodb:UpdateItem WorkStateTable",
            "dynamodb:ConditionCheckItem WorkStateTable",
        ],
        "enters_an_account_for_the_first_time": ["sts:AssumeRole reader roles"],
        "notes_that_an_extension_was_removed": ["dynamodb:PutItem RefusalsTable"],
        "removes_an_account": [
            "dynamodb:BatchGetItem ScanTable",
            "dynamodb:DeleteItem AccountsTable",
            "dynamodb:DeleteItem ScanTable",
            "dynamodb:DeleteItem TelemetryTable",
        ],
        "wakes_itself_for_what_was_asked_for_meanwhile": ["sqs:SendMessage InventoryWork"],
        "puts_off_what_failed": ["sqs:ChangeMessageVisibility InventoryWork"],
    },
    "tags-worker": {
        **_WORKER,
        "tags_what_differs": [
            "dynamodb:GetItem AccountsTable",
            "dynamodb:GetItem ScanTable",
            "dynamodb:GetItem TelemetryTable",
            "dynamodb:BatchGetItem InventoryTable",
            "dynamodb:UpdateItem InventoryTable",
            "dynamodb:UpdateItem WorkStateTable",
            "dynamodb:ConditionCheckItem WorkStateTable",
        ],
        "enters_an_account_for_the_first_time": ["sts:AssumeRole writer roles"],
        "leaves_an_idle_region_alone": ["dynamodb:Scan RegionStatusTable"],
        "wakes_itself_for_what_was_asked_for_meanwhile": ["sqs:SendMessage TagsWork"],
        "puts_off_what_failed": ["sqs:ChangeMessageVisibility TagsWork"],
    },
    "staging-worker": {
        **_WORKER,
        "extends_what_is_new": [
            "dynamodb:GetItem AccountsTable",
            "dynamodb:Query AccountsTable",
            "dynamodb:GetItem ScanTable",
            "dynamodb:BatchGetItem ScanTable",
            "dynamodb:GetItem TelemetryTable",
            "dynamodb:BatchGetItem InventoryTable",
            "dynamodb:Query RefusalsTable",
            "dynamodb:UpdateItem WorkStateTable",
            "sqs:SendMessage InventoryWork",
        ],
        "enters_an_account_for_the_first_time": ["sts:AssumeRole writer roles"],
        "leaves_an_idle_region_alone": ["dynamodb:Scan RegionStatusTable"],
        "remembers_what_drs_refuses": ["dynamodb:PutItem RefusalsTable", "dynamodb:ConditionCheckItem WorkStateTable"],
        "forgets_refusals_of_what_is_extended": ["dynamodb:DeleteItem RefusalsTable"],
        "wakes_itself_for_what_was_asked_for_meanwhile": ["sqs:SendMessage StagingWork"],
        "puts_off_what_failed": ["sqs:ChangeMessageVisibility StagingWork"],
    },
    "scan-stream": {
        "folds_a_region_and_asks_for_work": [
            "dynamodb:Query ScanTable",
            "dynamodb:GetItem RegionStatusTable",
            "dynamodb:PutItem RegionStatusTable",
            "dynamodb:Query AccountsTable/index/MemberIndex",
            "dynamodb:UpdateItem WorkStateTable",
            "sqs:SendMessage TagsWork",
            "sqs:SendMessage StagingWork",
        ],
        "forgets_a_region_without_scans": ["dynamodb:DeleteItem RegionStatusTable"],
    },
    "account-probe": {
        "enters_an_account_for_the_first_time": ["sts:AssumeRole reader roles", "sts:AssumeRole writer roles"],
        "validates_roles": ["dynamodb:GetItem AccountsTable"],
        "validates_a_staging_account": [
            "dynamodb:GetItem ScanTable",
            "dynamodb:Query InventoryTable/index/ScopeIndex",
            "dynamodb:Query AccountsTable/index/MemberIndex",
        ],
        "discovers_staging_accounts": ["dynamodb:Query AccountsTable", "dynamodb:BatchGetItem ScanTable"],
    },
    "maintenance": {
        **{
            f"tells_{what}": [f"sqs:ReceiveMessage {queue}", f"sqs:ChangeMessageVisibility {queue}"]
            for what, queue in _DEAD_LETTERS.items()
        },
        **{
            f"redrives_{what}": [f"sqs:DeleteMessage {queue}", f"sqs:GetQueueAttributes {queue}"]
            for what, queue in _DEAD_LETTERS.items()
        },
        "asks_for_dead_work_again": ["dynamodb:UpdateItem WorkStateTable", "sqs:SendMessage InventoryWork"],
        "reconciles_what_fell_behind": [
            "dynamodb:Query AccountsTable/index/KindIndex",
            "dynamodb:Query AccountsTable/index/MemberIndex",
            "dynamodb:Query ScanTable",
            "dynamodb:Scan RegionStatusTable",
            "dynamodb:GetItem RegionStatusTable",
            "dynamodb:PutItem RegionStatusTable",
            "dynamodb:BatchGetItem WorkStateTable",
            "sqs:SendMessage TagsWork",
            "sqs:SendMessage StagingWork",
        ],
        "reconciles_a_region_without_scans": ["dynamodb:DeleteItem RegionStatusTable"],
    },
    "api": _OPERATIONS,
    "operations": _OPERATIONS,
    "operations-read": _QUESTIONS,
}
"""By function and scenario: the permissions that it proves."""

FORBIDDEN: dict[str, list[str]] = {
    "no work in customers' services with a function's own role": [
        "drs:DescribeSourceServers *",
        "drs:CreateExtendedSourceServer *",
        "drs:TagResource *",
        "drs:DeleteSourceServer *",
        "drs:StartRecovery *",
        "drs:TerminateRecoveryInstances *",
        "ec2:DescribeInstances *",
        "ec2:TerminateInstances *",
    ],
    "no role but the readers and writers of customers": ["sts:AssumeRole other roles"],
    "no read of a whole table but the small one of region status": [
        "dynamodb:Scan InventoryTable",
        "dynamodb:Scan AccountsTable",
        "dynamodb:Scan ScanTable",
        "dynamodb:Scan WorkStateTable",
        "dynamodb:Scan TelemetryTable",
        "dynamodb:Scan RefusalsTable",
        "dynamodb:Scan RunsTable",
    ],
    "no end of a table, a queue or a message of others": [
        "dynamodb:DeleteItem InventoryTable",
        "dynamodb:BatchWriteItem InventoryTable",
        "dynamodb:DeleteTable InventoryTable",
        "dynamodb:DeleteTable AccountsTable",
        "dynamodb:DeleteItem WorkStateTable",
        "sqs:PurgeQueue InventoryWork",
        "sqs:DeleteQueue InventoryWork",
        "sqs:SetQueueAttributes InventoryWork",
    ],
    "no change of code, roles or stacks": [
        "lambda:UpdateFunctionCode AccountProbe",
        "lambda:UpdateFunctionConfiguration AccountProbe",
        "iam:PutRolePolicy *",
        "iam:CreateUser *",
        "cloudformation:DeleteStack *",
    ],
}
"""What no function may do, with the reason."""


def permission(text: str) -> Permission:
    """Return the permission that a line of the tables names."""
    action, _, resource = text.partition(" ")
    return Permission(action, resource)


def exemption(one: Permission) -> str | None:
    """Return why a permission cannot be proven on the local cloud, or None where it can."""
    return EXEMPT.get(one.action) or EXEMPT.get(f"{one.action} {one.resource}")


def proofs(function: str) -> dict[Permission, str]:
    """Return the scenario that proves each permission of a function."""
    return {permission(text): name for name, texts in PROOFS[function].items() for text in texts}


def forbidden() -> set[Permission]:
    """Return what no function may do."""
    return {permission(text) for texts in FORBIDDEN.values() for text in texts}


def askable(one: Permission) -> bool:
    """Return whether the local cloud enforces a permission where it is asked for directly."""
    return not one.action.startswith(NOT_ASKABLE)

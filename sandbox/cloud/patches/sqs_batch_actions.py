"""IAM actions of SQS's batch operations.

MiniStack asks for `sqs:SendMessageBatch`, an action that IAM does not have. AWS authorises the batch operations by the
action of the single one: `sqs:SendMessage`, `sqs:DeleteMessage`, `sqs:ChangeMessageVisibility` (AWS, SQS permissions
reference). Mended where the action is taken from the request.
"""

from typing import Any

from ministack.core import iam_actions

SINGLE = {
    f"sqs:{operation}Batch": f"sqs:{operation}"
    for operation in ("SendMessage", "DeleteMessage", "ChangeMessageVisibility")
}


def apply() -> None:
    """Ask for the single operation's permission."""
    extract = iam_actions.extract_iam_action

    def extract_iam_action(*arguments: Any, **named: Any) -> str | None:
        action: str | None = extract(*arguments, **named)
        return SINGLE.get(action or "", action)

    iam_actions.extract_iam_action = extract_iam_action

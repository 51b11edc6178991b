"""One CloudFormation stack: what state it is in, what a change would do, and how far it is."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from scripts.deploy.errors import DeployError

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
IMPORTED = {"IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}
ROLLED_BACK = {"UPDATE_ROLLBACK_COMPLETE"}
FIRST = {None, "REVIEW_IN_PROGRESS"}
LONGEST_SECONDS = 3600.0
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
STATEFUL = {"AWS::DynamoDB::Table", "AWS::SQS::Queue"}
SECRET = "****"  # noqa: S105 - how CloudFormation shows a NoEcho parameter
CONSEQUENCES = ("cancelled", "Validation failure detected", "failed to create", "failed to update")
"""Reasons that tell of another resource's failure."""


class Action(StrEnum):
    """What a change set does."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"


class Change(NamedTuple):
    """What a change set would do to one resource."""

    action: str
    resource: str
    kind: str
    replacement: str
    what: str

    @property
    def loses_data(self) -> bool:
        """Whether a table or a queue would be replaced or taken out of the stack."""
        return self.kind in STATEFUL and (self.action == "Remove" or self.replacement == "True")


class ChangeSet(NamedTuple):
    """A proposed change."""

    arn: str
    action: Action
    changes: list[Change]


class Event(NamedTuple):
    """One step of a stack operation."""

    resource: str
    kind: str
    status: str
    reason: str
    of_stack: bool


def action_for(name: str, status: str | None) -> Action:
    """Return what a deployment does to the stack `name` in `status` (None: there is none).

    Raises:
        DeployError: nothing, until somebody has put the stack right; the message says how.
    """
    if status in FIRST:
        return Action.CREATE
    if status in DONE | ROLLED_BACK | IMPORTED:
        return Action.UPDATE
    raise DeployError(f"stack {name} is {status}: {_advice(name, status or '')}")


def _advice(name: str, status: str) -> str:
    if status.endswith("_IN_PROGRESS"):
        return "another operation is under way; wait until it has ended, then deploy again"
    if status == "UPDATE_ROLLBACK_FAILED":
        return (
            "mend what its events name as the reason, then "
            f"`aws cloudformation continue-update-rollback --stack-name {name}`, then deploy again"
        )
    if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}:
        return (
            "it never worked, or is half deleted; look at its events, then "
            f"`aws cloudformation delete-stack --stack-name {name}`, then deploy again. Tables that are left over keep "
            "their names taken: docs/runbooks/deployment.md says what to do with them"
        )
    return "this script does not know what to do with it; see docs/runbooks/deployment.md"


class Stack:
    """The stack `name`."""

    def __init__(self, client: Any, name: str, poll_seconds: float = 1.0) -> None:
        self._client = client
        self.name = name
        self._poll_seconds = poll_seconds

    @property
    def status(self) -> str | None:
        """Its status, or None where there is none."""
        stack = self._describe()
        return None if stack is None else str(stack["StackStatus"])

    @property
    def outputs(self) -> dict[str, str]:
        """Its outputs."""
        stack = self._describe() or {}
        return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}

    @property
    def parameters(self) -> dict[str, str]:
        """Its parameters with their values."""
        stack = self._describe() or {}
        return {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])}

    @property
    def template(self) -> str:
        """Its template as it was sent."""
        return self._original(StackName=self.name)

    def proposed_template(self, change_set: ChangeSet) -> str:
        """Return the template that a change set was made of."""
        return self._original(ChangeSetName=change_set.arn)

    def resources(self, kind: str) -> dict[str, str]:
        """Return the physical names of its resources of a type, by logical name."""
        pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            item["LogicalResourceId"]: item["PhysicalResourceId"]
            for page in pages
            for item in page["StackResourceSummaries"]
            if item["ResourceType"] == kind
        }

    def validate(self, template_url: str) -> None:
        """Let CloudFormation check a template.

        Raises:
            DeployError: it has found a mistake.
        """
        try:
            self._client.validate_template(TemplateURL=template_url)
        except ClientError as error:
            raise DeployError(f"CloudFormation refuses the template: {error}") from error

    def propose(self, action: Action, template_url: str, parameters: Mapping[str, str | None]) -> ChangeSet | None:
        """Make a change set and return it, or None where there is nothing to change.

        Args:
            action: whether the stack is new.
            template_url: where CloudFormation reads the template.
            parameters: their values; None, or a masked value, keeps what the stack has.

        Raises:
            DeployError: CloudFormation refused it.
        """
        name = f"deploy-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        try:
            arn = self._client.create_change_set(
                StackName=self.name,
                ChangeSetName=name,
                ChangeSetType=action,
                TemplateURL=template_url,
                Parameters=[_parameter(key, value) for key, value in parameters.items()],
                Capabilities=CAPABILITIES,
            )["Id"]
        except ClientError as error:
            raise DeployError(f"CloudFormation refuses the change: {error}") from error
        status, reason = self._wait_for_change_set(arn)
        if status == "CREATE_COMPLETE":
            return ChangeSet(arn, action, self._changes(arn))
        self._client.delete_change_set(ChangeSetName=arn)
        if any(text in reason for text in NO_CHANGES):
            return None
        raise DeployError(f"CloudFormation refuses the change: {reason}")

    def discard(self, change_set: ChangeSet) -> None:
        """Forget a change set, and the empty stack that a first one makes."""
        self._client.delete_change_set(ChangeSetName=change_set.arn)
        if change_set.action is Action.CREATE:
            self._client.delete_stack(StackName=self.name)

    def execute(self, change_set: ChangeSet) -> Iterator[Event]:
        """Execute a change set; yield what happens until the stack is at rest.

        Raises:
            DeployError: the stack did not come to the end that was meant; the message has CloudFormation's reasons.
        """
        seen = {event["EventId"] for event in self._events()}
        self._client.execute_change_set(ChangeSetName=change_set.arn)
        failures: list[str] = []
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            ended = False
            for event in self._new_events(seen):
                yield event
                if event.status.endswith("_FAILED") and not any(text in event.reason for text in CONSEQUENCES):
                    failures.append(f"  {event.resource} {event.status}: {event.reason}")
                ended = ended or (event.of_stack and not event.status.endswith("_IN_PROGRESS"))
            # Some events of the stack itself come before its rollback: its status has the last word
            if ended and not (status := self.status or "gone").endswith("_IN_PROGRESS"):
                if status in DONE:
                    return
                raise DeployError("\n".join([f"stack {self.name} is {status}", *failures]))
            time.sleep(self._poll_seconds)
        raise DeployError(
            f"stack {self.name} is still at work after {LONGEST_SECONDS / 60:.0f} minutes: look at it there"
        )

    def _original(self, **which: str) -> str:
        body = self._client.get_template(**which, TemplateStage="Original")["TemplateBody"]
        # boto3 parses JSON templates, and only these
        return body if isinstance(body, str) else json.dumps(body, indent=1)

    def _describe(self) -> dict[str, Any] | None:
        try:
            stack: dict[str, Any] = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            # the code of every refusal, but a stack's name can have no other mistake here
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
        return stack

    def _wait_for_change_set(self, arn: str) -> tuple[str, str]:
        while True:
            answer = self._client.describe_change_set(ChangeSetName=arn)
            if answer["Status"] in {"CREATE_COMPLETE", "FAILED"}:
                return answer["Status"], answer.get("StatusReason", "")
            time.sleep(self._poll_seconds)

    def _changes(self, arn: str) -> list[Change]:
        pages = self._client.get_paginator("describe_change_set").paginate(ChangeSetName=arn)
        return [_change(item["ResourceChange"]) for page in pages for item in page["Changes"]]

    def _new_events(self, seen: set[str]) -> list[Event]:
        new = []
        for event in self._events():
            if event["EventId"] in seen:
                break
            seen.add(event["EventId"])
            new.append(_event(event))
        return new[::-1]

    def _events(self) -> Iterator[dict[str, Any]]:
        """Yield its events, the newest first."""
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=self.name):
            yield from page["StackEvents"]


def _parameter(key: str, value: str | None) -> dict[str, Any]:
    if value is None or value == SECRET:
        return {"ParameterKey": key, "UsePreviousValue": True}
    return {"ParameterKey": key, "ParameterValue": value}


def _change(told: Mapping[str, Any]) -> Change:
    targets = [detail["Target"] for detail in told.get("Details", [])]
    names = sorted({target.get("Name") or target["Attribute"] for target in targets})
    return Change(
        told["Action"], told["LogicalResourceId"], told["ResourceType"], told.get("Replacement", ""), ", ".join(names)
    )


def _event(told: Mapping[str, Any]) -> Event:
    return Event(
        told["LogicalResourceId"],
        told["ResourceType"],
        told["ResourceStatus"],
        told.get("ResourceStatusReason", ""),
        told.get("PhysicalResourceId") == told["StackId"],
    )

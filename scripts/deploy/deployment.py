"""Deploy a release, try it, and go back to what was there before where it does not work."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from scripts.deploy.artifacts import Artifacts
from scripts.deploy.display import Display
from scripts.deploy.errors import DeployError
from scripts.deploy.functions import FUNCTION, Functions
from scripts.deploy.release import Release, differs_in_code_only
from scripts.deploy.smoke import PATIENCE_SECONDS, Smoke
from scripts.deploy.stack import ROLLED_BACK, Action, ChangeSet, Stack, action_for

Ask = Callable[[str], bool]


@dataclass(frozen=True)
class Before:
    """A stack as it was before a deployment: what there is to go back to.

    Attributes:
        template: its template.
        parameters: their values.
        code: Lambda's `CodeSha256` by function, which is not the template's after `--lambda-only`.
        dead_letters: messages in the queues of failures.
    """

    template: str
    parameters: dict[str, str]
    code: dict[str, str]
    dead_letters: dict[str, int]


class Deployment:
    """Deploys releases to one stack."""

    def __init__(
        self,
        session: boto3.Session,
        stack_name: str,
        bucket: str,
        display: Display,
        *,
        poll_seconds: float = 1.0,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._session = session
        self._stack = Stack(session.client("cloudformation"), stack_name, poll_seconds)
        self._account: str = session.client("sts").get_caller_identity()["Account"]
        self._artifacts = Artifacts(session.client("s3"), bucket, stack_name, self._account)
        self._functions = Functions(session.client("lambda"))
        self._smoke = Smoke(session, self._stack, patience_seconds)
        self._display = display

    def describe(self) -> None:
        """Show whose stack it is, and make sure that it can be deployed to.

        Raises:
            DeployError: the bucket is not as it has to be, or the stack in no state for it.
        """
        status = self._stack.status
        self._display.step(
            f"stack {self._stack.name} in account {self._account}, {self._session.region_name}: {status or 'new'}"
        )
        self._artifacts.check()
        action_for(self._stack.name, status)

    def validate(self, release: Release) -> None:
        """Let CloudFormation check the release's template. Nothing but the template in the bucket is written.

        Raises:
            DeployError: it has found a mistake.
        """
        template = release.template("s3://bucket/code.zip", locked=True)
        self._stack.validate(self._artifacts.put_template(template))
        self._display.line("CloudFormation accepts the template")

    def deploy(self, release: Release, parameters: Mapping[str, str], ask: Ask, *, may_replace: bool = False) -> None:
        """Deploy a release through CloudFormation.

        Args:
            release: what to deploy.
            parameters: template parameters to set; the others keep their values, or get the template's defaults.
            ask: whether to go on, after the changes were shown.
            may_replace: whether tables and queues may be replaced or removed.

        Raises:
            DeployError: it was refused or declined, or failed; the stack is then as it was before, or the message says
                otherwise.
        """
        action = action_for(self._stack.name, self._stack.status)
        before = self._before() if action is Action.UPDATE else None
        code_uri = self._artifacts.put_code(release.code).for_sam
        self._artifacts.put_materials(release.code, release.materials)
        template = release.template(code_uri, locked=action is Action.UPDATE)
        wanted = self._parameters(release, parameters)
        change_set = self._propose(action, template, wanted)
        if change_set is None:
            self._display.line("the stack is as the release wants it")
            if set(self._functions.running(self._function_names()).values()) != {release.code_sha256}:
                self._agree(ask, "Its functions run other code. Replace it?")
        else:
            self._approve(change_set, ask, may_replace=may_replace)
            self._execute_or_go_back(change_set, before)
        self._finish_or_go_back(release.code_sha256, before)
        if action is Action.CREATE and release.protects_tables:
            self._lock_tables(release.template(code_uri, locked=True))

    def replace_code(self, release: Release, ask: Ask) -> None:
        """Replace the functions' code alone.

        Raises:
            DeployError: something else differs too, it was declined, or it failed and the previous code runs again.
        """
        if action_for(self._stack.name, self._stack.status) is Action.CREATE:
            raise DeployError(f"there is no stack {self._stack.name} yet: deploy without --lambda-only first")
        before = self._before()
        if not _only_code_differs(self._stack.template, release):
            raise DeployError("more than the code differs from what is deployed: deploy without --lambda-only")
        lost = sorted({sha for sha in before.code.values() if self._artifacts.code_of(sha) is None})
        if lost:
            raise DeployError(
                "the code that runs now is not in the bucket: there would be no way back. Deploy without --lambda-only"
            )
        if set(before.code.values()) == {release.code_sha256}:
            self._display.line("the functions run this code already")
        else:
            self._display.line(f"{len(before.code)} functions get other code; the stack's template stays as it is")
            self._agree(ask, "Replace the code?")
        self._artifacts.put_code(release.code)
        self._artifacts.put_materials(release.code, release.materials)
        self._finish_or_go_back(release.code_sha256, before)

    def _before(self) -> Before:
        template = self._stack.template
        for uri in self._artifacts.missing(template):
            self._display.warn(f"{uri} is gone: a failed deployment could not go back to the code that is deployed now")
        return Before(
            template,
            self._stack.parameters,
            self._functions.running(self._function_names()),
            self._smoke.dead_letters(),
        )

    def _function_names(self) -> list[str]:
        return list(self._stack.resources(FUNCTION).values())

    def _parameters(self, release: Release, given: Mapping[str, str]) -> dict[str, str | None]:
        wanted = {"Stage": release.stage, **given}
        if unknown := sorted(wanted.keys() - release.parameters):
            known = ", ".join(sorted(release.parameters))
            raise DeployError(f"no such parameter: {', '.join(unknown)}; there are: {known}")
        kept = self._stack.parameters.keys() & release.parameters
        return {**dict.fromkeys(sorted(kept)), **wanted}

    def _propose(self, action: Action, template: str, parameters: Mapping[str, str | None]) -> ChangeSet | None:
        """Make a change set of `template`, and make sure that it is of this one and not of what the bucket held then.

        Raises:
            DeployError: CloudFormation refused it, or read another template.
        """
        change_set = self._stack.propose(action, self._artifacts.put_template(template), parameters)
        if change_set is not None and not _same(self._stack.proposed_template(change_set), template):
            self._stack.discard(change_set)
            raise DeployError("CloudFormation read another template than was uploaded; who else writes to the bucket?")
        return change_set

    @staticmethod
    def _agree(ask: Ask, question: str) -> None:
        if not ask(question):
            raise DeployError("declined; nothing was changed")

    def _approve(self, change_set: ChangeSet, ask: Ask, *, may_replace: bool) -> None:
        self._display.step(f"{change_set.action.lower()}: {len(change_set.changes)} resources")
        self._display.changes(change_set.changes)
        lost = sorted(change.resource for change in change_set.changes if change.loses_data)
        if lost and not may_replace:
            self._stack.discard(change_set)
            raise DeployError(
                f"this would replace or remove {', '.join(lost)}, with what is in there; nothing was changed. "
                "If that is meant: --allow-replacement"
            )
        if not ask("Execute this change set?"):
            self._stack.discard(change_set)
            raise DeployError("declined; nothing was changed")

    def _execute(self, change_set: ChangeSet) -> None:
        self._display.step("executing")
        for event in self._stack.execute(change_set):
            self._display.event(event)

    def _execute_or_go_back(self, change_set: ChangeSet, before: Before | None) -> None:
        try:
            self._execute(change_set)
        except DeployError:
            if before is not None and self._stack.status in ROLLED_BACK:
                # CloudFormation went back to the template's code, which is older than that of a --lambda-only
                self._run_code(before.code)
            raise

    def _run_code(self, wanted: Mapping[str, str]) -> None:
        """Let each function run the package with the digest that is wanted, where it does not already."""
        running = self._functions.running(wanted)
        for digest in sorted({sha for name, sha in wanted.items() if running[name] != sha}):
            names = [name for name, sha in wanted.items() if sha == digest and running[name] != sha]
            place = self._artifacts.code_of(digest)
            if place is None:
                self._display.warn(
                    f"the code that {', '.join(names)} ran is not in the bucket; it stays as the template has it"
                )
                continue
            self._display.step(f"replacing the code of {len(names)} functions")
            self._functions.replace_code(names, place.for_lambda)

    def _finish_or_go_back(self, code_sha256: str, before: Before | None) -> None:
        """Let every function run the release's code (the stack leaves what --lambda-only replaced), and try it."""
        try:
            self._run_code(dict.fromkeys(self._function_names(), code_sha256))
            wrong = self._try(code_sha256, before.dead_letters if before else {})
        except (BotoCoreError, ClientError) as error:
            wrong = [f"the code could not be replaced: {error}"]
        if not wrong:
            self._display.step("deployed")
            return
        if before is None:
            raise DeployError(
                "the new stack does not work, and there is nothing to go back to. It stays as it is, to be looked at; "
                f"deploy a better version, or `aws cloudformation delete-stack --stack-name {self._stack.name}`"
            )
        self._go_back(before)
        raise DeployError("the deployment did not work: " + "; ".join(wrong) + ". The previous version runs again")

    def _go_back(self, before: Before) -> None:
        self._display.step("going back to the previous version")
        parameters: dict[str, str | None] = dict(before.parameters)
        change_set = self._propose(Action.UPDATE, before.template, parameters)
        if change_set is not None:
            self._execute(change_set)
        self._run_code(before.code)
        wrong = self._try(None, self._smoke.dead_letters())
        if wrong:
            raise DeployError(
                "the previous version is deployed again, but does not work either: "
                + "; ".join(wrong)
                + ". See docs/runbooks/deployment.md"
            )

    def _try(self, code_sha256: str | None, dead_letters: Mapping[str, int]) -> list[str]:
        self._display.step("smoke test")
        wrong = []
        for check in self._smoke.checks(code_sha256, dead_letters):
            self._display.check(check)
            wrong += [f"{check.name}: {check.wrong}"] if check.wrong else []
        return wrong

    def _lock_tables(self, template: str) -> None:
        self._display.step("locking the tables against deletion")
        parameters: dict[str, str | None] = dict(self._stack.parameters)
        change_set = self._propose(Action.UPDATE, template, parameters)
        if change_set is not None:
            self._execute(change_set)


def _same(one: str, other: str) -> bool:
    """Return whether two templates say the same; CloudFormation returns JSON in its own format."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one.strip() == other.strip()


def _only_code_differs(deployed: str, release: Release) -> bool:
    try:
        template: dict[str, Any] = json.loads(deployed)
    except ValueError:
        return False  # not deployed by this script
    return differs_in_code_only(template, json.loads(release.template("-", locked=True)))

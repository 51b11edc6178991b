"""Whether a deployed stack works: tried without changing anything in it."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import boto3
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from sandbox.cloud.deployment import api_url
from scripts.deploy.functions import FUNCTION, PATIENT, Functions
from scripts.deploy.stack import Stack

DEAD_LETTERS = ("WorkDeadLettersUrl", "ScheduleFailuresUrl", "StreamFailuresUrl")
"""The stack's outputs that name the queues which nothing but a failure ends in."""
SWITCHES = {
    "InventoryScheduleInventoryScheduleEvent": "EnableInventorySync",
    "TagsScheduleTagsScheduleEvent": "EnableTagSync",
    "StagingScheduleStagingScheduleEvent": "EnableStagingAccountSync",
}
"""The schedules that a parameter switches off, by the rule's logical name. Every other one has to be on."""
MAPPING = "AWS::Lambda::EventSourceMapping"
RULE = "AWS::Events::Rule"
API = "AWS::ApiGateway::RestApi"
PATIENCE_SECONDS = 60.0
HTTP_SECONDS = 40.0


class Check(NamedTuple):
    """One thing that was tried."""

    name: str
    wrong: str
    """What is wrong, or nothing."""
    seen: str


@dataclass(frozen=True)
class Smoke:
    """Tries a stack.

    Attributes:
        session: the account and region of the stack.
        stack: the stack.
        patience_seconds: how long what is still being set up may take.
    """

    session: boto3.Session
    stack: Stack
    patience_seconds: float = PATIENCE_SECONDS

    def dead_letters(self) -> dict[str, int]:
        """Return how many messages each queue of failures holds, by the output that names it."""
        outputs = self.stack.outputs
        client = self.session.client("sqs")
        return {name: _depth(client, outputs[name]) for name in DEAD_LETTERS if name in outputs}

    def checks(self, code_sha256: str | None, dead_before: Mapping[str, int]) -> Iterator[Check]:
        """Try everything, one after the other.

        Args:
            code_sha256: what every function should run; None: anything.
            dead_before: what the queues of failures held before the deployment.
        """
        yield self._until_right("functions run the code that is meant", lambda: self._functions(code_sha256))
        yield self._until_right("GET /health", self._health)
        yield self._until_right("GET /regions/active, signed", self._api)
        yield self._until_right("operation list_regions", self._operations)
        yield self._until_right("versions", self._versions)
        yield self._until_right("workers load and answer", self._workers)
        yield self._until_right("event sources are enabled", self._event_sources)
        yield self._until_right("schedules are as the parameters say", self._schedules)
        yield self._now("no new dead letters", lambda: self._dead_letters(dead_before))

    def _until_right(self, name: str, look: Callable[[], tuple[list[str], str]]) -> Check:
        tries = Retrying(
            stop=stop_after_delay(self.patience_seconds),
            wait=wait_fixed(min(2.0, self.patience_seconds / 5)),
            retry=retry_if_result(lambda check: bool(check.wrong)),
        )
        try:
            check: Check = tries(lambda: self._now(name, look))
        except RetryError as error:
            check = error.last_attempt.result()
        return check

    @staticmethod
    def _now(name: str, look: Callable[[], tuple[list[str], str]]) -> Check:
        try:
            wrong, seen = look()
        except Exception as error:  # noqa: BLE001  whatever a check trips over is its finding: the way back hangs on it
            return Check(name, f"{type(error).__name__}: {error}", "")
        return Check(name, "; ".join(wrong), seen)

    def _functions(self, code_sha256: str | None) -> tuple[list[str], str]:
        functions = Functions(self.session.client("lambda"))
        wrong = []
        names = self.stack.resources(FUNCTION).values()
        for name in names:
            told = functions.configuration(name)
            if told["State"] != "Active" or told["LastUpdateStatus"] != "Successful":
                wrong.append(f"{name} is {told['State']}, its update {told['LastUpdateStatus']}")
            elif code_sha256 not in (None, told["CodeSha256"]):
                wrong.append(f"{name} runs other code")
        return wrong, f"{len(names)} functions"

    def _health(self) -> tuple[list[str], str]:
        url = f"{rest_api_url(self.session, self.stack)}/health"
        answer = httpx.get(url, timeout=HTTP_SECONDS)
        return ([] if answer.is_success else [f"{url}: {answer.status_code} {answer.text[:300]}"]), url

    def _api(self) -> tuple[list[str], str]:
        """Ask what only the API's function answers: health is API Gateway's own."""
        credentials = self.session.get_credentials()
        if credentials is None:
            return ["no credentials to sign with"], ""
        url = f"{rest_api_url(self.session, self.stack)}/regions/active"
        request = AWSRequest(method="GET", url=url)
        SigV4Auth(credentials, "execute-api", self.session.region_name).add_auth(request)
        answer = httpx.get(url, headers=dict(request.headers.items()), timeout=HTTP_SECONDS)
        return ([] if answer.is_success else [f"{url}: {answer.status_code} {answer.text[:300]}"]), url

    def _operations(self) -> tuple[list[str], str]:
        answer, error = self._invoke(self.stack.outputs["OperationsFunctionName"], {"operation": "list_regions"})
        if error or "activeRegions" not in answer:
            return [f"answered {json.dumps(answer)[:300]}"], ""
        return [], f"{len(answer['activeRegions'])} active regions"

    def _versions(self) -> tuple[list[str], str]:
        """Ask a function which botocore it runs, and in how many regions of each partition it knows DRS."""
        answer, error = self._invoke(self.stack.resources(FUNCTION)["Maintenance"], {"task": "versions"})
        if error or not answer.get("regions"):
            return [f"answered {json.dumps(answer)[:300]}"], ""
        regions = ", ".join(f"{count} regions of {name}" for name, count in answer["regions"].items())
        return [], f"botocore {answer['botocore']}; DRS in {regions}"

    def _workers(self) -> tuple[list[str], str]:
        """Hand every function that works off a queue or a stream an empty batch: it has to load and do nothing."""
        names = sorted({mapping["FunctionArn"].rpartition(":")[2] for mapping in self._mappings()})
        answers = {name: self._invoke(name, {"Records": []}) for name in names}
        wrong = [f"{name} raised {json.dumps(answer)[:300]}" for name, (answer, error) in answers.items() if error]
        return wrong, ", ".join(names)

    def _event_sources(self) -> tuple[list[str], str]:
        mappings = self._mappings()
        wrong = [
            f"{mapping['FunctionArn'].rpartition(':')[2]} from {mapping['EventSourceArn']} is {mapping['State']}"
            for mapping in mappings
            if mapping["State"] != "Enabled"
        ]
        return wrong, f"{len(mappings)} queues and streams"

    def _mappings(self) -> list[dict[str, Any]]:
        client = self.session.client("lambda")
        return [
            client.get_event_source_mapping(UUID=identifier) for identifier in self.stack.resources(MAPPING).values()
        ]

    def _schedules(self) -> tuple[list[str], str]:
        client = self.session.client("events")
        parameters = self.stack.parameters
        wrong, off = [], []
        rules = self.stack.resources(RULE)
        for logical, name in rules.items():
            meant = "ENABLED" if parameters.get(SWITCHES.get(logical, ""), "true") == "true" else "DISABLED"
            state = client.describe_rule(Name=name)["State"]
            if state != meant:
                wrong.append(f"{name} is {state}, not {meant}")
            if not client.list_targets_by_rule(Rule=name)["Targets"]:
                wrong.append(f"{name} has no target")
            off += [name] if meant == "DISABLED" else []
        return wrong, f"{len(rules)} schedules, {len(off)} switched off"

    def _dead_letters(self, before: Mapping[str, int]) -> tuple[list[str], str]:
        now = self.dead_letters()
        wrong = [
            f"{name}: {count} messages, {before.get(name, 0)} before"
            for name, count in now.items()
            if count > before.get(name, 0)
        ]
        return wrong, f"{sum(now.values())} in {len(now)} queues"

    def _invoke(self, name: str, payload: object) -> tuple[Any, bool]:
        answer = self.session.client("lambda", config=PATIENT).invoke(
            FunctionName=name, Payload=json.dumps(payload).encode()
        )
        return json.loads(answer["Payload"].read() or b"null"), "FunctionError" in answer


def rest_api_url(session: boto3.Session, stack: Stack) -> str:
    """Return the address of the stack's REST API, on AWS or on the local cloud."""
    endpoint = session.client("apigateway").meta.endpoint_url
    outputs = stack.outputs
    if "amazonaws" in endpoint:
        return outputs["EndpointURL"].rstrip("/")
    return api_url(endpoint, outputs, stack.resources(API)) or ""


def _depth(client: Any, url: str) -> int:
    name = "ApproximateNumberOfMessages"
    return int(client.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])

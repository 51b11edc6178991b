"""The deployed API against its own OpenAPI document: generated requests, one by one and in sequences.

Last of the files here: what is generated also registers, changes and removes accounts.
"""

import re
from collections import Counter, defaultdict
from contextlib import suppress
from typing import NamedTuple

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from chalicelib.api.openapi import document
from chalicelib.api.table import OPERATIONS

from .client import Signature
from .measure_query import say

LEAST_CASES = 1000
EXAMPLES_PER_OPERATION = 20
STEPS_PER_SEQUENCE = 6
ROLE = r"arn:[a-z-]+:iam::[0-9]{12}:role/.+"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
OTHER_CHECKS = (
    # what schemas cannot say: whose role it is, which accounts are registered
    "positive_data_acceptance",
    "negative_data_rejection",
    "missing_required_header",
    # API Gateway's business
    "unsupported_method",
    "allow_header_conformance",
    # a removed account is there until its last scope is gone
    "use_after_free",
    "ensure_resource_availability",
    # tested one by one elsewhere
    "ignored_auth",
    "object_level_authorization",
)
LABELS = {
    f"{method.upper()} {path}" for path, item in document(OPERATIONS.values())["paths"].items() for method in item
}


class Found(NamedTuple):
    """What a run came to: answers by operation and status, cases by phase, and what broke the contract."""

    answers: dict[str, Counter]
    phases: Counter
    failures: list[str]

    @property
    def cases(self):
        return sum(self.phases.values())


def configuration(base_url):
    return SchemathesisConfig.from_dict(
        {
            "base-url": base_url,
            "seed": 20260101,
            "workers": 1,  # CPython 3.11 loses count of AST recursion where two threads compile at once (SystemError)
            "continue-on-failure": True,
            "request-timeout": 60,
            # signatures are the access tests' business: generated ones would be overwritten here
            "generation": {
                "max-examples": EXAMPLES_PER_OPERATION,
                "database": "none",
                "with-security-parameters": False,
            },
            "checks": {name: {"enabled": name in CHECKS} for name in CHECKS + OTHER_CHECKS},
            "phases": {
                # API Gateway itself answers methods that no route has
                "coverage": {"unexpected-methods": []},
                "stateful": {"max-steps": STEPS_PER_SEQUENCE},
            },
        }
    )


@pytest.fixture(scope="module")
def found(deployed, api):
    """Run every phase: edges of each schema, random requests, sequences that follow the answers."""
    outputs = deployed.cloud.outputs
    schema = schemathesis.openapi.from_dict(api.get("openapi.json"), config=configuration(outputs.api_url))
    schema.auth.set_from_requests(Signature(outputs))
    result = Found(defaultdict(Counter), Counter(), [])
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            count(event, result)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            result.failures.append(str(getattr(event, "value", None) or getattr(event, "exception", event)))
    return result


@schemathesis.hook
def before_call(context, case, kwargs):
    """Say what the schema cannot, so that well-formed requests succeed, and keep each of them short."""
    if not isinstance(case.body, dict):
        return
    body = dict(case.body)
    if isinstance(body.get("wait"), int | float) and 0 < body["wait"] <= 25:
        body["wait"] = 0
    account_id = (case.path_parameters or {}).get("accountId") or body.get("accountId")
    for name in ("readerRoleArn", "writerRoleArn"):
        if re.fullmatch(ROLE, str(body.get(name))):
            body[name] = f"arn:{body.get('partition', 'aws')}:iam::{account_id}:role/generated"
            if case.operation.label == "POST /accounts":
                body["scanNow"] = False  # else 34 scans that fail, for each
    case.body = body


def count(event, result):
    recorder = event.recorder
    result.phases[event.phase.value] += len(recorder.interactions)
    for case_id, interaction in recorder.interactions.items():
        status = interaction.response.status_code if interaction.response else None
        result.answers[recorder.cases[case_id].value.operation.label][status] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status is not Status.SUCCESS:
                result.failures.append(told(recorder, case_id, check))


def told(recorder, case_id, check):
    case, answer = recorder.cases[case_id].value, recorder.interactions[case_id].response
    why = check.failure_info.failure if check.failure_info else None
    body = ""
    with suppress(AttributeError):
        body = f"{answer.status_code} {answer.text[:300]}"
    asked = f"{case.method} {case.formatted_path} query={case.query} body={str(case.body)[:300]}"
    return f"{check.name}: {asked}\n    -> {body}\n    {getattr(why, 'title', '')} {getattr(why, 'message', '')[:300]}"


def test_no_generated_request_breaks_the_contract(found, capsys):
    """No 5xx, no undocumented status, no content type, header or body that the document does not have."""
    with capsys.disabled():
        say(f"\n  schemathesis: {found.cases} cases: {dict(found.phases)}")
        for label, answers in sorted(found.answers.items()):
            say(f"    {label}: {dict(sorted(answers.items(), key=str))}")
    assert found.failures == [], "\n".join(found.failures[:20])


def test_enough_was_tried(found):
    assert found.cases >= LEAST_CASES


def test_every_operation_was_tried_and_answered(found):
    assert found.answers.keys() == LABELS
    unanswered = {label for label, answers in found.answers.items() if None in answers}
    assert unanswered == set()


def test_requests_got_past_the_front_door(found):
    """Generated requests are signed right, and many are well-formed; 403: a parameter made it another path."""
    statuses = sum(found.answers.values(), Counter())
    assert statuses[403] < found.cases / 10
    assert {200, 202, 404} <= statuses.keys()


def test_sequences_followed_the_answers(found):
    assert found.phases["stateful"] > 0

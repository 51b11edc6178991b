"""Records what DRS, EC2 and STS answer, to be replayed where AWS is not."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.model import OperationModel

from scripts.accept.redaction import StandIns, redacted

SERVICES = ("drs", "ec2", "sts")
FILE = "answers.json"


class Answer(NamedTuple):
    """One call and what came back, as botocore has it."""

    model: OperationModel
    region: str
    parameters: dict[str, Any]
    status: int
    answer: dict[str, Any]


class Recorder:
    """Keeps the answers of sessions that it watches, in their order."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def watch(self, session: boto3.Session) -> boto3.Session:
        """Record what clients of `session` are answered from now on; return it."""
        for service in SERVICES:
            session.events.register(f"provide-client-params.{service}", self._asked)
            session.events.register(f"after-call.{service}", self._answered)
        return session

    def write(self, folder: Path) -> Path:
        """Write the recording, redacted; return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        path.write_text(json.dumps(without_identifiers(self.answers), indent=1) + "\n")
        return path

    @staticmethod
    def _asked(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["asked_with"] = dict(params)

    def _answered(
        self, http_response: Any, parsed: dict[str, Any], model: OperationModel, context: dict[str, Any], **_: Any
    ) -> None:
        region = str(context.get("client_region", ""))
        self.answers.append(Answer(model, region, context.get("asked_with", {}), http_response.status_code, parsed))


def without_identifiers(answers: list[Answer]) -> list[dict[str, Any]]:
    """Return a recording as JSON, with stand-ins for everything that tells whose it is; messages are left out."""
    stand_ins = StandIns(json.dumps([[one.parameters, one.answer] for one in answers], default=str))
    return [_told(one, stand_ins) for one in answers]


def _told(one: Answer, stand_ins: StandIns) -> dict[str, Any]:
    told: dict[str, Any] = {
        "service": one.model.service_model.service_name,
        "operation": one.model.name,
        "region": one.region,
        "parameters": redacted(one.parameters, one.model.input_shape, stand_ins),
        "status": one.status,
    }
    if "Error" in one.answer:
        # A code is a name of the service's; its message may name anything
        return {**told, "error": {"code": one.answer["Error"].get("Code", "")}}
    return {**told, "answer": redacted(one.answer, one.model.output_shape, stand_ins)}

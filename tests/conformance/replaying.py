"""Recorded answers of DRS and EC2, given to the product's own adapters."""

import json
from pathlib import Path

import boto3
from botocore.awsrequest import AWSResponse
from botocore.validate import validate_parameters

from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.adapters.drs import DrsReader
from chalicelib.adapters.ec2 import Ec2Reader
from chalicelib.domain.accounts import Account
from chalicelib.domain.aws_answers import read_instance, read_server
from chalicelib.domain.scopes import Scope

SAMPLE = Path(__file__).parent / "recorded" / "answers.json"


def read(path):
    """Return a recording."""
    return json.loads(path.read_text())


class ReplayedSessions:
    """Sessions whose clients answer what was recorded: by operation and parameters, in whatever order lists are.

    Args:
        recording: what `scripts/accept.sh --record` wrote.
    """

    def __init__(self, recording):
        self._recording = recording
        self._session = boto3.Session(aws_access_key_id="nobody", aws_secret_access_key="nothing")
        self._session.events.register("provide-client-params", self._asked)
        self._session.events.register("before-call", self._answered)

    def accounts(self):
        """Return the recorded accounts, as GetCallerIdentity told them."""
        told = [one["answer"]["Account"] for one in self._recording if one["operation"] == "GetCallerIdentity"]
        return [Account(account_id=account, name=account, kind="target") for account in told]

    def scopes(self):
        """Return the region of the recording, for every account."""
        regions = {one["region"] for one in self._recording if one["service"] == "drs"}
        return [Scope(account.account_id, region) for account in self.accounts() for region in regions]

    def client(self, _account, _access, service, region, **_options):
        return self._session.client(service, region)

    def everything(self):
        """Return what the product makes of all recorded servers and instances.

        Raises:
            AssertionError: it cannot read one of them.
        """
        servers, instances = [], []
        for account in self.accounts():
            for scope in self.scopes():
                if scope.account_id == account.account_id:
                    listed = DrsReader(self).source_servers(account, scope.region)  # that of every account
                    wires = [wire for wire in listed if wire["arn"].split(":")[4] == account.account_id]
                    read_servers = [read_server(wire, scope, aws_partition("aws")) for wire in wires]
                    assert all(one.facts and not one.unreadable for one in read_servers), read_servers
                    facts = [one.facts for one in read_servers]
                    servers += facts
                    instances += self._instances(account, scope, facts)
        return servers, instances

    def _instances(self, account, scope, facts):
        here = [one for one in facts if (one.source_account_id, one.source_region) == tuple(scope)]
        wanted = [one.source_instance_id for one in here if one.source_instance_id]
        found = Ec2Reader(self).instances(account, scope.region, wanted) if wanted else {}
        read_instances = [read_instance(one) for one in found.values()]
        assert all(one.facts and not one.unreadable for one in read_instances), read_instances
        return [one.facts for one in read_instances]

    @staticmethod
    def _asked(params, context, **_):
        context["asked_with"] = params

    def _answered(self, model, context, **_):
        wanted = _comparable(context["asked_with"])
        service = model.service_model.service_name
        for one in self._recording:
            same = (one["service"], one["operation"]) == (service, model.name)
            if same and _comparable(one["parameters"]) == wanted:
                return _response(one, model)
        raise AssertionError(f"{model.name} with {context['asked_with']} was not recorded")


def _response(one, model):
    http = AWSResponse("https://recorded.invalid", one["status"], {}, None)
    if "error" in one:
        return http, {"Error": {"Code": one["error"]["code"], "Message": ""}, "ResponseMetadata": {}}
    validate_parameters(one["answer"], model.output_shape)
    return http, {**one["answer"], "ResponseMetadata": {"HTTPStatusCode": one["status"]}}


def _comparable(value):
    if isinstance(value, dict):
        return {name: _comparable(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted((_comparable(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value

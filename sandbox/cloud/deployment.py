"""Deploy a built package as a CloudFormation stack, as `aws cloudformation package` and `deploy` would.

Through boto3, because two starts of the AWS CLI cost more than the deployment itself.
"""

import os
import time
from dataclasses import replace
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.cloud.outputs import Outputs
from sandbox.cloud.packaging import AppSource, Package

BUCKET = "sandbox-artifacts"
CODE_REFERENCE = "./deployment.zip"
"""How Chalice's template refers to the code."""
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
DEPLOY_SECONDS = 180.0
DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
API_LOGICAL_ID = "RestAPI"
"""Chalice's name of the REST API in its template."""


class DeploymentError(Exception):
    """CloudFormation refused the template or rolled the stack back; the message carries its reasons."""


def session(outputs: Outputs, account_id: str | None = None, region: str | None = None) -> boto3.Session:
    """Return a session of an account's root (the hub's by default) that talks to the cloud only.

    Nothing of the caller's AWS settings has a say: no profile, no file, no endpoint, no proxy.
    """
    core: Any = botocore.session.Session()
    settings = core.get_component("config_store")
    isolated = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
    for name, value in {**isolated, "endpoint_url": outputs.endpoint, "ignore_configured_endpoint_urls": False}.items():
        settings.set_config_variable(name, value)
    core.set_default_client_config(Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 2}))
    return boto3.Session(
        aws_access_key_id=account_id or outputs.hub_account,
        aws_secret_access_key=outputs.secret_access_key,
        region_name=region or outputs.region,
        botocore_session=core,
    )


def is_deployed(outputs: Outputs) -> bool:
    """Return whether the stack of `outputs` is there: a reset of the cloud takes it away."""
    return _stack(session(outputs).client("cloudformation"), outputs.stack_name or "") is not None


def deploy(outputs: Outputs, package: Package, app: AppSource) -> Outputs:
    """Create or update the stack of `app` and return the outputs with what it made.

    Raises:
        DeploymentError: the template was refused or the stack rolled back.
    """
    hub = session(outputs)
    template_url = _upload(hub, outputs.endpoint, package)
    client = hub.client("cloudformation")
    before = _stack(client, app.stack_name)
    request = {
        "StackName": app.stack_name,
        "TemplateURL": template_url,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in app.parameters.items()],
        "Capabilities": CAPABILITIES,
    }
    try:
        if before is None:
            client.create_stack(**request, OnFailure="DO_NOTHING")
        else:
            client.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise DeploymentError(f"CloudFormation refused {app.stack_name}: {error}") from error
    _wait(client, app.stack_name)
    return with_stack(outputs, app.stack_name)


def with_stack(outputs: Outputs, name: str) -> Outputs:
    """Return the outputs with what the deployed stack `name` has, whoever deployed it.

    Raises:
        DeploymentError: there is no such stack.
    """
    client = session(outputs).client("cloudformation")
    stack = _stack(client, name)
    if stack is None:
        raise DeploymentError(f"there is no stack {name}")
    values = {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}
    resources = _resources(client, name)
    return replace(
        outputs,
        stack_name=name,
        stack=values,
        resources=resources,
        api_url=api_url(outputs.endpoint, values, resources),
    )


def _upload(hub: boto3.Session, endpoint: str, package: Package) -> str:
    storage = hub.client("s3", config=Config(s3={"addressing_style": "path"}))
    storage.create_bucket(Bucket=BUCKET)
    code_key = f"{package.fingerprint}/deployment.zip"
    storage.put_object(Bucket=BUCKET, Key=code_key, Body=package.code.read_bytes())
    template = package.template.read_text()
    if CODE_REFERENCE not in template:
        raise DeploymentError(f"{package.template} does not refer to {CODE_REFERENCE}")
    template_key = f"{package.fingerprint}/{package.template.name}"
    body = template.replace(CODE_REFERENCE, f"s3://{BUCKET}/{code_key}")
    storage.put_object(Bucket=BUCKET, Key=template_key, Body=body.encode())
    return f"{endpoint}/{BUCKET}/{template_key}"


def _stack(client: Any, name: str) -> dict[str, Any] | None:
    try:
        stack: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    return stack


def _wait(client: Any, name: str) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        stack = _stack(client, name)
        state = stack["StackStatus"] if stack else "GONE"
        if state in DONE:
            return
        if not state.endswith("_IN_PROGRESS"):
            raise DeploymentError(f"{name} is {state}:\n" + "\n".join(_failures(client, name)))
        time.sleep(0.1)
    raise DeploymentError(f"{name} did not finish within {DEPLOY_SECONDS:.0f} s")


def _failures(client: Any, name: str) -> list[str]:
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    return [
        f"  {event['LogicalResourceId']} {event['ResourceStatus']}: {event.get('ResourceStatusReason', '')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("FAILED") or event.get("ResourceStatusReason")
    ]


def _resources(client: Any, name: str) -> dict[str, str]:
    pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
    return {
        item["LogicalResourceId"]: item["PhysicalResourceId"]
        for page in pages
        for item in page["StackResourceSummaries"]
        if item.get("PhysicalResourceId")
    }


def api_url(endpoint: str, values: dict[str, str], resources: dict[str, str]) -> str | None:
    """Return the local form of Chalice's `EndpointURL`, whose last part is the API's stage; None without an API."""
    api_id = resources.get(API_LOGICAL_ID) or values.get("RestAPIId")
    stage = values.get("EndpointURL", "").rstrip("/").rsplit("/", 1)[-1]
    return f"{endpoint}/_aws/execute-api/{api_id}/{stage}" if api_id and stage else None

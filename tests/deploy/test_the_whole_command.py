"""The command, with everything that it builds, against the local cloud; checks and tests are left out."""

import os
import subprocess
import sys

import pytest

from sandbox.cloud.packaging import REPO
from scripts.deploy.stack import Stack

from .releases import BUCKET


@pytest.fixture
def command(cloud):
    outputs = cloud.outputs
    account = {
        "AWS_ENDPOINT_URL": outputs.endpoint,
        "AWS_ACCESS_KEY_ID": outputs.access_key_id,
        "AWS_SECRET_ACCESS_KEY": outputs.secret_access_key,
        "AWS_REGION": outputs.region,
        "AWS_DEFAULT_REGION": outputs.region,
        "DEPLOY_BUCKET": BUCKET,
    }
    foreign = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "scripts.deploy", *arguments],
            cwd=REPO,
            env=environment | account,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def keys_of(cloud):
    """Deploy the keys' template; return its outputs, which are parameters of the stack."""
    client = cloud.hub().client("cloudformation")
    client.create_stack(StackName="keys", TemplateBody=(REPO / "infra" / "keys.yaml").read_text())
    client.get_waiter("stack_create_complete").wait(StackName="keys", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    [made] = client.describe_stacks(StackName="keys")["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}


def test_validation_then_deployment(command, cloud):
    stack = Stack(cloud.hub().client("cloudformation"), "drs-active-regions-dev")

    validated = command("dev", "--validate-only", "--skip-checks")
    assert (validated.returncode, stack.status) == (0, None), validated.stdout + validated.stderr
    assert "CloudFormation accepts the template" in validated.stdout

    deployed = command("dev", "--skip-checks", "--param", "EnableInventorySync=false")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert "3 schedules, 1 switched off" in deployed.stdout
    assert (stack.status, stack.parameters["Stage"]) == ("CREATE_COMPLETE", "dev")

    keys = keys_of(cloud)
    optional = {**keys, "ApiReservedConcurrency": "5"}
    parameters = [part for key, value in optional.items() for part in ("--param", f"{key}={value}")]
    updated = command("dev", "--skip-checks", *parameters)
    assert updated.returncode == 0, updated.stdout + updated.stderr
    api = stack.resources("AWS::Lambda::Function")["APIHandler"]
    functions = cloud.hub().client("lambda")
    assert functions.get_function_concurrency(FunctionName=api)["ReservedConcurrentExecutions"] == 5
    queue = {"QueueUrl": stack.outputs["InventoryWorkUrl"], "AttributeNames": ["KmsMasterKeyId"]}
    attributes = cloud.hub().client("sqs").get_queue_attributes(**queue)["Attributes"]
    assert attributes["KmsMasterKeyId"] == keys["QueuesKeyArn"]
    assert set(stack.resources("AWS::IAM::ManagedPolicy")) >= {"UseTablesKey", "UseQueuesKey"}

    refused = command("dev", "--skip-checks", "--stack-name", "UPPER_case")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr

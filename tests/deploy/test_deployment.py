"""Deployments to one stack, in the order of its life: every test leaves it working."""

import json
import re
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from scripts.deploy.errors import DeployError
from scripts.deploy.functions import FUNCTION
from scripts.deploy.smoke import RULE, Smoke
from scripts.deploy.stack import Stack

from .releases import BUCKET, this_release, with_broken_api, with_file, with_resources

STAGE = "prod"
NAME = f"drs-active-regions-{STAGE}"
TABLE = "AWS::DynamoDB::Table"
TABLES = 8
ACCOUNT = {"accountId": {"S": "222222222222"}, "record": {"S": "ACCOUNT"}}
QUICK = {"Delay": 0.1, "MaxAttempts": 300}
MOST_PARAMETERS = 200  # CloudFormation quotas
PARAMETERS = {"EnableTagSync": "false"}
TAKEN = "taken"
KEY = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture(scope="module")
def release():
    return this_release(STAGE)


@pytest.fixture(scope="module")
def first(deploying, release):
    """The first deployment."""
    made = deploying(NAME)
    made.deploy(release, PARAMETERS)
    return made


@pytest.fixture(scope="module")
def update(first, deploying, release):
    """The first update: other code, a parameter, an attribute of a queue."""
    made = deploying(NAME)
    made.deploy(second_version(release), {"ProbeIntervalMinutes": "30"})
    return made


@pytest.fixture(scope="module")
def second(update, release):
    """The version that the first update brought."""
    return second_version(release)


@pytest.fixture
def deployed(first, deploying):
    return deploying(NAME)


@pytest.fixture(scope="module")
def stack(cloud):
    return Stack(cloud.hub().client("cloudformation"), NAME)


@pytest.fixture
def functions(cloud):
    return cloud.hub().client("lambda")


def running(stack, functions):
    """Return the code that the stack's functions run."""
    names = stack.resources(FUNCTION).values()
    return {functions.get_function_configuration(FunctionName=name)["CodeSha256"] for name in names}


def updated(cloud):
    """Return when the stack was last updated."""
    return cloud.hub().client("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]["LastUpdatedTime"]


def longer_kept(resources):
    resources["InventoryWork"]["Properties"]["MessageRetentionPeriod"] = 1209600


def second_version(release):
    return with_resources(with_file(release, "chalicelib/second.py", ""), longer_kept)


def one_table_too_many(resources):
    after = ["InventoryWorker", "TagsWorker", "StagingWorker", "ScanStream", "APIHandler"]
    policies = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
    properties = {"TableName": TAKEN, **KEY}
    resources["LeasedWork"] = {"Type": TABLE, "DependsOn": after, **policies, "Properties": properties}


def test_a_declined_first_deployment_leaves_no_stack(deploying, cloud, release):
    declined = deploying("declined")
    with pytest.raises(DeployError, match="nothing was changed"):
        declined.deploy(release, answer=False)
    assert Stack(cloud.hub().client("cloudformation"), "declined").status in {None, "DELETE_COMPLETE"}


def test_a_first_deployment_works_and_locks_its_tables(first, cloud, stack):
    shown = first.shown.getvalue()
    assert re.search(r"Add +InventoryTable", shown)
    assert "CREATE_COMPLETE" in shown
    assert "BAD" not in shown
    dynamodb = cloud.hub().client("dynamodb")
    tables = stack.resources(TABLE).values()
    assert [dynamodb.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"] for name in tables] == [
        True
    ] * TABLES
    assert stack.status == "UPDATE_COMPLETE"
    assert stack.parameters["EnableTagSync"] == "false"
    assert stack.parameters["Stage"] == STAGE
    with pytest.raises(ClientError, match="protected"):
        dynamodb.delete_table(TableName=next(iter(tables)))


@contextmanager
def event_source_off(cloud, stack):
    client, identifier = cloud.hub().client("lambda"), min(stack.resources("AWS::Lambda::EventSourceMapping").values())
    client.update_event_source_mapping(UUID=identifier, Enabled=False)
    yield
    client.update_event_source_mapping(UUID=identifier, Enabled=True)


@contextmanager
def schedule_off(cloud, stack):
    client, rule = cloud.hub().client("events"), stack.resources(RULE)["InventoryScheduleInventoryScheduleEvent"]
    client.disable_rule(Name=rule)
    yield
    client.enable_rule(Name=rule)


@contextmanager
def a_dead_letter(cloud, stack):
    client, url = cloud.hub().client("sqs"), stack.outputs["StreamFailuresUrl"]
    client.send_message(QueueUrl=url, MessageBody="{}")
    yield
    client.purge_queue(QueueUrl=url)


@contextmanager
def a_setting_is_missing(cloud, stack):
    client, name = cloud.hub().client("lambda"), stack.resources(FUNCTION)["TagsWorker"]
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    left = {key: value for key, value in variables.items() if key != "RUNS_TABLE"}
    client.update_function_configuration(FunctionName=name, Environment={"Variables": left})
    yield
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (event_source_off, "event sources are enabled"),
        (schedule_off, "schedules are as the parameters say"),
        (a_dead_letter, "no new dead letters"),
        (a_setting_is_missing, "workers load and answer"),
    ],
)
def test_the_smoke_test_finds_what_is_broken(first, cloud, stack, broken, name):
    smoke = Smoke(cloud.hub(), stack, patience_seconds=0.5)
    before = smoke.dead_letters()
    with broken(cloud, stack):
        wrong = [check.name for check in smoke.checks(None, before) if check.wrong]
    assert wrong == [name]


def test_the_same_again_changes_nothing(deployed, cloud, release):
    before = updated(cloud)
    deployed.deploy(release)
    assert updated(cloud) == before
    assert deployed.questions == []
    assert "the stack is as the release wants it" in deployed.shown.getvalue()


def test_validation_changes_nothing_and_finds_mistakes(deployed, cloud, release):
    before = updated(cloud)
    deployed.deployment().validate(release)
    too_many = {f"Parameter{number}": {"Type": "String"} for number in range(MOST_PARAMETERS + 1)}
    wrong = replace(release, source={**release.source, "Parameters": too_many})
    with pytest.raises(DeployError, match="CloudFormation refuses the template"):
        deployed.deployment().validate(wrong)
    assert updated(cloud) == before


def test_a_declined_update_changes_nothing(deployed, cloud, release):
    before = updated(cloud)
    with pytest.raises(DeployError, match="nothing was changed"):
        deployed.deploy(release, {"ProbeIntervalMinutes": "30"}, answer=False)
    assert updated(cloud) == before
    change_sets = cloud.hub().client("cloudformation").list_change_sets(StackName=NAME)["Summaries"]
    assert not [change_set for change_set in change_sets if change_set["ExecutionStatus"] == "AVAILABLE"]


def test_code_is_pinned_to_the_version_that_was_uploaded(update, second, cloud, stack):
    resources = json.loads(stack.template)["Resources"].values()
    [uri] = {
        json.dumps(one["Properties"]["CodeUri"]) for one in resources if one["Type"].endswith("Serverless::Function")
    }
    place = json.loads(uri)
    which = {"Bucket": place["Bucket"], "Key": place["Key"], "VersionId": place["Version"]}
    assert cloud.hub().client("s3").get_object(**which)["Body"].read() == second.code


def test_a_template_that_somebody_changed_on_its_way_is_not_executed(deployed, cloud, release):
    before, deployment = updated(cloud), deployed.deployment()
    s3 = cloud.hub().client("s3")

    def overwrite(params, **_):
        key = params["TemplateURL"].partition(f"/{BUCKET}/")[2]
        changed = with_resources(
            release, lambda resources: resources["InventoryWork"]["Properties"].update(DelaySeconds=9)
        )
        s3.put_object(Bucket=BUCKET, Key=key, Body=changed.template("s3://bucket/code.zip", locked=True).encode())

    deployment._stack._client.meta.events.register("provide-client-params.cloudformation.CreateChangeSet", overwrite)
    with pytest.raises(DeployError, match="another template than was uploaded"):
        deployment.deploy(release, {}, lambda _: True)
    assert updated(cloud) == before


def test_an_unknown_parameter_is_refused_by_name(deployed, release):
    with pytest.raises(DeployError, match=r"no such parameter: EnableEverything; there are: .*EnableTagSync"):
        deployed.deploy(release, {"EnableEverything": "true"})


def test_an_update_shows_and_changes_what_differs_and_keeps_the_other_parameters(update, second, stack, functions):
    shown = update.shown.getvalue()
    assert "MessageRetentionPeriod" in shown
    assert running(stack, functions) == {second.code_sha256}
    assert (stack.parameters["ProbeIntervalMinutes"], stack.parameters["EnableTagSync"]) == ("30", "false")


def test_tables_are_not_replaced_unless_that_is_meant(deployed, cloud, release):
    before = updated(cloud)
    renamed = with_resources(release, lambda resources: resources["RunsTable"]["Properties"].update(TableName="other"))
    with pytest.raises(DeployError, match=r"replace or remove RunsTable.*--allow-replacement"):
        deployed.deploy(renamed)
    assert updated(cloud) == before


@pytest.fixture(scope="module")
def taken(cloud):
    cloud.hub().client("dynamodb").create_table(TableName=TAKEN, **KEY)


@pytest.mark.usefixtures("taken", "second")
def test_an_update_that_fails_is_rolled_back_by_cloudformation(deployed, stack, functions, release):
    code, template, parameters = running(stack, functions), stack.template, stack.parameters
    failing = with_resources(with_file(release, "chalicelib/failing.py", ""), one_table_too_many)
    with pytest.raises(DeployError, match="UPDATE_ROLLBACK_COMPLETE") as failure:
        deployed.deploy(failing, {"ProbeIntervalMinutes": "60"})
    assert f"Table already exists: {TAKEN}" in str(failure.value)
    assert running(stack, functions) == code != {failing.code_sha256}
    assert (stack.template, stack.parameters) == (template, parameters)


def test_a_version_that_does_not_work_is_taken_back(second, deployed, cloud, stack, functions, release):
    code, template, parameters = running(stack, functions), stack.template, stack.parameters
    broken = with_resources(
        with_broken_api(release), lambda resources: resources["InventoryWork"]["Properties"].update(DelaySeconds=7)
    )
    with pytest.raises(DeployError, match=r"GET /regions/active, signed.*The previous version runs again"):
        deployed.deploy(broken, {"ProbeIntervalMinutes": "60"})
    assert running(stack, functions) == code
    assert json.loads(stack.template) == json.loads(template)
    assert stack.parameters == parameters
    queue = (
        cloud.hub()
        .client("sqs")
        .get_queue_attributes(
            QueueUrl=stack.outputs["InventoryWorkUrl"], AttributeNames=["DelaySeconds", "MessageRetentionPeriod"]
        )["Attributes"]
    )
    assert queue == {"DelaySeconds": "0", "MessageRetentionPeriod": "1209600"}


class TestLambdaOnly:
    def test_code_alone_is_replaced(self, second, deployed, cloud, stack, functions):
        before, template = updated(cloud), stack.template
        new = with_file(second, "chalicelib/newer.py", "")
        deployed.replace_code(new)
        assert running(stack, functions) == {new.code_sha256}
        assert (updated(cloud), stack.template) == (before, template)

    def test_code_that_does_not_work_is_taken_back_to_what_ran(self, second, deployed, stack, functions):
        code = running(stack, functions)
        with pytest.raises(DeployError, match="The previous version runs again"):
            deployed.replace_code(with_broken_api(second))
        assert running(stack, functions) == code

    def test_a_replacement_that_stops_half_way_is_taken_back(self, second, deployed, cloud, stack, functions):
        code = running(stack, functions)
        fault = {
            "service": "lambda",
            "operation": "UpdateFunctionCode",
            "error": "ResourceConflictException",
            "times": 1,
        }
        cloud.control("POST", "/faults", {"rules": [fault]})
        with pytest.raises(DeployError, match=r"ResourceConflictException.*The previous version runs again"):
            deployed.replace_code(with_file(second, "chalicelib/newest.py", ""))
        assert running(stack, functions) == code

    @pytest.mark.usefixtures("taken")
    def test_a_whole_deployment_that_fails_leaves_the_code_that_ran(self, second, deployed, stack, functions):
        deployed.replace_code(with_file(second, "chalicelib/other.py", ""))
        code = running(stack, functions)
        with pytest.raises(DeployError, match="UPDATE_ROLLBACK_COMPLETE"):
            deployed.deploy(with_resources(second, one_table_too_many))
        assert running(stack, functions) == code != {second.code_sha256}

    def test_a_whole_deployment_brings_its_own_code(self, second, deployed, stack, functions):
        deployed.replace_code(with_file(second, "chalicelib/another.py", ""))
        deployed.deploy(second, {"ProbeIntervalMinutes": "45"})
        assert running(stack, functions) == {second.code_sha256}

    def test_it_is_refused_where_more_differs(self, second, deployed, release):
        with pytest.raises(DeployError, match="more than the code differs"):
            deployed.replace_code(with_file(release, "chalicelib/newer.py", ""))

    def test_it_is_refused_where_nothing_is_deployed(self, deploying, release):
        with pytest.raises(DeployError, match="there is no stack nowhere yet"):
            deploying("nowhere").replace_code(release)


def test_a_stack_whose_first_deployment_failed_has_to_go_first(deploying, cloud, release):
    client = cloud.hub().client("cloudformation")
    cloud.hub().client("dynamodb").create_table(TableName="taken-too", **KEY)
    table = {"Type": TABLE, "Properties": {"TableName": "taken-too", **KEY}}
    client.create_stack(StackName="failed", TemplateBody=json.dumps({"Resources": {"Table": table}}))
    deadline = time.monotonic() + 30
    failed = Stack(client, "failed")
    while (failed.status or "").endswith("IN_PROGRESS") and time.monotonic() < deadline:
        time.sleep(0.1)
    with pytest.raises(DeployError, match=r"failed is ROLLBACK_COMPLETE.*delete-stack --stack-name failed"):
        deploying("failed").deploy(release)


def test_a_bucket_that_is_not_there(deploying):
    with pytest.raises(DeployError, match="bucket nowhere-at-all does not exist: --bucket or DEPLOY_BUCKET"):
        deploying(NAME, bucket="nowhere-at-all").deployment().describe()


@pytest.fixture(scope="module")
def left(first, cloud, stack):
    """The tables of the stack, which is deleted, by their logical names."""
    tables = stack.resources(TABLE)
    cloud.hub().client("dynamodb").put_item(TableName=tables["AccountsTable"], Item=ACCOUNT)
    deleted(cloud)
    return tables


class TestDeletedStack:
    """The tables survive, keep their names from being taken, and are adopted as docs/runbooks/deployment.md says."""

    def test_its_tables_are_left(self, left, cloud):
        assert set(left.values()) <= set(cloud.hub().client("dynamodb").list_tables()["TableNames"])

    def test_another_one_is_refused_and_leaves_them_alone(self, left, deployed, cloud, release):
        with pytest.raises(DeployError, match="Table already exists"):
            deployed.deploy(release)
        assert set(left.values()) <= set(cloud.hub().client("dynamodb").list_tables()["TableNames"])

    def test_another_one_adopts_them(self, left, deployed, cloud, stack, release):
        deleted(cloud)
        template = json.loads(release.template("-", locked=True))
        tables = {name: resource for name, resource in template["Resources"].items() if resource["Type"] == TABLE}
        adopt(cloud, {"Parameters": template["Parameters"], "Resources": tables}, left)
        deployed.deploy(release)
        assert stack.resources(TABLE) == left
        assert cloud.hub().client("dynamodb").scan(TableName=left["AccountsTable"])["Items"] == [ACCOUNT]


def deleted(cloud):
    client = cloud.hub().client("cloudformation")
    client.delete_stack(StackName=NAME)
    client.get_waiter("stack_delete_complete").wait(StackName=NAME, WaiterConfig=QUICK)


def adopt(cloud, template, tables):
    client = cloud.hub().client("cloudformation")
    client.create_change_set(
        StackName=NAME,
        ChangeSetName="adopt",
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": STAGE}],
        ResourcesToImport=[
            {"ResourceType": TABLE, "LogicalResourceId": name, "ResourceIdentifier": {"TableName": table}}
            for name, table in tables.items()
        ],
    )
    client.execute_change_set(StackName=NAME, ChangeSetName="adopt")
    client.get_waiter("stack_import_complete").wait(StackName=NAME, WaiterConfig=QUICK)

"""What a function does not need, it may not do: every permission that any other holds, and what nobody may."""

import pytest
from botocore.exceptions import ClientError

from tests.integration.customers import HUB, TARGET

from .matrix import functions, permissions
from .proofs import askable, forbidden
from .world import REGION

UNIVERSE = {one for function in functions() for one in permissions(function)} | forbidden()
ASKABLE = sorted(filter(askable, UNIVERSE))
NOBODY = "arn:aws:iam::222222222222:role/admin"
REFUSALS = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
KEY = {"nobody": {"S": "x"}}


@pytest.fixture(scope="module")
def roles(world):
    """A session of each function's role."""
    sts = world.cloud.hub().client("sts")
    found = {}
    for function, role in world.roles.items():
        arn = world.iam.get_role(RoleName=role)["Role"]["Arn"]
        # Lambda's place is taken by the hub's root, which the local cloud lets through for a service
        found[function] = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return found


class Caller:
    """Asks for one permission at a time, as a role."""

    def __init__(self, world, credentials):
        self._world = world
        self._credentials = credentials
        self._clients = {}

    def client(self, service):
        if service not in self._clients:
            self._clients[service] = self._world.cloud.hub().client(
                service,
                aws_access_key_id=self._credentials["AccessKeyId"],
                aws_secret_access_key=self._credentials["SecretAccessKey"],
                aws_session_token=self._credentials["SessionToken"],
            )
        return self._clients[service]

    def ask(self, one):
        """Do what `one` permits. Requests are as small as their model lets them be: IAM is asked first."""
        service, _, operation = one.action.partition(":")
        getattr(self, f"_{service}")(operation, one.resource)

    def _dynamodb(self, operation, resource):
        table, _, index = resource.partition("/index/")
        name = self._world.stack.name(table)
        where = {"TableName": name, **({"IndexName": index} if index else {})}
        client = self.client("dynamodb")
        check = {"ConditionExpression": "attribute_exists(x)"}
        requests = {
            "GetItem": lambda: client.get_item(**where, Key=KEY),
            "PutItem": lambda: client.put_item(**where, Item=KEY),
            "UpdateItem": lambda: client.update_item(**where, Key=KEY),
            "DeleteItem": lambda: client.delete_item(**where, Key=KEY),
            "Query": lambda: client.query(**where),
            "Scan": lambda: client.scan(**where),
            "BatchGetItem": lambda: client.batch_get_item(RequestItems={name: {"Keys": [KEY]}}),
            "BatchWriteItem": lambda: client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": KEY}}]}),
            "DeleteTable": lambda: client.delete_table(**where),
            "ConditionCheckItem": lambda: client.transact_write_items(
                TransactItems=[{"ConditionCheck": {**where, "Key": KEY, **check}}]
            ),
        }
        requests[operation]()

    def _sqs(self, operation, resource):
        client, url = self.client("sqs"), {"QueueUrl": self._world.stack.url(resource)}
        requests = {
            "SendMessage": lambda: client.send_message(**url, MessageBody="x"),
            "ReceiveMessage": lambda: client.receive_message(**url),
            "DeleteMessage": lambda: client.delete_message(**url, ReceiptHandle="x"),
            "GetQueueAttributes": lambda: client.get_queue_attributes(**url),
            "ChangeMessageVisibility": lambda: client.change_message_visibility(
                **url, ReceiptHandle="x", VisibilityTimeout=1
            ),
            "PurgeQueue": lambda: client.purge_queue(**url),
            "DeleteQueue": lambda: client.delete_queue(**url),
            "SetQueueAttributes": lambda: client.set_queue_attributes(**url, Attributes={"DelaySeconds": "0"}),
        }
        requests[operation]()

    def _sts(self, _, resource):
        arn = NOBODY if resource == "other roles" else self._world.arns[resource].replace("*", TARGET)
        self.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")

    def _lambda(self, operation, resource):
        client, name = self.client("lambda"), {"FunctionName": self._world.stack.name(resource)}
        requests = {
            "InvokeFunction": lambda: client.invoke(**name),
            "UpdateFunctionCode": lambda: client.update_function_code(**name, ZipFile=b"x"),
            "UpdateFunctionConfiguration": lambda: client.update_function_configuration(**name, MemorySize=512),
        }
        requests[operation]()

    def _iam(self, operation, _):
        role = {"RoleName": self._world.roles["api"], "PolicyName": "more", "PolicyDocument": "{}"}
        client = self.client("iam")
        {
            "PutRolePolicy": lambda: client.put_role_policy(**role),
            "CreateUser": lambda: client.create_user(UserName="x"),
        }[operation]()

    def _cloudformation(self, _, __):
        self.client("cloudformation").delete_stack(StackName="drs-active-regions")

    def _ec2(self, operation, _):
        client = self.client("ec2")
        instances = {"InstanceIds": ["i-00000000000000001"]}
        {"DescribeInstances": client.describe_instances, "TerminateInstances": client.terminate_instances}[operation](
            **instances
        )

    def _drs(self, operation, _):
        client, server = self.client("drs"), "s-00000000000000001"
        arn = f"arn:aws:drs:{REGION}:{HUB}:source-server/{server}"
        requests = {
            "DescribeSourceServers": client.describe_source_servers,
            "CreateExtendedSourceServer": lambda: client.create_extended_source_server(sourceServerArn=arn),
            "TagResource": lambda: client.tag_resource(resourceArn=arn, tags={"a": "b"}),
            "DeleteSourceServer": lambda: client.delete_source_server(sourceServerID=server),
            "StartRecovery": lambda: client.start_recovery(sourceServers=[{"sourceServerID": server}]),
            "TerminateRecoveryInstances": lambda: client.terminate_recovery_instances(
                recoveryInstanceIDs=["i-00000000000000001"]
            ),
        }
        requests[operation]()

    def refused(self, one):
        """Return whether IAM refuses what `one` permits."""
        try:
            self.ask(one)
        except ClientError as error:
            return error.response["Error"]["Code"] in REFUSALS
        return False


@pytest.mark.parametrize("function", functions())
def test_it_may_do_nothing_else(world, roles, function):
    caller = Caller(world, roles[function])
    others = [one for one in ASKABLE if one not in permissions(function)]
    assert [one for one in others if not caller.refused(one)] == []


@pytest.mark.parametrize("function", functions())
def test_what_it_holds_is_not_denied(world, roles, function):
    """The same requests, where they are permitted, come through: the ones above are denied for the right reason."""
    world.start("registered")
    caller = Caller(world, roles[function])
    own = [one for one in ASKABLE if one in permissions(function) and not one.action.startswith("sts:")]
    assert [one for one in own if caller.refused(one)] == []

"""In customer accounts: who is let in, what each function needs there, and that it may do nothing else."""

import json

import pytest
from botocore.exceptions import ClientError

from sandbox.cloud.client import InvocationError
from tests.integration.customers import HUB, SOURCE, STAGING, TARGET, Customers, external_id

from .customers import ACTIONS, SESSIONS, WRITER
from .matrix import functions
from .scenarios import SCENARIOS
from .world import AGENT, REGION, STAGED, Failed

NEEDED = [(*who, action, name) for who, allowed in SESSIONS.items() for action, name in allowed.items() if name]
ROLE = "drs-active-regions-{}"
OWN_SECRET = external_id(TARGET)
OWN = f"arn:aws:drs:{REGION}:{TARGET}:source-server/{AGENT}"
STAGED_ARN = f"arn:aws:drs:{REGION}:{STAGING}:source-server/{STAGED[0]}"


@pytest.fixture(scope="module")
def enter(world):
    """Enter the target's role as a function of the hub, or try to; returns clients of the session."""
    sts, own = world.cloud.hub().client("sts"), {}

    def session(function, role, name=None, secret=OWN_SECRET):
        if function not in own:
            arn = world.iam.get_role(RoleName=world.roles[function])["Role"]["Arn"]
            own[function] = client(world, "sts", sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"])
        arn = f"arn:aws:iam::{TARGET}:role/{ROLE.format(role)}"
        given = {"ExternalId": secret} if secret else {}
        name = name or ROLE.format(function)
        credentials = own[function].assume_role(RoleArn=arn, RoleSessionName=name, **given)["Credentials"]
        return lambda service: client(world, service, credentials, REGION)

    return session


def client(world, service, credentials, region="us-east-1"):
    return world.cloud.hub().client(
        service,
        region_name=region,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def ask(session, action):
    server = [{"sourceServerID": AGENT}]
    requests = {
        "drs:DescribeSourceServers": lambda drs: drs.describe_source_servers(),
        "drs:GetReplicationConfiguration": lambda drs: drs.get_replication_configuration(sourceServerID=AGENT),
        "drs:ListExtensibleSourceServers": lambda drs: drs.list_extensible_source_servers(stagingAccountID=STAGING),
        "drs:ListStagingAccounts": lambda drs: drs.list_staging_accounts(),
        "drs:TagResource": lambda drs: drs.tag_resource(resourceArn=OWN, tags={"a": "b"}),
        "drs:UntagResource": lambda drs: drs.untag_resource(resourceArn=OWN, tagKeys=["a"]),
        "drs:CreateExtendedSourceServer": lambda drs: drs.create_extended_source_server(sourceServerArn=STAGED_ARN),
        "drs:DeleteSourceServer": lambda drs: drs.delete_source_server(sourceServerID=AGENT),
        "drs:DisconnectSourceServer": lambda drs: drs.disconnect_source_server(sourceServerID=AGENT),
        "drs:StartRecovery": lambda drs: drs.start_recovery(sourceServers=server),
        "drs:StopReplication": lambda drs: drs.stop_replication(sourceServerID=AGENT),
        "drs:TerminateRecoveryInstances": lambda drs: drs.terminate_recovery_instances(
            recoveryInstanceIDs=["i-00000000000000001"]
        ),
        "ec2:DescribeInstances": lambda ec2: ec2.describe_instances(),
        "ec2:TerminateInstances": lambda ec2: ec2.terminate_instances(InstanceIds=["i-00000000000000001"]),
    }
    requests[action](session(action.partition(":")[0]))


def allowed(session, action):
    try:
        ask(session, action)
    except ClientError as error:
        return error.response["Error"]["Code"] not in ("AccessDeniedException", "UnauthorizedOperation", "AccessDenied")
    return True


@pytest.mark.parametrize(("function", "role"), SESSIONS)
def test_it_may_do_there_what_it_needs_and_nothing_else(world, enter, function, role):
    world.start("scanned")
    world.plant()
    session = enter(function, role)
    assert {action for action in ACTIONS if allowed(session, action)} == set(SESSIONS[function, role])
    world.plant()


@pytest.mark.parametrize(("function", "role", "action", "name"), NEEDED)
def test_without_a_permission_there_it_cannot(world, function, role, action, name):
    where = [account_id for account_id in (TARGET, STAGING, SOURCE) if role != WRITER or account_id != SOURCE]
    with (
        world.denied_in(where, ROLE.format(role), action),
        pytest.raises((AssertionError, Failed, InvocationError)),
    ):
        SCENARIOS[name](world, function)


@pytest.mark.parametrize(
    ("account", "given", "limit"),
    [
        ("555555555551", {}, None),
        ("555555555552", {"StagingAccounts": f"{STAGING},{SOURCE}"}, ["555555555552", STAGING, SOURCE]),
    ],
)
def test_a_target_names_the_staging_accounts_whose_configuration_may_be_read(world, account, given, limit):
    Customers(world.cloud, registrar=None).create_roles(account, "target", **given)
    iam = world.cloud.session(account).client("iam")
    document = iam.get_role_policy(RoleName=ROLE.format("writer"), PolicyName="extend-drs")["PolicyDocument"]
    conditions = {one["Sid"]: one["Condition"] for one in document["Statement"]}
    session = {"StringLike": {"aws:userid": f"*:{ROLE.format('staging-worker')}"}}
    limited = {"StringEquals": {"aws:ResourceAccount": limit}} if limit else {}
    assert conditions["ConfigurationOfStagingServers"] == session | limited
    assert conditions["ExtendingHasNoResources"] == session


def let_in(attempt):
    try:
        attempt()
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return False
        raise
    return True


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_functions_that_enter_no_account_are_not_let_in(enter, role):
    entering = {(function, role) for function in functions() if let_in(lambda: enter(function, role))}  # noqa: B023
    assert entering == {who for who in SESSIONS if who[1] == role}


@pytest.mark.parametrize(("function", "role"), SESSIONS)
@pytest.mark.parametrize("secret", [None, external_id(STAGING)], ids=["without", "of another account"])
def test_nobody_is_let_in_with_another_external_id(enter, function, role, secret):
    with pytest.raises(ClientError, match="AccessDenied"):
        enter(function, role, secret=secret)


@pytest.mark.parametrize(("function", "role"), SESSIONS)
@pytest.mark.parametrize("other", ["inventory-worker", "tags-worker", "staging-worker", "account-probe"])
def test_nobody_is_let_in_under_the_session_name_of_another(enter, function, role, other):
    if other == function:
        enter(function, role)
        return
    with pytest.raises(ClientError, match="AccessDenied"):
        enter(function, role, name=ROLE.format(other))


@pytest.mark.parametrize(
    ("path", "trusted"),
    [("/drs-active-regions/dev/tags-worker/", True), ("/drs-active-regions/test/tags-worker/", False)],
)
def test_the_path_of_a_role_counts_and_not_its_name(world, path, trusted):
    """A stack that is deployed anew gives its roles other names; another stack's roles are at another path."""
    sts = client(world, "sts", own_role(world, path))
    request = {
        "RoleArn": f"arn:aws:iam::{TARGET}:role/{ROLE.format('writer')}",
        "RoleSessionName": ROLE.format("tags-worker"),
        "ExternalId": OWN_SECRET,
    }
    assert let_in(lambda: sts.assume_role(**request)) is trusted


def own_role(world, path):
    name = f"made-anew-{path.split('/')[2]}"
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"}, "Action": "sts:AssumeRole"}
    grant = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    trusted, granted = (json.dumps({"Version": "2012-10-17", "Statement": [one]}) for one in (trust, grant))
    role = world.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trusted)["Role"]
    world.iam.put_role_policy(RoleName=name, PolicyName="any", PolicyDocument=granted)
    sts = world.cloud.hub().client("sts")
    return sts.assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]

"""Customer accounts of the tests: their roles, servers and instances."""

import itertools
import json
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.accounts import Account

ROLES_TEMPLATE = Path(__file__).parents[2] / "infra" / "customer-roles.yaml"
HUB = "111111111111"
TARGET, STAGING, SOURCE = "222222222222", "333333333333", "444444444444"
KINDS = {TARGET: "target", STAGING: "staging", SOURCE: "source"}
ORIGIN_REGION = "us-west-1"
READER, WRITER = "drs-active-regions-reader", "drs-active-regions-writer"


class Server(NamedTuple):
    """A planted server."""

    account_id: str
    region: str
    hostname: str
    server_id: str
    arn: str
    instance_id: str
    ec2_tags: dict[str, str]


class Customers:
    """The accounts whose DRS the stack works on."""

    def __init__(self, cloud, registrar):
        self._cloud = cloud
        self._registrar = registrar
        self._numbers = itertools.count(1)

    def create_roles(self, account_id, kind, **parameters):
        """Deploy the template that customers deploy, with further parameters."""
        client = self._cloud.session(account_id).client("cloudformation")
        path = self._cloud.outputs.stack["RolePath"]
        values = {"HubAccountId": HUB, "HubRolePath": path, "ExternalId": external_id(account_id), "Kind": kind}
        values |= parameters
        client.create_stack(
            StackName="drs-active-regions-roles",
            TemplateBody=ROLES_TEMPLATE.read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        client.get_waiter("stack_create_complete").wait(
            StackName="drs-active-regions-roles", WaiterConfig={"Delay": 0.1, "MaxAttempts": 200}
        )

    def register(self, *account_ids, scan_now=False, **changes):
        """Register accounts, with the roles that their template made."""
        for account_id in account_ids or KINDS:
            self._registrar.register(account(account_id, **changes), scan_now=scan_now)

    def join(self, **tags):
        """Make the staging account one of the target's, which the staging account trusts."""
        self._cloud.control("POST", "/accounts", {"accountId": STAGING, "trusts": [TARGET]})
        self._registrar.add_staging_account(TARGET, STAGING, **tags)

    def initialise(self, account_id, *regions):
        wanted = {region: {"initialised": True} for region in regions}
        self._cloud.control("POST", "/accounts", {"accountId": account_id, "regions": wanted})

    def plant(self, account_id, region, count=1, *, tags=None, in_sync=False, **fields):
        """Make servers in an account's DRS, each with its instance in the source account.

        `in_sync`: the servers carry their instance's tags already.
        """
        numbers = [next(self._numbers) for _ in range(count)]
        servers = [
            {
                "accountId": account_id,
                "region": region,
                "hostname": f"host-{number}",
                "instanceId": f"i-{number:017x}",
                "originAccountId": SOURCE,
                "originRegion": ORIGIN_REGION,
                "originAvailabilityZone": f"{ORIGIN_REGION}a",
                "state": "CONTINUOUS",
                "tags": {"agent": "theirs"},
                **fields,
            }
            for number in numbers
        ]
        ec2_tags = {server["instanceId"]: {"Name": server["hostname"], **(tags or {})} for server in servers}
        if in_sync:
            servers = [{**server, "tags": ec2_tags[server["instanceId"]]} for server in servers]
        self._cloud.control(
            "POST",
            "/ec2/instances",
            [
                {"accountId": SOURCE, "region": ORIGIN_REGION, "instanceId": instance, "tags": instance_tags}
                for instance, instance_tags in ec2_tags.items()
            ],
        )
        made = self._cloud.control("POST", "/servers", {"servers": servers})["servers"]
        return [
            Server(
                account_id,
                region,
                wanted["hostname"],
                server["sourceServerID"],
                server["arn"],
                wanted["instanceId"],
                ec2_tags[wanted["instanceId"]],
            )
            for wanted, server in zip(servers, made, strict=True)
        ]

    def retag(self, server, tags):
        """Replace the tags of a server's instance."""
        change = {"accountId": SOURCE, "region": ORIGIN_REGION, "instanceId": server.instance_id, "tags": tags}
        self._cloud.control("PATCH", "/ec2/instances", [change])

    def remove(self, server):
        """Take a server out of its account's DRS."""
        self.change(server, remove=True)

    def change(self, server, **changes):
        """Change what an account's DRS says of a server."""
        which = {"accountId": server.account_id, "region": server.region, "sourceServerID": server.server_id}
        self._cloud.control("PATCH", "/servers", {"servers": [{**which, **changes}]})

    def drs(self, account_id, region):
        """Return what an account's DRS holds in a region, by server ID."""
        truth = self._cloud.control("GET", f"/truth?accountId={account_id}&region={region}")
        return {
            server["record"]["sourceServerID"]: server["record"]
            for scope in truth["scopes"]
            for server in scope["servers"]
        }

    def drs_tags(self, server):
        return self.drs(server.account_id, server.region)[server.server_id]["tags"]

    def extensions(self, region):
        """Return the ARNs of the originals that the target has extended in a region, sorted, one per extension."""
        servers = self.drs(TARGET, region).values()
        return sorted(
            original for server in servers if (original := server.get("stagingArea", {}).get("stagingSourceServerArn"))
        )

    @contextmanager
    def denied(self, account_id, role, action):
        """Deny an action to a role for a while."""
        iam = self._cloud.session(account_id).client("iam")
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=document)
        try:
            yield
        finally:
            iam.delete_role_policy(RoleName=role, PolicyName="denied")

    def trust_only(self, account_id, secret):
        """Let an account's roles be assumed with `secret` alone as the external ID."""
        iam = self._cloud.session(account_id).client("iam")
        for role in (READER, WRITER):
            document = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
            document = json.loads(document) if isinstance(document, str) else document
            for statement in document["Statement"]:
                statement["Condition"]["StringEquals"]["sts:ExternalId"] = secret
            iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))


def account(account_id, **changes):
    values = {
        "account_id": account_id,
        "name": f"account {account_id}",
        "kind": KINDS[account_id],
        "reader_role_arn": f"arn:aws:iam::{account_id}:role/{READER}",
        "writer_role_arn": None if KINDS[account_id] == "source" else f"arn:aws:iam::{account_id}:role/{WRITER}",
        "external_id": external_id(account_id),
    }
    return Account(**(values | changes))


def external_id(account_id):
    return f"only-between-us-and-{account_id}"


def scope(account_id, region):
    return {"accountId": account_id, "region": region}

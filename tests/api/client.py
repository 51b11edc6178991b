"""The REST API as its callers see it, and customer accounts to register with it."""

import itertools
import json
from typing import NamedTuple
from urllib.parse import quote, urlencode

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox.fleet.model import Fleet, FleetAccount
from sandbox.fleet.roles import deploy_roles, reader_arn, writer_arn

from ..integration.waiting import eventually

LONGEST_SCAN_SECONDS = 90


class Api:
    """The API of a cloud; a status that is not expected fails the test with the answer."""

    def __init__(self, cloud):
        self.cloud = cloud

    def answer(self, method, path, body=None, **parameters):
        """Return status and content of the answer."""
        response = self.cloud.api(method, with_query(path, parameters), body)
        return response.status_code, response.json()

    def expect(self, status, method, path, body=None, **parameters):
        found, content = self.answer(method, path, body, **parameters)
        assert found == status, content
        return content

    def get(self, path, **parameters):
        return self.expect(200, "GET", path, **parameters)

    def post(self, path, body=None):
        return self.expect(200, "POST", path, body)

    def pages(self, **parameters):
        """Yield every page of servers."""
        token = {}
        while True:
            page = self.get("servers", **parameters, **token)
            yield page
            if page["nextToken"] is None:
                return
            token = {"nextToken": page["nextToken"]}

    def servers(self, **parameters):
        """Return every server of a query, in the order in which they come."""
        return [server for page in self.pages(**parameters) for server in page["servers"]]

    def regions_of(self, account_id):
        """Return how an account stands, by region."""
        return {one["region"]: one for one in self.get(f"accounts/{account_id}/regions")["regions"]}

    def scanned(self, account_id, *regions):
        """Wait until scopes of an account have scan records; return them by region."""

        def look():
            found = {name: one for name, one in self.regions_of(account_id).items() if one["state"]}
            return found if all(region in found for region in regions) else None

        return eventually(look, LONGEST_SCAN_SECONDS, 0.3)

    def gone(self, account_id):
        """Wait until an account is not found."""
        eventually(lambda: self.answer("GET", f"accounts/{account_id}")[0] == 404, LONGEST_SCAN_SECONDS, 0.3)


def with_query(path, parameters):
    """Return `path` with its query; a list gives a parameter several times."""
    return f"{path}?{urlencode(parameters, doseq=True, quote_via=quote)}" if parameters else path


class Signature(requests.auth.AuthBase):
    """SigV4 for requests, as the stack's callers sign."""

    def __init__(self, outputs):
        self._credentials = Credentials(outputs.access_key_id, outputs.secret_access_key)
        self._region = outputs.region

    def __call__(self, request):
        signed = AWSRequest(method=request.method, url=request.url, data=request.body or b"")
        SigV4Auth(self._credentials, "execute-api", self._region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request


class Customer(NamedTuple):
    """A customer account with its roles."""

    account: FleetAccount

    @property
    def account_id(self):
        return self.account.account_id

    @property
    def registration(self):
        """What registers it, all roles and secrets right."""
        account = self.account
        body = {
            "accountId": account.account_id,
            "name": account.name,
            "kind": account.kind,
            "readerRoleArn": reader_arn(account),
            "externalId": account.external_id,
        }
        writer = writer_arn(account)
        return {**body, "writerRoleArn": writer} if writer else body

    @property
    def change(self):
        """What changes nothing of it: the body of a PUT."""
        return {name: value for name, value in self.registration.items() if name not in ("accountId", "externalId")}


class Customers:
    """Makes customer accounts, with what their DRS holds."""

    def __init__(self, cloud):
        self._cloud = cloud
        self._numbers = itertools.count(1)

    def make(self, kind="target", trusts=(), roles=True, **servers):
        """Make an account that holds so many servers by region (`eu_west_1=3`).

        `roles`: whether it deployed the template that customers deploy.
        """
        number = next(self._numbers)
        account = FleetAccount(f"6{number:011d}", f"api-{number}", kind, f"between-us-and-{number:04d}-alone")
        if roles:
            deploy_roles(Fleet("api", (), (), (account,), (), (), ()), self._cloud)
        counts = {region.replace("_", "-"): count for region, count in servers.items()}
        regions = {region: {"initialised": True} for region in counts}
        body = {"accountId": account.account_id, "regions": regions, "trusts": list(trusts)}
        self._cloud.control("POST", "/accounts", body)
        for region, count in counts.items():
            self.plant(account.account_id, region, count)
        return Customer(account)

    def plant(self, account_id, region, count, **fields):
        """Put servers into an account's DRS; return their IDs."""
        servers = [
            {"accountId": account_id, "region": region, "hostname": f"api-host-{next(self._numbers)}", **fields}
            for _ in range(count)
        ]
        made = (
            self._cloud.control("POST", "/servers", {"servers": servers, "force": True})["servers"] if servers else []
        )
        return [server["sourceServerID"] for server in made]

    def trust(self, account_id, *targets):
        self._cloud.control("POST", "/accounts", {"accountId": account_id, "trusts": list(targets)})

    def drop_role(self, account_id, name):
        """Delete a role, with the policies in it."""
        iam = self._cloud.session(account_id).client("iam")
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=name)

    def change_secret(self, account_id, secret, *roles):
        """Let roles be assumed with another ExternalId than was agreed."""
        iam = self._cloud.session(account_id).client("iam")
        for role in roles:
            document = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
            document = json.loads(document) if isinstance(document, str) else document
            for statement in document["Statement"]:
                statement["Condition"]["StringEquals"]["sts:ExternalId"] = secret
            iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))

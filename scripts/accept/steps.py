"""The steps of an acceptance run, those that only read first."""

import json
import platform
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import boto3

from scripts.accept import pages
from scripts.accept.hub import Hub
from scripts.accept.verdicts import FailedError, NotTriedError, Step

QUEUES = {"work": "WorkDeadLettersUrl", "stream": "StreamFailuresUrl", "schedules": "ScheduleFailuresUrl"}
"""The API's names of the dead-letter queues, and the stack's outputs with their addresses."""
TAG = "drs-active-regions-acceptance"
FILTER_LIMIT = 200  # EC2: values per filter
SCOPES_A_RUN = 1000  # POST /syncs takes no more
USABLE = {"AVAILABLE", "UNINITIALIZED", "NOT_OPTED_IN"}
"""States of a region that are an answer: servers or none, DRS not used, region not enabled."""


class Accounts(NamedTuple):
    """What the run may use of the customers' side.

    Attributes:
        ids: accounts to validate and to scan; empty: every registered one.
        regions: regions to scan; empty: every one.
        region: where the disposable server is.
        target: credentials of the target, or None.
        staging: credentials of the staging account, or None.
        staging_server_arn: the disposable staging server, or None.
        server_arn: the disposable server that is tagged, or None.
    """

    ids: list[str]
    regions: list[str]
    region: str
    target: boto3.Session | None = None
    staging: boto3.Session | None = None
    staging_server_arn: str | None = None
    server_arn: str | None = None


class Acceptance:
    """Does the steps.

    Args:
        hub: the hub.
        accounts: what may be used.
        patience_seconds: how long a run or a letter may take.
    """

    def __init__(self, hub: Hub, accounts: Accounts, patience_seconds: float) -> None:
        self._hub = hub
        self._accounts = accounts
        self._patience = patience_seconds

    def steps(self) -> Iterator[Step]:
        """Yield every step, in order."""
        yield Step("versions", self.versions)
        yield Step("regions", self.regions)
        yield Step("validation of the accounts", self.validation)
        yield Step("page size of DRS", self.page_size)
        yield Step("answers of DRS, EC2 and STS", self.answers)
        staging = self._accounts.staging_server_arn
        extends = f"Have the hub extend {staging} into the target and delete the extension again?" if staging else ""
        yield Step("extension", self.extension, extends)
        scans = "Scan every region of the accounts? The hub then tags and extends what it finds to be done."
        yield Step("scan", self.scan, scans)
        server = self._accounts.server_arn
        yield Step("tags", self.tags, f"Tag {server} and take the tag away again?" if server else "")
        for queue in QUEUES:
            question = f"Put a message into the dead-letter queue {queue} and have it discarded (may raise an alarm)?"
            yield Step(f"dead letters, {queue}", partial(self.dead_letter, queue), question)

    # --- that only read ---

    def versions(self) -> str:
        """Tell what runs here and in the hub."""
        here = f"Python {platform.python_version()}, botocore {version('botocore')}, boto3 {version('boto3')}"
        parameters = self._hub.stack.parameters
        stack = f"stack {self._hub.stack.name}, stage {parameters.get('Stage', 'unknown')}, {self._hub.stack.status}"
        return f"{stack}; deployed: {self._hub.versions()}; here: {here}"

    def regions(self) -> str:
        """Tell which regions the hub knows for the accounts."""
        known = sorted({region for account in self._ids() for region in self._regions_of(account)})
        if not known:
            raise FailedError("the hub knows no region of any account")
        return f"{len(known)}: {', '.join(known)}"

    def validation(self) -> str:
        """Have the hub check every account's roles and DRS."""
        wrong, seen = [], []
        for account in self._ids():
            answer = self._hub.call("POST", f"/accounts/{account}/validate")
            bad = [check for check in answer["checks"] if check["ok"] is False]
            wrong += [f"{account}: {check['name']} of {check['subject']}: {check['message']}" for check in bad]
            seen.append(f"{account}: {len(answer['checks'])} checks")
        if wrong:
            raise FailedError("; ".join(wrong))
        return "; ".join(seen)

    def page_size(self) -> str:
        """Ask for pages of several sizes."""
        found = pages.probed(self._drs(self._target()))
        if ignored := pages.ignored(found):
            raise FailedError(
                f"{ignored[0].asked} were asked for, {ignored[0].servers} came: maxResults is not honoured"
            )
        return pages.told(found)

    def answers(self) -> str:
        """Ask what the product asks, with the operator's credentials: what `--record` keeps."""
        told = []
        for name, session in (("target", self._accounts.target), ("staging account", self._accounts.staging)):
            if session is not None:
                told.append(f"{name} {self._answers_of(session)}")
        if not told:
            raise NotTriedError("--target-profile or --staging-profile names whose answers")
        return "; ".join(told)

    def _answers_of(self, session: boto3.Session) -> str:
        """Ask as the product does: the same operations with the same parameters, so that they can be replayed to it."""
        account = session.client("sts").get_caller_identity()["Account"]
        drs = self._drs(session)
        servers = [one for page in drs.get_paginator("describe_source_servers").paginate() for one in page["items"]]
        own = [one for one in servers if not one.get("stagingArea", {}).get("stagingSourceServerArn")]
        for server in own[:1]:
            drs.get_replication_configuration(sourceServerID=server["sourceServerID"])
        wanted = sorted({one for server in servers if (one := self._instance_in(server, account))})[:FILTER_LIMIT]
        found = self._instances(session, wanted) if wanted else 0
        return f"{account}: {len(servers)} servers, {found} of {len(wanted)} instances"

    def _instance_in(self, server: dict[str, Any], account: str) -> str | None:
        """Return the instance of a server that runs in `account`, in the region that is asked about."""
        origin = server.get("sourceCloudProperties", {})
        if (origin.get("originAccountID"), origin.get("originRegion")) != (account, self._accounts.region):
            return None
        hints: dict[str, str] = server.get("sourceProperties", {}).get("identificationHints", {})
        return hints.get("awsInstanceID")

    def _instances(self, session: boto3.Session, wanted: list[str]) -> int:
        pages_of = session.client("ec2", self._accounts.region).get_paginator("describe_instances")
        found = pages_of.paginate(Filters=[{"Name": "instance-id", "Values": wanted}])
        return sum(len(reservation["Instances"]) for page in found for reservation in page["Reservations"])

    # --- that write ---

    def scan(self) -> str:
        """Have every region of the accounts scanned, and wait for it."""
        wanted = [
            {"accountId": account, "region": region}
            for account in self._ids()
            for region in self._regions_of(account)
            if not self._accounts.regions or region in self._accounts.regions
        ]
        if not wanted:
            raise NotTriedError("no account has DRS in these regions")
        done: list[dict[str, Any]] = []
        for start in range(0, len(wanted), SCOPES_A_RUN):
            some = wanted[start : start + SCOPES_A_RUN]
            run = self._hub.call("POST", "/syncs", {"kind": "inventory", "scopes": some})
            progress = self._hub.finished(run["runId"], self._patience)
            left_out = progress["scopesLeftOut"]
            if left_out:
                raise FailedError(f"{left_out} scopes are not told: name fewer regions or accounts")
            done += progress["scopes"]
        return states_told(done)

    def tags(self) -> str:
        """Tag the disposable server, have it scanned, and take the tag away."""
        arn = self._accounts.server_arn
        if arn is None:
            raise NotTriedError("--server-arn names a disposable server of the target")
        session = self._target()
        drs = session.client("drs", _region(arn))
        drs.tag_resource(resourceArn=arn, tags={TAG: "yes"})
        try:
            self._scanned(_account(arn), _region(arn))
            row = self._hub.call("GET", f"/servers/{_server_id(arn)}")
            if TAG not in json.dumps(row):
                raise FailedError(f"{arn} was tagged, and the inventory does not show it after a scan")
        finally:
            drs.untag_resource(resourceArn=arn, tagKeys=[TAG])
        if TAG in self._described(drs, _server_id(arn)).get("tags", {}):
            raise FailedError(f"{arn} still has the tag {TAG}: untag it")
        return f"{arn} was tagged, seen by the hub, and untagged"

    def extension(self) -> str:
        """Have the hub extend the disposable staging server, and delete the extension with the target's credentials.

        A scan of the staging account is enough: the hub extends everything that is left to extend. So nothing else may
        be. The target is scanned before and after the deletion: the hub has to see that the extension was removed, or
        it makes it anew.
        """
        arn = self._accounts.staging_server_arn
        if arn is None:
            raise NotTriedError("--staging-server-arn names a disposable server of a staging account")
        session = self._target()
        target, region = str(session.client("sts").get_caller_identity()["Account"]), _region(arn)
        drs = session.client("drs", region)
        self._require_alone(drs, arn)
        try:
            self._scanned(_account(arn), region)
            self._staging_run(target, region)
            extension = self._until(
                lambda: self._extension_of(drs, arn), f"{arn} was not extended; GET /syncs says why"
            )
            self._scanned(target, region)
        finally:
            if made := self._extension_of(drs, arn):
                drs.disconnect_source_server(
                    sourceServerID=made
                )  # what is connected is not deleted (DRS, API reference)
                drs.delete_source_server(sourceServerID=made)
        self._scanned(target, region)
        if self._extension_of(drs, arn):
            raise FailedError(f"{extension} was deleted, and {arn} is extended")
        return f"{arn} was extended as {extension}, which was deleted again"

    def _require_alone(self, drs: Any, arn: str) -> None:
        """Raise NotTriedError where the server is extended, or the hub would extend others with it."""
        if self._extension_of(drs, arn):
            raise NotTriedError(f"{arn} is extended already: what is there stays")
        left = drs.get_paginator("list_extensible_source_servers").paginate(stagingAccountID=_account(arn))
        others = [server["arn"] for page in left for server in page["items"] if server["arn"] != arn]
        if others:
            raise NotTriedError(f"the hub would extend {len(others)} further servers, e.g. {others[0]}")

    def dead_letter(self, queue: str) -> str:
        """Put a message into a dead-letter queue, see it through the API, and have it discarded."""
        if self._letters(queue):
            raise NotTriedError("there are letters of others, which discarding would touch")
        body = f"acceptance {uuid.uuid4()}"
        sqs, url = self._hub.session.client("sqs"), self._hub.stack.outputs[QUEUES[queue]]
        sqs.send_message(QueueUrl=url, MessageBody=body)
        self._until(lambda: body in self._letters(queue), f"{queue}: the API does not list the message")
        others = [letter for letter in self._letters(queue) if letter != body]
        if others:
            raise FailedError(f"{queue}: letters of others came meanwhile; `{body}` is left among them")
        discard = {"queue": queue, "limit": 1, "discard": True}
        gone = self._until(lambda: self._discarded(discard), f"{queue}: the API discards nothing; `{body}` is left")
        if body not in gone:
            raise FailedError(f"{queue}: another letter was discarded: {gone}")
        return "listed and discarded"

    # --- what they share ---

    def _ids(self) -> list[str]:
        found = self._accounts.ids or [one["accountId"] for one in self._hub.call("GET", "/accounts")["accounts"]]
        if not found:
            raise NotTriedError("no account is registered")
        return found

    def _regions_of(self, account: str) -> list[str]:
        return [one["region"] for one in self._hub.call("GET", f"/accounts/{account}/regions")["regions"]]

    def _target(self) -> boto3.Session:
        if self._accounts.target is None:
            raise NotTriedError("--target-profile names the target's credentials")
        return self._accounts.target

    def _drs(self, session: boto3.Session) -> Any:
        return session.client("drs", self._accounts.region)

    def _scanned(self, account: str, region: str) -> None:
        scopes = [{"accountId": account, "region": region}]
        run = self._hub.call("POST", "/syncs", {"kind": "inventory", "scopes": scopes})
        states_told(self._hub.finished(run["runId"], self._patience)["scopes"])

    def _staging_run(self, target: str, region: str) -> None:
        body = {"kind": "staging", "scopes": [{"accountId": target, "region": region}]}
        run = self._hub.call("POST", "/syncs", body)
        states_told(self._hub.finished(run["runId"], self._patience)["scopes"])

    @staticmethod
    def _described(drs: Any, server_id: str) -> dict[str, Any]:
        items = drs.describe_source_servers(filters={"sourceServerIDs": [server_id]})["items"]
        if not items:
            raise FailedError(f"DRS does not list {server_id}")
        found: dict[str, Any] = items[0]
        return found

    @staticmethod
    def _extension_of(drs: Any, arn: str) -> str | None:
        for page in drs.get_paginator("describe_source_servers").paginate():
            for server in page["items"]:
                if server.get("stagingArea", {}).get("stagingSourceServerArn") == arn:
                    return str(server["sourceServerID"])
        return None

    def _letters(self, queue: str) -> list[str]:
        answer = self._hub.call("GET", f"/dead-letters?queue={queue}&limit=100")
        return [letter["body"] for letter in answer["deadLetters"]]

    def _discarded(self, request: dict[str, Any]) -> list[str]:
        answer = self._hub.call("POST", "/dead-letters/redrive", request)
        return [letter["body"] for kind in ("redriven", "discarded") for letter in answer[kind]]

    def _until(self, look: Any, complaint: str) -> Any:
        until = time.monotonic() + min(self._patience, 120.0)
        while not (seen := look()):
            if time.monotonic() > until:
                raise FailedError(complaint)
            time.sleep(1)
        return seen


def states_told(scopes: list[dict[str, Any]]) -> str:
    """Return how the scopes of a run answered, by state and region.

    Raises:
        FailedError: one could not be scanned.
    """
    wrong = [
        f"{scope['accountId']} in {scope['region']}: {_state(scope)} {scope['error'] or _message(scope)}".strip()
        for scope in scopes
        if scope["error"] or _state(scope) not in USABLE
    ]
    states: dict[str, Counter[str]] = {}
    for scope in scopes:
        states.setdefault(_state(scope), Counter())[scope["region"]] += 1
    told = "; ".join(
        f"{state}: {regions.total()} scopes ({', '.join(sorted(regions))})" for state, regions in sorted(states.items())
    )
    if wrong:
        raise FailedError(f"{'; '.join(wrong)} ({told})")
    return told


def _state(scope: dict[str, Any]) -> str:
    return str(scope["result"]["state"]) if scope["result"] else "UNKNOWN"


def _message(scope: dict[str, Any]) -> str:
    return str((scope["result"] or {}).get("message") or "")


def _region(arn: str) -> str:
    return arn.split(":")[3]


def _account(arn: str) -> str:
    return arn.split(":")[4]


def _server_id(arn: str) -> str:
    return arn.rpartition("/")[2]

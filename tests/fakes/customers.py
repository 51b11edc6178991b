"""DRS and EC2 of customer accounts in memory, and what goes wrong there."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from threading import RLock
from typing import Any

from chalicelib.domain.accounts import Account
from chalicelib.domain.scopes import Scope
from chalicelib.errors import (
    AccessDenied,
    Refused,
    ResourceNotFound,
)

from .. import factories
from .process import FakeCalls


@dataclass
class Fault:
    """An error that a service answers with: in which scope, for which server, how often, before or after its effect."""

    name: str
    error: BaseException
    scope: Scope | None = None
    subject: str | None = None
    times: int | None = None
    after_effect: bool = False

    def hits(self, name: str, scope: Scope, subject: str) -> bool:
        fits = self.name == name and self.scope in (None, scope) and self.subject in (None, subject)
        if not fits or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Faults:
    """What the services of customer accounts answer instead."""

    def __init__(self) -> None:
        self._lock = RLock()
        self.rules: list[Fault] = []

    def meet(self, name: str, scope: Scope, subject: str = "", *, after_effect: bool = False) -> None:
        with self._lock:
            for rule in self.rules:
                if rule.after_effect is after_effect and rule.hits(name, scope, subject):
                    raise rule.error


class FakeDrs:
    """DRS of every account and region: reader and writer in one."""

    def __init__(self, calls: FakeCalls, faults: Faults) -> None:
        self._lock = RLock()
        self._calls = calls
        self._faults = faults
        self._numbers = count(1)
        self.servers: dict[Scope, dict[str, dict[str, Any]]] = {}
        self.untrusting: set[str] = set()
        self.refused: dict[str, str] = {}  # staging ARN -> why DRS refuses to extend it
        self.extension_errors: dict[str, str] = {}  # staging ARN -> the error that its extension shows

    def add(self, *wires: dict[str, Any]) -> None:
        """Add servers, or replace those of the same ID: each in the account and region of its ARN."""
        for wire in wires:
            self.servers.setdefault(_scope_of(wire["arn"]), {})[wire["sourceServerID"]] = wire

    def remove(self, arn: str) -> None:
        del self.servers[_scope_of(arn)][_server_of(arn)]

    def get(self, arn: str) -> dict[str, Any]:
        """Return one server, to be looked at or changed."""
        return self.servers[_scope_of(arn)][_server_of(arn)]

    def extensions(self, target: Scope) -> dict[str, str]:
        """Return the IDs of a target's extensions by the ARN of the original; fails where one is extended twice."""
        found: dict[str, str] = {}
        for server, wire in self.servers.get(target, {}).items():
            original = wire["stagingArea"].get("stagingSourceServerArn")
            if original:
                assert original not in found, f"{original} is extended twice into {target.key}"
                found[original] = server
        return found

    def probe(self, account: Account, region: str) -> None:
        self._call("DescribeSourceServers", Scope(account.account_id, region))

    def source_servers(self, account: Account, region: str) -> Iterator[dict[str, Any]]:
        scope = Scope(account.account_id, region)
        self._call("DescribeSourceServers", scope)
        yield from deepcopy(list(self.servers.get(scope, {}).values()))

    def replication_configuration(self, account: Account, region: str, source_server_id: str) -> dict[str, Any]:
        self._call("GetReplicationConfiguration", Scope(account.account_id, region), source_server_id)
        return {"name": "default", "ebsEncryption": "CUSTOM"}

    def tag(self, account: Account, region: str, arn: str, tags: dict[str, str]) -> None:
        with self._changing("TagResource", account, region, arn) as wire:
            after = {**wire["tags"], **tags}
            if sum(not key.lower().startswith("aws:") for key in after) > 50:
                raise Refused(f"{arn}: more than 50 tags", "ValidationException")
            wire["tags"] = after

    def untag(self, account: Account, region: str, arn: str, keys: list[str]) -> None:
        with self._changing("UntagResource", account, region, arn) as wire:
            wire["tags"] = {key: value for key, value in wire["tags"].items() if key not in keys}

    def extensible(self, target: Account, region: str, staging_account_id: str) -> dict[str, dict[str, str]]:
        scope = Scope(target.account_id, region)
        self._call("ListExtensibleSourceServers", scope, staging_account_id)
        if staging_account_id in self.untrusting:
            raise AccessDenied(f"{staging_account_id} does not trust {target.account_id}", "AccessDeniedException")
        done = self.extensions(scope)
        staged = self.servers.get(Scope(staging_account_id, region), {}).values()
        return {
            wire["arn"]: dict(wire["tags"])
            for wire in staged
            if wire["arn"] not in done and wire["stagingArea"]["status"] == "NOT_EXTENDED"
        }

    def extend(self, target: Account, region: str, arn: str) -> str:
        scope = Scope(target.account_id, region)
        self._call("CreateExtendedSourceServer", scope, arn)
        with self._lock:
            original = self.servers.get(_scope_of(arn), {}).get(_server_of(arn))
            if original is None:
                raise ResourceNotFound(f"{arn}: there is no such server", "ResourceNotFoundException")
            if why := self.refused.get(arn):
                raise Refused(f"{arn}: {why}", "ValidationException")
            if arn in self.extensions(scope):
                raise Refused(f"{arn}: it is extended already", "ValidationException")
            server = f"s-ext-{next(self._numbers)}-{_server_of(arn)}"
            self.add(self._extension(server, scope, original))
        self._faults.meet("drs:CreateExtendedSourceServer", scope, arn, after_effect=True)
        return server

    def _extension(self, server: str, scope: Scope, original: dict[str, Any]) -> dict[str, Any]:
        arn = original["arn"]
        error = self.extension_errors.get(arn)
        area = factories.extended_area(arn, _scope_of(arn).account_id)
        return {
            **deepcopy(original),
            "sourceServerID": server,
            "arn": factories.arn_of(server, *scope),
            "tags": {},
            "stagingArea": {**area, **({"status": "EXTENSION_ERROR", "errorMessage": error} if error else {})},
        }

    def _changing(self, operation: str, account: Account, region: str, arn: str) -> "_Changing":
        scope = Scope(account.account_id, region)
        self._call(operation, scope, arn)
        if arn not in {wire["arn"] for wire in self.servers.get(scope, {}).values()}:
            raise ResourceNotFound(f"{arn}: there is no such server", "ResourceNotFoundException")
        return _Changing(self, lambda: self._faults.meet(f"drs:{operation}", scope, arn, after_effect=True), arn)

    def _call(self, operation: str, scope: Scope, subject: str = "") -> None:
        self._calls.count(f"drs:{operation}", scope)
        self._faults.meet(f"drs:{operation}", scope, subject)


class _Changing:
    """A change of one server, with what follows its effect."""

    def __init__(self, drs: FakeDrs, afterwards: Callable[[], None], arn: str) -> None:
        self._wire = drs.get(arn)
        self._afterwards = afterwards

    def __enter__(self) -> dict[str, Any]:
        return self._wire

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self._afterwards()


def _scope_of(arn: str) -> Scope:
    _, _, _, region, account_id, _ = arn.split(":")
    return Scope(account_id, region)


def _server_of(arn: str) -> str:
    return arn.rpartition("/")[2]


class FakeEc2:
    """EC2 of every account and region."""

    def __init__(self, calls: FakeCalls, faults: Faults) -> None:
        self._calls = calls
        self._faults = faults
        self.present: dict[Scope, dict[str, dict[str, Any]]] = {}

    def add(self, account_id: str, region: str, *instances: dict[str, Any]) -> None:
        """Add instances, or replace those of the same ID."""
        here = self.present.setdefault(Scope(account_id, region), {})
        here.update({instance["InstanceId"]: instance for instance in instances})

    def instances(self, account: Account, region: str, instance_ids: list[str]) -> dict[str, dict[str, Any]]:
        scope = Scope(account.account_id, region)
        self._calls.count("ec2:DescribeInstances", scope)
        self._faults.meet("ec2:DescribeInstances", scope)
        here = self.present.get(scope, {})
        return {name: deepcopy(here[name]) for name in instance_ids if name in here}

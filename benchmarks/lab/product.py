"""The product in a laboratory: its functions, in its own container, woken as Lambda would wake them."""

import logging
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout
from types import SimpleNamespace
from typing import Any, Self

from benchmarks.context import set_aside
from benchmarks.fleets import Fleet, FleetAccount, Shape
from benchmarks.lab.endpoint import HOME, HUB, Endpoint
from chalicelib.domain.accounts import Account, AccountKind, Membership
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from sandbox.drs.control import control

BATCH = 5
"""Messages that Lambda hands to a worker at once (chalicelib/events/queues.py)."""
STREAM_BATCH = 100
LAMBDA_SECONDS = 300
UNPACED = {"SERVICE_REQUESTS_PER_SECOND": "1000"}
"""Counts do not depend on the rate that the product keeps; hours would."""
_SCHEDULED = {
    "version": "0",
    "id": "1",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": HUB,
    "time": "2026-01-01T00:00:00Z",
    "region": HOME,
    "resources": [],
    "detail": {},
}
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": HUB,
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": HOME,
    "AWS_REGION": HOME,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_LOG_LEVEL": "ERROR",
    "POWERTOOLS_METRICS_DISABLED": "true",
}


class Laboratory:
    """A fleet, and the product that watches it. One per process, because the product keeps its wiring while warm."""

    def __init__(self, shape: Shape) -> None:
        os.environ.update(_ENVIRONMENT)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            os.environ.pop(name, None)
        self._shape = shape
        self._open = ExitStack()
        self._offset = 0.0

    def __enter__(self) -> Self:
        from chalicelib.adapters.aws_regions import drs_regions  # noqa: PLC0415  reads the environment

        self.fleet = Fleet(self._shape, drs_regions())
        self.endpoint = Endpoint({account.account_id: account.external_id for account in self.fleet.accounts})
        _forget_sessions()
        quiet = self._open.enter_context(open(os.devnull, "w"))
        self._open.enter_context(redirect_stdout(quiet))  # where the functions' logs and metrics go
        self._open.enter_context(self.endpoint.installed())
        os.environ.update({**_stack(), **UNPACED})
        self._wire()
        self._plant()
        self._register()
        set_aside()
        self.endpoint.forget()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def now(self) -> float:
        """Return the laboratory's time: the real one, and what was skipped."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._offset += seconds

    def tick(self, kind: WorkKind) -> None:
        """Let a schedule fire."""
        schedules = self._events.schedules
        functions = {
            WorkKind.INVENTORY: schedules.inventory_schedule,
            WorkKind.TAGS: schedules.tags_schedule,
            WorkKind.STAGING: schedules.staging_schedule,
        }
        functions[kind](_SCHEDULED, _context())

    def waiting(self, kind: WorkKind) -> list[str]:
        """Return the messages that wait for a worker of `kind`, which does not get them any more."""
        return self.endpoint.sqs.take(self._urls[kind])

    def drain(self, kind: WorkKind, at_once: int = 1) -> int:
        """Work off what waits for the workers of `kind`; return how many messages that were.

        Args:
            kind: whose queue; what the work sets off in others waits there.
            at_once: how many workers there are, each with one message at a time.
        """
        worked = 0
        while bodies := self.waiting(kind):
            worked += len(bodies)
            if at_once == 1:
                for start in range(0, len(bodies), BATCH):
                    self._work(kind, bodies[start : start + BATCH])
            else:
                with ThreadPoolExecutor(at_once) as pool:
                    list(pool.map(lambda body: self._work(kind, [body]), bodies))
        return worked

    def pump(self) -> None:
        """Hand the stream of scan records to its function."""
        records = self.endpoint.tables.take_stream(os.environ["SCAN_TABLE"])
        self.endpoint.tables.take_stream(os.environ["INVENTORY_TABLE"])  # nobody listens to this one
        for start in range(0, len(records), STREAM_BATCH):
            answer = self._events.streams.scan_stream({"Records": records[start : start + STREAM_BATCH]}, _context())
            _require_success(answer)

    def cycle(self, kind: WorkKind, at_once: int = 1) -> int:
        """Let a schedule fire, its work be done and its stream be read; return the messages worked off."""
        self.tick(kind)
        worked = self.drain(kind, at_once)
        self.pump()
        return worked

    def retag(self, scope: Scope, count: int, value: str) -> None:
        """Change a tag of the instances behind the first `count` servers of a scope."""
        changed = [(name, {**tags, "tag-0": value}) for name, tags in list(self.fleet.instances(scope))[:count]]
        self.endpoint.ec2.put(scope.account_id, self.fleet.origin_region(scope), changed)

    def change(self, scope: Scope, count: int, state: str) -> None:
        """Change the replication state of the first `count` servers of a scope."""
        servers = list(self.fleet.servers(scope))[:count]
        names = ("accountId", "region", "sourceServerID")
        _control(
            "PATCH", "/servers", {"servers": [{**{n: server[n] for n in names}, "state": state} for server in servers]}
        )

    def _work(self, kind: WorkKind, bodies: list[str]) -> None:
        queues = self._events.queues
        workers = {
            WorkKind.INVENTORY: queues.inventory_worker,
            WorkKind.TAGS: queues.tags_worker,
            WorkKind.STAGING: queues.staging_worker,
        }
        _require_success(workers[kind](_sqs_event(bodies), _context()))

    def _wire(self) -> None:
        from chalicelib import container, events, observability  # noqa: PLC0415  as Lambda does
        from chalicelib.events import queues, schedules, streams  # noqa: F401, PLC0415

        made = container.container()
        made.ports.clock = self.now  # type: ignore[misc]  # hours pass in seconds here
        names = made.settings
        self._events: Any = events
        self._container = made
        self._urls = {
            WorkKind.INVENTORY: names.inventory_queue_url,
            WorkKind.TAGS: names.tags_queue_url,
            WorkKind.STAGING: names.staging_queue_url,
        }
        observability.logger.setLevel("ERROR")
        logging.getLogger("ministack").setLevel(logging.ERROR)

    def _plant(self) -> None:
        for account in self.fleet.accounts:
            regions = {region: {"initialised": True} for region in account.initialised}
            trusts = [account.target] if account.target else []
            _control("POST", "/accounts", {"accountId": account.account_id, "regions": regions, "trusts": trusts})
        staged = set(self.fleet.staged)
        for scope in sorted(self.fleet.active, key=lambda one: one not in staged):  # originals before their extensions
            _control("POST", "/servers", {"force": True, "servers": list(self.fleet.servers(scope))})
            self.endpoint.ec2.put(scope.account_id, self.fleet.origin_region(scope), self.fleet.instances(scope))

    def _register(self) -> None:
        registry = self._container.account_registry
        for account in self.fleet.accounts:
            registry.register(_registration(account), scan_now=False)
        for account in self.fleet.accounts:
            if account.target:
                registry.add_staging_account(
                    Membership(account_id=account.target, staging_account_id=account.account_id)
                )


def _registration(account: FleetAccount) -> Account:
    arn = f"arn:aws:iam::{account.account_id}:role/drs-active-regions"
    return Account(
        account_id=account.account_id,
        name=f"account {account.account_id}",
        kind=AccountKind.STAGING if account.target else AccountKind.TARGET,
        reader_role_arn=f"{arn}-reader",
        writer_role_arn=f"{arn}-writer",
        external_id=account.external_id,
    )


def _stack() -> dict[str, str]:
    """Make the stack's tables and queues, from the template's own definitions; return its functions' environment."""
    from tests.unit import stack  # noqa: PLC0415  makes its clients with what is installed by now

    return stack.environment()


def _forget_sessions() -> None:
    """Drop the sessions that were made before requests were answered here."""
    from chalicelib.adapters import sessions  # noqa: PLC0415

    sessions.forget()


def _control(method: str, path: str, body: dict[str, Any]) -> None:
    status, answer = control(method, path, body)
    if status != 200:
        raise ValueError(f"{method} {path}: {answer}")


def _context() -> SimpleNamespace:
    deadline = time.monotonic() + LAMBDA_SECONDS
    return SimpleNamespace(
        function_name="benchmark",
        aws_request_id="request",
        memory_limit_in_mb=512,
        invoked_function_arn=f"arn:aws:lambda:{HOME}:{HUB}:function:benchmark",
        get_remaining_time_in_millis=lambda: int((deadline - time.monotonic()) * 1000),
    )


def _sqs_event(bodies: Iterable[str]) -> dict[str, Any]:
    records = [
        {
            "messageId": str(number),
            "receiptHandle": str(number),
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{HOME}:{HUB}:work",
            "awsRegion": HOME,
        }
        for number, body in enumerate(bodies)
    ]
    return {"Records": records}


def _require_success(answer: dict[str, Any]) -> None:
    if answer["batchItemFailures"]:
        raise RuntimeError(f"work failed: {answer}")

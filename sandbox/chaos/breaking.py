"""What breaks: calls of the product fail at a rate, in episodes of another kind each; its processes are killed.

Rules name the product's sessions as callers, so that whoever changes the fleet, or looks at it, is never hit. What
would be remembered as a refusal with a long back-off (extending or listing extensible servers is denied) is left out.
"""

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sandbox.cloud.client import SandboxCloud
from sandbox.fleet.model import Fleet

RULES_SECONDS = (6.0, 20.0)
"""How long an episode lasts."""
KILL_SECONDS = (1.0, 6.0)
"""The pause between two killings."""
OUTAGE = (0.15, 0.65)
"""From which part of a run to which the tag worker cannot use its tables at all: in ten minutes, five are enough for
messages to fail as often as they may, and to end as dead letters."""
VICTIMS = {
    "inventory-worker": 6,
    "tags-worker": 3,
    "staging-worker": 4,
    "scan-stream": 3,
    "schedule": 2,
    "operations": 1,
}
"""Parts of functions' names, by how often they are hit."""
AT_WORK_SECONDS = (0.0, 0.01, 0.03, 0.1, 0.3)
PATIENCE_SECONDS = 3.0

Rule = dict[str, Any]


class Episode(NamedTuple):
    """What fails for a while: its name, and the rules beside those that are always in force."""

    name: str
    rules: Sequence[Rule]


class Breaker:
    """Breaks the cloud and counts what was hit. `hits` by kind of fault, `killed` by function."""

    def __init__(self, fleet: Fleet, cloud: SandboxCloud, seed: int) -> None:
        self._cloud = cloud
        self._random = random.Random(f"faults {seed}")
        self._victims = random.Random(f"killings {seed}")
        self._regions = sorted({region for _, region in fleet.active_scopes})
        self._accounts = sorted({account for account, _ in fleet.active_scopes})
        self._hub = f"arn:aws:sts::{cloud.outputs.hub_account}:assumed-role/.*"
        self._in_force: list[str] = []
        self._outage = (0.0, 0.0)
        self.hits: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()

    def begin(self, seconds: float) -> None:
        """Say that a run of so many seconds begins: a part of it is an outage that outlasts all retries."""
        now = time.monotonic()
        self._outage = (now + OUTAGE[0] * seconds, now + OUTAGE[1] * seconds)

    def next_episode(self) -> tuple[str, float]:
        """Put another episode into force; return its name and how many seconds it is to last."""
        kind = self._random.choice((self._throttled, self._dark, self._denied, self._slow, self._tables, self._queues))
        episode = kind()
        self.heal()
        rules = [*self._always(), *episode.rules]
        self._in_force = [_name(rule) for rule in rules]
        self._cloud.control("POST", "/faults", {"rules": rules})
        return episode.name, self._random.uniform(*RULES_SECONDS)

    def heal(self) -> None:
        """Take all faults away, and count what they hit."""
        told = self._cloud.control("GET", "/faults")["rules"]
        for name, rule in zip(self._in_force, told, strict=True):
            self.hits[name] += rule["hits"]
        self._in_force = []
        self._cloud.control("DELETE", "/faults")

    def kill(self) -> float:
        """Kill a process of a function at its work, where one is found in time; return the pause until the next."""
        part = self._victims.choices(list(VICTIMS), list(VICTIMS.values()))[0]
        wanted = {
            "function": f".*{part}.*",
            "atWorkSeconds": self._victims.choice(AT_WORK_SECONDS),
            "withinSeconds": PATIENCE_SECONDS,
        }
        for killed in self._cloud.control("POST", "/workers/kill", wanted)["killed"]:
            self.killed[killed["function"].rsplit("-dev-", 1)[-1]] += 1
        return self._victims.uniform(*KILL_SECONDS)

    # --- always ---

    def _always(self) -> list[Rule]:
        lasting = self._of_hub("dynamodb", "ProvisionedThroughputExceededException", 1.0)
        begins, ends = self._outage
        return [
            *([{**lasting, "caller": f"{self._hub}tags-worker"}] if begins < time.monotonic() < ends else []),
            self._of_hub("dynamodb", "ProvisionedThroughputExceededException", 0.02),
            self._of_hub("dynamodb", "InternalServerError", 0.02),
            self._of_hub("dynamodb", "InternalServerError", 0.02, afterEffect=True),
            self._conflict(0.05),
            self._of_hub("sqs", "ServiceUnavailable", 0.05),
            self._of_hub("sqs", "InternalError", 0.05, afterEffect=True),
            self._of_customers("drs", "ThrottlingException", 0.03, retryAfterSeconds=1),
            self._of_customers("drs", "InternalServerException", 0.03),
            self._of_customers("drs", "InternalServerException", 0.05, afterEffect=True),
            self._of_customers("ec2", "RequestLimitExceeded", 0.05),
            {**self._of_hub("sts", "Throttling", 0.05), "operation": "AssumeRole"},
        ]

    # --- episodes ---

    def _throttled(self) -> Episode:
        account = self._random.choice(self._accounts)
        rule = self._of_customers("drs", "ThrottlingException", 0.8, retryAfterSeconds=2)
        return Episode(f"{account} is throttled", [{**rule, "account": account}])

    def _dark(self) -> Episode:
        region = self._random.choice(self._regions)
        rules = [self._of_customers(service, "ServiceUnavailable", 1.0, status=503) for service in ("drs", "ec2")]
        return Episode(f"{region} is dark", [{**rule, "region": region} for rule in rules])

    def _denied(self) -> Episode:
        account = self._random.choice(self._accounts)
        rules = [
            {
                **self._of_customers("drs", "AccessDeniedException", 0.7),
                "operation": "DescribeSourceServers|TagResource",
            },
            {**self._of_customers("drs", "AccessDeniedException", 0.5), "operation": "GetReplicationConfiguration"},
            {**self._of_customers("ec2", "UnauthorizedOperation", 0.5, status=403)},
        ]
        assume = {**self._of_hub("sts", "AccessDenied", 0.7), "operation": "AssumeRole"}
        of_scans = {**assume, "caller": f"{self._hub}inventory-worker"}
        return Episode(f"{account} denies access", [*({**rule, "account": account} for rule in rules), of_scans])

    def _slow(self) -> Episode:
        region = self._random.choice(self._regions)
        slow = self._of_customers("drs", None, 0.5, latencySeconds=1.5)
        lost = self._of_customers("drs", None, 0.1, latencySeconds=32, afterEffect=True, times=2)
        return Episode(f"{region} is slow", [{**slow, "region": region}, {**lost, "region": region}])

    def _tables(self) -> Episode:
        operation = self._random.choice(
            ("UpdateItem", "TransactWriteItems", "PutItem", "Query", "GetItem|BatchGetItem")
        )
        outage = self._of_hub("dynamodb", "InternalServerError", 0.6, afterEffect=self._random.random() < 0.5)
        return Episode(f"DynamoDB fails: {operation}", [{**outage, "operation": operation}, self._conflict(0.3)])

    def _queues(self) -> Episode:
        outage = self._of_hub("sqs", "ServiceUnavailable", 0.6, afterEffect=self._random.random() < 0.5)
        return Episode("SQS fails", [outage])

    # --- rules ---

    def _of_hub(self, service: str, error: str, rate: float, **more: object) -> Rule:
        return {"service": service, "error": error, "rate": rate, "caller": self._hub, **more}

    def _of_customers(self, service: str, error: str | None, rate: float, **more: object) -> Rule:
        rule: Rule = {"service": service, "rate": rate, "caller": "arn:aws:sts:.*:assumed-role/.*", **more}
        return {**rule, "error": error} if error else rule

    def _conflict(self, rate: float) -> Rule:
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}]
        rule = self._of_hub("dynamodb", "TransactionCanceledException", rate, members={"CancellationReasons": reasons})
        return {**rule, "operation": "TransactWriteItems"}


def _name(rule: Rule) -> str:
    """Return what a rule does, in words."""
    what = str(rule.get("error") or f"{rule['latencySeconds']} s of latency")
    return f"{rule['service']} {what}" + (", after the effect" if rule.get("afterEffect") else "")

"""Injected faults and the log of calls, shared by every simulated service.

Both are asked by the front door of a service, never by the operation itself: a fault decides what the caller sees, and
when. Waiting is left to the adapter (`Fault.latency_seconds`), because an event loop must not be blocked.
"""

import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from pydantic.alias_generators import to_camel

SEED = 20260101


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return pattern


Regex = Annotated[str, AfterValidator(_regex)]


class FaultRule(BaseModel):
    """What to do to which calls. JSON names are camelCase; the Python names are accepted too.

    `service`, `operation`, `account`, `region` and `caller` (the ARN of who calls: an assumed role's session, a
    root) are regular expressions that must match in full. `rate` is the probability that a matching call is hit,
    `times` the number of hits before the rule is spent. A hit waits `latency_seconds`, then answers `error` (None: only
    the wait). With `after_effect` the operation takes effect first: the caller sees the failure, or runs into its own
    time-out during the wait, while the work is done. `status` is needed only for an error code that the service's model
    does not know. `members` are those that the error has besides its message, such as CancellationReasons.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    service: Regex = ".*"
    operation: Regex = ".*"
    account: Regex = ".*"
    region: Regex = ".*"
    caller: Regex = ".*"
    error: str | None = None
    message: str = "Injected by the sandbox"
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    times: PositiveInt | None = None
    latency_seconds: NonNegativeFloat = 0.0
    retry_after_seconds: NonNegativeInt | None = None
    after_effect: bool = False
    members: dict[str, Any] = {}

    def matches(self, service: str, operation: str, account: str, region: str, caller: str = "") -> bool:
        """Return whether a call of `operation` by `caller`, of `account`, in `region` is this rule's business."""
        pairs = (
            (self.service, service),
            (self.operation, operation),
            (self.account, account),
            (self.region, region),
            (self.caller, caller),
        )
        return all(_compiled(pattern).fullmatch(text) for pattern, text in pairs)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class Fault:
    """What one call has to suffer. Seconds before the operation and after its effect, then perhaps an error."""

    latency_seconds: float = 0.0
    latency_after_seconds: float = 0.0
    error: str | None = None
    message: str = ""
    status: int | None = None
    retry_after_seconds: int | None = None
    after_effect: bool = False
    members: Mapping[str, Any] = field(default_factory=dict)


NO_FAULT = Fault()


class FaultRules:
    """The rules in force, in the order in which they were added. Deterministic for a given order of calls."""

    def __init__(self, seed: int = SEED) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Drop every rule and start the random numbers anew."""
        with self._lock:
            self._random = random.Random(self._seed)
            self._rules: list[FaultRule] = []
            self._hits: list[int] = []

    def add(self, rules: Iterable[FaultRule]) -> None:
        """Put `rules` behind those in force."""
        with self._lock:
            for rule in rules:
                self._rules.append(rule)
                self._hits.append(0)

    def in_force(self) -> list[tuple[FaultRule, int]]:
        """Return every rule with the number of calls it has hit, spent ones included."""
        with self._lock:
            return list(zip(self._rules, self._hits, strict=True))

    def decide(self, service: str, operation: str, account: str, region: str, caller: str = "") -> Fault:
        """Return what this call has to suffer. Waits of several rules add up; the first error wins.

        A rule that loses its error to an earlier one is not hit, so that its `times` are kept for later calls.
        """
        if not self._rules:
            return NO_FAULT
        with self._lock:
            return _combined(self._hit_rules((service, operation, account, region, caller)))

    def _hit_rules(self, call: tuple[str, str, str, str, str]) -> list[FaultRule]:
        hit: list[FaultRule] = []
        for index, rule in enumerate(self._rules):
            spent = rule.times is not None and self._hits[index] >= rule.times
            beaten = rule.error is not None and any(earlier.error for earlier in hit)
            if spent or beaten or not rule.matches(*call):
                continue
            if rule.rate < 1 and self._random.random() >= rule.rate:
                continue
            self._hits[index] += 1
            hit.append(rule)
        return hit


def _combined(hit: list[FaultRule]) -> Fault:
    if not hit:
        return NO_FAULT
    failing = next((rule for rule in hit if rule.error), hit[0])
    return Fault(
        latency_seconds=sum(rule.latency_seconds for rule in hit if not rule.after_effect),
        latency_after_seconds=sum(rule.latency_seconds for rule in hit if rule.after_effect),
        error=failing.error,
        message=failing.message,
        status=failing.status,
        retry_after_seconds=failing.retry_after_seconds,
        after_effect=failing.after_effect,
        members=failing.members,
    )


class CallCount(BaseModel):
    """How often one operation was called in one account and region, and how many of the calls failed."""

    service: str
    operation: str
    account: str
    region: str
    calls: int
    errors: int


class CallLog:
    """Counts of calls by service, operation, account and region."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str, str], tuple[int, int]] = {}

    def reset(self) -> None:
        """Forget every call."""
        with self._lock:
            self._counts.clear()

    def record(self, service: str, operation: str, account: str, region: str, *, error: bool) -> None:
        """Count one finished call; `error` is whether the caller saw a status of 400 or above."""
        key = (service, operation, account, region)
        with self._lock:
            calls, errors = self._counts.get(key, (0, 0))
            self._counts[key] = (calls + 1, errors + error)

    def counts(self, service: str | None = None) -> list[CallCount]:
        """Return the counts, sorted by their key, of one service or of all."""
        with self._lock:
            counted = sorted(self._counts.items())
        return [
            CallCount(service=key[0], operation=key[1], account=key[2], region=key[3], calls=calls, errors=errors)
            for key, (calls, errors) in counted
            if service in (None, key[0])
        ]

"""What goes wrong, and where: every port call of the product passes the `Switchboard`.

A *disruption* belongs to one step of a run and meets one of its port calls: the process dies there, the call fails,
its answer is lost after it took effect, it is sent twice, or time passes and others get their turn in the middle of it.
*Weather* is what holds until it is healed: a scope that throttles, an account that denies, a region that is dark.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import local
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib.domain.leases import Lease
from chalicelib.domain.scopes import Scope
from chalicelib.errors import TableUnavailable

from ..fakes import Crash
from .threads import Turns

DIES, DIES_AFTER = "dies before its effect", "dies after its effect"
FAILS, TIMES_OUT = "fails", "times out after its effect"
TWICE, PAUSE = "is sent twice", "takes very long"
OTHERS, OVERTAKEN, CHANGES = "others work meanwhile", "is overtaken", "the world changes meanwhile"
CONFLICTS, ASKED = "meets another transaction", "is asked for once more meanwhile"
KINDS = (DIES, DIES_AFTER, FAILS, TIMES_OUT, TWICE, PAUSE, OTHERS, OVERTAKEN, CHANGES, CONFLICTS, ASKED)
MEANWHILE = (PAUSE, OTHERS, OVERTAKEN, CHANGES, ASKED)

CUSTOMER = ("drs", "ec2")  # the services of customer accounts
OUTSIDE = ("drs.tag", "drs.untag", "drs.extend")  # calls that change customer accounts, which no epoch fences
CHANGES_ACCOUNTS = ("TagResource", "UntagResource", "CreateExtendedSourceServer")
HANGS_SECONDS = 33  # until the client gives up: connecting, and its read timeout
LONGEST_CALL = 45  # seconds: what one such call can last; it has no fence, but the client's timeouts


class Disruption(NamedTuple):
    """One thing that goes wrong in a step.

    Attributes:
        what: one of `KINDS`.
        call: the port call that it meets, `port.method`; None: any.
        nth: which of those calls.
        number: whatever else there is to choose.
    """

    what: str
    call: str | None
    nth: int
    number: int

    def fits(self, name: str) -> bool:
        return self.call in (None, name)


@dataclass
class Invocation:
    """One invocation of a function while it runs.

    Attributes:
        container: which of the function's warm processes it runs in.
        heard: by scope, what DRS answered to it.
        gave_back: leases that it gave back with the work undone.
        gave_up: bodies of messages that it buried.
        messages: body and receive count of each message that it was given.
        account: whose work it does.
        failed_calls: calls of ports that failed.
        unsent: how many messages SQS did not take from it.
        until: when Lambda ends it.
        frozen: whether it outlives that: its process stood still, and goes on later.
    """

    function: str
    container: str
    began: float
    heard: dict[Scope, list[dict[str, Any]]] = field(default_factory=dict)
    gave_back: set[Lease] = field(default_factory=set)
    gave_up: list[str] = field(default_factory=list)
    messages: list[tuple[str, int]] = field(default_factory=list)
    account: str = ""
    failed_calls: list[str] = field(default_factory=list)
    unsent: int = 0
    until: float = float("inf")
    frozen: bool = False


class Switchboard:
    """Where port calls pass.

    Attributes:
        stack: invocations that run, the innermost last: those before it are in the middle of a port call.
        disruptions: those of the step that have met no call yet.
        weather: what holds until it is healed, by scope, account or region.
        meanwhile: called with the disruption where others get their turn in the middle of a call.
        met: disruptions and weather that met a call, by kind and service.
        clock: epoch seconds.
        passed: told of each call of a port that has ended well.
        turns: who goes on, of the threads of a pool.
    """

    def __init__(self) -> None:
        self.stack: list[Invocation] = []
        self.disruptions: list[Disruption] = []
        self.weather: dict[Scope | str, int] = {}
        self.meanwhile: Callable[[Disruption, Invocation, str], None] = lambda disruption, invocation, name: None
        self.met: Counter[str] = Counter()
        self.calls = 0
        self.clock: Callable[[], float] = lambda: 0.0
        self.passed: Callable[[str, tuple[Any, ...]], None] = lambda name, arguments: None
        self.turns = Turns(lambda: len(self.stack))
        self._mine = local()

    @property
    def leases(self) -> list[Lease]:
        """The leases under which this thread makes its calls, the innermost last."""
        if not hasattr(self._mine, "leases"):
            self._mine.leases = []
        found: list[Lease] = self._mine.leases
        return found

    @property
    def lease(self) -> Lease | None:
        """The lease under which the call that runs in this thread is made, if any."""
        return self.leases[-1] if self.leases else None

    @property
    def invocation(self) -> Invocation | None:
        """The innermost invocation; None outside of every one."""
        return self.stack[-1] if self.stack else None

    def call(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Make a port call, with what it meets."""
        self.calls += 1
        self.turns.hand_on()
        if self.stack and not self.stack[-1].frozen and self.clock() > self.stack[-1].until:
            raise Crash(f"{name}: Lambda ended the invocation")
        disruption = self._due(name) if self.disruptions and self.stack else None
        if disruption is None:
            return real(*arguments, **named)
        return self._disrupted(disruption, name, real, arguments, named)

    def request(self, name: str, scope: Scope, real: Callable[[], Any]) -> Any:
        """Make a request to a customer's account, with the weather there."""
        for place in (scope, scope.account_id, scope.region):
            if place in self.weather:
                self.met[f"{service_of(name)} weather"] += 1
                raise self._weather(name, self.weather[place])
        return self.call(name, real, (), {})

    def _weather(self, name: str, number: int) -> Exception:
        if number % 4 == 3:
            self.clock.advance(HANGS_SECONDS)  # type: ignore[attr-defined]
            return timeout(name)
        return failure(name, number)

    def heal(self) -> None:
        """End what holds until it is healed."""
        self.weather.clear()

    def _due(self, name: str) -> Disruption | None:
        """Return the disruption that meets this call, if any; each meets one call."""
        for place, disruption in enumerate(self.disruptions):
            if disruption.fits(name):
                if disruption.nth == 0:
                    return self.disruptions.pop(place)
                self.disruptions[place] = disruption._replace(nth=disruption.nth - 1)
        return None

    def _disrupted(
        self,
        disruption: Disruption,
        name: str,
        real: Callable[..., Any],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Any:
        what = disruption.what
        self.met[f"{service_of(name)} {what}"] += 1
        if what == DIES:
            raise Crash(name)
        if what in (FAILS, CONFLICTS) and not name.startswith("table."):
            self.stack[-1].failed_calls.append(name)
        if what == FAILS:
            raise failure(name, disruption.number)
        if what == CONFLICTS:
            raise conflict(name)
        if what in (PAUSE, OVERTAKEN):
            for invocation in self.stack:
                invocation.frozen = True
        if what in MEANWHILE:
            self.meanwhile(disruption, self.stack[-1], name)
        sent = [list(value) if isinstance(value, Iterator) else value for value in arguments]
        answer = real(*sent, **named)
        if what == TWICE:
            answer = real(*sent, **named)
        if what == DIES_AFTER:
            raise Crash(name)
        if what == TIMES_OUT:
            raise timeout(name)
        return answer


class Gated:
    """A port whose every call passes the switchboard."""

    def __init__(self, name: str, port: Any, switchboard: Switchboard) -> None:
        self.gated = port
        self._name = name
        self._switchboard = switchboard

    def __getattr__(self, method: str) -> Any:
        real = getattr(self.gated, method)
        if not callable(real):
            return real
        name, switchboard = f"{self._name}.{method}", self._switchboard

        def watched(*arguments: Any, **named: Any) -> Any:
            answer = real(*arguments, **named)
            switchboard.passed(name, arguments)
            return answer

        def call(*arguments: Any, **named: Any) -> Any:
            if not (arguments and isinstance(arguments[0], Lease)):
                return switchboard.call(name, watched, arguments, named)
            switchboard.leases.append(arguments[0])
            try:
                return switchboard.call(name, watched, arguments, named)
            finally:
                switchboard.leases.pop()

        self.__dict__[method] = call
        return call


def service_of(name: str) -> str:
    """Return the service behind a port call."""
    port = name.partition(".")[0]
    return port if port in CUSTOMER else "sqs" if port == "queue" else "dynamodb"


def failure(name: str, number: int) -> Exception:
    """Return an error of the call `name` that came before any effect."""
    if service_of(name) not in CUSTOMER:
        if name == "statuses.read_all":
            return TableUnavailable("table drs-region-status cannot be read")
        codes = ("InternalServerError", "ProvisionedThroughputExceededException", "AccessDeniedException")
        return ClientError({"Error": {"Code": codes[number % len(codes)], "Message": "no luck"}}, name)
    told = ["ThrottlingException", "AccessDeniedException", "InternalServerException"]
    if name == "drs.source_servers":
        told += ["UninitializedAccountException", "UnrecognizedClientException"]
    code = told[number % len(told)]
    wait = {"retry-after": "5"} if code == "ThrottlingException" else {}
    answer = {"Error": {"Code": code, "Message": "no luck"}, "ResponseMetadata": {"HTTPHeaders": wait}}
    return ClientError(answer, name)


def conflict(name: str) -> Exception:
    """Return what DynamoDB says where another transaction holds the item; for other calls, that they failed."""
    if name == "table.transact_write_items":
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
        told = {"Error": {"Code": "TransactionCanceledException", "Message": ""}, "CancellationReasons": reasons}
        return ClientError(told, name)
    if name in ("table.update_item", "table.put_item", "table.delete_item"):
        return ClientError({"Error": {"Code": "TransactionConflictException", "Message": "another one"}}, name)
    return failure(name, 0)


def timeout(name: str) -> Exception:
    """Return what a caller sees of a call whose answer was lost."""
    if service_of(name) in CUSTOMER:
        return ReadTimeoutError(endpoint_url=f"https://{name}")
    return failure(name, 0)

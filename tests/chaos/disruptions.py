"""What goes wrong, and where: every port call of the product passes the `Switchboard`.

A *disruption* belongs to one step of a run and meets one of its port calls: the process dies there, the call fails,
its answer is lost after it took effect, it is sent twice, or time passes and others get their turn in the middle of it.
*Weather* is what holds until it is healed: a scope that throttles, an account that denies, a region that is dark.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from chalicelib.domain.accounts import Account
from chalicelib.domain.leases import Lease
from chalicelib.domain.scopes import Scope
from chalicelib.errors import (
    AccessDenied,
    DrsActiveRegionsError,
    NotOptedIn,
    ServiceError,
    TableUnavailable,
    Throttled,
    Uninitialized,
)

from ..fakes import Crash

DIES, DIES_AFTER = "dies before its effect", "dies after its effect"
FAILS, TIMES_OUT = "fails", "times out after its effect"
TWICE, PAUSE = "is sent twice", "takes very long"
OTHERS, OVERTAKEN, CHANGES = "others work meanwhile", "is overtaken", "the world changes meanwhile"
KINDS = (DIES, DIES_AFTER, FAILS, TIMES_OUT, TWICE, PAUSE, OTHERS, OVERTAKEN, CHANGES)
MEANWHILE = (PAUSE, OTHERS, OVERTAKEN, CHANGES)

CUSTOMER = ("drs", "ec2")  # the services of customer accounts
OUTSIDE = ("drs.tag", "drs.untag", "drs.extend")  # calls that change customer accounts, which no epoch fences
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
    """

    function: str
    container: str
    began: float
    heard: dict[Scope, list[dict[str, Any]]] = field(default_factory=dict)
    gave_back: set[Lease] = field(default_factory=set)
    gave_up: list[str] = field(default_factory=list)


class Switchboard:
    """Where port calls pass.

    Attributes:
        stack: invocations that run, the innermost last: those before it are in the middle of a port call.
        disruptions: those of the step that have met no call yet.
        weather: what holds until it is healed, by scope, account or region.
        meanwhile: called with the disruption where others get their turn in the middle of a call.
        met: disruptions and weather that met a call, by kind and service.
    """

    def __init__(self) -> None:
        self.stack: list[Invocation] = []
        self.disruptions: list[Disruption] = []
        self.weather: dict[Scope | str, int] = {}
        self.meanwhile: Callable[[Disruption, Invocation, str], None] = lambda disruption, invocation, name: None
        self.met: Counter[str] = Counter()
        self.calls = 0

    @property
    def invocation(self) -> Invocation | None:
        """The innermost invocation; None outside of every one."""
        return self.stack[-1] if self.stack else None

    def call(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Make a port call, with what it meets."""
        self.calls += 1
        if self.weather and name.startswith(CUSTOMER):
            self._stand_the_weather(name, arguments)
        disruption = self._due(name) if self.disruptions and self.stack else None
        if disruption is None:
            return real(*arguments, **named)
        return self._disrupted(disruption, name, real, arguments, named)

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
        if what == FAILS:
            raise failure(name, disruption.number)
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

    def _stand_the_weather(self, name: str, arguments: tuple[Any, ...]) -> None:
        account, region = arguments[:2]
        assert isinstance(account, Account)
        for place in (Scope(account.account_id, region), account.account_id, region):
            if place in self.weather:
                self.met[f"{service_of(name)} weather"] += 1
                raise failure(name, self.weather[place])


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

        def call(*arguments: Any, **named: Any) -> Any:
            return switchboard.call(name, real, arguments, named)

        self.__dict__[method] = call
        return call


def service_of(name: str) -> str:
    """Return the service behind a port call."""
    port = name.partition(".")[0]
    return port if port in CUSTOMER else "sqs" if port == "queue" else "dynamodb"


def failure(name: str, number: int) -> Exception:
    """Return an error of the call `name` that came before any effect."""
    service = service_of(name)
    if service in CUSTOMER:
        errors: list[Exception] = [
            Throttled(f"{name}: Rate exceeded", "ThrottlingException", retry_after_seconds=5),
            AccessDenied(f"{name}: not authorised", "AccessDeniedException"),
            ServiceError(f"{name}: internal error", "InternalServerException"),
        ]
        if name == "drs.source_servers":
            errors += [
                Uninitialized(f"{name}: not initialised", "UninitializedAccountException"),
                NotOptedIn(f"{name}: not opted in", "UnrecognizedClientException"),
            ]
        return errors[number % len(errors)]
    if service == "sqs":
        return DrsActiveRegionsError("SQS refused the messages")
    if name == "statuses.read_all":
        return TableUnavailable("table drs-region-status cannot be read")
    codes = ("InternalServerError", "ProvisionedThroughputExceededException", "AccessDeniedException")
    return ClientError({"Error": {"Code": codes[number % len(codes)], "Message": "no luck"}}, name)


def timeout(name: str) -> Exception:
    """Return what a caller sees of a call whose answer was lost."""
    if service_of(name) in CUSTOMER:
        return ServiceError(f"{name}: read timed out", "ReadTimeoutError")
    return failure(name, 0)

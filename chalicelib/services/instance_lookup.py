"""EC2 beside DRS: the instances of a scan's servers are looked up while its further pages are fetched."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

from ..domain.servers import DrsFacts
from ..errors import ServiceError

AT_ONCE = 4
INSTANCES_PER_LOOK_UP = 200  # EC2: values per filter; so that looking up early costs no further call

Origin = tuple[str, str]
"""The account and region that a machine runs in."""
Instances = dict[str, bytes | ServiceError]
"""What EC2 says of instances, packed, by ID; an error where that cannot be read."""


class LookupResult(NamedTuple):
    """The answer to one look-up: what the origin said of the instances of these servers, or why it did not answer.

    Attributes:
        origin: who was asked.
        servers: instance ID by server.
        instances: those that there are, or the error.
    """

    origin: Origin
    servers: dict[str, str]
    instances: Instances | ServiceError


class InstanceLookup:
    """The look-ups of one scan: started as its servers arrive, as few as if all had been known before.

    Args:
        ask: returns those of the given instances that an origin has, by ID, or why they cannot be had. Runs in several
            threads.
    """

    def __init__(self, ask: Callable[[Origin, list[str]], Instances | ServiceError]) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._waiting: dict[Origin, dict[str, str]] = {}
        self._asked: list[Future[LookupResult]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)  # of a scan that failed, nothing more is asked

    def add(self, server: str, instance_id: str, origin: Origin) -> None:
        """Look up the instance behind a server, now or with the next ones of its origin."""
        waiting = self._waiting.setdefault(origin, {})
        waiting[server] = instance_id
        if len(waiting) == INSTANCES_PER_LOOK_UP:
            self._send(origin)

    def answered(self) -> Iterator[LookupResult]:
        """Yield the answers that are there by now, each once."""
        done = [future for future in self._asked if future.done()]
        self._asked = [future for future in self._asked if future not in done]
        for future in done:
            yield future.result()

    def finish(self) -> Iterator[LookupResult]:
        """Look up what is left, and yield the answers that were not yielded yet."""
        for origin in list(self._waiting):
            self._send(origin)
        while self._asked:
            yield self._asked.pop(0).result()

    def _send(self, origin: Origin) -> None:
        self._asked.append(self._pool.submit(self._look_up, origin, self._waiting.pop(origin)))

    def _look_up(self, origin: Origin, servers: dict[str, str]) -> LookupResult:
        return LookupResult(origin, servers, self._ask(origin, list(servers.values())))


def origin_of(drs: DrsFacts) -> Origin | None:
    """Return where the server's machine runs; None where DRS does not say."""
    if drs.source_account_id and drs.source_region:
        return drs.source_account_id, drs.source_region
    return None

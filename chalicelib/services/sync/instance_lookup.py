"""EC2 beside DRS: the instances of a scan's servers are looked up while its further pages are fetched.

An answer that cannot be read is asked for again by halves, down to the instance that spoils it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple, Self

from ...concurrency import executor
from ...domain.servers import DrsFacts
from ...errors import ServiceError, UnreadableAnswer

AT_ONCE = 4
INSTANCES_PER_LOOK_UP = 200  # EC2: values per filter; so that looking up early costs no further call
MOST_UNREADABLE = 6  # halves and quarters of a look-up: where none of them can be read, no single instance is at fault

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
        self._pool = executor(AT_ONCE)
        self._waiting: dict[Origin, dict[str, str]] = {}
        self._asked: list[Future[list[LookupResult]]] = []

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
            yield from future.result()

    def finish(self) -> Iterator[LookupResult]:
        """Look up what is left, and yield the answers that were not yielded yet."""
        for origin in list(self._waiting):
            self._send(origin)
        while self._asked:
            yield from self._asked.pop(0).result()

    def _send(self, origin: Origin) -> None:
        self._asked.append(self._pool.submit(self._look_up, origin, self._waiting.pop(origin)))

    def _look_up(self, origin: Origin, servers: dict[str, str]) -> list[LookupResult]:
        """Return the answer to one look-up; several, where one could not be read."""
        instance_ids = list(dict.fromkeys(servers.values()))
        answer = self._ask(origin, instance_ids)
        if not isinstance(answer, UnreadableAnswer):
            return [LookupResult(origin, servers, answer)]
        parts = _Halves(lambda some: self._ask(origin, some)).answers(instance_ids, answer)
        return [
            LookupResult(origin, {server: name for server, name in servers.items() if name in some}, said)
            for some, said in parts
        ]


class _Halves:
    """Asks for the halves of what has no readable answer, down to the single instances that are at fault.

    One such instance costs two calls for each halving. There are no more than these, however many there are: what is
    not found with them is left without an answer. What refuses or slows us down is not asked any further.

    Args:
        ask: returns what there is to say of some instances, or why there is nothing.
    """

    def __init__(self, ask: Callable[[list[str]], Instances | ServiceError]) -> None:
        self._ask = ask
        self._calls = 0
        self._readable = False
        self._stopped: ServiceError | None = None

    def answers(
        self, instance_ids: list[str], error: ServiceError
    ) -> Iterator[tuple[list[str], Instances | ServiceError]]:
        """Yield the answers for `instance_ids`, which had none but `error`, in parts."""
        most = 2 * (len(instance_ids) - 1).bit_length()
        waiting = deque([(instance_ids, error)])
        while waiting:
            some, error = waiting.popleft()
            if len(some) == 1:
                yield some, {some[0]: error}
            elif self._stopped or self._calls + 2 > most or self._hopeless:
                yield some, self._stopped or error
            else:
                for half in (some[: len(some) // 2], some[len(some) // 2 :]):
                    said = self._said(half)
                    if isinstance(said, UnreadableAnswer):
                        waiting.append((half, said))
                    else:
                        yield half, said

    @property
    def _hopeless(self) -> bool:
        return not self._readable and self._calls >= MOST_UNREADABLE

    def _said(self, half: list[str]) -> Instances | ServiceError:
        if self._stopped:
            return self._stopped
        self._calls += 1
        said = self._ask(half)
        if not isinstance(said, ServiceError):
            self._readable = True
        elif not isinstance(said, UnreadableAnswer):
            self._stopped = said
        return said


def origin_of(drs: DrsFacts) -> Origin | None:
    """Return where the server's machine runs; None where DRS does not say."""
    if drs.source_account_id and drs.source_region:
        return drs.source_account_id, drs.source_region
    return None

"""EC2 beside DRS: the instances of a scan's servers are looked up while its further pages are fetched."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

from ..domain.packing import Packed
from ..domain.results import Problem
from ..domain.servers import DrsFacts, Ec2Facts
from ..errors import ServiceError

AT_ONCE = 4
INSTANCES_PER_LOOK_UP = 200  # EC2: values per filter; so that looking up early costs no further call

Origin = tuple[str, str]
"""The account and region that a machine runs in."""
Instances = dict[str, Packed[Ec2Facts]]


class LookedUp(NamedTuple):
    """The instances of each origin that answered, by ID, and a problem for each that did not."""

    instances: dict[Origin | None, Instances]
    problems: list[Problem]


class LookUps:
    """The look-ups of one scan: started as its servers arrive, as few as if all had been known before.

    An origin that does not answer one of them counts as not having answered at all.

    Args:
        ask: returns those of the given instances that an origin has, by ID, or why they cannot be had. Runs in several
            threads.
    """

    def __init__(self, ask: Callable[[Origin, list[str]], Instances | ServiceError]) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._waiting: dict[Origin, list[str]] = {}
        self._asked: dict[Origin, list[Future[Instances | ServiceError]]] = {}
        self._problems: list[Problem] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)  # of a scan that failed, nothing more is asked

    def add(self, drs: DrsFacts) -> None:
        """Look up the instance behind a server, now or with the next ones of its origin."""
        if not drs.source_instance_id:
            return
        origin = origin_of(drs)
        if origin is None:
            message = f"{drs.source_instance_id}: DRS does not say in which account and region it runs"
            self._problems.append(Problem(subject=drs.arn, code="ORIGIN_UNKNOWN", message=message))
            return
        waiting = self._waiting.setdefault(origin, [])
        waiting.append(drs.source_instance_id)
        if len(waiting) == INSTANCES_PER_LOOK_UP:
            self._send(origin)

    def finish(self) -> LookedUp:
        """Look up what is left, and return what all look-ups found."""
        for origin in list(self._waiting):
            self._send(origin)
        found: dict[Origin | None, Instances] = {}
        problems = list(self._problems)
        for origin, futures in self._asked.items():
            answers = [future.result() for future in futures]
            errors = [answer for answer in answers if isinstance(answer, ServiceError)]
            if errors:
                problems.append(
                    Problem(subject=f"EC2 of {'/'.join(origin)}", code=errors[0].code, message=str(errors[0]))
                )
            else:
                found[origin] = {
                    name: one for answer in answers if isinstance(answer, dict) for name, one in answer.items()
                }
        return LookedUp(found, problems)

    def _send(self, origin: Origin) -> None:
        future = self._pool.submit(self._ask, origin, self._waiting.pop(origin))
        self._asked.setdefault(origin, []).append(future)


def origin_of(drs: DrsFacts) -> Origin | None:
    """Return where the server's machine runs; None where DRS does not say."""
    if drs.source_account_id and drs.source_region:
        return drs.source_account_id, drs.source_region
    return None

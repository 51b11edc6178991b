"""Records: their validators are built when they are first used, whichever thread that is."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from pydantic_core import core_schema

from chalicelib.domain.records import Record

THREADS = 4


class Slow(str):
    """A type whose part of a validator takes long to build."""

    building, most = 0, 0

    @classmethod
    def __get_pydantic_core_schema__(cls, *_):
        Slow.building += 1
        Slow.most = max(Slow.most, Slow.building)
        time.sleep(0.02)
        Slow.building -= 1
        return core_schema.str_schema()


class Inner(Record):
    name: Slow


class Outer(Record):
    inner: list[Inner]


def test_a_record_is_built_by_one_thread_at_a_time():
    start = Barrier(THREADS)

    def use(_):
        start.wait()
        return Outer.of({"inner": [{"name": "one"}]}).item(), Inner.of({"name": "two"}).item()

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(use, range(THREADS)))

    assert answers == [({"inner": [{"name": "one"}]}, {"name": "two"})] * THREADS
    assert Slow.most == 1

"""Thread pools whose threads take turns: interleaved as Hypothesis draws, and repeatable.

The tasks of a pool run in threads, but one at a time: a thread hands its turn on where it makes a call, to one that is
drawn. So two tasks of a pool, and whoever waits for them, meet each other in every order, between any two calls; not
between two lines. A pool of an invocation that interrupts another one takes turns among its own.

`map` ends as that of `concurrent.futures` does: at the first error what has not begun is cancelled, and what has begun
is waited for. Where the process dies, all of its threads do.
"""

import sys
from collections.abc import Callable, Iterator
from random import Random
from threading import Lock, Thread
from typing import Any

from ..fakes import Crash


class Turns:
    """Who of all pools may go on.

    Attributes:
        random: decides whose turn it is; seeded by the run.
        depth: of the invocation that runs.
    """

    def __init__(self, depth: Callable[[], int]) -> None:
        self.random = Random(0)
        self.depth = depth
        self.pools: list[Pool] = []
        self.taken = 0

    def hand_on(self) -> None:
        """Let another thread of the innermost pool have its turn, perhaps: called where a call is made."""
        if self.pools and self.pools[-1].depth == self.depth():
            self.pools[-1].hand_on()

    def pool(self, workers: int | None = None, *_: Any, **__: Any) -> "Pool":
        return Pool(self, workers or 4)


class Turn:
    """A turn that one thread waits for, and another one gives it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()
        self.await_, self.give = self._lock.acquire, self._lock.release


class Worker:
    """A thread, used again and again: beginning one takes longer than most tasks do."""

    idle: list["Worker"] = []

    def __init__(self) -> None:
        self._turn = Turn()
        self._run: Callable[[Worker], None] = lambda worker: None
        Thread(target=self._go_on, daemon=True).start()

    @classmethod
    def runs(cls, run: "Callable[[Worker], None]") -> None:
        """Have a thread run `run`; it is to put the worker back among those that are idle."""
        worker = cls.idle.pop() if cls.idle else cls()
        worker._run = run
        worker._turn.give()

    def _go_on(self) -> None:
        while True:
            self._turn.await_()
            self._run(self)


class Task:
    """One call in a pool: what a future is."""

    def __init__(self, pool: "Pool", function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._pool = pool
        self._function = function
        self._arguments = arguments
        self._value: Any = None
        self._error: BaseException | None = None
        self.turn = Turn()
        self.began = self.ended = self.cancelled = False

    def done(self) -> bool:
        return self.ended or self.cancelled

    def cancel(self) -> bool:
        if not self.began:
            self.cancelled = True
        return self.cancelled

    def result(self, timeout: float | None = None) -> Any:
        """Return what came of it; others go on until then."""
        self._pool.wait(self.done)
        if self._error is not None:
            raise self._error
        return self._value

    def begin(self) -> None:
        self.began = True
        Worker.runs(self._run)

    def _run(self, worker: Worker) -> None:
        self.turn.await_()
        try:
            self._pool.live()
            self._value = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001  as a future keeps it
            self._error = error
            if not isinstance(error, Exception) and self._pool.dies is None:
                self._pool.dies = error
        self.ended = True
        Worker.idle.append(worker)
        self._pool.ended(self)


class Pool:
    """What the product needs of a `ThreadPoolExecutor`."""

    def __init__(self, turns: Turns, workers: int) -> None:
        self._turns = turns
        self._workers = workers
        self._owner = Turn()
        self._current: Task | None = None  # None: whoever made the pool
        self._waiting: list[Task] = []
        self._running: list[Task] = []
        self.depth = turns.depth()
        self.dies: BaseException | None = None
        turns.pools.append(self)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Task:
        task = Task(self, function, arguments)
        self._waiting.append(task)
        self._fill()
        return task

    def map(self, function: Callable[..., Any], *values: Any) -> Iterator[Any]:
        tasks = [self.submit(function, *arguments) for arguments in zip(*values, strict=False)]

        def results() -> Iterator[Any]:
            try:
                for task in tasks:
                    yield task.result()
            finally:
                for task in tasks:
                    task.cancel()

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self not in self._turns.pools:
            return
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, Exception):
            self.dies = self.dies or error
        try:
            if cancel_futures:
                for task in self._waiting:
                    task.cancel()
            self._wait(lambda: not self._running and all(task.cancelled for task in self._waiting))
        finally:
            self._turns.pools.remove(self)
        if self.dies and error is None:
            raise self.dies

    # --- turns ---

    def live(self) -> None:
        """Stop a thread whose process has died."""
        if self.dies:
            raise Crash("the process has died")

    def hand_on(self) -> None:
        ready: list[Task | None] = [None, *self._running]
        self._switch(self._turns.random.choice(ready))

    def wait(self, until: Callable[[], bool]) -> None:
        """Let others go on until something holds.

        Raises:
            BaseException: what the process died of.
        """
        self._wait(until)
        if self.dies and self._current is None:
            raise self.dies

    def ended(self, task: Task) -> None:
        """A task has ended: its thread hands its turn on for the last time."""
        self._running.remove(task)
        self._fill()
        self._give(self._turns.random.choice([None, *self._running]))

    def _wait(self, until: Callable[[], bool]) -> None:
        while not until():
            self._fill()
            assert self._running, "a pool waits, and nothing runs in it"
            others = [task for task in self._running if task is not self._current]
            self._switch(self._turns.random.choice(others))

    def _fill(self) -> None:
        """Begin what there is a worker for."""
        while self._waiting and len(self._running) < self._workers:
            task = self._waiting.pop(0)
            if not task.cancelled:
                self._running.append(task)
                task.begin()

    def _switch(self, to: Task | None) -> None:
        me = self._current
        if to is me:
            return
        self._turns.taken += 1
        self._give(to)
        (me.turn if me else self._owner).await_()
        if me is not None:
            self.live()

    def _give(self, to: Task | None) -> None:
        self._current = to
        (to.turn if to else self._owner).give()

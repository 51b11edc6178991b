"""What a worker sees of its work: the lease, the time, the account, and its only ways to write and to skip."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

from ...domain import circuit
from ...domain.accounts import Account
from ...domain.leases import Lease, LeasedWork
from ...domain.results import WorkResult
from ...domain.scopes import Scope
from ...domain.work import Cadence, WorkMessage
from ...domain.writes import Unwritten, Write
from ...errors import ServiceError
from ..ports import Accounts, CallCount, Clock, Queue, WorkStates, Writer
from .change_calls import MOST_WITHOUT_ANSWER, ChangeCalls, Thing
from .report import Skip


class WorkPorts(NamedTuple):
    """What the engine needs of the outside world."""

    accounts: Accounts
    work_states: WorkStates
    queue: Queue
    writer: Writer
    calls: CallCount
    clock: Clock


class WorkContext:
    """One piece of work under its lease.

    Args:
        leased: the lease, with what the work's last run left behind.
        message: the message that woke the worker.
        ports: the engine's ports.
        cadence: how often work comes due.

    Attributes:
        lease: the lease.
        message: the message.
        previous: the result of the last run; None where there was none.
        intent: the tag worker's write-ahead of a run that did not end.
        cadence: how often work comes due.
    """

    def __init__(self, leased: LeasedWork, message: WorkMessage, ports: WorkPorts, cadence: Cadence) -> None:
        self.lease: Lease = leased.lease
        self.message = message
        self.previous: WorkResult | None = leased.result
        self.intent = leased.intent
        self.cadence = cadence
        self._accounts = ports.accounts
        self._work_states = ports.work_states
        self._writer = ports.writer
        self._clock = ports.clock

    @property
    def scope(self) -> Scope:
        """Where the work is."""
        return self.lease.work.scope

    @property
    def epoch(self) -> int:
        """The lease's epoch."""
        return self.lease.epoch

    @property
    def dry_run(self) -> bool:
        """Whether only to say what would be done."""
        return self.lease.work.dry_run

    @property
    def seconds(self) -> int:
        """The time in epoch seconds."""
        return int(self._clock())

    @property
    def now(self) -> datetime:
        """The time."""
        return datetime.fromtimestamp(self._clock(), UTC)

    @property
    def out_of_time(self) -> bool:
        """Whether no further piece of the work may be begun, so that what was done is written down in time."""
        return self._clock() > self.lease.stop_at

    @cached_property
    def account(self) -> Account | None:
        """The scope's account, read once when it is first needed; None where it is not registered."""
        return self._accounts.read(self.scope.account_id)

    def active_account(self) -> Account:
        """Return the scope's account.

        Raises:
            Skip: where it is not registered, inactive or being removed.
        """
        account = self.account
        if account is None or not account.is_active:
            raise Skip("the account is not active")
        return account

    def write(self, writes: list[Write]) -> list[Unwritten]:
        """Carry out writes under the lease's epoch; return the rows that the table cannot hold.

        Raises:
            LeaseLost: where a newer epoch has begun.
            RowChanged: where a row is not what its update was made from.
        """
        return self._writer.write(self.lease, writes)

    def record_intent(self, intent: dict[str, dict[str, str]]) -> None:
        """Note what is about to be written to DRS, in place of what was noted before.

        Raises:
            LeaseLost: where a newer epoch has begun.
        """
        self._work_states.record_intent(self.lease, intent)

    def change_calls(
        self, call: Callable[[Thing], ServiceError | None], at_once: int, *, half_open: bool = False
    ) -> ChangeCalls[Thing]:
        """Return what makes calls that change one thing each, until time runs out or the scope refuses.

        Args:
            call: makes one call; returns why it failed, or None.
            at_once: how many calls are made at the same time.
            half_open: whether to stop after the first failed call where the scope's circuit is open.
        """
        failing = half_open and self.previous is not None and circuit.is_open(self.previous.failures)
        return ChangeCalls(call, lambda: self.out_of_time, at_once, 1 if failing else MOST_WITHOUT_ANSWER)

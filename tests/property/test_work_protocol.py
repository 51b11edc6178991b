"""The work-state protocol under interleavings of asks, duplicates, crashes and leases that run out.

The prototype checks one piece of work exhaustively in a model of its own; this drives the ports themselves.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from chalicelib.domain.work import WorkKind
from chalicelib.errors import LeaseLost

from ..factories import EPOCH, SCOPE, outcome, scan_record, work
from ..fakes import World

LEASE = 330
AGAIN = 1800
WORK = work()


class WorkProtocol(RuleBasedStateMachine):
    """One piece of work, its messages (numbers; deleting one deletes its duplicates), and any number of workers."""

    leases = Bundle("leases")

    @initialize()
    def begin(self):
        self.world = World()
        self.states, self.now = self.world.work_states, EPOCH
        self.sent, self.alive, self.visible = 0, set(), []
        self.newest, self.last_writer, self.asked = 0, 0, 0
        self.broke_off, self.held, self.put_off_until = 0, False, 0

    def send(self):
        self.sent += 1
        self.alive.add(self.sent)
        self.visible.append(self.sent)

    @rule(lost=st.booleans())
    def ask(self, lost):
        """Somebody asks; the asker may die before the message is sent."""
        self.asked += 1
        assert self.states.request(WORK, self.now + AGAIN) == self.asked
        self.put_off_until = 0
        if not lost:
            self.send()

    @precondition(lambda self: self.visible)
    @rule(data=st.data(), target=leases)
    def receive(self, data):
        message = data.draw(st.sampled_from(self.visible))
        self.visible.remove(message)
        return self.begin_work(message)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), target=leases)
    def receive_a_duplicate(self, data):
        return self.begin_work(data.draw(st.sampled_from(sorted(self.alive))))

    def begin_work(self, message):
        taken = self.states.take(WORK, self.now, self.now + LEASE)
        if taken is None:
            self.delete(message)
            return (message, None)
        assert taken.lease.epoch == self.newest + 1
        assert self.now >= self.put_off_until, "begun before its time"
        assert taken.died is self.held, "whoever does not give its lease back has died, and nobody else"
        self.broke_off += taken.died
        assert taken.failures == self.broke_off
        self.newest, self.held, self.put_off_until = taken.lease.epoch, True, 0
        return (message, taken.lease)

    @rule(held=leases)
    def write(self, held):
        """A worker writes, however late: only the newest epoch gets through."""
        lease = held[1]
        if lease is None:
            return
        record = scan_record(epoch=lease.epoch, server_count=lease.epoch)
        if lease.epoch == self.newest:
            self.world.writer.write(lease, [record])
            self.last_writer = lease.epoch
        else:
            with pytest.raises(LeaseLost):
                self.world.writer.write(lease, [record])

    @rule(held=consumes(leases))
    def finish(self, held):
        message, lease = held
        if lease is None or lease.epoch in self.over():
            return
        before = self.states.read([WORK])[WORK]
        if lease.epoch != self.newest:
            with pytest.raises(LeaseLost):
                self.states.finish(lease, outcome(None), self.now + AGAIN)
            assert self.states.read([WORK])[WORK] == before
            return
        if self.states.finish(lease, outcome(None), self.now + AGAIN):
            self.send()
        self.held, self.broke_off = False, 0
        self.delete(message)

    @rule(held=consumes(leases), wait=st.sampled_from([1, AGAIN, 4 * AGAIN]))
    def put_off(self, held, wait):
        """A worker finds that those before it died, and does not begin; its message is done with."""
        message, lease = held
        if lease is None or lease.epoch in self.over():
            return
        if lease.epoch != self.newest:
            with pytest.raises(LeaseLost):
                self.states.put_off(lease, "died", self.now + wait)
            return
        self.states.put_off(lease, "died", self.now + wait)
        self.held, self.put_off_until = False, self.now + wait
        self.delete(message)

    @rule(held=consumes(leases))
    def release(self, held):
        """A worker runs out of time, and has the next one woken."""
        message, lease = held
        if lease is None or lease.epoch in self.over() or lease.epoch != self.newest:
            return
        self.states.release(lease, self.now + AGAIN)
        self.held = False
        self.send()
        self.delete(message)

    @rule(held=consumes(leases))
    def fail(self, held):
        message, lease = held
        if lease is None or lease.epoch in self.over():
            return
        self.states.fail(lease, "boom", self.now + AGAIN)
        if lease.epoch == self.newest:
            self.held, self.broke_off = False, self.broke_off + 1
        if message in self.alive:
            self.visible.append(message)

    @rule(held=consumes(leases))
    def die(self, held):
        """The worker dies; its message becomes visible again, its lease runs out by itself."""
        if held[1] is not None and held[0] in self.alive:
            self.visible.append(held[0])

    @rule(seconds=st.sampled_from([1, LEASE - 1, LEASE + 1, AGAIN]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def sweep(self):
        """The planner claims what came due, and sends."""
        for due in list(self.states.due(WorkKind.INVENTORY, self.now)):
            if self.states.claim(due, self.now, self.now + AGAIN) is not None:
                self.asked += 1
                self.put_off_until = 0
                self.send()

    @invariant()
    def only_the_newest_epoch_wrote(self):
        if not hasattr(self, "world"):
            return
        record = self.world.scans.read(SCOPE)
        assert (record.epoch if record else 0) == self.last_writer <= self.newest

    @invariant()
    def what_is_wanted_is_never_forgotten(self):
        """Work that is wanted has a due time: nothing can be lost for good."""
        state = getattr(self, "states", None) and self.states.read([WORK]).get(WORK)
        if state:
            assert state.wanted == self.asked
            assert state.done <= state.wanted
            assert state.done == state.wanted or state.next_due_at is not None

    def teardown(self):
        """With no further fault the work becomes quiet: done is wanted, no lease, no message."""
        if not hasattr(self, "world"):
            return
        for _ in range(20):
            self.now += 4 * AGAIN + LEASE
            self.sweep()
            while self.visible:
                message = self.visible.pop()
                _, lease = self.begin_work(message)
                if lease:
                    if self.states.finish(lease, outcome(None), self.now + AGAIN):
                        self.send()
                    self.held, self.broke_off = False, 0
                self.delete(message)
        state = self.states.read([WORK]).get(WORK)
        if state:
            assert (state.done, state.lease_until, state.next_due_at) == (state.wanted, None, None)

    def over(self):
        """Epochs that were given back already: a worker does so once."""
        state = self.states.items.get(WORK)
        return {self.newest} if state and state.lease_until is None else set()

    def delete(self, message):
        self.alive.discard(message)
        self.visible = [each for each in self.visible if each != message]


WorkProtocol.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestWorkProtocol = WorkProtocol.TestCase

"""Whose a tag is (ADR 29): whatever happens in between, a tag that others set and this product never wrote stays."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chalicelib.domain import tag_ownership
from chalicelib.domain.work import WorkKind
from chalicelib.errors import AccessDenied, ServiceError, Throttled, Unreachable

from ..factories import REGION, SCOPE, TARGET, arn_of, instance, wire_server
from ..fakes import Crash, World

KEYS, VALUES = ["Name", "env"], ["a", "b"]
SERVERS = ["s-1", "s-2"]
TAG, UNTAG = "drs:TagResource", "drs:UntagResource"
ENDS = [
    AccessDenied("protected", "AccessDeniedException"),
    Throttled("slow down", "ThrottlingException"),
    ServiceError("it broke", "InternalServerException"),
    Unreachable("timed out", "ReadTimeoutError"),
]
tags = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)
servers = st.sampled_from(SERVERS)


class Ownership(RuleBasedStateMachine):
    """One scope; this product, its failures and others write the tags of its servers, in any order.

    `ours` holds every tag (server, key, value) of a call that was made, or that may have been made when a worker died.
    A removal goes by the last scan, because DRS removes tags by key alone: here others write right before a scan.
    """

    @initialize(given=st.fixed_dictionaries(dict.fromkeys(SERVERS, tags)))
    def begin(self, given):
        self.world = World()
        self.world.add_account(TARGET)
        self.ours: set[tuple[str, str, str]] = set()
        self.theirs: dict[tuple[str, str], str] = {}
        for number, (server, carried) in enumerate(sorted(given.items())):
            self.world.drs.add(
                wire_server(server, instance=f"i-{number}", origin=(TARGET, REGION), tags=carried, hostname=server)
            )
            self.world.ec2.add(TARGET, REGION, instance(f"i-{number}", tags={}))
            self.theirs |= {(server, key): value for key, value in carried.items()}
        self._watch()
        self.scan()

    def _watch(self):
        tag, intend = self.world.drs.tag, self.world.work_states.record_intent
        self.noted: dict[str, dict[str, str]] = {}

        def noting(lease, noted):
            intend(lease, noted)
            self.noted = noted

        def tagging(account, region, arn, put):
            server = arn.rpartition("/")[2]
            before = dict(self.world.drs.get(arn)["tags"])
            try:
                tag(account, region, arn, put)
            finally:
                after = self.world.drs.get(arn)["tags"]
                for key, value in put.items():
                    if after.get(key) == value and before.get(key) != value:
                        self.ours.add((server, key, value))
                        self.theirs.pop((server, key), None)

        self.world.drs.tag, self.world.work_states.record_intent = tagging, noting

    def scan(self):
        self.world.clock.advance(1000)
        self.world.scan()
        self.world.queue.messages.clear()

    @rule(server=servers, carried=tags)
    def ec2_says(self, server, carried):
        number = SERVERS.index(server)
        self.world.ec2.add(TARGET, REGION, instance(f"i-{number}", tags=carried))
        self.scan()

    @rule(server=servers, carried=tags)
    def others_write(self, server, carried):
        self.world.drs.get(arn_of(server))["tags"].update(carried)
        self.theirs |= {(server, key): value for key, value in carried.items()}
        self.scan()

    @rule(server=servers, key=st.sampled_from(KEYS))
    def others_remove(self, server, key):
        self.world.drs.get(arn_of(server))["tags"].pop(key, None)
        self.theirs.pop((server, key), None)
        self.scan()

    @rule()
    def sync(self):
        self._run()

    @rule(call=st.sampled_from([TAG, UNTAG]), error=st.sampled_from(ENDS), server=servers, late=st.booleans())
    def sync_that_fails_for_one(self, call, error, server, late):
        unclear = not isinstance(error, (AccessDenied, Throttled))
        self.world.fault(call, error, SCOPE, subject=arn_of(server), after_effect=late and unclear)
        self._run()
        self.world.heal()

    @rule(seconds=st.integers(100, 400))
    def sync_that_runs_out_of_time(self, seconds):
        tag = self.world.drs.tag
        self.world.drs.tag = lambda *call: (self.world.clock.advance(seconds), tag(*call))
        self._run()
        self.world.drs.tag = tag

    @rule(scanned=st.booleans())
    def worker_dies_between_drs_and_the_inventory(self, scanned):
        self.world.writer.interruptions = [None, Crash()]
        try:
            self._run()
        except Crash:
            present = {server: self.world.drs.get(arn_of(server))["tags"] for server in SERVERS}
            for server, noted in self.noted.items():
                doubtful = {
                    key for key, value in present[server].items() if tag_ownership.digest(value) == noted.get(key)
                }
                self.ours |= {(server, key, present[server][key]) for key in doubtful}
        self.world.writer.interruptions = []
        if scanned:
            self.scan()

    def _run(self):
        self.world.clock.advance(1000)
        self.world.run_work(WorkKind.TAGS)
        self.world.queue.messages.clear()

    @invariant()
    def what_others_set_is_there(self):
        if not hasattr(self, "world"):
            return
        for (server, key), value in self.theirs.items():
            there = self.world.drs.get(arn_of(server))["tags"].get(key)
            written = (server, key, value) in self.ours
            assert written or there == value, f"{server}: {key}={value} of others is {there}"


Ownership.TestCase.settings = settings(max_examples=300, stateful_step_count=15, deadline=None)
TestOwnership = Ownership.TestCase


@given(tags, tags, st.sampled_from(list(tag_ownership.Effect)), st.sampled_from(list(tag_ownership.Effect)))
def test_only_what_was_put_or_was_ours_before_is_ours_after(before, put, untagged, tagged):
    written = tag_ownership.with_intent({}, tag_ownership.intent(before))
    after = tag_ownership.after(written, before.keys() - put.keys(), put, untagged, tagged)
    assert after.keys() <= before.keys() | put.keys()
    if tagged is tag_ownership.Effect.NONE:
        assert after.keys() <= before.keys()
    if untagged is tag_ownership.Effect.DONE:
        assert not after.keys() & (before.keys() - put.keys())


@given(tags, tags)
def test_a_value_of_others_under_a_key_of_ours_is_not_ours(written, present):
    digests = tag_ownership.with_intent({}, tag_ownership.intent(written))
    assert tag_ownership.owned(digests, present) == sorted(k for k in present if written.get(k) == present[k])

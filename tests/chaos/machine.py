"""The chaos run: Hypothesis drives the whole product against the model.

Each step changes the customers' world, has an operator do something, lets a schedule fire, or delivers messages and
stream records, with whatever goes wrong in the middle of it. At the end every fault is healed, the schedules fire for
two days, everything is delivered, and the truth must hold.
"""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from chalicelib.container import container
from chalicelib.domain.accounts import AccountKind, AccountStatus
from chalicelib.domain.dead_letters import DeadLetterQueue
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind

from ..factories import SOURCE, STAGING, TARGET
from ..unit.stack import forget_wiring
from .calls import CUSTOMER_CALLS, DELICATE, HUB_CALLS, TABLE_CALLS
from .composition import composed
from .disruptions import (
    ASKED,
    CHANGES,
    DIES,
    DIES_AFTER,
    FAILS,
    KINDS,
    LONGEST_CALL,
    OTHERS,
    OUTSIDE,
    OVERTAKEN,
    PAUSE,
    TIMES_OUT,
    Disruption,
    Invocation,
    Switchboard,
)
from .model import ACCOUNTS, MEMBERSHIPS, ORIGINS, SCOPES, TAGS, WITH_DRS, Model, member, registered
from .product import Product
from .report import REPORT
from .sqs import Message
from .truth import Truth
from .world import DRS_REGIONS, NEW_REGION, ChaosWorld

RUNS_IN_THE_SUITE = 40
STEPS = 50
LONG = "CHAOS_RUNS" in os.environ
FIND_ONLY = "CHAOS_FIND_ONLY" in os.environ  # to know whether something is found, not how briefly it can be told
RUNS = int(os.environ.get("CHAOS_RUNS", RUNS_IN_THE_SUITE))

numbers = st.integers(0, 2**12)
kinds = st.sampled_from(WorkKind)
regions = st.sampled_from(DRS_REGIONS)
places = st.sampled_from(["scope", "account", "region"])
scopes = st.sampled_from(SCOPES)


def disruptions(calls: int, most: int) -> st.SearchStrategy[list[Disruption]]:
    """Return up to `most` disruptions of a step that makes about so many port calls."""
    somewhere = st.builds(Disruption, st.sampled_from(KINDS), st.none(), st.integers(0, calls), numbers)
    ours = st.builds(
        Disruption, st.sampled_from(KINDS), st.sampled_from([*HUB_CALLS, *TABLE_CALLS]), st.integers(0, 2), numbers
    )
    theirs = st.builds(Disruption, st.sampled_from(KINDS), st.sampled_from(CUSTOMER_CALLS), st.integers(0, 2), numbers)
    delicate = st.builds(
        lambda where, nth, number: Disruption(where[1], where[0], nth, number),
        st.sampled_from(DELICATE),
        st.integers(0, 1),
        numbers,
    )
    some = somewhere | ours | theirs | delicate | delicate
    return st.lists(some, max_size=most) | st.lists(some, min_size=most // 2, max_size=most)


def aimed(*calls: str, kinds: Sequence[str] = KINDS) -> st.SearchStrategy[list[Disruption]]:
    """Return one to three disruptions of these port calls."""
    return st.lists(
        st.builds(Disruption, st.sampled_from(kinds), st.sampled_from(calls), st.integers(0, 2), numbers),
        min_size=1,
        max_size=3,
    )


of_tagging = aimed(
    "drs.tag", "drs.untag", "table.transact_write_items", "work_states.record_intent", "work_states.finish"
)
of_extending = aimed("drs.extend", "drs.extensible", "telemetries.read", "table.transact_write_items", "queue.send")
of_removing = aimed(
    "accounts.delete", "accounts.read", "drs.source_servers", "scans.of_scopes", "table.transact_write_items"
)
of_scanning = aimed("table.transact_write_items", "writer.write", "ec2.instances", "drs.source_servers") | aimed(
    "table.transact_write_items", "writer.write", kinds=(DIES, DIES_AFTER, FAILS, TIMES_OUT)
)
of_an_invocation = disruptions(calls=20, most=5)
of_a_cycle = disruptions(calls=60, most=14)
poison = st.sampled_from(
    ["not json", "", "[]", '{"kind":"inventory"}', '{"kind":"gardening","accountId":"1","region":"eu-west-1"}']
)
SOON = (0, 1801)
"""Seconds between the first rounds: visibility and leases."""
TICKS_WITHIN_HOURS = 25
"""Ticks of the inventory's schedule, a quarter of an hour apart: the slowest probe and the resync, and one more."""
QUIET = (25 * 3600, 1900)
"""Seconds between the last rounds: the longest back-off, one more."""
ROUNDS_OF_EXTENSIONS = 4
CALM = (1801, 14_401, 21_601, 3_601)
"""Seconds between the rounds after which all is current: visibility and leases, the longest sweep, the slowest probe,
and one more."""


class Chaos(RuleBasedStateMachine):
    """One run."""

    reported = True

    def __init__(self) -> None:
        super().__init__()
        self.switchboard = Switchboard()
        self.world = ChaosWorld(self.switchboard)
        self.model = Model(self.world)
        self.product = Product(self.world, self.switchboard)
        self.truth = Truth(self.world, self.model)
        self.switchboard.meanwhile = self.meanwhile
        self.switchboard.passed = self.world.ledger.passed
        self.steps = 0
        self.wiring = ExitStack()
        self.wiring.enter_context(composed(self.world, self.switchboard))

    # --- the beginning: one target, its staging account, some servers ---

    @initialize(seed=numbers, known=st.booleans())
    def begins(self, seed: int, known: bool) -> None:
        self.switchboard.turns.random.seed(seed)
        for account_id in (TARGET, STAGING, SOURCE):
            self.registers(account_id)
        self.becomes_member((TARGET, STAGING))
        for place in range(1 + seed % 4):
            scope = Scope((TARGET, STAGING)[place % 2], DRS_REGIONS[seed // 4 % len(DRS_REGIONS)])
            self.model.appears(scope, ORIGINS[(place + seed) % len(ORIGINS)])
        if known:
            self.product.drain()

    # --- customers ---

    @rule(scope=scopes, origin=st.sampled_from(ORIGINS), skipped=st.sampled_from([False, False, False, True]))
    def a_server_appears(self, scope: Scope, origin: Any, skipped: bool) -> None:
        self.step()
        self.model.appears(scope, origin, skipped=skipped)

    @rule(number=numbers)
    def a_server_appears_in_a_staging_account(self, number: int) -> None:
        self.step()
        self.model.appears(Scope(STAGING, DRS_REGIONS[number % len(DRS_REGIONS)]), ORIGINS[number % 2])

    @rule(number=numbers, what=numbers)
    def a_server_changes(self, number: int, what: int) -> None:
        self.step()
        self.change(number, what)

    @rule(number=numbers, value=numbers)
    def an_instance_is_tagged_anew(self, number: int, value: int) -> None:
        self.step()
        if servers := self.model.servers():
            self.model.retags(servers[number % len(servers)], value)

    @rule(number=numbers, key=st.sampled_from(TAGS))
    def somebody_sets_a_tag_of_ec2s_name(self, number: int, key: str) -> None:
        self.step()
        if servers := self.model.servers():
            self.model.others_tag(servers[number % len(servers)], key)

    @rule(number=numbers)
    def an_instance_is_terminated(self, number: int) -> None:
        self.step()
        if servers := self.model.servers():
            self.model.terminates(servers[number % len(servers)])

    @rule(number=numbers, what=of_an_invocation)
    def drs_lists_nothing_once(self, number: int, what: list[Disruption]) -> None:
        self.step(what)
        if servers := self.model.servers():
            self.world.drs.empty.add(servers[number % len(servers)].scope)
        self.go_by(900, [WorkKind.INVENTORY])
        self.world.drs.empty.clear()

    @rule()
    def aws_adds_a_region(self) -> None:
        self.step()
        if NEW_REGION not in self.world.regions:
            self.world.regions.append(NEW_REGION)

    @rule(on=st.booleans())
    def filtering_is_switched(self, on: bool) -> None:
        """The kill switch (R8): a deployment, after which every container is new."""
        self.step()
        os.environ["ENABLE_REGION_FILTERING"] = str(on).lower()
        forget_wiring()

    @rule(account_id=st.sampled_from(sorted(ACCOUNTS)), what=of_an_invocation)
    def an_account_pauses_or_resumes(self, account_id: str, what: list[Disruption]) -> None:
        self.step(what)
        if account_id in self.model.accounts:
            self.model.inactive ^= {account_id}
            self.sets_status(account_id)

    @rule(account_id=st.sampled_from(sorted(ACCOUNTS)), number=numbers, what=of_an_invocation)
    def an_account_is_changed(self, account_id: str, number: int, what: list[Disruption]) -> None:
        self.step(what)
        if found := self.world.accounts().get(account_id):
            changed = {"name": f"name {number % 3}"} if number % 2 else {"reader_role_arn": f"{found.reader_role_arn}x"}
            self.product.operator(lambda: self.registry().change(found.model_copy(update=changed)))

    @rule(number=numbers)
    def a_server_recovers_and_reverses(self, number: int) -> None:
        self.step()
        if servers := self.model.servers():
            server = servers[number % len(servers)]
            self.model.recovers(server)
            self.model.reverses(server)

    @rule(number=numbers)
    def a_server_disappears(self, number: int) -> None:
        self.step()
        if servers := self.model.servers():
            self.model.disappears(servers[number % len(servers)])

    @rule(number=numbers)
    def a_server_returns(self, number: int) -> None:
        self.step()
        self.model.returns(number)

    # --- operators ---

    @rule(account_id=st.sampled_from(sorted(ACCOUNTS)), what=of_an_invocation)
    def an_account_comes_or_goes(self, account_id: str, what: list[Disruption]) -> None:
        self.step(what)
        if account_id in self.model.accounts:
            self.removes(account_id)
        else:
            self.registers(account_id)

    @rule(account_id=st.sampled_from(sorted(ACCOUNTS)))
    def an_account_comes(self, account_id: str) -> None:
        self.step()
        if account_id not in self.model.accounts:
            self.registers(account_id)

    @rule(pair=st.sampled_from(MEMBERSHIPS), what=of_an_invocation)
    def a_membership_comes_or_goes(self, pair: tuple[str, str], what: list[Disruption]) -> None:
        self.step(what)
        if pair in self.model.memberships:
            self.leaves(pair)
        else:
            self.becomes_member(pair)

    @rule(
        kind=kinds,
        some=st.none() | st.lists(scopes, max_size=3),
        retry=st.booleans(),
        dry=st.booleans(),
        what=of_an_invocation,
    )
    def an_operator_asks_for_a_sync(
        self, kind: WorkKind, some: list[Scope] | None, retry: bool, dry: bool, what: list[Disruption]
    ) -> None:
        self.step(what)
        if not dry and retry and kind is WorkKind.STAGING:  # what was removed on purpose may be made again
            self.model.unclear |= self.model.removed
            self.model.removed = set()
        if kind is WorkKind.STAGING and some:
            some = [scope for scope in some if ACCOUNTS[scope.account_id] is AccountKind.TARGET]
        self.product.ask(kind, some, retry_refused=retry, dry_run=dry)

    @rule(queue=st.sampled_from(DeadLetterQueue), what=of_an_invocation)
    def an_operator_redrives(self, queue: DeadLetterQueue, what: list[Disruption]) -> None:
        self.step(what)
        self.product.redrive(queue)

    # --- time, schedules, deliveries ---

    @rule(seconds=st.sampled_from([1, 30, 61, 331, 900, 1801, 4000, 22_000]))
    def time_passes(self, seconds: int) -> None:
        self.step()
        self.world.clock.advance(seconds)
        self.product.retry_ticks()

    @rule(kind=kinds, what=of_an_invocation)
    def a_schedule_fires(self, kind: WorkKind, what: list[Disruption]) -> None:
        self.step(what)
        self.product.tick(kind)

    @rule(kind=kinds, number=numbers, what=of_an_invocation, seconds_left=st.sampled_from([300, 300, 300, 44]))
    def messages_are_delivered(self, kind: WorkKind, number: int, what: list[Disruption], seconds_left: int) -> None:
        self.step(what)
        self.product.deliver(kind, chosen_by(number), seconds_left=seconds_left)

    @rule(kind=kinds, number=numbers, what=of_an_invocation)
    def more_messages_are_delivered(self, kind: WorkKind, number: int, what: list[Disruption]) -> None:
        self.step(what)
        self.product.deliver(kind, chosen_by(number))

    @rule(kind=kinds, number=numbers)
    def a_message_is_delivered_again(self, kind: WorkKind, number: int) -> None:
        self.step()
        self.world.queues[kind].deliver_again(number)

    @rule(region=regions, size=st.integers(1, 8), what=of_an_invocation)
    def records_are_delivered(self, region: str, size: int, what: list[Disruption]) -> None:
        self.step(what)
        self.product.pump(region, size)

    @rule(region=regions, by=st.integers(1, 5))
    def records_are_delivered_again(self, region: str, by: int) -> None:
        self.step()
        self.world.shards[region].rewind(by)

    @rule(region=regions)
    def records_are_reordered(self, region: str) -> None:
        self.step()
        shard = self.world.shards[region]
        shard.records[shard.position :] = reversed(shard.records[shard.position :])

    @rule(pause=st.sampled_from([300, 900, 1801, 3700]), what=of_a_cycle)
    def a_cycle_goes_by(self, pause: int, what: list[Disruption]) -> None:
        self.step(what)
        self.go_by(pause, list(WorkKind))

    @rule(kind=kinds, pause=st.sampled_from([300, 900, 1801]), what=of_a_cycle)
    def one_kind_of_work_comes_due(self, kind: WorkKind, pause: int, what: list[Disruption]) -> None:
        self.step(what)
        self.go_by(pause, [kind])

    @rule(what=of_a_cycle)
    def everything_is_delivered(self, what: list[Disruption]) -> None:
        self.step(what)
        self.product.drain()

    # --- one thing from beginning to end, with what goes wrong aimed at it ---

    @rule(number=numbers, value=numbers, what=of_tagging)
    def tags_change_and_are_synced(self, number: int, value: int, what: list[Disruption]) -> None:
        self.step(what)
        if servers := self.model.servers():
            self.model.retags(servers[number % len(servers)], value)
        self.go_by(3700, [WorkKind.INVENTORY, WorkKind.TAGS])

    @rule(number=numbers, what=of_extending)
    def a_staging_server_appears_and_is_extended(self, number: int, what: list[Disruption]) -> None:
        self.step(what)
        self.model.appears(Scope(STAGING, DRS_REGIONS[number % len(DRS_REGIONS)]), ORIGINS[number % 2])
        self.go_by(900, [WorkKind.INVENTORY, WorkKind.STAGING])

    @rule(account_id=st.sampled_from(WITH_DRS), what=of_removing)
    def an_account_comes_or_goes_at_once(self, account_id: str, what: list[Disruption]) -> None:
        self.step(what)
        if account_id in self.model.accounts:
            self.removes(account_id)
        else:
            self.registers(account_id)
        self.go_by(30, [])

    @rule(number=numbers, value=numbers, what=of_scanning)
    def a_change_is_found_in_the_end(self, number: int, value: int, what: list[Disruption]) -> None:
        """A server changes, and its scope is scanned at once: what goes wrong meets that scan, and no other."""
        self.step(what)
        if not (servers := self.model.servers()):
            return
        server = servers[number // 2 % len(servers)]
        if number % 2:
            self.model.changes(server, value)
        else:
            self.model.retags(server, value)
        self.product.ask(WorkKind.INVENTORY, [server.scope])
        self.product.drain()
        if value % 2:
            self.calm()

    @rule(number=numbers, what=of_scanning)
    def an_extension_is_removed_on_purpose(self, number: int, what: list[Disruption]) -> None:
        self.step(what)
        if extensions := [one for one in self.model.servers() if self.model.extends(one)]:
            self.model.disappears(extensions[number % len(extensions)])
        self.go_by(900, [WorkKind.INVENTORY, WorkKind.STAGING])

    @rule(most=st.integers(1, 4), kinds=st.lists(kinds, min_size=1, unique=True))
    def sqs_takes_messages_in_part(self, most: int, kinds: list[WorkKind]) -> None:
        self.step()
        self.world.sqs.refusing = most
        self.go_by(900, kinds)

    @rule()
    def nothing_goes_wrong_for_hours(self) -> None:
        self.step()
        self.calm()

    def calm(self) -> None:
        """Have nothing go wrong: every change so far becomes visible, within a bounded time and without a redrive."""
        self.switchboard.heal()
        self.switchboard.disruptions = []
        for pause in CALM:
            self.operators_finish()
            self.product.retry_ticks()
            self.go_by(pause, list(WorkKind))
        if not self.world.stream_failures.messages and not self.world.schedule_failures.messages:
            self.truth.is_current_where_scanned()

    # --- what goes wrong for longer ---

    @rule(kind=kinds, body=poison)
    def a_poison_message_arrives(self, kind: WorkKind, body: str) -> None:
        self.step()
        self.model.poison.append(body)
        self.world.queues[kind].send(body)

    @rule(region=regions)
    def a_poison_record_arrives(self, region: str) -> None:
        self.step()
        self.model.bad_records.append(self.world.spoil(region))

    @rule(number=numbers, wide=places)
    def the_weather_turns(self, number: int, wide: str) -> None:
        self.step()
        self.turn(number, wide)

    @rule(number=numbers, wide=places, what=of_a_cycle)
    def a_cycle_goes_by_in_bad_weather(self, number: int, wide: str, what: list[Disruption]) -> None:
        self.step(what)
        self.turn(number, wide)
        self.go_by(900, list(WorkKind))

    @rule()
    def the_weather_clears(self) -> None:
        self.step()
        self.switchboard.heal()

    # --- what operators do, and finish later where it failed half-way ---

    @staticmethod
    def registry() -> Any:
        return container().account_registry

    def sets_status(self, account_id: str) -> None:
        status = AccountStatus.INACTIVE if account_id in self.model.inactive else AccountStatus.ACTIVE
        found = self.world.accounts().get(account_id)
        if found and found.status not in (status, AccountStatus.REMOVING):
            self.product.operator(lambda: self.registry().change(found.model_copy(update={"status": status})))

    def registers(self, account_id: str) -> None:
        self.model.accounts.add(account_id)
        self.product.operator(
            lambda: self.registry().register(registered(account_id), scan_now=self.world.clock() % 3 > 1)
        )

    def removes(self, account_id: str) -> None:
        self.model.accounts.discard(account_id)
        self.model.inactive.discard(account_id)
        self.model.memberships = {pair for pair in self.model.memberships if account_id not in pair}
        self.model.account_removed(account_id)
        self.product.operator(lambda: self.registry().remove(account_id))

    def becomes_member(self, pair: tuple[str, str]) -> None:
        if self.model.accounts >= set(pair):
            self.model.memberships.add(pair)
            self.product.operator(lambda: self.registry().add_staging_account(member(pair)))

    def leaves(self, pair: tuple[str, str]) -> None:
        self.model.memberships.discard(pair)
        self.product.operator(lambda: self.registry().remove_staging_account(*pair))

    def operators_finish(self) -> None:
        """Operators repeat what was not carried out; accounts that paused take part again."""
        self.model.inactive.clear()
        for account_id in sorted(self.world.accounts()):
            self.sets_status(account_id)
        there = self.world.accounts().keys()
        for account_id in sorted(there - self.model.accounts):
            self.product.operator(lambda name=account_id: self.registry().remove(name))
        for account_id in sorted(self.model.accounts):
            if account_id not in there:
                self.registers(account_id)
        members = self.world.memberships().keys()
        for pair in sorted(members - self.model.memberships):
            self.leaves(pair)
        for pair in sorted(self.model.memberships - members):
            self.becomes_member(pair)

    # --- in the middle of a port call ---

    def meanwhile(self, disruption: Disruption, invocation: Invocation, name: str) -> None:
        number = disruption.number
        if disruption.what == CHANGES:
            self.change(number, number // 7)
            return
        if disruption.what == ASKED:
            work = WorkId(list(WorkKind)[number % 2], SCOPES[number % len(SCOPES)])
            at_work = self.world.ledger.last_work
            container().ports.work_states.gated.request(at_work or work, int(self.world.clock()) + 1800)
            return
        if disruption.what in (PAUSE, OVERTAKEN):
            self.world.clock.advance(LONGEST_CALL if name in OUTSIDE else 400)
        if len(self.switchboard.stack) > 2:
            return
        if disruption.what == OVERTAKEN:
            self.product.tick(list(WorkKind)[number % 3])
            self.product.tick(WorkKind.INVENTORY)
        if disruption.what in (OTHERS, OVERTAKEN):
            self.others_work(number)

    def turn(self, number: int, wide: str) -> None:
        """Have a scope, an account or a whole region throttle, deny or fail, until the weather clears."""
        scopes = [server.scope for server in self.model.servers()] or SCOPES
        scope = scopes[number % len(scopes)]
        place = {"scope": scope, "account": scope.account_id, "region": scope.region}[wide]
        self.switchboard.weather[place] = number // 7

    def go_by(self, seconds: int, kinds: list[WorkKind]) -> None:
        """Let time go by, the schedules of `kinds` fire, and all be delivered."""
        self.world.clock.advance(seconds)
        for kind in kinds:
            self.product.tick(kind)
        self.product.drain()

    def others_work(self, number: int) -> None:
        """Other invocations run from beginning to end, while one is in the middle of a port call."""
        place, what = number // 4, number // 16
        if number % 4:
            self.change_at_work(place, what)
            self.product.ask(WorkKind.INVENTORY, None)
        elif place % 2:
            self.an_operator_steps_in(what)
        order = list(WorkKind)[place % 3 :] + list(WorkKind)[: place % 3]
        if place % 4 == 1:
            self.product.tick(order[0])
        for kind in order:
            self.product.deliver(kind)
        for region in DRS_REGIONS:
            self.product.pump(region)
        if number % 4 == 0 and place % 2 == 0:
            self.an_operator_steps_in(what)

    def an_operator_steps_in(self, number: int) -> None:
        """An account goes or comes: often the one that somebody works for at this moment."""
        at_work = self.world.ledger.last_account
        account_id = sorted(ACCOUNTS)[number // 2 % len(ACCOUNTS)] if number % 2 or not at_work else at_work
        if account_id in self.model.accounts:
            self.removes(account_id)
        else:
            self.registers(account_id)

    def change_at_work(self, number: int, what: int) -> None:
        """Something changes about a server of the account that somebody works for at this moment."""
        at_work = self.world.ledger.last_account
        if servers := [server for server in self.model.servers() if server.scope.account_id == at_work]:
            server = servers[number % len(servers)]
            if what % 5 == 4:
                self.model.disappears(server)
            elif what % 5 == 3:
                self.model.retags(server, what // 5)
            else:
                self.model.changes(server, what)

    def change(self, number: int, what: int) -> None:
        if what % 9 == 8:
            self.model.appears(SCOPES[number % len(SCOPES)], ORIGINS[what % len(ORIGINS)])
        elif servers := self.model.servers():
            server = servers[number % len(servers)]
            if what % 9 == 7:
                self.model.disappears(server)
            else:
                self.model.changes(server, what)

    # --- the end ---

    def step(self, what: list[Disruption] | None = None) -> None:
        """Begin a step, in which `what` goes wrong."""
        self.steps += 1
        self.switchboard.disruptions = list(what or [])
        self.world.sqs.refusing = 0

    def teardown(self) -> None:
        try:
            self.becomes_quiet()
        finally:
            self.wiring.close()
            if self.reported:
                REPORT.add(self)

    def becomes_quiet(self) -> None:
        """Heal everything and let the schedules fire: within hours what is wanted is being done, in the end it is.

        Nobody redrives a letter, and nobody asks for anything, until all is as it should be.
        """
        self.switchboard.heal()
        self.switchboard.disruptions = []
        self.world.sqs.refusing = 0
        self.world.clock.advance(1)
        for pause in SOON:
            self.operators_finish()
            self.product.retry_ticks()
            self.go_by(pause, list(WorkKind))
        for _ in range(TICKS_WITHIN_HOURS):
            self.world.clock.advance(900)
            self.product.tick(WorkKind.INVENTORY)
        for pause in (1, 1801, 901):
            self.operators_finish()
            self.product.retry_ticks()
            self.go_by(pause, list(WorkKind))
        self.truth.nobody_waits_in_vain()
        self.world.ledger.failures.clear()
        for pause in QUIET:
            self.go_by(pause, list(WorkKind))
        for _ in range(ROUNDS_OF_EXTENSIONS):
            self.go_by(301, [WorkKind.STAGING])
        self.go_by(1801, list(WorkKind))
        self.truth.holds()
        self.a_cycle_without_changes(list(WorkKind))
        self.a_cycle_in_which_ec2_is_silent()
        self.a_late_change_is_seen()
        for queue in DeadLetterQueue:
            self.product.redrive(queue)
        self.product.drain()
        self.truth.dead_letters_are_poison()

    def a_cycle_without_changes(self, kinds: list[WorkKind]) -> None:
        """What nothing has happened to costs a list, and is begun once: nothing runs hot."""
        requests, begun = Counter(self.world.ledger.requests), Counter(self.world.ledger.begun)
        self.go_by(901, kinds)
        self.truth.steady_state_costs_little(self.world.ledger.requests - requests)
        self.truth.nothing_runs_hot(self.world.ledger.begun - begun)

    def a_cycle_in_which_ec2_is_silent(self) -> None:
        """That instances cannot be asked about is no change of their servers: no row is read for it."""
        looked_up = self.world.dynamodb.looked_up
        self.switchboard.weather[SOURCE] = 1
        for _ in range(2):
            before = looked_up["inventory_table"]
            self.a_cycle_without_changes([WorkKind.INVENTORY])
            self.truth.no_row_is_read(looked_up["inventory_table"] - before)
        self.switchboard.heal()

    def a_late_change_is_seen(self) -> None:
        """What changes in a scope that is watched shows an interval later: the inventory's schedule is all it takes."""
        active = {scan.scope for scan in self.world.scans().values() if scan.active}
        if servers := [server for server in self.model.servers() if server.scope in active]:
            self.model.retags(servers[self.steps % len(servers)], self.steps // 2)
        staging = [scope for scope in SCOPES if scope.account_id == STAGING and scope in active]
        for scope in staging[:1]:
            self.model.appears(scope, ORIGINS[self.steps % 2])
        self.go_by(901, [WorkKind.INVENTORY])
        self.truth.is_current()


def chosen_by(number: int) -> Any:
    """Return a choice of a queue's messages: some of them, in some order."""

    def choose(visible: list[Message]) -> list[Message]:
        if not visible:
            return []
        start = number % len(visible)
        turned = visible[start:] + visible[:start]
        return turned[: 1 + number // 7 % 5] if number % 2 else turned[::-1][: 1 + number // 7 % 5]

    return choose


def machine_settings(**more: Any) -> settings:
    """Return how runs are made: in the suite always the same ones, with `make chaos` others each time."""
    given: dict[str, Any] = {"max_examples": RUNS, "stateful_step_count": STEPS, "deadline": None, "database": None}
    if FIND_ONLY:
        given |= {"phases": [Phase.generate], "report_multiple_bugs": False}
    return settings(**{**given, "derandomize": not LONG, "suppress_health_check": list(HealthCheck), **more})

"""The properties of R14, over the real services on the fakes."""

import logging

from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.domain.accounts import AccountKind
from chalicelib.domain.regions import ScanChange, ScopeState, fold
from chalicelib.domain.results import RunMode
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkKind
from chalicelib.errors import AccessDenied, NotOptedIn, ServiceError, Throttled, Uninitialized
from chalicelib.services.active_region_filter import ActiveRegionFilter

from .. import factories
from ..factories import EPOCH, OTHER, REGION, STAGING, TARGET, region_status, wire_server
from ..fakes import FakeClock, FakeRegionStatuses, World
from ..unit.observing import observing

REGIONS = factories.REGIONS[:3]  # enough for active, idle and failing ones; every further one costs time
DESCRIBE = "drs:DescribeSourceServers"
EXTENDING = ("drs:ListExtensibleSourceServers", "drs:CreateExtendedSourceServer")

fleets = st.dictionaries(
    st.tuples(st.sampled_from([TARGET, STAGING, OTHER]), st.sampled_from(REGIONS)), st.integers(1, 4), max_size=6
)


def populated(fleet, **values):
    """A world of a target, its staging account and a second target, with so many servers in each scope."""
    world = World(REGIONS, **values)
    world.add_account(TARGET)
    world.add_staging(STAGING, TARGET)
    world.add_account(OTHER)
    for (account_id, region), count in fleet.items():
        world.drs.add(*(wire_server(f"s-{account_id[0]}{number}", account_id, region) for number in range(count)))
    return world


def stocked(world, scope, count):
    """Have exactly `count` servers in `scope`, every other one replicating."""
    world.drs.servers[scope] = {}
    for number in range(count):
        state = "CONTINUOUS" if number % 2 else "STALLED"
        world.drs.add(wire_server(f"s-{scope.account_id[0]}{number}", *scope, state=state))


def active_scopes(world):
    return {scan.scope for scan in world.scans.records.values() if scan.active}


@given(fleets, st.sampled_from(WorkKind), st.integers(1, 30_000))
def test_property_1_a_planned_run_touches_active_scopes_and_due_probes_only(fleet, kind, later):
    """Property 1: once anything was synced, only active regions are scanned; probes are counted apart."""
    world = populated(fleet)
    world.cycle()
    assume(world.statuses.rows)
    active = active_scopes(world)
    world.clock.advance(later)
    before = world.calls.snapshot()
    run = world.tick(kind)
    planned = {message.work for message in world.queue.messages}
    probes = {work for work in planned if work.kind is WorkKind.INVENTORY and work.scope not in active}
    assert run.mode is RunMode.DUE
    assert run.probes == len(probes)
    assert all(world.work_states.items[work].probe for work in probes)
    active_regions = {scope.region for scope in active}
    assert {work.scope.region for work in planned - probes} <= active_regions
    world.settle()
    touched = {Scope(account, region) for (_, account, region) in (world.calls.made - before)}
    extended_into = {Scope(TARGET, scope.region) for scope in active if scope.account_id == STAGING}
    assert touched <= active | {work.scope for work in probes} | extended_into


@given(fleets, st.sampled_from(WorkKind), st.booleans())
def test_property_1_a_sync_on_request_touches_active_regions_only(fleet, kind, dry_run):
    """Property 1: with no scope named, an operator's sync covers the active scopes, all of them and no other."""
    world = populated(fleet)
    world.cycle()
    active = active_scopes(world)
    run = world.sync(kind, dry_run=dry_run and kind is not WorkKind.INVENTORY)
    works = {message.work for message in world.queue.messages}
    staged = {Scope(TARGET, scope.region) for scope in active if scope.account_id == STAGING}
    assert {work.scope for work in works} == (staged if kind is WorkKind.STAGING else active)
    assert run.mode is RunMode.ACTIVE
    assert set(run.regions_used) <= {scope.region for scope in active}


@given(fleets, st.sampled_from(WorkKind), st.booleans())
def test_property_2_with_an_empty_or_unreadable_table_everything_is_scanned(fleet, kind, broken):
    """Property 2: all regions, a warning, the metric FallbackCount, and the run fills the table."""
    world = populated(fleet)
    world.statuses.broken = broken
    with observing() as seen:
        run = world.planner.tick(kind)
        assert seen.metric("FallbackCount") == 1
        assert [line for line in seen.lines(logging.WARNING) if "falling back to all regions" in line]
    assert run.mode is RunMode.FALLBACK
    planned = {message.work for message in world.queue.messages}
    everywhere = {Scope(account, region) for account in (TARGET, STAGING, OTHER) for region in REGIONS}
    assert {work.scope for work in planned if work.kind is WorkKind.INVENTORY} == everywhere
    assert run.regions_used == sorted(REGIONS)
    world.statuses.broken = False
    world.settle()
    assert set(world.statuses.rows) == set(REGIONS)
    for region, status in world.statuses.rows.items():
        assert status.server_count == sum(
            len(world.drs.servers.get(Scope(a, region), {})) for a in (TARGET, STAGING, OTHER)
        )
    assert not world.returned


@given(fleets)
def test_property_2_nothing_active_is_not_never_synced(fleet):
    """Property 2: a synced table without a server is no reason to scan everything again."""
    world = populated({})
    world.cycle()
    with observing() as seen:
        run = world.tick()
        assert seen.metric("FallbackCount") == 0
    assert (run.mode, run.planned_scopes) == (RunMode.DUE, 0)
    assert world.filter.active_regions() == []


failures = {
    ScopeState.THROTTLED: Throttled("Rate exceeded", "ThrottlingException"),
    ScopeState.ACCESS_DENIED: AccessDenied("not authorised", "AccessDeniedException"),
    ScopeState.NOT_OPTED_IN: NotOptedIn("not enabled", "UnrecognizedClientException"),
    ScopeState.UNINITIALIZED: Uninitialized("not set up", "UninitializedAccountException"),
    ScopeState.ERROR: ServiceError("it broke", "InternalServerException"),
}
steps = st.lists(
    st.tuples(st.sampled_from([TARGET, STAGING, OTHER]), st.integers(0, 5) | st.sampled_from(list(failures))),
    min_size=1,
    max_size=8,
)


@given(steps, st.integers(1, 4))
def test_property_3_the_row_is_the_fold_after_any_sequence_of_scans(steps, batch):
    """Property 3: counts are those of the last complete scans, failures show and zero nothing, however batched."""
    world, known, state = populated({}), {}, {}
    for number, (account_id, what) in enumerate(steps, start=1):
        scope = Scope(account_id, REGION)
        world.heal()
        if isinstance(what, ScopeState):
            world.fault(DESCRIBE, failures[what], scope)
        else:
            stocked(world, scope, what)
            known[scope] = (what, what // 2)
        state[scope] = what if isinstance(what, ScopeState) else ScopeState.AVAILABLE
        world.clock.advance(61)
        world.run_work(WorkKind.INVENTORY, scope)
        if what == 0:  # an empty list is believed the second time
            world.run_work(WorkKind.INVENTORY, scope)
        if number % batch == 0:
            world.pump()
    world.pump()
    row, records = world.statuses.rows[REGION], world.scans.of_region(REGION)
    assert row.meaning() == fold(records).meaning()
    assert row.last_checked == fold(records).last_checked
    assert row.server_count == sum(count for count, _ in known.values())
    assert row.replicating_count == sum(count for _, count in known.values())
    assert {record.scope: record.state for record in records} == state
    for record in records:
        told = record.state in failures and (record.active or record.state is not ScopeState.UNINITIALIZED)
        assert record.error_message == (str(failures[record.state]) if told else None)
    shown = [record.error_message for record in records if record.state is row.status]
    assert row.error_message in shown


@given(steps, st.randoms())
def test_property_3_replayed_and_reordered_stream_records_change_nothing(steps, random):
    """Property 3: the status is a function of the records, whatever the stream delivers again, late or twice."""
    world = populated({})
    history = []
    for account_id, what in steps:
        scope = Scope(account_id, REGION)
        count = what if isinstance(what, int) else 1
        stocked(world, scope, count)
        world.run_work(WorkKind.INVENTORY, scope)
        history += world.scans.stream
        world.pump()
    row = world.statuses.rows[REGION]
    for _ in range(3):
        some = random.sample(history, random.randint(1, len(history)))
        world.changes.handle(REGION, [ScanChange(*one) for one in some])
    assert world.statuses.rows[REGION] == row


@given(fleets)
def test_property_5_a_filtered_cycle_saves_the_calls_of_inactive_regions(fleet):
    """Property 5: at least (regions - active) / regions fewer DRS calls than without filtering; probes apart."""
    calls = {}
    for filtering in (True, False):
        world = populated(fleet, filtering=filtering)
        world.cycle()
        world.clock.advance(900)
        mark = world.calls.snapshot()
        run = world.cycle()
        made = sum(count for (name, _, _), count in (world.calls.made - mark).items() if name == DESCRIBE)
        calls[filtering] = made - run.probes
        active = {scope.region for scope in active_scopes(world)}
    assert calls[False] == 3 * len(REGIONS)
    assert calls[True] * len(REGIONS) <= calls[False] * len(active)


class Reading:
    """A filter on a table that counts its reads."""

    def __init__(self, active=(REGION,)):
        self.clock, self.statuses = FakeClock(EPOCH), FakeRegionStatuses()
        for region in REGIONS:
            self.statuses.replace(None, region_status(region, int(region in active)))
        self.filter = ActiveRegionFilter(self.statuses, lambda partition="aws": REGIONS, self.clock)

    def reads_of(self, call):
        before = self.statuses.reads
        call()
        return self.statuses.reads - before


@given(st.lists(st.sampled_from(["read", "scan"]), max_size=8), st.integers(0, 4))
def test_property_6_a_sync_that_ends_drops_the_cache(sequence, count):
    """Property 6: after an inventory sync and its stream record, the next call reads the table and sees the change."""
    world = populated({(TARGET, REGION): count} if count else {})
    world.cycle()
    world.filter.invalidate()
    fresh = True
    for step in sequence:
        world.clock.advance(1)
        if step == "scan":
            world.scan()
            fresh = True
            continue
        before = world.statuses.reads
        world.filter.active_regions()
        assert world.statuses.reads - before == int(fresh)
        fresh = False
    world.drs.servers[Scope(TARGET, REGION)] = {"s-new": wire_server("s-new")}
    world.filter.active_regions()
    world.clock.advance(1)
    world.scan()
    before = world.statuses.reads
    assert REGION in world.filter.active_regions()
    assert world.statuses.reads == before + 1


@given(st.lists(st.sampled_from(["call", "invalidate"]) | st.floats(0, 90), max_size=25), st.integers(1, 120))
def test_property_8_only_the_first_call_within_the_ttl_reads_the_table(sequence, ttl):
    """Property 8: until the TTL is over or the cache is dropped, every further call is answered from the cache."""
    reading = Reading()
    read_at = None
    for step in sequence:
        if step == "invalidate":
            reading.filter.invalidate()
            read_at = None
        elif step == "call":
            expected = read_at is None or reading.clock() - read_at >= ttl
            assert reading.reads_of(lambda: reading.filter.active_regions(ttl)) == int(expected)
            read_at = reading.clock() if expected else read_at
        else:
            reading.clock.advance(step)


@given(st.lists(st.integers(0, 5), max_size=8))
def test_property_8_a_newer_status_version_drops_an_older_cache(versions):
    """Property 8: a message that was planned from a newer row is not judged by an older one (R10.2)."""
    reading = Reading()
    reading.filter.active_regions()
    for version in versions:
        known = reading.statuses.rows[REGION].version
        stale = version > known
        assert reading.reads_of(lambda version=version: reading.filter.is_active(REGION, version)) == int(stale)


staged_fleets = st.dictionaries(st.sampled_from(REGIONS), st.integers(0, 3), max_size=len(REGIONS))


@given(staged_fleets, staged_fleets, st.integers(1, 4000))
def test_property_11_staging_sync_asks_drs_only_where_a_staging_account_is_active(first, second, later):
    """Property 11: inactive staging accounts cause no DRS call, active ones have every server extended, once."""
    world = World(REGIONS)
    world.add_account(TARGET)
    for account_id, fleet in ((STAGING, first), (OTHER, second)):
        world.add_staging(account_id, TARGET)
        for region, count in fleet.items():
            world.drs.add(*(wire_server(f"s-{account_id[0]}{n}", account_id, region) for n in range(count)))
    world.cycle()
    world.clock.advance(later)
    world.cycle(WorkKind.STAGING)
    holding = {
        region: {
            arn
            for scope, wires in world.drs.servers.items()
            if scope.region == region and scope.account_id != TARGET
            for arn in [wire["arn"] for wire in wires.values()]
        }
        for region in REGIONS
    }
    for region, arns in holding.items():
        target = Scope(TARGET, region)
        asked = any(target in world.calls.scopes(name) for name in EXTENDING)
        assert asked == bool(arns)
        assert set(world.drs.extensions(target)) == arns


@given(staged_fleets)
def test_property_11_where_nothing_is_new_drs_is_not_called(fleet):
    """Property 11: a second staging run reads the inventory and leaves DRS alone (R3.3)."""
    world = World(REGIONS)
    world.add_account(TARGET)
    world.add_staging(STAGING, TARGET)
    for region, count in fleet.items():
        world.drs.add(*(wire_server(f"s-{number}", STAGING, region) for number in range(count)))
    world.cycle()
    before = world.calls.snapshot()
    world.clock.advance(300)
    world.sync(WorkKind.STAGING)
    world.settle()
    assert world.calls.calls_since(before) == {}


@given(st.sampled_from([STAGING, TARGET]), staged_fleets)
def test_property_11_the_moved_functions_read_the_inventory_not_drs(account_id, fleet):
    """Property 11: `get_staging_account_servers` and `get_extended_source_servers` make no call at all."""
    world = World(REGIONS)
    world.add_account(TARGET)
    world.add_account(STAGING, AccountKind.STAGING)
    for region, count in fleet.items():
        world.drs.add(*(wire_server(f"s-{number}", account_id, region) for number in range(count)))
    world.cycle()
    before = world.calls.snapshot()
    for region in REGIONS:
        originals = world.staging_sync.get_staging_account_servers(Scope(account_id, region))
        assert len(originals) == fleet.get(region, 0)
        assert world.staging_sync.get_extended_source_servers(Scope(account_id, region)) == {}
    assert world.calls.calls_since(before) == {}

"""From any state of the work items, one resync period restores what should be worked on; quiet, it writes nothing."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.accounts import AccountStatus
from chalicelib.domain.scopes import Scope
from chalicelib.domain.work import WorkId, WorkKind

from ..factories import CADENCE, OTHER, REGIONS, SECOND, STAGING, TARGET, wire_server
from ..fakes import World

ACCOUNTS = (TARGET, STAGING, OTHER)
DAMAGE = ("missing", "due never", "due in ages", "half finished", "leased for ever ago", "as it was")
TICKS = CADENCE.probe // CADENCE.inventory
TICKS_A_DAY = 24 * 3600 // CADENCE.inventory

servers = st.dictionaries(st.sampled_from([(a, r) for a in ACCOUNTS for r in REGIONS]), st.just(1), max_size=6)
statuses = st.fixed_dictionaries({a: st.sampled_from([AccountStatus.ACTIVE, AccountStatus.INACTIVE]) for a in ACCOUNTS})


def populated(scopes):
    """A target with a staging account, and another target, with a server in each of `scopes`; everything is done."""
    world = World()
    world.add_account(TARGET)
    world.add_account(OTHER)
    world.add_staging(STAGING, TARGET)
    for number, (account_id, region) in enumerate(sorted(scopes)):
        world.drs.add(wire_server(f"s-{number}", account_id, region))
    for kind in (WorkKind.INVENTORY, WorkKind.TAGS, WorkKind.STAGING):
        world.cycle(kind)
    return world


def damage(world, item, how):
    """Leave a work item as something that went wrong left it."""
    now = int(world.clock())
    if how == "due never":
        item.next_due_at = None
    elif how == "due in ages":
        item.next_due_at = now + 10_000_000
    elif how == "half finished":
        item.wanted, item.next_due_at = (item.wanted or 0) + 1, None
    elif how == "leased for ever ago":
        item.wanted, item.lease_until, item.next_due_at = (item.wanted or 0) + 1, now - 1, None
    if item.next_due_at is None and how != "as it was":
        item.failures = 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(servers, statuses, st.data())
def test_one_resync_period_restores_all_work_from_any_state(scopes, status_of, data):
    world = populated(scopes)
    for work in sorted(world.work_states.items):
        how = data.draw(st.sampled_from(DAMAGE), label=work.key)
        if how == "missing":
            del world.work_states.items[work]
        else:
            damage(world, world.work_states.items[work], how)
    for account_id, status in status_of.items():
        registered = world.accounts.accounts[account_id]
        world.accounts.accounts[account_id] = registered.model_copy(update={"status": status})
    for _ in range(TICKS):
        world.clock.advance(CADENCE.inventory)
        world.resync.tick()
    active = {account_id for account_id, status in status_of.items() if status is AccountStatus.ACTIVE}
    expected = {WorkId(WorkKind.INVENTORY, Scope(account_id, region)) for account_id in active for region in REGIONS}
    for scan in world.scans.records.values():
        if scan.active and scan.account_id in active:
            expected.add(WorkId(WorkKind.TAGS, scan.scope))
        if scan.active and scan.account_id == STAGING and TARGET in active:
            expected.add(WorkId(WorkKind.STAGING, Scope(TARGET, scan.region)))
    soon = int(world.clock()) + CADENCE.probe
    due = {each.work for kind in WorkKind for each in world.work_states.due(kind, soon)}
    assert expected <= due


@settings(max_examples=10, deadline=None)
@given(servers)
def test_a_quiet_fleet_is_read_and_not_written(scopes):
    """The bound is 2 % more items written; there are none, and few reads: two queries a region and turn."""
    world = populated(scopes)
    for _ in range(8):  # until nothing changes any more: extensions are scanned and tagged
        world.clock.advance(CADENCE.inventory)
        for kind in WorkKind:
            world.cycle(kind)
    before = ({work: vars(item).copy() for work, item in world.work_states.items.items()}, dict(world.statuses.rows))
    read, queries = world.work_states.read, []
    of_region = world.scans.of_region
    world.work_states.read = lambda works: queries.append("items") or read(works)
    world.scans.of_region = lambda region: queries.append("scans") or of_region(region)
    restored = []
    for _ in range(TICKS):
        restored += world.resync.tick()
        world.clock.advance(CADENCE.inventory)
    after = ({work: vars(item).copy() for work, item in world.work_states.items.items()}, dict(world.statuses.rows))
    assert after == before
    assert len(restored) == 2 * len(REGIONS)
    assert (queries.count("items"), queries.count("scans")) == (len(restored), 2 * len(restored))


def test_a_day_of_a_quiet_fleet_writes_no_more_items_with_the_resync_than_without():
    def written(resync):
        world = populated([(TARGET, SECOND), (STAGING, SECOND), (OTHER, REGIONS[0])])
        if not resync:
            world.resync.tick = list
        for _ in range(TICKS_A_DAY):
            world.clock.advance(CADENCE.inventory)
            for kind in WorkKind:
                world.cycle(kind)
        return sum(item.wanted + item.epoch for item in world.work_states.items.values())

    assert written(resync=True) <= 1.02 * written(resync=False)

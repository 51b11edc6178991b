"""Invariants of the domain."""

import json
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.adapters import telemetry_table
from chalicelib.adapters.aws_partitions import aws_partition
from chalicelib.adapters.dynamodb import marshal, unmarshal
from chalicelib.domain import circuit, tags
from chalicelib.domain.aws_answers import read_server, telemetry
from chalicelib.domain.extension import (
    FIRST_BACK_OFF,
    LONGEST_BACK_OFF,
    RefusalReason,
    admitted,
    candidates,
    refuse,
)
from chalicelib.domain.leases import due_again, inventory_due
from chalicelib.domain.pace import Pace
from chalicelib.domain.regions import RegionStatus, ScanRecord, ScopeState, fold
from chalicelib.domain.scopes import Scope, stable_fraction
from chalicelib.domain.servers import DrsFacts, content_hash, digest, lag_band, packed
from chalicelib.domain.topology import Learnt, Source, Topology, checked, first_seen, merge
from chalicelib.domain.work import Cadence, WorkId, WorkKind, WorkMessage, is_fresh, next_probe, next_tick, slack
from chalicelib.domain.writes import ScopeTelemetry

from ..factories import CADENCE, EPOCH, NOW, SCOPE, STAGING, arn_of, lease, refusal, scan_record, wire_server, work
from . import strategies as some

# --- region status ---


@given(some.scans_of_a_region, st.randoms())
def test_property_3_the_fold_depends_on_the_records_not_on_their_order(scans, random):
    """Property 3: a region's status is a function of its scan records."""
    assert fold(random.sample(scans, len(scans))) == fold(scans)


@given(some.scans_of_a_region)
def test_property_3_the_fold_adds_up_and_shows_the_worst(scans):
    """Property 3: counts are sums; a failure is shown where there is one, the first in the order of `ScopeState`."""
    status, order = fold(scans), list(ScopeState)
    troubled = [scan for scan in scans if scan.failed_last]
    assert status.server_count == sum(scan.server_count for scan in scans)
    assert status.replicating_count == sum(scan.replicating_count for scan in scans)
    assert order.index(status.status) == min(order.index(scan.state) for scan in troubled or scans)
    assert status.active == any(scan.active for scan in scans)
    assert (status.accounts, status.active_accounts) == (len(scans), sum(scan.active for scan in scans))
    assert status.last_checked == max(scan.last_checked for scan in scans)
    assert status.error_message in [scan.error_message for scan in scans if scan.state is status.status]


@given(some.scans_of_a_region)
def test_a_region_shows_available_only_where_no_account_with_servers_fails(scans):
    if any(scan.active and scan.state is not ScopeState.AVAILABLE for scan in scans):
        assert fold(scans).status is not ScopeState.AVAILABLE


@given(some.scans_of_a_region)
def test_a_fold_that_is_stored_is_not_written_again(scans):
    assert fold(scans).outdates(None)
    assert not fold(scans).outdates(RegionStatus.of(fold(scans).item()))


@given(some.scan_records, some.states, some.moments)
def test_property_3_a_failure_keeps_what_is_known(scan, state, now):
    """Property 3: an error is recorded and never zeroes a count (R5.4)."""
    failed = scan.failed(state, "it failed", now, 9)
    assert (failed.state, failed.error_message, failed.last_checked, failed.epoch) == (state, "it failed", now, 9)
    assert (failed.failures, failed.next_try_at) == (scan.failures + 1, None)
    said = {"state", "error_message", "last_checked", "epoch", "failures", "next_try_at"}
    kept = set(ScanRecord.model_fields) - said
    assert all(getattr(failed, name) == getattr(scan, name) for name in kept)


@given(some.scan_records, some.moments)
def test_not_being_set_up_is_an_answer_unless_servers_are_known(scan, now):
    said = scan.uninitialized("not set up", now, 9)
    assert said.server_count == scan.server_count
    assert said.last_success == (scan.last_success if scan.active else now)


# --- tags ---


@given(some.tags, some.tags_of_a_resource, st.lists(some.tag_keys, unique=True))
def test_applying_a_tag_change_leaves_nothing_to_do(source, present, managed):
    change = tags.difference(source, present, managed)
    again = tags.difference(source, tags.applied(present, change), change.managed)
    assert again.empty
    assert again.managed == change.managed
    assert again.overflow == change.overflow


@given(some.tags, some.tags_of_a_resource, st.lists(some.tag_keys, unique=True))
def test_tags_stay_within_the_limit_and_others_stay_untouched(source, present, managed):
    change = tags.difference(source, present, managed)
    after = tags.applied(present, change)
    assert sum(not key.lower().startswith("aws:") for key in after) <= tags.TAG_LIMIT
    others = {key: value for key, value in present.items() if key not in source and key not in managed}
    assert others.items() <= after.items()
    assert not any(key.lower().startswith("aws:") for key in change.put)
    assert set(change.managed) <= after.keys()
    assert set(change.remove) <= set(managed)


@given(some.tags, some.tags_of_a_resource, st.lists(some.tag_keys, unique=True))
def test_every_tag_of_ec2_is_there_or_reported(source, present, managed):
    change = tags.difference(source, present, managed)
    after = tags.applied(present, change)
    missing = {key for key, value in source.items() if after.get(key) != value and not key.lower().startswith("aws:")}
    assert missing == set(change.overflow)


@given(some.tags, some.tags_of_a_resource)
def test_a_key_of_ours_that_ec2_drops_is_removed(source, present):
    first = tags.difference(source, present, [])
    after = tags.applied(present, first)
    dropped = tags.difference({}, after, first.managed)
    assert set(dropped.remove) == set(first.managed)
    assert not dropped.put


# --- extension ---


@given(some.arns, st.sampled_from([reason for reason in RefusalReason if reason is not RefusalReason.REMOVED]))
def test_refusals_in_a_row_wait_longer_each_time_up_to_a_day(arn, reason):
    waits, before = [], None
    for _ in range(15):
        before = refuse(SCOPE, arn, reason, "no", NOW, before)
        waits.append(before.next_try_at - NOW)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FIRST_BACK_OFF, LONGEST_BACK_OFF)
    assert before.attempts == 15
    assert before.since == NOW


@given(st.sampled_from(RefusalReason), st.sampled_from(RefusalReason), st.integers(1, 10**6))
def test_another_reason_begins_anew_and_a_removal_waits_for_an_ask(one, other, attempts):
    assume(one is not other)
    refused = refuse(SCOPE, "arn", other, "no", NOW, refusal("arn", reason=one, attempts=attempts))
    assert refused.attempts == 1
    assert (refused.next_try_at is None) == (other is RefusalReason.REMOVED)


@given(st.integers(1, 10**9))
def test_the_longest_run_of_refusals_is_still_bounded(attempts):
    before = refusal("arn", reason=RefusalReason.QUOTA, attempts=attempts)
    assert refuse(SCOPE, "arn", RefusalReason.QUOTA, "no", NOW, before).next_try_at - NOW <= LONGEST_BACK_OFF


@given(st.lists(some.arns), st.lists(some.arns), st.dictionaries(some.arns, st.none() | some.waits), some.waits)
def test_candidates_are_neither_extended_nor_refused(originals, extended, tries, passed):
    refused = {arn: refusal(arn, next_try_at=None if wait is None else NOW + wait) for arn, wait in tries.items()}
    chosen = candidates(dict.fromkeys(originals), extended, refused, NOW + passed)
    assert chosen == sorted(set(chosen))
    for arn in originals:
        in_force = arn in tries and (tries[arn] is None or tries[arn] > passed)
        assert (arn in chosen) == (arn not in extended and not in_force)


@given(some.tags, some.tags, some.tags)
def test_what_is_excluded_is_excluded_whatever_includes_it(carried, include, exclude):
    include = dict(list(include.items())[:2])
    exclude = dict(list(exclude.items())[:2])
    lets_in = admitted(carried, include, exclude)
    assert lets_in == (include.items() <= carried.items() and not (exclude.items() & carried.items()))
    assert not admitted(carried, include, dict.fromkeys(list(carried)[:1], "*")) or not carried


# --- topology ---

learnt = some.records(
    Learnt,
    value=st.sampled_from(["eu-west-1", "us-east-1", {"a": 1}]),
    source=st.sampled_from(Source),
    learnt_at=some.moments,
)
topologies = some.records(Topology, **dict.fromkeys(Topology.model_fields, learnt))


@given(topologies, topologies)
def test_what_is_known_of_a_topology_is_never_overwritten(known, seen):
    merged = merge(known, seen)
    for name in Topology.model_fields:
        before, offered = getattr(checked(known), name), getattr(seen, name)
        replaced = before.source is Source.UNKNOWN and offered.source is not Source.UNKNOWN
        assert getattr(merged, name) == (offered if replaced else before)
    assert merge(merged, seen) == merged
    assert merge(None, seen) == seen


@given(st.none() | some.texts, st.none() | some.texts, st.none() | st.dictionaries(some.texts, st.integers()))
def test_what_drs_does_not_say_is_unknown(region, account_id, configuration):
    made = first_seen((region, account_id, None), ("eu-west-1", STAGING), configuration, NOW)
    assert (made.original_source_region.source is Source.UNKNOWN) == (region is None)
    assert (made.original_account_id.source is Source.UNKNOWN) == (account_id is None)
    assert made.complete == (configuration is not None)
    assert made.original_replication_account_id.value == STAGING


# --- due times ---

intervals = st.integers(60, 10**5)


@given(st.integers(EPOCH, EPOCH + 10**6), st.none() | st.integers(0, EPOCH + 10**6), intervals)
def test_the_next_tick_is_ahead_and_within_an_interval(now, tick_at, interval):
    assume(tick_at is None or tick_at <= now)
    due = next_tick(now, tick_at, interval)
    assert now < due <= now + interval
    assert due == now + interval or (due - tick_at) == interval


@given(st.integers(EPOCH, EPOCH + 10**6), some.works, st.integers(1, 10**6), intervals)
def test_a_probe_is_due_in_the_second_half_of_its_interval(now, work, epoch, interval):
    due = next_probe(now, work, epoch, interval)
    assert interval // 2 <= due - now <= interval
    assert due == next_probe(now, work, epoch, interval)


@given(some.scan_records, some.leases)
def test_a_scope_with_servers_keeps_the_short_interval_until_its_circuit_opens(scan, lease):
    cadence, of = Cadence(900, 3600, 300, 21_600), lease._replace(work=lease.work._replace(kind=WorkKind.INVENTORY))
    due, probe = inventory_due(scan, of, EPOCH, cadence)
    if scan.active:
        assert not probe
    patience = 4 * cadence.inventory if scan.active else cadence.probe
    longest = cadence.probe if probe else patience if scan.failing else cadence.inventory
    assert EPOCH < due <= EPOCH + longest
    if probe:
        assert not scan.active
        assert scan.last_success or not scan.state.passing


@given(intervals)
def test_slack_is_small_against_the_interval(interval):
    assert 0 <= slack(interval) <= min(60, interval / 10)


@given(some.scan_records, some.moments, some.waits)
def test_fresh_means_scanned_completely_within_the_limit(scan, now, limit):
    age = now - scan.last_success if scan.last_success else None
    assert is_fresh(scan, now, limit) == (age is not None and age <= limit)
    assert not is_fresh(None, now, limit)


@given(st.text())
def test_a_stable_fraction_is_a_fraction(text):
    assert 0 <= stable_fraction(text) < 1
    assert stable_fraction(text) == stable_fraction(text)


# --- servers ---


def reordered(value, random):
    if isinstance(value, dict):
        names = random.sample(sorted(value), len(value))
        return {name: reordered(value[name], random) for name in names}
    return value


@given(some.drs_facts, st.randoms())
def test_equal_content_has_an_equal_hash_whatever_the_order(facts, random):
    assert content_hash(DrsFacts.of(reordered(facts.item(), random))) == content_hash(facts)


@given(some.drs_facts, some.drs_facts)
def test_other_content_has_another_hash(one, other):
    assert (content_hash(one) == content_hash(other)) == (one == other)


@given(some.drs_facts)
def test_facts_survive_the_table(facts):
    """Else the tag worker's hash would never be the one that the next scan finds."""
    kept = DrsFacts.of(unmarshal(marshal({**facts.item(), "fqdn": None})))
    assert content_hash(kept) == content_hash(facts)


@given(some.drs_facts)
def test_packed_facts_are_the_facts(facts):
    assert DrsFacts.of(json.loads(packed(facts))) == facts
    assert digest(packed(facts)) == content_hash(facts)


def facts_of(wire):
    return read_server(wire, SCOPE, aws_partition()).facts


@given(st.integers(0, 200_000), st.integers(0, 200_000), st.integers(0, 10**12))
def test_lag_and_backlog_change_the_hash_by_their_band_only(one, other, backlog):
    first = wire_server("s-1", lag=f"PT{one}S")
    second = wire_server("s-1", lag=f"PT{other}S")
    second["dataReplicationInfo"]["replicatedDisks"] = [{"backloggedStorageBytes": backlog}]
    second["lifeCycle"] = {"lastSeenByServiceDateTime": "2027-01-01T00:00:00Z"}
    hashes = [content_hash(facts_of(wire)) for wire in (first, second)]
    assert (hashes[0] == hashes[1]) == (lag_band(one) == lag_band(other))
    entry = telemetry(second, facts_of(second), "")
    assert (entry.lag_seconds, entry.backlog_bytes) == (other, backlog)


@given(st.sampled_from(["FAILOVER", "FAILBACK"]), st.sampled_from(["EXTENDED", "EXTENSION_ERROR", "NOT_EXTENDED"]))
def test_a_server_is_an_original_or_an_extension_or_neither(direction, status):
    area = {"status": status, "stagingAccountID": STAGING, "stagingSourceServerArn": arn_of("s-9", STAGING)}
    wire = wire_server("s-1", direction=direction, staging=area)
    entry = telemetry(wire, facts_of(wire), "")
    assert bool(entry.extends) == (status != "NOT_EXTENDED")
    assert bool(entry.original) == (status == "NOT_EXTENDED" and direction == "FAILOVER")


# --- round trips ---


@given(some.scopes)
def test_a_scope_is_its_key(scope):
    assert Scope.parse(scope.key) == scope


@given(some.works)
def test_work_is_its_key_and_its_message(work):
    assert WorkId.parse(work.key) == work
    assert WorkMessage.about(work).work == work


@given(some.works, st.none() | st.integers(0, 10**9))
def test_a_message_is_its_body(work, version):
    message = WorkMessage.about(work, version)
    body = message.model_dump_json(by_alias=True, exclude_none=True)
    assert WorkMessage.model_validate_json(body) == message
    assert json.loads(body)["accountId"] == work.scope.account_id


@given(st.text(max_size=20))
def test_no_other_text_is_work(text):
    try:
        work = WorkId.parse(text)
    except ValueError:
        return
    assert work.kind in WorkKind
    assert work.scope.account_id


@given(some.scopes, st.integers(0, 10**6), st.dictionaries(st.text(min_size=1), some.telemetries, max_size=5))
def test_telemetry_survives_its_item(scope, epoch, servers):
    kept = ScopeTelemetry(scope, epoch, "2026-03-01T12:00:00.000Z", servers)
    item = unmarshal(marshal(telemetry_table.to_item(kept)))
    assert telemetry_table.from_item(item) == kept


@given(some.scan_records)
def test_a_scan_record_survives_the_table(scan):
    assert ScanRecord.of(unmarshal(marshal(scan.item()))) == scan


@given(topologies)
def test_a_topology_survives_the_table(topology):
    assert Topology.of(unmarshal(marshal(topology.item()))) == topology


@given(some.waits)
def test_a_status_row_lags_its_scans_by_less_than_a_minute(later):
    stored = fold([scan_record()])
    assert fold([scan_record(last_checked=NOW + later)]).outdates(stored) == (later >= timedelta(minutes=1))


# --- circuit and pace ---


@given(st.integers(0, 100), st.integers(1, 10_000), st.integers(1, 100_000), st.none() | st.integers(0, 10_000))
def test_a_wait_grows_with_failures_and_stays_within_its_bounds(failures, interval, longest, retry_after):
    waits = [circuit.wait(number, interval, longest, retry_after) for number in range(failures + 1)]
    assert waits == sorted(waits)
    assert waits[-1] >= max(interval, retry_after or 0)
    assert waits[-1] <= max(interval, longest, retry_after or 0)
    if failures < circuit.OPENS_AFTER and retry_after is None:
        assert waits[-1] == interval


@given(st.sampled_from(list(WorkKind)), st.integers(0, 50), st.none() | st.integers(0, 10**8))
def test_no_failure_and_no_service_puts_work_off_beyond_the_probe_interval(kind, failures, retry_after):
    due = due_again(failures, lease(work(kind)), EPOCH, CADENCE, CADENCE.probe, retry_after)
    assert EPOCH < due <= EPOCH + CADENCE.probe
    if retry_after is not None:
        assert due >= EPOCH + min(retry_after, CADENCE.probe)


@given(st.floats(0.5, 200), st.integers(1, 50), st.lists(st.floats(0, 3), min_size=1, max_size=120))
def test_a_pace_keeps_its_rate_in_every_window(per_second, burst, pauses):
    """However requests come: no window of t seconds sees more than burst + t x rate of them."""
    pace, now, moments = Pace(per_second, burst), 0.0, []
    for pause in pauses:
        now += pause
        moments.append(now + pace.reserve(now))
    assert moments == sorted(moments)
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            window = moments[last] - moments[first]
            assert last - first + 1 <= burst + window * per_second + 1e-6


@given(st.floats(0.5, 200), st.integers(1, 50))
def test_after_a_pause_a_burst_goes_at_once(per_second, burst):
    pace = Pace(per_second, burst)
    assert all(pace.reserve(1000.0) < 1e-9 for _ in range(burst))
    assert pace.reserve(1000.0) > 1e-9


@given(some.scans_of_a_region)
def test_a_region_is_healthy_where_most_of_its_active_scopes_answer(scans):
    status = fold(scans)
    failing = [scan for scan in scans if scan.active and scan.failures >= circuit.OPENS_AFTER]
    assert status.failing_accounts == len(failing)
    assert status.healthy == (not failing or 2 * len(failing) < status.active_accounts)

"""What Hypothesis draws: scopes, records, servers, tags."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from chalicelib.domain.leases import Lease
from chalicelib.domain.regions import ScanRecord, ScopeState
from chalicelib.domain.scopes import Scope
from chalicelib.domain.servers import DrsFacts, Telemetry
from chalicelib.domain.work import WorkId, WorkKind

from ..factories import EPOCH, REGIONS


def records(of, **fields):
    """Records of the model `of` with `fields`, by their Python names."""
    return st.fixed_dictionaries(fields).map(lambda values: of(**values))


moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
account_ids = st.integers(0, 10**12 - 1).map("{:012d}".format)
regions = st.sampled_from(REGIONS)
scopes = st.builds(Scope, account_ids, regions)
works = st.builds(WorkId, st.sampled_from(WorkKind), scopes, st.booleans())
counts = st.integers(0, 300)
states = st.sampled_from(ScopeState)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
arns = st.integers(0, 30).map("arn:aws:drs:eu-west-1:222222222222:source-server/s-{}".format)

scan_records = records(
    ScanRecord,
    region=st.just("eu-west-1"),
    account_id=account_ids,
    state=states,
    error_message=st.none() | texts,
    server_count=counts,
    replicating_count=counts,
    extended_count=counts,
    last_checked=moments,
    last_success=st.none() | moments,
    epoch=counts,
    servers_version=counts,
    tags_version=counts,
    failures=st.integers(0, 6),
)
scans_of_a_region = st.lists(scan_records, min_size=1, max_size=5, unique_by=lambda scan: scan.account_id)

tag_keys = st.sampled_from(["Name", "env", "team", "aws:cfn", "AWS:x", "cost"]) | st.integers(0, 80).map(
    "k{:02d}".format
)
few_tags = st.dictionaries(tag_keys, st.sampled_from(["a", "b", ""]), max_size=12)
many_tags = st.tuples(st.integers(0, 30), st.integers(30, 70)).map(  # around the limit of 50
    lambda span: {f"k{number:02d}": "a" for number in range(span[0], span[0] + span[1])}
)
tags = few_tags | st.builds(lambda many, few: {**many, **few}, many_tags, few_tags)
tags_of_a_resource = tags.map(  # no more than AWS lets a resource carry
    lambda carried: {
        key: carried[key]
        for number, key in enumerate(sorted(carried, key=lambda key: not key.lower().startswith("aws:")))
        if number < 50
    }
)

drs_facts = records(
    DrsFacts,
    arn=arns,
    hostname=st.none() | texts,
    replication_state=st.sampled_from(["CONTINUOUS", "STALLED", "DISCONNECTED", "UNKNOWN"]),
    lag_band=st.sampled_from([None, "UNDER_10_MINUTES", "OVER_1_DAY"]),
    staging_account_id=account_ids,
    cpu_cores=st.none() | st.integers(0, 256),
    ram_bytes=st.none() | st.integers(0, 2**50),
    disk_bytes=st.none() | st.integers(0, 2**60),
    ips=st.none() | st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), min_size=1),
    drs_tags=st.dictionaries(texts.filter(bool), texts, max_size=5),
)
telemetries = st.builds(
    Telemetry,
    drs_hash=texts,
    ec2_hash=texts,
    lag_seconds=st.none() | st.integers(0, 10**7),
    backlog_bytes=st.integers(0, 2**60),
    eta=st.none() | texts,
    last_seen=st.none() | texts,
    original=texts,
    extends=texts,
    extension=texts,
    topology_complete=st.booleans(),
)
leases = st.builds(
    Lease,
    work=works,
    epoch=st.integers(1, 10**6),
    requested_at_lease=st.integers(1, 10**6),
    until=st.just(EPOCH + 330),
    tick_at=st.none() | st.integers(EPOCH - 10**5, EPOCH),
)
waits = st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds))

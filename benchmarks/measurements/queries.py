"""Answers from the tables of the deployed stack: queries of a large inventory, region status, its cache."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from functools import partial
from statistics import quantiles
from typing import Any, NamedTuple

from benchmarks.context import Context
from benchmarks.deployed import deployed_stack
from benchmarks.figures import Figure, at_least, at_most
from chalicelib.adapters.aws_regions import drs_regions
from chalicelib.adapters.calls import CALLS
from chalicelib.adapters.dynamodb import marshal
from chalicelib.domain.regions import RegionStatus
from chalicelib.observability import logger
from chalicelib.services.inventory_query import Query
from sandbox.fleet.product import product_on
from tests.api.client import Api
from tests.api.measure_query import PAGE, READS, REGION, SOURCE, fill
from tests.factories import scan_record
from tests.integration.stack import Stack

TITLE = "Answers from the tables"
SMALL = False
KEYS = (
    "query.region.p50",
    "query.region.p99",
    "query.by_id",
    "query.by_staging",
    "query.by_source",
    "query.reads",
    "status.p99",
    "cache.hit_rate",
)
SERVERS = 50_000
ACCOUNTS = 300
REQUESTS, STATUS_REQUESTS = 40, 300
ACCOUNT = "650000000000"
SERVER = f"s-{0:04d}{7:013d}"
MOST_READS = 4
"""Status rows, scan records of the region, and where a page goes over the end of a scope, two of these."""


class Case(NamedTuple):
    """A question, as REST asks it and as this process asks it."""

    rest: dict[str, Any]
    here: Callable[[Any], object]


class Times(NamedTuple):
    """Milliseconds of requests, and the DynamoDB reads of each."""

    p50: float
    p99: float
    reads: float


def run(context: Context) -> dict[str, Figure]:
    """Return times of queries and of the region status."""
    logger.setLevel("ERROR")
    with deployed_stack() as stack:
        context.say(f"writing {SERVERS:,} servers")
        fill(stack, SERVERS)
        figures = _queries(context, stack)
        context.say(f"writing {ACCOUNTS} accounts x {len(drs_regions())} regions")
        with stack.paused("ScanStream"):
            _fill_statuses(stack)
            return {**figures, **_status(stack), **_cache(stack)}


def _queries(context: Context, stack: Stack) -> dict[str, Figure]:
    figures, most = {}, 0.0
    for name, case in CASES.items():
        rest, here = _through_rest(stack, case.rest), _in_process(stack, case.here)
        context.say(f"{name}: REST p50 {rest.p50:.0f} ms, p99 {rest.p99:.0f} ms; in process p99 {here.p99:.0f} ms")
        most = max(most, rest.reads, here.reads)
        details = {"REST": rest._asdict(), "in process": here._asdict()}
        how = f"{SERVERS:,} servers, pages of {PAGE}, through REST on the local cloud, {REQUESTS} requests"
        key = f"query.{name}"
        p99 = Figure(rest.p99, "ms", f"99th percentile; {how} (R12.3)", at_most(500), details)
        if name == "region":
            figures |= {
                f"{key}.p50": Figure(rest.p50, "ms", f"median; {how}", at_most(500), details),
                f"{key}.p99": p99,
            }
        else:
            figures[key] = p99
    reads = Figure(most, "reads", "the most DynamoDB reads of a request, on average of a case", at_most(MOST_READS))
    return {**figures, "query.reads": reads}


def _status(stack: Stack) -> dict[str, Figure]:
    """Return what a region status costs that no cache answers."""
    regions = len(drs_regions())
    with _product(stack) as product:
        ask = partial(product.region_filter.active_regions, 0)
        active, times, calls = len(ask()), *_timed(ask, STATUS_REQUESTS)
    if active != regions:
        raise LookupError(f"{active} of {regions} regions are active")
    figure = Figure(
        _percentiles(times)[1],
        "ms",
        f"get_active_regions(cache_ttl=0), {regions} regions x {ACCOUNTS} accounts; p99 of {STATUS_REQUESTS} (R10.1)",
        at_most(100),
        {"p50": _percentiles(times)[0], "items read": regions, "calls": calls / STATUS_REQUESTS},
    )
    return {"status.p99": figure}


def _cache(stack: Stack) -> dict[str, Figure]:
    """Return how many calls of a burst the cache answers."""
    with _product(stack) as product:
        _, calls = _timed(product.region_filter.active_regions)
    api = Api(stack.cloud)
    stack.forget_calls()
    for _ in range(REQUESTS):
        api.get("regions/active")
    scans = sum(call["calls"] for call in stack.cloud.calls("dynamodb") if call["operation"] == "Scan")
    figure = Figure(
        1 - calls / REQUESTS,
        "of the calls",
        f"get_active_regions, a burst of {REQUESTS} calls within the TTL, without a read of the table",
        at_least(0.9),
        {"through REST": 1 - scans / REQUESTS},
    )
    return {"cache.hit_rate": figure}


def _through_rest(stack: Stack, parameters: dict[str, Any]) -> Times:
    ask = partial(Api(stack.cloud).get, **parameters)
    ask()  # warm
    stack.settle()
    stack.forget_calls()
    times, _ = _timed(ask)
    reads = sum(call["calls"] for call in stack.cloud.calls("dynamodb") if call["operation"] in READS)
    return Times(*_percentiles(times), reads / REQUESTS)


def _in_process(stack: Stack, here: Callable[[Any], object]) -> Times:
    with _product(stack) as product:
        ask = partial(here, product.inventory_query)
        ask()  # warm
        times, calls = _timed(ask)
    return Times(*_percentiles(times), calls / REQUESTS)


@contextmanager
def _product(stack: Stack) -> Iterator[Any]:
    """Wire the product in this process to the stack; its logs and metrics go nowhere."""
    with open(os.devnull, "w") as quiet, redirect_stdout(quiet), product_on(stack.cloud.outputs) as product:
        yield product


def _timed(ask: Callable[[], object], requests: int = REQUESTS) -> tuple[list[float], int]:
    """Return the milliseconds of each request, and the AWS calls that this process made for all of them."""
    mark, times = CALLS.snapshot(), []
    for _ in range(requests):
        began = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - began))
    return times, sum(CALLS.calls_since(mark).values())


def _percentiles(milliseconds: list[float]) -> tuple[float, float]:
    cuts = quantiles(milliseconds, n=100, method="inclusive")
    return cuts[49], cuts[98]


def _fill_statuses(stack: Stack) -> None:
    """Write the scan records of every account in every region, and the status rows that they fold to."""
    now = datetime.now(UTC)
    scans, statuses = stack.table("ScanTable"), stack.name("RegionStatusTable")
    for region in drs_regions():
        with scans.batch_writer() as batch:
            for number in range(ACCOUNTS):
                record = scan_record(region, f"66{number:010d}", server_count=100, last_checked=now, last_success=now)
                batch.put_item(Item=record.item())
        row = RegionStatus(
            region=region,
            status="AVAILABLE",
            server_count=100 * ACCOUNTS,
            replicating_count=100 * ACCOUNTS,
            last_checked=now,
            accounts=ACCOUNTS,
            active_accounts=ACCOUNTS,
            version=1,
        )
        stack.cloud.hub().client("dynamodb").put_item(TableName=statuses, Item=marshal(row.item()))


def _page(**filters: str) -> Callable[[Any], object]:
    return lambda query: query.page(Query(**filters), PAGE)


def _case(here: dict[str, str], **rest: str) -> Case:
    return Case({"path": "servers", "limit": PAGE, **rest}, _page(**here))


CASES = {
    "region": _case({"region": REGION}, region=REGION),
    "by_id": Case({"path": f"servers/{SERVER}"}, lambda query: query.server(SERVER)),
    "by_staging": _case({"staging_account_id": ACCOUNT}, stagingAccountId=ACCOUNT),
    "by_source": _case({"source_account_id": SOURCE}, sourceAccountId=SOURCE),
}

"""Measures queries over a large inventory: `python -m tests.api.measure_query [--servers 50000]`.

Starts a cloud of its own, writes the inventory straight into its tables, and asks it through the API and in this
process. Prints times and DynamoDB reads per request.
"""

import argparse
import logging
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from chalicelib.adapters.calls import CALLS
from chalicelib.adapters.dynamodb import marshal
from chalicelib.domain.records import iso
from chalicelib.domain.scopes import Scope
from chalicelib.observability import logger
from chalicelib.services.inventory_query import Query
from sandbox.cloud.packaging import REPO, AppSource
from sandbox.cloud.testing import running_cloud
from sandbox.fleet.product import product_on

from ..factories import scan_record, server_row
from ..integration.stack import Stack
from .client import Api

REGION = "eu-north-1"
SOURCE = "640000000000"
"""Where the machines of the first account run."""
SERVERS_PER_ACCOUNT = 1000
PAGE = 100
REQUESTS = 30
ITEMS_PER_BATCH = 25
PACKAGES = REPO / "sandbox" / ".state" / "packages"
READS = ("Query", "GetItem", "BatchGetItem", "Scan")


class Case(NamedTuple):
    """A query, and whether its pages are followed; else the first one is asked for again and again."""

    name: str
    filters: dict
    follow: bool


CASES = [
    Case("region, first page", {"region": REGION}, follow=False),
    Case("region, page after page", {"region": REGION}, follow=True),
    Case("region and account", {"region": REGION, "accountId": "650000000000"}, follow=True),
    Case("region and name", {"region": REGION, "hostname": "host-s-00000000000000007"}, follow=False),
    Case("region and a tag that none has", {"region": REGION, "tag": "no:such"}, follow=True),
]


class Figures(NamedTuple):
    """Of one case: milliseconds of each request, and the most and the mean DynamoDB reads."""

    milliseconds: list[float]
    reads: float

    def __str__(self):
        cuts = quantiles(self.milliseconds, n=100, method="inclusive")
        return f"p50 {cuts[49]:6.1f} ms  p99 {cuts[98]:6.1f} ms  {self.reads:4.1f} DynamoDB reads a request"


def fill(stack, servers, first_account=0, per_account=SERVERS_PER_ACCOUNT):
    """Write so many servers of one region into the tables, as scans of registered accounts would have left them."""
    client, now = stack.cloud.hub().client("dynamodb"), datetime.now(UTC)
    accounts = [f"65{first_account + number:010d}" for number in range(-(-servers // per_account))]
    rows = [
        _row(f"s-{first_account + place:04d}{number:013d}", Scope(account_id, REGION), now)
        for place, account_id in enumerate(accounts)
        for number in range(min(per_account, servers - place * per_account))
    ]
    batches = [rows[start : start + ITEMS_PER_BATCH] for start in range(0, len(rows), ITEMS_PER_BATCH)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda batch: _write(client, stack.name("InventoryTable"), batch), batches))
    for place, account_id in enumerate(accounts):
        _register(stack, account_id)
        count = min(per_account, servers - place * per_account)
        record = scan_record(REGION, account_id, server_count=count, last_checked=now, last_success=now, tags_version=0)
        client.put_item(TableName=stack.name("ScanTable"), Item=marshal(record.item()))
    stack.settle()


def measure_api(stack, case, requests=REQUESTS):
    """Ask through the API; reads are those that arrived at DynamoDB."""
    api, times = Api(stack.cloud), []
    api.get("servers", **case.filters, limit=1)  # warm
    stack.settle()
    stack.forget_calls()
    token = {}
    for _ in range(requests):
        started = time.perf_counter()
        page = api.get("servers", **case.filters, limit=PAGE, **token)
        times.append(1000 * (time.perf_counter() - started))
        token = {"nextToken": page["nextToken"]} if case.follow and page["nextToken"] else {}
    reads = sum(call["calls"] for call in stack.cloud.calls("dynamodb") if call["operation"] in READS)
    return Figures(times, reads / requests)


def measure_in_process(stack, case, requests=REQUESTS):
    """Ask the product's own service here; reads are those that left this process."""
    names = {"region": "region", "accountId": "account_id", "hostname": "hostname"}
    given = {names[name]: value for name, value in case.filters.items() if name in names}
    tags = tuple([tuple(case.filters["tag"].split(":"))] if "tag" in case.filters else [])
    query, times, token = Query(**given, tags=tags), [], None
    with product_on(stack.cloud.outputs) as product:
        product.inventory_query.page(query, 1)  # warm
        mark = CALLS.snapshot()
        for _ in range(requests):
            started = time.perf_counter()
            page = product.inventory_query.page(query, PAGE, token)
            times.append(1000 * (time.perf_counter() - started))
            token = page.next_token if case.follow else None
        calls = CALLS.calls_since(mark)
    return Figures(times, sum(calls.values()) / requests)


def _row(server_id, scope, now):
    tags = {"Name": server_id, "env": "prod", "team": "payments", "cost-center": "1234", "role": "web"}
    facts = {"cpu_cores": 4, "ram_bytes": 16 << 30, "operating_system": "Amazon Linux 2023", "drs_tags": tags}
    ec2 = {"instance_state": "FOUND", "instance_type": "m5.large", "source_tags": tags}
    facts["source_account_id"] = SOURCE[:2] + scope.account_id[2:]
    row = server_row(server_id, scope, first_seen=now, last_updated=now, drs_hash="0" * 16, **facts, **ec2)
    return {"PutRequest": {"Item": marshal({**row.item(), "firstSeen": iso(now)})}}


def _write(client, table, batch):
    left = {table: batch}
    while left:
        left = client.batch_write_item(RequestItems=left).get("UnprocessedItems")


def _register(stack, account_id):
    """Store an account without work: it is to be found, not to be scanned."""
    role = f"arn:aws:iam::{account_id}:role/reader"
    item = {"accountId": account_id, "record": "ACCOUNT", "name": "measured", "kind": "target", "status": "inactive"}
    stack.table("AccountsTable").put_item(Item={**item, "readerRoleArn": role, "writerRoleArn": role})


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.measure_query", description=__doc__)
    parser.add_argument("--servers", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    options = parser.parse_args()
    parameters = {f"Enable{kind}Sync": "false" for kind in ("Inventory", "Tag", "StagingAccount")}
    logger.setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        app = AppSource(parameters=parameters, slim=True)
        with running_cloud(Path(folder), app, cache_dir=PACKAGES) as cloud:
            stack, started = Stack(cloud), time.perf_counter()
            fill(stack, options.servers)
            say(f"{options.servers} servers written in {time.perf_counter() - started:.0f} s; pages of {PAGE}")
            for case in CASES:
                say(f"{case.name:32} API         {measure_api(stack, case, options.requests)}")
                say(f"{'':32} in process  {measure_in_process(stack, case, options.requests)}")


if __name__ == "__main__":
    main()

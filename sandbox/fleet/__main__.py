"""Command line of the fleet generator: `python -m sandbox.fleet --plan | --plant`."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.launcher import CloudOptions
from sandbox.fleet.description import DEFAULT, DescriptionError, read_description
from sandbox.fleet.generator import generate
from sandbox.fleet.model import Fleet, FleetAccount
from sandbox.fleet.planting import plant


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        fleet = generate(read_description(options.fleet))
        if options.plant:
            cloud = SandboxCloud.from_file(options.state_dir / "outputs.json")
            started = time.monotonic()
            plant(fleet, cloud)
            print(f"planted {fleet.name}: {len(fleet.servers)} servers in {time.monotonic() - started:.1f} s")
        else:
            Console().print(summary(fleet))
    except (DescriptionError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def summary(fleet: Fleet) -> Table:
    """Return a table of the fleet's accounts and what each holds."""
    servers = Counter(server.account_id for server in fleet.servers)
    extensions = Counter(server.account_id for server in fleet.servers if server.extended_from)
    instances = Counter(instance.account_id for instance in fleet.instances)
    title = f"fleet {fleet.name}: {len(fleet.servers)} servers, {len(fleet.instances)} instances, "
    table = Table(title=f"{title}{len(fleet.active_scopes)} of {len(fleet.scopes)} scopes active")
    for heading in ("account", "name", "servers", "extensions", "instances", "active in", "initialised, empty"):
        table.add_column(heading, justify="right" if heading in ("servers", "extensions", "instances") else "left")
    for account in fleet.accounts:
        account_id = account.account_id
        counts = (servers[account_id], extensions[account_id], instances[account_id])
        table.add_row(account_id, account.name, *map(str, counts), ", ".join(account.active), _empty(fleet, account))
    return table


def _empty(fleet: Fleet, account: FleetAccount) -> str:
    active = {region for account_id, region in fleet.active_scopes if account_id == account.account_id}
    return ", ".join(region for region in account.initialised if region not in active)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.fleet", description="Make a fleet of customer accounts.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--plan", action="store_true", help="show what would be planted")
    action.add_argument("--plant", action="store_true", help="put it into the running cloud of --state-dir")
    parser.add_argument("--fleet", type=Path, default=DEFAULT, help="description (YAML)")
    parser.add_argument(
        "--state-dir", type=Path, default=CloudOptions.state_dir, help="where the cloud keeps its state"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

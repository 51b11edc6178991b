"""Command line of the demo: `python -m sandbox.demo [--once] [--port N] [--fleet FILE] [--state-dir D]`."""

import argparse
import signal
import time
from pathlib import Path

from sandbox.cloud.arguments import Parser, port_number
from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.launcher import AppSource, CloudOptions, down, port_or_free, up
from sandbox.cloud.outputs import SECRET_HEADER
from sandbox.demo.display import Display
from sandbox.demo.story import PARAMETERS, Outcome, Story
from sandbox.fleet.description import DEFAULT, read_description
from sandbox.fleet.generator import generate
from sandbox.fleet.planting import plant
from sandbox.running import with_a_cloud


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return 0 where every step was verified, else 1."""
    options = _parser().parse_args(arguments)
    return with_a_cloud(lambda display: _run(options, display), options.state_dir)


def _run(options: argparse.Namespace, display: Display) -> int:
    started = time.monotonic()
    fleet = generate(read_description(options.fleet))
    # A fleet is planted into an empty cloud only
    down(options.state_dir)
    cloud_options = CloudOptions(port=port_or_free(options.port, display.line), state_dir=options.state_dir)
    cloud = SandboxCloud(up(cloud_options, AppSource(parameters=PARAMETERS), display.line))
    plant(fleet, cloud)
    scopes = f"{len(fleet.accounts)} accounts, {len(fleet.regions)} regions, {len(fleet.servers):,} servers"
    display.line(f"planted fleet {fleet.name}: {scopes} ({time.monotonic() - started:.0f} s)")
    outcomes = Story(fleet, cloud, display).tell()
    wrong = _summarise(outcomes, time.monotonic() - started, display)
    if not options.once:
        _stay(cloud, display)
    return 1 if wrong else 0


def _summarise(outcomes: list[Outcome], seconds: float, display: Display) -> int:
    """Show what came of each step; return how much was wrong."""
    display.line()
    rows = [
        (number, "ok" if not outcome.wrong else "BAD", f"{outcome.seconds:.0f} s", outcome.checked, outcome.figures)
        for number, outcome in enumerate(outcomes, 1)
    ]
    display.table(("step", "", "took", "checks", "figures"), rows)
    wrong = sum(outcome.wrong for outcome in outcomes)
    checked = sum(outcome.checked for outcome in outcomes)
    ended = f"{checked:,} checks in {seconds:.0f} s"
    if wrong:
        display.bad(f"{wrong} of {ended} failed")
    else:
        display.good(f"{ended}, all as they should be")
    return wrong


def _stay(cloud: SandboxCloud, display: Display) -> None:
    """Tell where everything is, and wait for Ctrl-C."""
    outputs = cloud.outputs
    sign = (
        f"--aws-sigv4 aws:amz:{outputs.region}:execute-api --user {outputs.access_key_id}:{outputs.secret_access_key}"
    )
    display.line()
    display.line(f"API          {outputs.api_url}")
    display.line(f"  signed     curl {sign} '{outputs.api_url}/regions'")
    display.line(f"  servers    curl {sign} '{outputs.api_url}/servers?limit=5'")
    display.line(f"AWS endpoint {outputs.endpoint} (access key {outputs.access_key_id}, that secret: the hub's root)")
    secret = f"-H '{SECRET_HEADER}: {outputs.secret_access_key}'"
    display.line(f"control API  curl {secret} '{outputs.endpoint}/_sim/truth' (more: sandbox/README.md)")
    display.line("Ctrl-C stops everything.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        display.line("\nstopping")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m sandbox.demo", description="The whole job, end to end, proved.")
    parser.add_argument("--once", action="store_true", help="end when the story is told")
    parser.add_argument(
        "--port", type=port_number, default=0, help="port of the local cloud; a free one where it is 0 or taken"
    )
    parser.add_argument("--fleet", type=Path, default=DEFAULT, help="description of the fleet (YAML)")
    parser.add_argument("--state-dir", type=Path, default=CloudOptions.state_dir, help="the cloud's state")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

"""Command line of the chaos run: `python -m sandbox.chaos [--minutes N] [--seed N] [--fleet FILE] [--state-dir D]`."""

import argparse
import random
from pathlib import Path

from sandbox.chaos.report import tell
from sandbox.chaos.run import Chaos, first_cycle
from sandbox.chaos.timing import PARAMETERS, shorten
from sandbox.cloud.arguments import Parser, port_number
from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.launcher import AppSource, CloudOptions, down, up
from sandbox.cloud.packaging import REPO
from sandbox.demo.display import Display
from sandbox.fleet.description import SMALL, read_description
from sandbox.fleet.generator import generate
from sandbox.fleet.planting import plant
from sandbox.running import with_a_cloud

STATE = REPO / "sandbox" / ".state" / "chaos"


def main(arguments: list[str] | None = None) -> int:
    """Run chaos; return 0 where everything was true in the end, else 1."""
    options = _parser().parse_args(arguments)
    return with_a_cloud(lambda display: _run(options, display), options.state_dir)


def _run(options: argparse.Namespace, display: Display) -> int:
    seed = random.randrange(10**6) if options.seed is None else options.seed
    display.line(f"seed {seed}: python -m sandbox.chaos --seed {seed} --minutes {options.minutes:g}")
    fleet = generate(read_description(options.fleet))
    down(options.state_dir)
    cloud_options = CloudOptions(port=options.port, state_dir=options.state_dir)
    cloud = SandboxCloud(up(cloud_options, AppSource(parameters=PARAMETERS), display.line))
    shorten(cloud)
    plant(fleet, cloud)
    with display.progress("the first cycle, in peace"):
        first_cycle(cloud)
    chaos = Chaos(fleet, cloud, seed)
    with display.progress("chaos") as update:
        chaos.rage(60 * options.minutes, lambda note: update(0, None, note))
    with display.progress("coming to rest") as update:
        ending = chaos.end(lambda note: update(0, None, note))
    tell(chaos, ending, 60 * options.minutes, display)
    return 0 if ending.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m sandbox.chaos", description="Everything breaks; nothing is lost.")
    parser.add_argument("--minutes", type=float, default=10, help="how long everything changes and breaks")
    parser.add_argument("--seed", type=int, help="of all that is chosen at random; one that is printed by default")
    parser.add_argument("--port", type=port_number, default=0, help="port of the local cloud (0 picks a free one)")
    parser.add_argument("--fleet", type=Path, default=SMALL, help="description of the fleet (YAML)")
    parser.add_argument("--state-dir", type=Path, default=STATE, help="the cloud's state")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

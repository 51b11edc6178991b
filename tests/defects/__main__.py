"""Plants each defect of the table in a copy of the project, and says which tests notice.

    python -m tests.defects [--layers unit,chaos] [--runs 500] [--shard 1/2] [--jobs 2] [NAME ...]

The checkout itself is never changed: each job works in a copy in a temporary directory.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import NamedTuple

from .table import DEFECTS, ROOT, SOURCES, Defect

UNIT, CHAOS = "unit", "chaos"
ALL_UNIT_TESTS = ["tests/unit", "tests/property"]
LONGEST_SECONDS = {UNIT: 900, CHAOS: 900}  # of processor time: a machine that is busy finds no more than an idle one
PATIENCE = 4  # times as long by the clock: for what waits for ever
NEVER = "it does not end"
LEAST_UNIT, LEAST_CHAOS = 39 / 40, 25 / 40
CHAOS_TEST = "tests/chaos/test_chaos.py"


class Verdict(NamedTuple):
    """Whether a layer of tests noticed a defect, and by what."""

    killed: bool
    by: str
    seconds: float

    def __str__(self) -> str:
        return f"{'killed' if self.killed else 'SURVIVED'} ({self.seconds:.0f} s) {self.by}"


@contextmanager
def copy() -> Iterator[Path]:
    """Copy what git knows of the checkout, with the changes that it has; the environment is shared."""
    with tempfile.TemporaryDirectory(prefix="defects-") as name:
        root = Path(name)
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for file in filter(None, files.stdout.decode().split("\0")):
            if (ROOT / file).is_file():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, root / file)
        (root / ".venv").symlink_to(ROOT / ".venv")
        yield root


def run(root: Path, tests: list[str], seconds: int, **environment: str) -> Verdict:
    """Run `tests` in `root` until the first that fails."""
    for cached in (root / SOURCES).rglob("__pycache__"):
        shutil.rmtree(cached)
    options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "--tb=line", "--hypothesis-seed=1"]
    began = time.monotonic()
    try:
        ended = subprocess.run(
            ["sh", "-c", f'ulimit -S -t {seconds}; exec "$@"', "sh", sys.executable, "-m", "pytest", *options, *tests],
            cwd=root,
            check=False,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(root), **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE * seconds,
        )
    except subprocess.TimeoutExpired:
        return Verdict(True, NEVER, time.monotonic() - began)
    took = time.monotonic() - began
    if ended.returncode == -signal.SIGXCPU:
        return Verdict(True, NEVER, took)
    if ended.returncode == 0:
        return Verdict(False, "", took)
    if ended.returncode != 1:
        raise SystemExit(f"pytest could not run:\n{ended.stdout[-3000:]}{ended.stderr[-2000:]}")
    return Verdict(True, _why(ended.stdout), took)


def unit(root: Path, defect: Defect) -> Verdict:
    """Try the tests that should notice, then all of them."""
    first = [f"tests/{name}" for name in defect.seen_by if (root / "tests" / name).exists()]
    verdict = run(root, first, LONGEST_SECONDS[UNIT]) if first else Verdict(False, "", 0)
    if verdict.killed:
        return verdict
    every = run(root, ALL_UNIT_TESTS, LONGEST_SECONDS[UNIT])
    return every._replace(seconds=verdict.seconds + every.seconds)


def chaos(root: Path, _: Defect, runs: int) -> Verdict:
    """Let the chaos run look for the defect; what it finds is not shrunk. Where time runs out, it has found nothing."""
    found = run(root, [CHAOS_TEST], LONGEST_SECONDS[CHAOS], CHAOS_RUNS=str(runs), CHAOS_FIND_ONLY="1")
    return found._replace(killed=False) if found.by == NEVER else found


def judged(root: Path, defect: Defect, layers: list[str], runs: int) -> dict[str, Verdict]:
    file = defect.file(root)
    text = defect.apply(root)
    try:
        found = {}
        if UNIT in layers:
            found[UNIT] = unit(root, defect)
        if CHAOS in layers:
            found[CHAOS] = chaos(root, defect, runs)
        return found
    finally:
        file.write_text(text)


def _why(output: str) -> str:
    """Return the first line that says what failed."""
    failed = re.search(r"^FAILED (\S+)(?: - (.*))?$", output, re.MULTILINE)
    if failed is None:
        return output.strip().splitlines()[-1][:160]
    return f"{failed[1].removeprefix('tests/')} {(failed[2] or '')[:140]}"


def main() -> int:
    """Plant, run, tell; return 1 where a layer notices too few."""
    parser = argparse.ArgumentParser(prog="python -m tests.defects", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="defects, by a part of their names; default: all")
    parser.add_argument("--layers", default=f"{UNIT},{CHAOS}", help="unit, chaos, or both")
    parser.add_argument("--runs", type=int, default=500, help="chaos runs at most, of each defect")
    parser.add_argument("--shard", default="1/1", help="which part of the table, e.g. 1/2")
    parser.add_argument("--jobs", type=int, default=2, help="how many defects at a time")
    options = parser.parse_args()
    layers = options.layers.split(",")
    part, of = map(int, options.shard.split("/"))
    chosen = [one for one in DEFECTS if not options.names or any(name in one.name for name in options.names)]
    chosen = chosen[part - 1 :: of]
    verdicts = _all(chosen, layers, options.runs, options.jobs)
    return _told(verdicts, layers)


def _all(chosen: list[Defect], layers: list[str], runs: int, jobs: int) -> dict[str, dict[str, Verdict]]:
    verdicts: dict[str, dict[str, Verdict]] = {}
    waiting: Queue[Defect] = Queue()
    for defect in chosen:
        waiting.put(defect)

    def work(_: int) -> None:
        with copy() as root:
            while not waiting.empty():
                defect = waiting.get()
                verdicts[defect.name] = judged(root, defect, layers, runs)
                print(f"{len(verdicts)}/{len(chosen)} {defect.name} [{defect.place}]", flush=True)
                for layer, verdict in verdicts[defect.name].items():
                    print(f"    {layer}: {verdict}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, range(jobs)))
    return verdicts


def _told(verdicts: dict[str, dict[str, Verdict]], layers: list[str]) -> int:
    least = {UNIT: LEAST_UNIT, CHAOS: LEAST_CHAOS}
    enough = True
    for layer in layers:
        killed = [name for name, found in verdicts.items() if found[layer].killed]
        enough = enough and len(killed) >= least[layer] * len(verdicts)
        print(f"{layer}: {len(killed)} of {len(verdicts)} killed, {least[layer]:.1%} are wanted")
        for name in sorted(verdicts.keys() - killed):
            print(f"    survived: {name}")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())

"""The small profile of the benchmarks: fails where a ratio misses its mark."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_ratio_reaches_its_mark(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--small", "--out", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert (tmp_path / "results.json").is_file(), run.stdout + run.stderr
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    missed = {key: (figure["value"], figure["bound"]) for key, figure in results.items() if not figure["ok"]}
    assert missed == {}
    assert run.returncode == 0
    assert {"calls.inventory.steady.ratio", "writes.steady.per_scope", "scale.writes.exponent"} <= results.keys()

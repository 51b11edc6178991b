"""Look the locked requirements up among known vulnerabilities, with pip-audit.

    python -m scripts.audit requirements.txt requirements-dev.txt [--strict]

Exit code 1 where one is vulnerable. A requirement that could not be looked up (no way to the vulnerability service, or
unknown there) is told loudly, and fails with `--strict` only: a machine without internet can still run other checks.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SECONDS = 120


class Audit(NamedTuple):
    """What pip-audit found.

    Attributes:
        vulnerable: a line for each vulnerability.
        unknown: a line for each requirement that was not looked up.
        checked: how many requirements were looked up.
    """

    vulnerable: list[str]
    unknown: list[str]
    checked: int


def main() -> int:
    """Audit the given files; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true", help="fail also where something could not be looked up")
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    found = audit(arguments.files)
    for line in found.vulnerable:
        sys.stderr.write(f"vulnerable: {line}\n")
    if found.unknown:
        sys.stderr.write(
            f"WARNING: {len(found.unknown)} requirements were NOT audited, {found.checked} were."
            f" The first: {found.unknown[0]}\n"
        )
    return 1 if found.vulnerable or (arguments.strict and found.unknown) else 0


def audit(files: list[Path]) -> Audit:
    """Return what pip-audit says of the pinned requirements in `files`, each an environment of its own."""
    audits = [_audit(file) for file in files]
    return Audit(
        sorted({line for one in audits for line in one.vulnerable}),
        [line for one in audits for line in one.unknown],
        sum(one.checked for one in audits),
    )


def _audit(file: Path) -> Audit:
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    command += ["--no-deps", "--disable-pip", "-r", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Audit([], [f"no answer within {SECONDS} s"], 0)
    return read(done.stdout, done.stderr)


def read(answer: str, complaint: str) -> Audit:
    """Return what a run of pip-audit says; where it wrote no report, its complaint's last line is why."""
    try:
        dependencies = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = complaint.strip().splitlines() or ["pip-audit said nothing"]
        return Audit([], [lines[-1]], 0)
    vulnerable = [
        f"{one['name']} {one['version']}: {vulnerability['id']}, mended in {', '.join(vulnerability['fix_versions'])}"
        for one in dependencies
        for vulnerability in one.get("vulns", [])
    ]
    unknown = [f"{one['name']}: {one['skip_reason']}" for one in dependencies if "skip_reason" in one]
    return Audit(vulnerable, unknown, len(dependencies) - len(unknown))


if __name__ == "__main__":
    raise SystemExit(main())

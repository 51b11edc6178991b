"""The checks and tests that a deployment begins with."""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.deploy.errors import DeployError

REPO = Path(__file__).resolve().parents[2]
COMMANDS = (("make", "check", "STRICT=1"), ("make", "test-fast"))
"""Formats, lints, types, secrets, templates, and every requirement looked up among known vulnerabilities; unit and
property tests."""

Run = Callable[[Sequence[str]], int]


def run(command: Sequence[str]) -> int:
    """Run a command of the repository, without the caller's AWS account in reach, and return its exit status."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(command, cwd=REPO, env=environment, check=False).returncode  # noqa: S603 - our own commands


def check(run: Run = run) -> None:
    """Run every check.

    Raises:
        DeployError: one failed; its own output says why.
    """
    for command in COMMANDS:
        if run(command):
            raise DeployError(f"`{' '.join(command)}` failed; nothing was deployed")

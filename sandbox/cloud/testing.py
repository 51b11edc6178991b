"""A cloud for the time of a test session or a benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.cloud.client import SandboxCloud
from sandbox.cloud.launcher import CloudOptions, Progress, down, up
from sandbox.cloud.packaging import AppSource


def _quiet(_line: str) -> None:
    return None


@contextmanager
def running_cloud(
    state_dir: Path, app: AppSource | None = None, *, cache_dir: Path | None = None, progress: Progress = _quiet
) -> Iterator[SandboxCloud]:
    """Run a cloud of its own on a free port, with `app` deployed, and stop it at the end.

    Any number may run at a time, each in its own `state_dir`; `cache_dir` lets them share built packages.
    """
    try:
        yield SandboxCloud(up(CloudOptions(port=0, state_dir=state_dir, cache_dir=cache_dir), app, progress))
    finally:
        down(state_dir)

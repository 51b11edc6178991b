"""The deployed stack on a local cloud: what cannot be measured in one process."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.cloud.packaging import REPO, AppSource
from sandbox.cloud.testing import running_cloud
from tests.integration.stack import Stack

PARAMETERS = {
    **{f"Enable{kind}Sync": "false" for kind in ("Inventory", "Tag", "StagingAccount")},
    **{f"{kind}Concurrency": "2" for kind in ("Inventory", "Tags", "Staging")},  # each further worker is a cold start
}


@contextmanager
def deployed_stack() -> Iterator[Stack]:
    """Run a local cloud of its own with the product deployed, schedules off."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_cloud(
            Path(folder),
            AppSource(parameters=PARAMETERS, slim=True),
            cache_dir=REPO / "sandbox" / ".state" / "packages",
        ) as cloud,
    ):
        yield Stack(cloud)

"""The product's own services in this process, wired to a running cloud as its functions are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.adapters import sessions
from chalicelib.container import Container, deployed, providing
from sandbox.cloud.outputs import Outputs

SETTINGS = {
    "INVENTORY_TABLE": "InventoryTableName",
    "REGION_STATUS_TABLE": "RegionStatusTableName",
    "SCAN_TABLE": "ScanTableName",
    "TELEMETRY_TABLE": "TelemetryTableName",
    "ACCOUNTS_TABLE": "AccountsTableName",
    "WORK_STATE_TABLE": "WorkStateTableName",
    "REFUSALS_TABLE": "RefusalsTableName",
    "RUNS_TABLE": "RunsTableName",
    "INVENTORY_QUEUE_URL": "InventoryWorkUrl",
    "TAGS_QUEUE_URL": "TagsWorkUrl",
    "STAGING_QUEUE_URL": "StagingWorkUrl",
    "WORK_DEAD_LETTER_QUEUE_URL": "WorkDeadLettersUrl",
    "SCHEDULE_FAILURES_QUEUE_URL": "ScheduleFailuresUrl",
    "STREAM_FAILURES_QUEUE_URL": "StreamFailuresUrl",
}
"""The product's settings by the stack outputs that hold them."""


@contextmanager
def product_on(outputs: Outputs) -> Iterator[Container]:
    """Let the product's container be one that talks to the cloud of `outputs`, as the hub's root.

    Inside, the process's environment is the functions' and everything that the product caches is new; afterwards both
    are as they were. Not for several threads at a time.

    Raises:
        KeyError: the stack lacks an output.
    """
    with _environment({**_isolated(), **_connection(outputs), **_settings(outputs)}):
        sessions.forget()
        made = deployed()
        try:
            with providing(lambda: made):
                yield made
        finally:
            sessions.forget()


def _settings(outputs: Outputs) -> dict[str, str]:
    return {"HUB_ACCOUNT_ID": outputs.hub_account, **{name: outputs.stack[key] for name, key in SETTINGS.items()}}


def _connection(outputs: Outputs) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": outputs.endpoint,
        "AWS_ACCESS_KEY_ID": outputs.access_key_id,
        "AWS_SECRET_ACCESS_KEY": outputs.secret_access_key,
        "AWS_DEFAULT_REGION": outputs.region,
        "AWS_REGION": outputs.region,
    }


def _isolated() -> dict[str, str | None]:
    """What of the caller's own settings must have no say here."""
    hidden = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**dict.fromkeys(hidden), **files, "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def _environment(values: dict[str, str | None] | dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None] | dict[str, str]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

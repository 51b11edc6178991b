"""What a running cloud tells its users: where it is, what was deployed, and how to get in."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

HUB_ACCOUNT = "111111111111"
REGION = "us-east-1"
CREDENTIALS = (
    "An access key of 12 digits IS that account, as its root: it bypasses IAM. Use it to set accounts up and to look "
    "at them, with secretAccessKey, which is new with every start. The product itself assumes roles."
)
SECRET_HEADER = "x-sandbox-secret"  # noqa: S105 - the name of a header
PRIVATE = 0o600


@dataclass(frozen=True)
class Outputs:
    """The content of `outputs.json`.

    Attributes:
        endpoint: the cloud's URL, for `AWS_ENDPOINT_URL`.
        pid: the cloud's process, leader of the process group that Lambda's workers belong to.
        hub_account: the account the stack lives in.
        region: the stack's region.
        api_url: the REST API of the stack, or None where it has none (or nothing is deployed).
        stack_name: the deployed stack, or None.
        stack: the stack's outputs.
        resources: physical names of the stack's resources, by logical name (tables, queues, functions, ...).
        fingerprint: what was deployed; an equal one needs no deployment.
        access_key_id: the hub account's root.
        secret_access_key: the secret of every root, and of the control API; new with every start.
        credentials: how to get credentials, in words.
    """

    endpoint: str
    pid: int
    hub_account: str = HUB_ACCOUNT
    region: str = REGION
    api_url: str | None = None
    stack_name: str | None = None
    stack: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    access_key_id: str = HUB_ACCOUNT
    secret_access_key: str = ""
    credentials: str = CREDENTIALS

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, in camel case."""
        return {_camel(name): value for name, value in dataclasses.asdict(self).items()}

    def write(self, path: Path) -> None:
        """Write `path` in one step, so that a reader never sees half of it; only this user may read it."""
        partial = path.with_suffix(".partial")
        partial.touch(PRIVATE)
        partial.chmod(PRIVATE)
        partial.write_text(json.dumps(self.as_dict(), indent=2) + "\n")
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return what `path` holds, or None where there is nothing usable."""
        try:
            content = json.loads(path.read_text())
            return cls(**{item.name: content[_camel(item.name)] for item in dataclasses.fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)

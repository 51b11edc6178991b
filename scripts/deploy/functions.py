"""The code that a stack's functions run."""

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.config import Config

FUNCTION = "AWS::Lambda::Function"
PATIENT = Config(read_timeout=70, retries={"mode": "standard", "total_max_attempts": 2})


class Functions:
    """Lambda functions by name."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def running(self, names: Iterable[str]) -> dict[str, str]:
        """Return Lambda's `CodeSha256` of each function."""
        return {name: self.configuration(name)["CodeSha256"] for name in names}

    def configuration(self, name: str) -> dict[str, Any]:
        """Return a function's configuration."""
        configuration: dict[str, Any] = self._client.get_function_configuration(FunctionName=name)
        return configuration

    def replace_code(self, names: Iterable[str], place: Mapping[str, str]) -> None:
        """Let functions run the package of `place`, and wait until they do."""
        names = list(names)
        for name in names:
            self._client.update_function_code(FunctionName=name, **place)
        for name in names:
            self._client.get_waiter("function_updated_v2").wait(
                FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
            )

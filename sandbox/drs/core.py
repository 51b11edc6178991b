"""The simulated DRS itself: many accounts and regions, one lock, no transport."""

import json
import threading
import time
from collections.abc import Callable
from functools import lru_cache

from botocore.model import OperationModel

from sandbox.drs.errors import DrsError, Reply, not_opted_in, uninitialised
from sandbox.drs.operations import OPERATIONS, Output
from sandbox.drs.recovery import settle
from sandbox.drs.routing import Params
from sandbox.drs.service_model import service_model
from sandbox.drs.state import CloudState, RecoveryInstance, Scope
from sandbox.drs.validation import require_valid

SEED = 20260101


class DrsCloud:
    """DRS in every account and region. Thread-safe: `lock` guards `state`, for the control API too.

    `instance_listener`, where the host of the simulation sets one, is told of every recovery instance that is launched
    or terminated, for it to appear in a simulated EC2. It is called under the lock and must not call DRS.

    Args:
        clock: epoch seconds now; time is what makes lag and last-seen move.
        seed: of the generated IDs, which come in the same order after every `reset`.
    """

    def __init__(self, clock: Callable[[], float] = time.time, seed: int = SEED) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._seed = seed
        self.instance_listener: Callable[[RecoveryInstance], None] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything: no account uses DRS, no trust, default settings."""
        with self.lock:
            self.state = CloudState(self._clock, self._seed, self._instance_changed)

    def _instance_changed(self, instance: RecoveryInstance) -> None:
        if self.instance_listener:
            self.instance_listener(instance)

    def operation(self, name: str, account: str, region: str, params: Params) -> Reply:
        """Run the operation that the model calls `name`, for `account` in `region`.

        Returns:
            The answer with the model's status, also where the operation refuses: an error never leaves as exception.
        """
        model = service_model().operation_model(name)
        try:
            with self.lock:
                output = self._run(model, account, region, params)
        except DrsError as error:
            return error.reply()
        return _success(model, output)

    def _run(self, model: OperationModel, account: str, region: str, params: Params) -> Output:
        settle(self.state)
        scope = self.state.scope(account, region)
        if not scope.opted_in:
            raise not_opted_in()
        require_valid(model.input_shape, params)
        function = OPERATIONS.get(model.name)
        if function is None:
            raise DrsError("ValidationException", f"{model.name} is not simulated", reason="unknownOperation")
        self._require_initialised(model, scope)
        return function(self.state, scope, params)

    def _require_initialised(self, model: OperationModel, scope: Scope) -> None:
        if not scope.initialised and _needs_initialisation(model.name):
            raise uninitialised(self.state.settings.unused_error)


@lru_cache(maxsize=256)
def _needs_initialisation(name: str) -> bool:
    """Whether the model lets the operation answer UninitializedAccountException."""
    shapes = service_model().operation_model(name).error_shapes
    return any(shape.name == "UninitializedAccountException" for shape in shapes)


def _success(model: OperationModel, output: Output) -> Reply:
    status = int(model.http.get("responseCode", 200))
    if status == 204:
        return Reply(status, headers={})
    body = output if isinstance(output, bytes) else json.dumps(output or {}).encode()
    return Reply(status, body)

"""The one simulated DRS of this process, for the adapters, the control API and the launcher."""

from sandbox.drs.core import DrsCloud
from sandbox.drs.frontend import Frontend
from sandbox.faults import CallLog, FaultRules

CLOUD = DrsCloud()
FAULTS = FaultRules()
CALLS = CallLog()
FRONTEND = Frontend(CLOUD, FAULTS, CALLS)


def reset() -> None:
    """Forget servers, accounts, settings, faults and counted calls."""
    CLOUD.reset()
    FAULTS.reset()
    CALLS.reset()

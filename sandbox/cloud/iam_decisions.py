"""What IAM decided for callers with a role: which action on which resource was allowed or denied, and how often.

Roots are not asked, and not counted. A member of a DynamoDB transaction counts as its own action, as IAM sees it.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import sts


@dataclass(frozen=True, order=True)
class Decision:
    """One kind of decision.

    Attributes:
        account: of the role.
        role: its name.
        action: what was asked for, as policies spell it.
        resource: its ARN, or "*".
        allowed: whether it was.
    """

    account: str
    role: str
    action: str
    resource: str
    allowed: bool


class IamDecisions:
    """Counts decisions."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[Decision] = Counter()

    def install(self) -> None:
        """Note down what MiniStack's evaluator decides."""
        enforce = iam_evaluator.enforce

        def noted(
            access_key_id: str,
            iam_action: str,
            service: str,
            region: str,
            resource_arn: str = "*",
            service_context: dict[str, Any] | None = None,
        ) -> Any:
            refusal = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
            self._note(access_key_id, iam_action, resource_arn, allowed=refusal is None)
            return refusal

        iam_evaluator.enforce = noted

    def counts(self) -> list[dict[str, Any]]:
        """Return the decisions with how often each was made."""
        with self._lock:
            return [{**asdict(decision), "count": count} for decision, count in sorted(self._counts.items())]

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counts.clear()

    def _note(self, access_key_id: str, action: str, resource: str, *, allowed: bool) -> None:
        session = sts._sessions.get(access_key_id)
        arn = str(session.get("Arn", "")) if session else ""
        if ":assumed-role/" not in arn:
            return
        account, role = arn.split(":")[4], arn.split("/")[1]
        with self._lock:
            self._counts[Decision(account, role, action, resource, allowed)] += 1

"""Condition keys that tell who asks, and how.

- `aws:PrincipalArn`: MiniStack gives the ARN of the session (`...:assumed-role/name/session`). AWS gives the ARN of the
  role, its path included (IAM user guide, AWS global condition context keys).
- `aws:PrincipalIsAWSService`: MiniStack does not know it: a condition on "false" never holds.
- `aws:SecureTransport`: true with HTTPS only, which this cloud does not speak: a policy that refuses plain HTTP would
  refuse everything. Nothing leaves this machine, so that requests count as encrypted, unless their header
  `x-forwarded-proto` says "http" (to see such a policy refuse).

Mended where the evaluator resolves the keys, and by that header where a request comes in.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ministack import app as ministack_app
from ministack.core import iam_evaluator
from ministack.services import iam

SESSION = ":assumed-role/"
PROTOCOL = b"x-forwarded-proto"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]


def apply() -> None:
    """Resolve the keys as AWS does."""
    resolve = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, context: Any) -> Any:
        match key.lower():
            case "aws:principalarn":
                return _principal_arn(context.principal_arn)
            case "aws:principalisawsservice":
                return str(context.principal_type == "Service").lower()
        return resolve(key, context)

    iam_evaluator._resolve_condition_key = resolve_condition_key
    ministack_app.app = _encrypted(ministack_app.app)


def _principal_arn(caller: str) -> str:
    """Return the role's ARN for a role's session, any other caller's as it is."""
    if SESSION not in caller:
        return caller
    account = caller.split(":")[4]
    role = iam._roles.get_scoped(account, None, caller.split("/")[1])
    return str(role["Arn"]) if role else caller


def _encrypted(inner: AsgiApp) -> AsgiApp:
    """Return `inner` behind a proxy that took the requests over HTTPS, where they do not say otherwise."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not any(name.lower() == PROTOCOL for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (PROTOCOL, b"https")]}
        await inner(scope, receive, send)

    return app

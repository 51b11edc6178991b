"""Who may talk to the local cloud: programs that were given its secret, never a page in a browser.

The cloud runs functions as this machine's user. A page in a browser reaches 127.0.0.1 as well as any program does, and
a POST with a plain content type asks nobody first (Fetch standard, "CORS-safelisted request-header"). So, before
anything else is looked at:

- a request with another Host than this cloud's is refused (a name that a page's owner points here: DNS rebinding), and
  so is one that carries Origin or Referer, or a Sec-Fetch-Site other than `none`: what browsers send and AWS clients do
  not (Fetch Metadata). No answer carries CORS headers.
- The keys of roots are known to everybody (an account ID is one), so whoever signs as a root must sign with the secret
  of this start. Keys of roles and users are random, and MiniStack itself checks their signatures.
- Everything that nobody signed needs the secret in a header, but for the REST API of the stack: its customers' door.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote

from ministack.core.iam_actions import access_denied_response
from ministack.core.iam_evaluator import is_root_access_key
from ministack.core.router import detect_service, extract_access_key_id
from ministack.core.sigv4 import (
    HeaderSignature,
    decode_header_value,
    header_signature_failure,
    parse_header_signature,
    parse_query_signature,
    request_time_failure,
)

from sandbox.cloud.outputs import SECRET_HEADER

OWN_SURFACES = ("/_sim/", "/_ministack/", "/_localstack/")
REST_API = "/_aws/execute-api/"
FROM_BROWSERS = ("origin", "referer")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = dict[str, str]
Query = Mapping[str, Sequence[str]]
Response = tuple[int, Mapping[str, str], bytes]


class Request(NamedTuple):
    """What of a request decides about it; `raw_path` as it was sent, header names in lower case."""

    method: str
    path: str
    raw_path: str
    headers: Headers
    query: Query


class Door:
    """The cloud's front door, as an ASGI application.

    Args:
        inner: the cloud.
        port: the port that it is served on.
        secret: this start's secret.
    """

    def __init__(self, inner: AsgiApp, port: int, secret: str) -> None:
        self._inner = inner
        self._hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        self._secret = secret

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it with 403."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        request = _request(scope)
        reason = from_elsewhere(request, self._hosts)
        if reason is None and needs_secret(request) and not self._knows_secret(request):
            reason = f"{SECRET_HEADER}: missing or wrong; it is secretAccessKey in outputs.json"
        if reason is not None:
            await _answer(send, *_refusal(reason))
            return
        if claims_to_be_root(request):
            body = await _whole(receive)
            receive = _replayed(body, receive)
            if reason := bad_signature(request, self._secret, body):
                await _answer(send, *_aws_error(request, reason))
                return
        await self._inner(scope, receive, _without_cors(send))

    def _knows_secret(self, request: Request) -> bool:
        return hmac.compare_digest(request.headers.get(SECRET_HEADER, "").encode(), self._secret.encode())


def from_elsewhere(request: Request, hosts: frozenset[str]) -> str | None:
    """Return why a request is not one of a program on this machine, None where nothing says so."""
    if request.headers.get("host", "").lower() not in hosts:
        return f"Host: not this cloud's; it answers to {', '.join(sorted(hosts))}"
    for name in FROM_BROWSERS:
        if name in request.headers:
            return f"{name.capitalize()}: pages in a browser may not talk to the local cloud"
    if request.headers.get("sec-fetch-site", "none") != "none":
        return "Sec-Fetch-Site: pages in a browser may not talk to the local cloud"
    return None


def needs_secret(request: Request) -> bool:
    """Return whether nobody signed the request, and it is not one to the stack's REST API."""
    if request.path.startswith(OWN_SURFACES):
        return True
    return not request.path.startswith(REST_API) and not access_key(request)


def claims_to_be_root(request: Request) -> bool:
    """Return whether the request claims to be signed by a root, which only a signature with the secret proves."""
    return bool(access_key(request)) and is_root_access_key(access_key(request))


def access_key(request: Request) -> str:
    """Return the access key that the request claims to be signed with; empty where it claims none."""
    return str(extract_access_key_id(request.headers, request.query))


def bad_signature(request: Request, secret: str, body: bytes) -> str | None:
    """Return why the request is not signed with `secret`, None where it is (AWS, "Signature Version 4")."""
    presigned = "authorization" not in request.headers
    signature = parse_query_signature(request.query) if presigned else parse_header_signature(request.headers)
    if not isinstance(signature, HeaderSignature):
        return str(signature[1])
    failure: tuple[str, str] | None = (
        None if presigned else request_time_failure(signature)
    ) or header_signature_failure(
        signature,
        secret,
        request.method,
        request.raw_path,
        request.query,
        request.headers,
        body,
        presigned=presigned,
    )
    return f"{failure[1]} The secret is secretAccessKey in outputs.json." if failure else None


def _request(scope: Message) -> Request:
    headers: Headers = {}
    for raw_name, raw_value in scope.get("headers", []):
        name, value = raw_name.decode("latin-1").lower(), str(decode_header_value(raw_value))
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
    query = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace"), keep_blank_values=True)
    return Request(scope["method"], scope["path"], raw_path.decode("latin-1"), headers, query)


async def _whole(receive: Receive) -> bytes:
    """Return the body of a request.

    Raises:
        ConnectionError: the client went away before it had sent it.
    """
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body once more, then what the server says."""
    left = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return replay


def _without_cors(send: Send) -> Send:
    """Return `send` without the headers that let pages of other origins read an answer."""

    async def plain(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [item for item in message.get("headers", []) if not item[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return plain


def _refusal(reason: str) -> Response:
    return 403, {"content-type": "application/json"}, json.dumps({"error": reason}).encode()


def _aws_error(request: Request, reason: str) -> Response:
    """Return a refused signature in the encoding of the service that was asked, as AWS's clients read it."""
    service = detect_service(request.method, request.path, request.headers, request.query)
    _, headers, body = access_denied_response(
        service, "", "", "", error_code="SignatureDoesNotMatch", message=reason, headers=request.headers
    )
    return 403, headers, body


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})

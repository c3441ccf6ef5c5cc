"""Who may call: deny by default, for every router and socket there is or will be.

This is ASGI middleware around the whole application, so that a new route is closed unless it is
named in ``OPEN``. The rules, in order:

1. ``OPEN`` paths hold no data and answer everybody.
2. A browser must not be driven by a foreign page: ``Sec-Fetch-Site: cross-site`` is refused,
   and so is an ``Origin`` other than the request's own host on sockets and unsafe methods.
3. The token opens everything: ``Authorization: Bearer``, the page's cookie, or ``?token=`` for
   players and sockets that cannot send headers.
4. A client on loopback needs none, if the request was not forwarded by a proxy and names a
   loopback host (a foreign name that resolves to 127.0.0.1 is the DNS rebinding attack).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, unquote, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import reply
from app.errors import Unauthorized

COOKIE = "watchpost_token"
OPEN = ("/", "/viewer", "/healthz")
OPEN_BELOW = ("/static/",)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HOW = "send it in the header Authorization, after the word Bearer, or as the parameter token"
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class TokenAuthMiddleware:
    """Refuses every request and socket that is not open to all and does not bring the token.

    Args:
        token: what callers must send; None when ``disabled``.
        require_token: also required from loopback.
        disabled: anybody may do anything.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        require_token: bool = False,
        disabled: bool = False,
    ) -> None:
        self._app = app
        self._token = token
        self._require_token = require_token
        self._disabled = disabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reason = None if self._disabled or is_open(scope["path"]) else self._refusal(scope, headers)
        if reason is None:
            await self._app(scope, receive, self._with_cookie(scope, headers, send))
            return
        response = reply(Unauthorized(reason=reason), headers.get("accept-language"))
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get(
            "extensions", {}
        ):
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await response(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> str | None:
        """Why this request is refused, or None when it may pass."""
        if headers.get("sec-fetch-site") == "cross-site":
            return "a page of another site made this request"
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if unsafe and not same_origin(headers):
            return "the Origin is not this server"
        if self._has_token(scope, headers):
            return None
        if self._require_token:
            return f"a token is needed: {HOW}"
        if not is_loopback(scope, headers):
            return f"a token is needed from anywhere but this machine: {HOW}"
        return None

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        return any(self._matches(given) for given in _tokens(scope, headers))

    def _matches(self, given: str | None) -> bool:
        return bool(given and self._token) and hmac.compare_digest(
            str(given).encode(), str(self._token).encode()
        )

    def _with_cookie(self, scope: Scope, headers: Headers, send: Send) -> Send:
        """Who opens a page with ``?token=`` gets it as a cookie, for what the page loads."""
        given = _query_token(scope)
        if scope["type"] != "http" or not self._matches(given):
            return send
        if "text/html" not in headers.get("accept", ""):
            return send
        cookie = f"{COOKIE}={quote(str(given), safe='')}; Path=/; HttpOnly; SameSite=Strict"

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
            await send(message)

        return send_with_cookie


def is_open(path: str) -> bool:
    return path in OPEN or (path.startswith(OPEN_BELOW) and ".." not in path)


def is_loopback(scope: Scope, headers: Headers) -> bool:
    """Whether the request was made on this machine, whatever its headers claim."""
    client = scope.get("client")
    if client is None or any(name in headers for name in FORWARDED):
        return False
    return _is_loopback_host(client[0]) and _is_loopback_host(host_of(headers.get("host", "")))


def same_origin(headers: Headers) -> bool:
    """True without an Origin (no browser), or when it is the host that was asked."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def host_of(host_header: str) -> str:
    """The host without its port; empty for anything but ``host[:port]``."""
    match = _HOST.fullmatch(host_header)
    return match["host"].strip("[]").lower() if match else ""


def _is_loopback_host(host: str) -> bool:
    if host.rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _tokens(scope: Scope, headers: Headers) -> list[str | None]:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        morsel = None
    return [
        bearer.strip() if scheme.lower() == "bearer" else None,
        unquote(morsel.value) if morsel else None,
        _query_token(scope),
    ]


def _query_token(scope: Scope) -> str | None:
    values = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return values[-1] if values else None

"""Authentication: every route and socket needs the token unless it is listed here.

This is ASGI middleware around the whole application, so a new route is protected unless it is
listed in ``OPEN``. The rules, in order:

1. ``OPEN`` paths hold no data and need no token.
2. A foreign web page must not act through the user's browser: ``Sec-Fetch-Site: cross-site`` is
   refused, and so is an ``Origin`` other than the request's own host on sockets and unsafe methods.
3. The token gives access to everything: ``Authorization: Bearer``, the page's cookie, or
   ``?token=`` for players and sockets that cannot send headers.
4. A client on loopback needs no token if no proxy forwarded the request and its ``Host`` is a
   loopback host (a foreign name that resolves to 127.0.0.1 is a DNS rebinding attack).
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
HOW = "send it in the Authorization header (Bearer) or in the query parameter token"
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class TokenAuthMiddleware:
    """Refuses requests and sockets without the token, except on open paths.

    Args:
        token: what callers must send; None when ``disabled``.
        require_token: require the token from loopback, too.
        disabled: accept every request.
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
        """Why this request is refused, or None if it is allowed."""
        if headers.get("sec-fetch-site") == "cross-site":
            return "the request comes from a page of another site"
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if unsafe and not same_origin(headers):
            return "the Origin header is not this server"
        if self._has_token(scope, headers):
            return None
        if self._require_token:
            return f"a token is required: {HOW}"
        if not is_loopback(scope, headers):
            return f"a token is required from other machines: {HOW}"
        return None

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        return any(self._matches(given) for given in _tokens(scope, headers))

    def _matches(self, given: str | None) -> bool:
        return bool(given and self._token) and hmac.compare_digest(
            str(given).encode(), str(self._token).encode()
        )

    def _with_cookie(self, scope: Scope, headers: Headers, send: Send) -> Send:
        """Set the token as a cookie for a page opened with ``?token=``, for what the page loads."""
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
    """Whether a path needs no token."""
    return path in OPEN or (path.startswith(OPEN_BELOW) and ".." not in path)


def is_loopback(scope: Scope, headers: Headers) -> bool:
    """Whether the request was made on this machine, and not through a proxy."""
    client = scope.get("client")
    if client is None or any(name in headers for name in FORWARDED):
        return False
    return _is_loopback_host(client[0]) and _is_loopback_host(host_of(headers.get("host", "")))


def same_origin(headers: Headers) -> bool:
    """Whether the Origin is the requested host; True without one, as from programs."""
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

"""Authentication: who makes a call; every route and socket needs to know, unless listed here.

This is ASGI middleware around the whole application, so a new route is protected unless its path
is open. What a known caller may do is another question, which ``authorization.py`` answers. The
rules, in order:

1. Open paths hold no data, or only what a signed link shows, and need no caller: ``OPEN``,
   ``SIGN_IN`` and those below ``OPEN_BELOW``.
2. A foreign web page must not act through the user's browser: ``Sec-Fetch-Site: cross-site`` is
   refused, and so is an ``Origin`` other than the request's own host on sockets and unsafe methods.
3. A token says who calls: ``Authorization: Bearer``, the page's cookie, or ``?token=`` for players
   and sockets that cannot send headers. The server's own token is an administrator's; API tokens
   allow what they were made for.
4. The cookie of a signed-in user says who calls, or a trusted proxy that has signed them in.
5. A client on loopback needs none of these if no proxy forwarded the request and its ``Host`` is a
   loopback host (a foreign name that resolves to 127.0.0.1 is a DNS rebinding attack).

Wrong tokens are slowed down by address: see ``app/access/throttle.py``.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.open_calls import CallEnded, OpenCalls
from app.access.secrets import TOKEN_PREFIX
from app.access.service import AccessService
from app.access.throttle import Throttle, address_key
from app.api.authorization import refuse
from app.api.credentials import (
    SESSION_COOKIE,
    TOKEN_COOKIE,
    TrustedProxies,
    address_of,
    cookie_of,
    is_loopback,
    is_safe,
    query_token,
    same_origin,
    tokens_of,
)
from app.errors import Unauthorized, WatchpostError
from app.rights import EVERYTHING, NOBODY, Caller

COOKIE = TOKEN_COOKIE
OPEN = ("/", "/viewer", "/healthz")
SIGN_IN = ("/api/sign-in", "/api/sign-in/oidc", "/api/sign-in/oidc/callback", "/api/setup")
OPEN_BELOW = ("/static/", "/shared/")
HOW = "sign in, or send it in the Authorization header (Bearer) or in the query parameter token"
STRONG = 32
"""Characters from which on a token cannot be guessed, so that it need not wait for a pause."""

ENDED = "the caller's rights ended"
ANYBODY = Caller("anybody", EVERYTHING)
THIS_MACHINE = Caller("this machine", EVERYTHING)
SERVER_TOKEN = Caller("server token", EVERYTHING)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request.

    Attributes:
        refusal: why the caller is not known; None for a known one.
        cookie: the ``Set-Cookie`` header of the reply, if it needs one.
        expires_s: seconds after which the caller's rights end.
    """

    caller: Caller = NOBODY
    refusal: str | None = None
    cookie: str | None = None
    expires_s: float | None = None


class TokenAuthMiddleware:
    """Finds the caller of each request and socket; refuses those without one, but on open paths.

    Args:
        token: the server's own; None when ``disabled``.
        require_token: require it, or a sign-in, from loopback, too.
        disabled: accept every request, as from an administrator.
        throttle: slows wrong tokens down.
        proxies: are believed when they name the client and the user.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        require_token: bool = False,
        disabled: bool = False,
        throttle: Throttle | None = None,
        proxies: TrustedProxies | None = None,
    ) -> None:
        self._app = app
        self._token = token
        self._require_token = require_token
        self._disabled = disabled
        self._throttle = throttle or Throttle()
        self._proxies = proxies or TrustedProxies()
        self._calls = OpenCalls()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["address"] = self._proxies.client_address(scope, headers)
        try:
            identity = await self._identify(scope, headers)
            if identity.refusal is not None and not (is_open(scope["path"]) and is_safe(scope)):
                raise Unauthorized(reason=identity.refusal)
        except WatchpostError as error:
            await refuse(error, scope, receive, send)
            return
        state["caller"] = identity.caller
        await self._run(identity, scope, receive, _with_cookie(identity.cookie, scope, send))

    async def _run(self, identity: Identity, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, until the caller's rights end."""
        access = _access(scope)
        calls = access.calls if access is not None else self._calls
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with calls.held(identity.caller, identity.expires_s):
                await self._app(scope, receive, sent)
        except CallEnded:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": ENDED})
            elif started:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await refuse(Unauthorized(reason=ENDED), scope, receive, send)

    async def _identify(self, scope: Scope, headers: Headers) -> Identity:
        """Who makes a request. Raises TooManyAttempts, StoreError."""
        if self._disabled:
            return Identity(ANYBODY)
        if headers.get("sec-fetch-site") == "cross-site":
            return Identity(refusal="the request comes from a page of another site")
        if not is_safe(scope) and not same_origin(headers):
            return Identity(refusal="the Origin header is not this server")
        local = is_loopback(scope, headers) and not self._require_token
        tokens = tokens_of(scope, headers)
        known = (
            await self._by_strong_token(tokens, scope, headers)
            or await self._by_session(scope, headers)
            or await self._by_proxy(scope, headers)
            or self._by_other_token(tokens, scope, headers, local=local)
        )
        if known is not None:
            return known
        if local:
            return Identity(THIS_MACHINE)
        if is_open(scope["path"]):
            return Identity()
        where = "" if self._require_token else " from other machines"
        return Identity(refusal=f"a token is required{where}: {HOW}")

    async def _by_strong_token(
        self, tokens: list[str], scope: Scope, headers: Headers
    ) -> Identity | None:
        """The caller of a token that nobody can guess, so that no pause hinders them."""
        access = _access(scope)
        for token in tokens:
            if len(token) >= STRONG and self._matches(token):
                return _with_page_cookie(Identity(SERVER_TOKEN), token, scope, headers)
            if access is not None and token.startswith(TOKEN_PREFIX):
                found = await access.by_token(token)
                if found is not None:
                    identity = Identity(found[0], expires_s=found[1])
                    return _with_page_cookie(identity, token, scope, headers)
        return None

    def _by_other_token(
        self, tokens: list[str], scope: Scope, headers: Headers, *, local: bool
    ) -> Identity | None:
        """The caller of a short token; wrong ones are guesses. Raises TooManyAttempts."""
        if not tokens:
            return None
        key = address_key(address_of(scope))
        if not local:  # where no token is needed, none is guessed
            self._throttle.check(key)
        for token in tokens:
            if self._matches(token):
                return _with_page_cookie(Identity(SERVER_TOKEN), token, scope, headers)
        if not local:
            self._throttle.failed(key, guess="\n".join(tokens))
        return None

    def _matches(self, given: str) -> bool:
        own = self._token or ""
        return bool(own) and hmac.compare_digest(given.encode(), own.encode())

    async def _by_proxy(self, scope: Scope, headers: Headers) -> Identity | None:
        """The user that a trusted proxy has signed in; they must be known here, too."""
        name, access = self._proxies.user_name(scope, headers), _access(scope)
        if name is None or access is None:
            return None
        caller = await access.by_name(name)
        if caller is None:
            return Identity(refusal="the proxy names a user who is not known here, or disabled")
        return Identity(caller)

    async def _by_session(self, scope: Scope, headers: Headers) -> Identity | None:
        value, access = cookie_of(headers, SESSION_COOKIE), _access(scope)
        if not value or access is None:
            return None
        found = await access.by_cookie(value, rotate=scope["type"] == "http")
        if found is None:
            return None
        caller, cookie = found
        return Identity(caller, cookie=cookie and session_cookie(cookie, scope))


def _with_page_cookie(identity: Identity, token: str, scope: Scope, headers: Headers) -> Identity:
    """Set the token as a cookie for a page opened with ``?token=``, for what the page loads."""
    page = scope["type"] == "http" and "text/html" in headers.get("accept", "")
    if not page or token != query_token(scope):
        return identity
    return replace(identity, cookie=f"{COOKIE}={quote(token, safe='')}; {cookie_attributes(scope)}")


def session_cookie(value: str, scope: Scope) -> str:
    """The ``Set-Cookie`` header of a session; without a value, it removes the cookie."""
    if not value:
        return f"{SESSION_COOKIE}=; {cookie_attributes(scope)}; Max-Age=0"
    return f"{SESSION_COOKIE}={value}; {cookie_attributes(scope)}"


def is_open(path: str) -> bool:
    """Whether a path needs no caller."""
    return path in (*OPEN, *SIGN_IN) or (path.startswith(OPEN_BELOW) and ".." not in path)


def cookie_attributes(scope: Scope, same_site: str = "Strict") -> str:
    """The attributes of every cookie: not for scripts, and over HTTPS only where it is used."""
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return f"Path=/; HttpOnly; SameSite={same_site}{secure}"


def _with_cookie(cookie: str | None, scope: Scope, send: Send) -> Send:
    if cookie is None or scope["type"] != "http":
        return send

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"set-cookie", cookie.encode())]
        await send(message)

    return send_with_cookie


def _access(scope: Scope) -> AccessService | None:
    """The accounts of the running server; None before it runs."""
    access: AccessService | None = scope.get("state", {}).get("access")
    return access

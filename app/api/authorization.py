"""Authorisation: what a known caller may do, by the table of routes; all else is refused."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import language_for, method_not_allowed, reply
from app.api.route_rights import SOCKET, Match, Reach, RightsTable
from app.errors import Forbidden, NotFound, StreamNotFound, WatchpostError
from app.rights import NOBODY, Caller, Right
from app.urls import scrub


class RightsMiddleware:
    """Refuses requests and sockets for which the table does not give the caller the right.

    A request that matches no row never reaches a route, so a route that is missing in the table
    cannot be used by anybody.
    """

    def __init__(self, app: ASGIApp, table: RightsTable) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        socket = scope["type"] == "websocket"
        match = self._table.find(SOCKET if socket else scope["method"], scope["path"])
        error = refusal(match, caller_of(scope), scope["path"])
        if error is None:
            await self._app(scope, receive, send)
        elif not socket:
            await self._response(match, error, scope)(scope, receive, send)
        else:
            await refuse_socket(error, scope, receive, send)

    def _response(self, match: Match, error: WatchpostError, scope: Scope) -> Response:
        language = language_for(HTTPConnection(scope))
        if match.row is None and match.allowed:
            return method_not_allowed(scope["path"], match.allowed, language)
        return reply(error, language)


def caller_of(scope: Scope) -> Caller:
    """The caller that authentication has found."""
    caller: Caller = scope.get("state", {}).get("caller", NOBODY)
    return caller


def refusal(match: Match, caller: Caller, path: str) -> WatchpostError | None:
    """Why a caller may not use a route, or None if they may."""
    row = match.row
    if row is None:
        return NotFound(path=scrub(path))
    if row.right is None:
        return None
    access = caller.access
    if row.reach is Reach.CAMERA:
        if not access.may(Right.VIEW, match.camera):
            return StreamNotFound(stream_id=scrub(match.camera))
        allowed = access.may(row.right, match.camera)
    elif row.reach is Reach.ALL:
        allowed = access.everywhere(row.right)
    else:
        allowed = access.somewhere(row.right)
    return None if allowed else Forbidden(right=row.right.value)


async def refuse(error: WatchpostError, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request or a WebSocket's handshake."""
    if scope["type"] == "websocket":
        await refuse_socket(error, scope, receive, send)
        return
    response = reply(error, language_for(HTTPConnection(scope)))
    await response(scope, receive, send)


async def refuse_socket(error: WatchpostError, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket's handshake: with a reply where the server can, else by closing it."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:100]})
        return
    response = reply(error, language_for(HTTPConnection(scope)))
    await response(scope, receive, send)

"""Writes to the audit log what callers did, saw, or were denied, by the table of routes."""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.audit import AuditLog
from app.api.authorization import caller_of, refuse
from app.api.credentials import address_of
from app.api.route_rights import SOCKET, RightsTable
from app.audit import AuditEntry, Outcome
from app.errors import StoreError
from app.urls import scrub

logger = logging.getLogger(__name__)

MAX_ID = 64
DENIED = (401, 403, 429)
UNKNOWN = "unknown path"
NOTES = "audit_notes"
REFUSED = "audit_refused"


def note(connection: HTTPConnection, **ids: str | int | float | bool | None) -> None:
    """Add ids to the audit entry of a call, such as that of a new job; never names or texts."""
    connection.scope["state"].setdefault(NOTES, {}).update(ids)


def note_refusal(connection: HTTPConnection) -> None:
    """Mark a call as denied whose reply leads a browser to a page that says why."""
    connection.scope["state"][REFUSED] = True


class _NotWritten(Exception):
    """Ends a call whose entry could not be written."""


class AuditMiddleware:
    """Stands around authentication, so that refused calls are written, too.

    What a caller gets to see is written before it is sent: without an entry there is no reply.
    """

    def __init__(self, app: ASGIApp, table: RightsTable) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = scope.setdefault("state", {})
        log: AuditLog | None = state.get("audit")
        if scope["type"] == "lifespan" or log is None:
            await self._app(scope, receive, send)
            return
        state[NOTES] = {}
        written = False

        async def send_written(message: Message) -> None:
            nonlocal written
            outcome = None if written else outcome_of(message)
            if outcome is not None:
                written = True
                outcome = "denied" if state.get(REFUSED) else outcome
                try:
                    await self._write(log, scope, outcome)
                except StoreError as error:
                    await refuse(error, scope, receive, send)
                    raise _NotWritten from None
            await send(message)

        try:
            await self._app(scope, receive, send_written)
        except* _NotWritten:
            pass  # the reply said why

    async def _write(self, log: AuditLog, scope: Scope, outcome: Outcome) -> None:
        """Raises StoreError if the caller is about to see something."""
        socket = scope["type"] == "websocket"
        method = SOCKET if socket else scope["method"]
        match = self._table.find(method, scope["path"])
        audited = match.row is not None and match.row.is_audited(method)
        if not audited and outcome != "denied":
            return
        path = UNKNOWN if match.row is None else match.row.path
        details = {name: _short(value) for name, value in match.parts.items()}
        entry = AuditEntry(
            caller_of(scope).name,
            address_of(scope),
            f"{method} {path}",
            outcome,
            {**details, **scope["state"][NOTES]},
        )
        reads = socket or method in ("GET", "HEAD")
        try:
            await (log.write_once if reads or outcome == "denied" else log.write)(entry)
        except StoreError as error:
            logger.error("the audit log cannot be written: %s", error)
            if reads and outcome == "done":
                raise


def outcome_of(message: Message) -> Outcome | None:
    """What a message says about a call's outcome; None if it is not the first of its reply."""
    if message["type"] == "websocket.accept":
        return "done"
    if message["type"] == "websocket.close":
        return "denied" if message.get("code") == 1008 else "failed"
    if message["type"] not in ("http.response.start", "websocket.http.response.start"):
        return None
    status = int(message["status"])
    if status in DENIED:
        return "denied"
    return "done" if status < 400 else "failed"


def _short(value: str) -> str:
    return scrub(value)[:MAX_ID]

"""WebSockets of every API: each send has a time-out, and each close a reason."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from starlette.types import Message

from app.errors import WatchpostError
from app.urls import scrub

logger = logging.getLogger(__name__)

VERSION = 1
NORMAL, GOING_AWAY, POLICY_VIOLATION = 1000, 1001, 1008
BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT = 4400, 4403, 4404, 4409
MAX_REASON = 123  # bytes (RFC 6455, 5.5)

# uvicorn raises RuntimeError for a socket that it closed itself because pings were not answered.
CLOSED = (WebSocketDisconnect, RuntimeError)


def json_text(value: object) -> str:
    """A value as the text of one message."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class ClientGone(Exception):
    """The client has left, or has read nothing for too long."""


class ClientSocket:
    """The server's side of one WebSocket; a client that does not read is disconnected.

    Args:
        send_timeout_s: how long a client may take to accept a message.
    """

    def __init__(self, websocket: WebSocket, send_timeout_s: float) -> None:
        self._websocket = websocket
        self._send_timeout_s = send_timeout_s
        self._sending = asyncio.Lock()
        self._gone = False

    async def accept(self) -> None:
        """Complete the handshake."""
        await self._websocket.accept()

    async def receive(self) -> Message:
        """The client's next message. Raises ClientGone."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._gone = True
            raise ClientGone
        return message

    async def send(self, *messages: str | bytes) -> None:
        """Send messages with nothing between them. Raises ClientGone."""
        async with self._sending:
            await self._in_time(self._send_all(messages))

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Send the close frame, unless the client is gone."""
        short = reason.encode()[:MAX_REASON].decode(errors="ignore")
        with suppress(ClientGone):
            async with self._sending:
                await self._in_time(self._websocket.close(code, short))

    async def refuse(self, error: WatchpostError, code: int) -> None:
        """Send an error message and close."""
        refusal = {"type": "error", "version": VERSION, "code": error.code, "message": str(error)}
        with suppress(ClientGone):
            await self.send(json_text(refusal))
        await self.close(code, str(error))

    async def run(self, sender: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that sends, until it ends or the client is gone.

        Messages of the client are ignored.
        """
        sending = asyncio.create_task(sender)
        disconnected = asyncio.create_task(self._wait_for_disconnect())
        try:
            await asyncio.wait((sending, disconnected), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                with suppress(ClientGone):
                    sending.result()
        finally:
            for task in (sending, disconnected):
                task.cancel()
            await asyncio.gather(sending, disconnected, return_exceptions=True)

    async def _wait_for_disconnect(self) -> None:
        with suppress(ClientGone):
            while True:
                await self.receive()

    async def _send_all(self, messages: tuple[str | bytes, ...]) -> None:
        for message in messages:
            if isinstance(message, str):
                await self._websocket.send_text(message)
            else:
                await self._websocket.send_bytes(message)

    async def _in_time(self, sending: Coroutine[Any, Any, None]) -> None:
        if self._gone:
            sending.close()
            raise ClientGone
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await sending
        except TimeoutError:
            self._gone = True
            logger.info(
                "%s: disconnected a client that read nothing for %g s",
                scrub(self._websocket.url.path),
                self._send_timeout_s,
            )
            raise ClientGone from None
        except CLOSED:
            self._gone = True
            raise ClientGone from None

"""One camera's frames as MJPEG on a local port, for scripts without the web server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

from app import mjpeg
from app.errors import WatchpostError
from app.types import JpegFrame

MAX_CLIENTS = 16
SEND_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 1.0
LOOPBACK = "127.0.0.1"
LOCAL_HOSTS = (LOOPBACK, "localhost")
HEADERS = [
    (b"content-type", mjpeg.MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class _Server(uvicorn.Server):
    """A uvicorn server that does not handle the signals of the script's process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class MjpegServer:
    """Serves the frames of one camera over HTTP; belongs to the event loop's thread.

    Args:
        frames: subscribes to the camera's frames; raises WatchpostError if the camera has ended.
    """

    def __init__(self, frames: Callable[[], AsyncGenerator[JpegFrame]]) -> None:
        self._frames = frames
        self._closing = asyncio.Event()
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CLIENTS + 1,  # uvicorn refuses the connection that reaches this
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def open(self, port: int) -> None:
        """Listen on loopback. Raises OSError when the port is taken."""
        listener = socket.create_server((LOOPBACK, port))
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def close(self) -> None:
        """End all responses and free the port."""
        if self._serving is None:
            return
        self._closing.set()
        self._server.should_exit = True
        await asyncio.wait([self._serving], timeout=CLOSE_TIMEOUT_S)
        self._drop_clients()
        self._server.force_exit = True  # a response that still does not end must not hold it up
        await self._serving

    def _drop_clients(self, address: tuple[str, int] | None = None) -> None:
        """Abort connections: all of them, or that of one address."""
        for connection in list(self._server.server_state.connections):
            transport: asyncio.WriteTransport = connection.transport
            if address in (None, transport.get_extra_info("peername")):
                transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app: the same MJPEG at every path, for clients on this machine."""
        if scope["method"] != "GET":
            await _refuse(send, 405)
        elif not _is_local(scope):
            await _refuse(send, 403)
        else:
            try:
                frames = self._frames()
            except WatchpostError:
                await _refuse(send, 503)
            else:
                await self._show(frames, scope["client"], receive, send)

    async def _show(
        self,
        frames: AsyncGenerator[JpegFrame],
        client: tuple[str, int],
        receive: Receive,
        send: Send,
    ) -> None:
        """Send frames until they end, the client leaves, or the server closes."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        sending = asyncio.create_task(_send_parts(frames, send))
        ends = [
            sending,
            asyncio.create_task(_disconnected(receive)),
            asyncio.create_task(self._closing.wait()),
        ]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await asyncio.wait(ends)
        if not sending.cancelled() and isinstance(sending.exception(), TimeoutError):
            self._drop_clients(client)
        await send({"type": "http.response.body"})


async def _send_parts(frames: AsyncGenerator[JpegFrame], send: Send) -> None:
    """Send the MJPEG body. Raises TimeoutError if the client reads nothing for too long."""
    async with contextlib.aclosing(mjpeg.multipart(frames)) as parts:
        async for part in parts:
            message = {"type": "http.response.body", "body": part, "more_body": True}
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(message)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body"})


def _is_local(scope: Scope) -> bool:
    """Whether the Host is this machine, and no foreign web page made the request."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1").strip().lower()
        for name, value in scope["headers"]
    }
    host_and_port = headers.get("host", "")
    host = host_and_port.rpartition(":")[0] or host_and_port
    return host in LOCAL_HOSTS and headers.get("sec-fetch-site") != "cross-site"

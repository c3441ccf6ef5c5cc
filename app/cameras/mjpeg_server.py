"""One camera's pictures as MJPEG on a port of this machine, for a quick look without the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from app.types import JpegFrame

MAX_CLIENTS = 16
REQUEST_S = 5.0
TAKE_S = 20.0
HERE = ("127.0.0.1", "localhost")
OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n--frame\r\n"
)
REFUSED = b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PART = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


class MjpegServer:
    """Args:
    pictures: a new subscription to the camera's pictures; raises where there are none.
    """

    def __init__(self, pictures: Callable[[], AsyncGenerator[JpegFrame]]) -> None:
        self._pictures = pictures
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self, port: int) -> None:
        """Listen on loopback. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client went, or is none
        except asyncio.CancelledError:
            pass  # by close(); asyncio would log it as a failure
        finally:
            self._clients.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_S)
        if not request.startswith(b"GET "):
            writer.write(REFUSED % (405, b"Method Not Allowed"))
        elif not _is_from_here(request.decode("latin-1")):
            writer.write(REFUSED % (403, b"Forbidden"))
        elif len(self._clients) > MAX_CLIENTS:
            writer.write(REFUSED % (503, b"Service Unavailable"))
        else:
            await self._show(writer)
        await writer.drain()

    async def _show(self, writer: asyncio.StreamWriter) -> None:
        async with contextlib.aclosing(self._pictures()) as pictures:
            writer.write(OK)
            async for shown in pictures:
                writer.write(PART % len(shown.jpeg) + shown.jpeg + b"\r\n--frame\r\n")
                await asyncio.wait_for(writer.drain(), TAKE_S)


def _is_from_here(request: str) -> bool:
    """Whether a person on this machine asked, and no foreign page did through their browser."""
    headers = {
        name.strip().lower(): value.strip().lower()
        for name, _, value in (line.partition(":") for line in request.split("\r\n")[1:])
    }
    host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
    return host in HERE and headers.get("sec-fetch-site") != "cross-site"

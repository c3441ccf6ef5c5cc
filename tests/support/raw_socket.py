"""A raw WebSocket client; a test decides whether it reads."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from fixtures import LOOPBACK, Running

PATIENCE_S = 30.0


class RawSocket:
    """A client of one path; ``reading`` says whether it takes anything.

    Args:
        deaf: it reads nothing after the handshake.
    """

    def __init__(self, app: Running, path: str, query: str = "", *, deaf: bool = False) -> None:
        self.app = app
        self.to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.to_client: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reading = asyncio.Event()
        if not deaf:
            self.reading.set()
        self.to_server.put_nowait({"type": "websocket.connect"})
        self._scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost:8000"), (b"accept-language", b"en")],
            "client": LOOPBACK,
            "server": ("127.0.0.1", 8000),
            "state": dict(app.state),
            "extensions": {},
            "subprotocols": [],
        }

    async def __aenter__(self) -> Self:
        self.served = asyncio.create_task(self.app.app(self._scope, self.to_server.get, self._take))
        assert (await self.raw())["type"] == "websocket.accept"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reading.set()
        self.to_server.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self.served, PATIENCE_S)

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] != "websocket.accept":
            await self.reading.wait()
        self.to_client.put_nowait(message)

    def send(self, message: bytes) -> None:
        self.to_server.put_nowait({"type": "websocket.receive", "bytes": message})

    async def raw(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.to_client.get(), PATIENCE_S)

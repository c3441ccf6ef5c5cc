"""The whole app in a thread of this process: a browser can use it, and a test can reach into it."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from fixtures import Running, running

from app.config import Settings
from app.events import RuleEvent
from app.main import create_app
from support.poll import eventually

START_S, END_S = 60, 20


class LiveApp:
    """A server on a free loopback port; no stream runs, and events happen when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app: Running | None = None
        self._settings = Settings(_env_file=None, data_dir=folder)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self._server, lambda one: one is not None and one.started, START_S, "it")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        assert self._server is not None
        self.state["event_log"].close_clients()
        self._server.should_exit = True
        self._thread.join(END_S)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def state(self) -> Any:
        """What routes get as ``request.state``, by name."""
        assert self.app is not None
        return self.app.state

    def tell(self, kind: str, camera: str, ts: float, **details: Any) -> None:
        """Let an event happen."""
        self.state["event_log"].report(camera, RuleEvent(kind, (), 0.8, None, details), ts, None)

    def wait_followed(self) -> None:
        """Wait until a page follows the live events."""
        clients = self.state["event_log"]._clients
        eventually(lambda: clients.wanted, bool, START_S, "a page follows the events")

    async def _serve(self) -> None:
        async with running(create_app(self._settings)) as app:
            self.app = app
            config = uvicorn.Config(app.asgi, interface="asgi3", lifespan="off", log_level="error")
            self._server = uvicorn.Server(config)
            await self._server.serve([self._socket])

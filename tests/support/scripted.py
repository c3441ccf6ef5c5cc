"""A scripted server for the pages, with the real protocol.

It sends what the real server sends rarely or never: events, hostile names, and streams that end
badly. The pages and their headers are the real ones.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

from app.api import system, viewer
from app.rights import Right
from support.poll import eventually

Script = Callable[[WebSocket], Awaitable[None]]

PUSHED = "pushed-1"


class ScriptedServer:
    """A server on a free loopback port, in a thread.

    Attributes:
        scripts: by stream id, what a socket of that stream does once it is accepted. A socket
            of another id is told that there is none.
        cameras: the reply of ``GET /cameras``.
        history: the events of ``GET /api/events``, newest first.
        rights: those of the caller, for all cameras.
        happening: events that the socket of events sends, once it is open.
        asked: paths of snapshots that were asked for.
        opened: sockets so far, by stream id.
        requests: bodies of ``POST /stream/request`` so far.
    """

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.cameras: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.rights: list[str] = []
        self.happening: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.asked: list[str] = []
        self.opened: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        config = uvicorn.Config(
            self._build(),
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_level="warning",
            ws="websockets-sansio",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self._server.started, bool, 20, "the scripted server runs")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    @property
    def url(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def reset(self) -> None:
        """Remove the scripts of earlier tests."""
        self.scripts, self.opened = {}, Counter()
        self.cameras, self.history, self.requests = [], [], []
        self.rights, self.asked = [right.value for right in Right], []
        self.happening = queue.SimpleQueue()

    def _build(self) -> FastAPI:
        app = FastAPI()
        app.include_router(viewer.router)
        app.include_router(system.router)
        app.mount("/static", viewer.files())

        @app.get("/cameras")
        async def cameras() -> list[dict[str, Any]]:
            return self.cameras

        self._build_room(app)

        @app.post("/stream/request", status_code=201)
        async def request(request: Request) -> dict[str, str]:
            self.requests.append(await request.json())
            ids = dict.fromkeys(("stream_token", "stream_id", "video_uuid", "video_id"), PUSHED)
            return {**ids, "websocket_url": f"/ws/stream/{PUSHED}", "status": "active"}

        @app.get("/api/events")
        async def events() -> dict[str, Any]:
            return {"total": len(self.history), "cursor": None, "events": self.history}

        @app.get("/api/events/{event_id}/snapshot.jpg")
        async def snapshot(event_id: int) -> Response:
            return Response(picture(event_id), media_type="image/jpeg")

        @app.websocket("/ws/stream/{stream_id}")
        async def socket(socket: WebSocket, stream_id: str) -> None:
            await socket.accept()
            self.opened[stream_id] += 1
            try:
                await self.scripts.get(stream_id, unknown)(socket)
            except WebSocketDisconnect:
                return

        return app

    def _build_room(self, app: FastAPI) -> None:
        """What only the control room asks for."""

        @app.get("/api/sign-in")
        async def sign_in() -> dict[str, Any]:
            options = {"users": False, "setup": "open", "provider": None, "problem": None}
            return {"signed_in": True, **options}

        @app.get("/api/account")
        async def account() -> dict[str, Any]:
            rights = {right: ["*"] for right in self.rights}
            return {
                "caller": "this machine",
                "name": None,
                "has_password": False,
                "rights": rights,
            }

        @app.get("/camera/{camera_id}")
        async def camera(camera_id: str) -> dict[str, Any]:
            return {"camera_id": camera_id, "zones": [], "lines": []}

        @app.get("/camera/{camera_id}/jpeg")
        async def jpeg(camera_id: str, width: int) -> Response:
            self.asked.append(camera_id)
            return Response(picture(len(self.asked), (width, width * 9 // 16)))

        @app.websocket("/ws/events")
        async def events(socket: WebSocket) -> None:
            await socket.accept()
            gone = asyncio.create_task(socket.receive())
            while not gone.done():
                if self.happening.empty():
                    await asyncio.sleep(0.05)
                else:
                    await socket.send_json(self.happening.get())


def camera(camera_id: str, state: str = "running", **fields: Any) -> dict[str, Any]:
    """A row of ``GET /cameras``."""
    stats = {"camera_id": camera_id, "faces": 1, "ids": 2, "bags": 0, "owned": 0}
    usual: dict[str, Any] = {
        "name": camera_id.capitalize(),
        "kind": "camera",
        "last_error": None,
        "problem": None,
        "fps": 10.0,
        "width": 640,
        "height": 360,
        "blur": "gaussian",
        "analytics": [],
        "stats": {**stats, "session_id": None},
        "reduced": None,
    }
    return {"camera_id": camera_id, "state": state, **usual, **fields}


async def unknown(socket: WebSocket) -> None:
    """The server's messages for an unknown stream."""
    await socket.send_json(message("error", code="STREAM_NOT_FOUND", message="?", frame=None))
    await socket.close(4404)


def message(kind: str, **fields: Any) -> dict[str, Any]:
    """A message of schema version 1."""
    return {"type": kind, "version": 1, "stream_id": "x", **fields}


def hello(**fields: Any) -> dict[str, Any]:
    """The first message of a socket."""
    usual = {"name": "Gate", "state": "running", "blur": "gaussian", "analytics": ["smoking"]}
    return message("hello", **{**usual, **fields})


def result(frame: int, *detections: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A result for a frame of 640 x 360."""
    usual: dict[str, Any] = {
        "frame": frame,
        "ts": 1_793_000_000 + frame / 10,
        "width": 640,
        "height": 360,
        "fps": 10.0,
        "latency_ms": 48.2,
    }
    return message("result", **{**usual, **fields}, detections=list(detections))


def detection(
    label: str, box: tuple[int, int, int, int], track_id: int | None = 4, confidence: float = 0.91
) -> dict[str, Any]:
    """One detection; the box is in pixels."""
    return {"track_id": track_id, "label": label, "confidence": confidence, "box": list(box)}


def event(event_id: int, kind: str = "smoking_started", **fields: Any) -> dict[str, Any]:
    """An event without a snapshot."""
    usual: dict[str, Any] = {
        "ts": 1_793_000_000.0,
        "track_id": 4,
        "confidence": 0.83,
        "duration_s": None,
        "snapshot": None,
        "clip": None,
        "details": {},
    }
    return message("event", id=event_id, event=kind, **{**usual, **fields})


def picture(number: int, size: tuple[int, int] = (640, 360)) -> bytes:
    """A grey JPEG, a little brighter with each number."""
    grey = np.full((size[1], size[0], 3), 40 + number * 16 % 200, np.uint8)
    return cv2.imencode(".jpg", grey)[1].tobytes()


def playing(
    *detections: dict[str, Any], then: Script | None = None, seconds: float = 60, **greeting: Any
) -> Script:
    """A script: hello, then ten frames per second with these detections; ``then`` after one."""

    async def script(socket: WebSocket) -> None:
        await socket.send_json(hello(**greeting))
        for frame in range(round(seconds * 10)):
            await socket.send_json(result(frame, *detections))
            await socket.send_bytes(picture(frame))
            if frame == 0 and then is not None:
                await then(socket)
            await asyncio.sleep(0.1)

    return script

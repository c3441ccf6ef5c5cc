"""A stream's WebSocket, with clients that are as slow as the test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fixtures import Running, running
from support.raw_socket import PATIENCE_S, RawSocket

from app.api.ws_messages import LiveMessage
from app.config import AuthSettings, FaceSettings, PushSettings, Settings
from app.events import RuleEvent
from app.main import create_app
from app.rights import Right
from app.types import Box, FrameMetadata, Track

from .test_rights import token_for

pytestmark = pytest.mark.anyio
BACKLOG = 256
JPEG = bytes(cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1])
SMOKER = Track(4, "person", 0.9, Box(1, 2, 3, 4))


@pytest.fixture(scope="module")
async def app(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("data"),
        auth=AuthSettings(token="x"),
        faces=FaceSettings(timeout_s=20),
        push=PushSettings(send_timeout_s=0.5, grace_s=0.1),
    )
    async with running(create_app(settings)) as started:
        yield started


class Socket(RawSocket):
    """A client of one stream."""

    def __init__(self, app: Running, stream_id: str, query: str = "") -> None:
        super().__init__(app, f"/ws/stream/{stream_id}", query)

    async def next(self) -> dict[str, Any]:
        message = await self.raw()
        assert message["type"] == "websocket.send", message
        LiveMessage.model_validate_json(message["text"])
        said: dict[str, Any] = json.loads(message["text"])
        return said

    async def until(self, *types: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):  # others may come for ever
            while (message := await self.next())["type"] not in types:
                pass
        return message


@pytest.fixture
async def stream_id(app: Running) -> str:
    made: str = app.state["push_streams"].open(name="Gate", analytics={}, blur="gaussian")
    return made


def tell(app: Running, stream_id: str, **more: Any) -> None:
    app.state["event_log"].report(stream_id, RuleEvent("smoking_started", **more), 1793.5, None)


async def test_events_of_this_stream_reach_viewers_and_pushers(
    app: Running, stream_id: str
) -> None:
    async with Socket(app, stream_id) as viewer, Socket(app, stream_id) as pusher:
        for socket in (viewer, pusher):
            assert (await socket.next())["type"] == "hello"
        pusher.send(JPEG)
        assert (await pusher.until("ack"))["frame"] == 1
        tell(app, "another", tracks=(SMOKER,))
        tell(app, stream_id, tracks=(SMOKER,), confidence=0.83, details={"where": "gate"})
        for socket in (viewer, pusher):
            event = await socket.until("event")
            assert isinstance(event.pop("id"), int)
            assert event == {
                "type": "event",
                "version": 1,
                "stream_id": stream_id,
                "camera_id": stream_id,
                "event": "smoking_started",
                "ts": 1793.5,
                "time": "1970-01-01T00:29:53.500000+00:00",
                "track_id": 4,
                "person_id": 4,
                "bag_id": None,
                "box": [1, 2, 3, 4],
                "confidence": 0.83,
                "duration_s": None,
                "session_id": None,
                "snapshot": None,
                "clip": None,
                "details": {"where": "gate"},
            }


async def test_a_viewer_watches_but_neither_pushes_nor_sees_plates(
    app: Running, stream_id: str
) -> None:
    header = token_for(app, frozenset({Right.VIEW}), stream_id)["Authorization"]
    async with Socket(app, stream_id, f"token={header.split()[1]}") as socket:
        assert (await socket.next())["type"] == "hello"
        socket.send(JPEG)
        refused = await socket.until("error")
        assert (refused["code"], refused["frame"]) == ("FORBIDDEN", 1)
        app.state["event_log"].report(stream_id, RuleEvent("plate_seen"), 1793.5, None)
        tell(app, stream_id)
        assert (await socket.until("event"))["event"] == "smoking_started"


async def test_a_slow_client_learns_how_many_events_it_missed(app: Running, stream_id: str) -> None:
    async with Socket(app, stream_id) as socket:
        await socket.next()
        socket.reading.clear()
        for _ in range(BACKLOG + 10):
            tell(app, stream_id)
        await asyncio.sleep(0.1)
        socket.reading.set()
        events, missed = 0, 0
        while events + missed < BACKLOG + 10:
            message = await socket.until("event", "missed")
            events += message["type"] == "event"
            missed += message.get("events", 0)
        assert missed >= 9
        assert (events, missed) == (BACKLOG + 10 - missed, missed)


async def test_a_client_that_takes_nothing_is_let_go(app: Running, stream_id: str) -> None:
    async with Socket(app, stream_id) as deaf, Socket(app, stream_id) as other:
        await deaf.next()
        deaf.reading.clear()
        tell(app, stream_id)
        assert (await other.until("event"))["event"] == "smoking_started"
        done, _ = await asyncio.wait([deaf.served], timeout=5)
        assert done
        assert not other.served.done()


async def test_of_the_results_a_slow_viewer_gets_the_newest(app: Running, stream_id: str) -> None:
    results = app.state["manager"].stream(stream_id).running().subscribers.outcomes
    async with Socket(app, stream_id) as viewer:
        await viewer.next()
        while not results._waiting:
            await asyncio.sleep(0)
        viewer.reading.clear()
        for number in range(1, 21):
            results.publish(FrameMetadata(number, (64, 48), (), time.monotonic(), 0.0, 0.0, 9.5))
            await asyncio.sleep(0.005)
        viewer.reading.set()
        frames = [await viewer.until("result")]
        while frames[-1]["frame"] < 20:
            frames.append(await viewer.until("result"))
        assert [frame["frame"] for frame in frames] == [1, 20]
        assert abs(frames[-1]["ts"] - time.time()) < PATIENCE_S
        assert frames[-1]["fps"] == 9.5


async def test_the_state_is_told_when_it_changes(app: Running, stream_id: str) -> None:
    async with Socket(app, stream_id) as viewer, Socket(app, stream_id) as pusher:
        assert (await viewer.next())["state"] == "starting"
        pusher.send(JPEG)
        state = await viewer.until("state")
        assert (state["state"], state["reason"]) == ("running", None)


async def test_nothing_of_a_conversation_stays(app: Running, stream_id: str) -> None:
    manager, events = app.state["manager"], app.state["event_log"]
    stream = manager.stream(stream_id).running()
    async with Socket(app, stream_id, "pictures=1") as viewer, Socket(app, stream_id) as pusher:
        await viewer.next()
        pusher.send(JPEG)
        await pusher.until("ack")
        assert events._clients._subscribers
    assert not stream.subscribers.outcomes._subscribers
    assert not stream.subscribers.outcomes._waiting
    assert not stream.subscribers.jpegs._waiting
    assert not events._clients._subscribers


async def test_when_the_server_goes_everybody_is_told(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        auth=AuthSettings(token="x"),
    )
    async with running(create_app(settings)) as app, contextlib.AsyncExitStack() as clients:
        stream_id = app.state["push_streams"].open(name=None, analytics={}, blur="off")
        viewer = await clients.enter_async_context(Socket(app, stream_id))
        pictures = await clients.enter_async_context(Socket(app, stream_id, "pictures=true"))
        pusher = await clients.enter_async_context(Socket(app, stream_id))
        pusher.send(JPEG)
        await pusher.until("ack")
        app.state["manager"].begin_shutdown()
        for socket in (viewer, pusher):
            assert "shutting down" in (await socket.until("end"))["reason"]
            assert await socket.raw() == {
                "type": "websocket.close",
                "code": 1001,
                "reason": "the stream is over",
            }
        await asyncio.wait_for(asyncio.shield(pictures.served), PATIENCE_S)

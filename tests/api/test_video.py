"""The WebSocket of a stream's H.264 video, with a pushed stream and real networks."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest
from fixtures import Running, running
from prometheus_client.parser import text_string_to_metric_families
from support.faces import count_faces, portrait
from support.live import encode, plain
from support.raw_socket import PATIENCE_S, RawSocket

from app.api.video_messages import VideoSocketMessage
from app.api.video_socket import OUTCOMES, KnownResults
from app.config import AuthSettings, FaceSettings, PushSettings, Settings
from app.errors import NoPicture, StreamNotFound
from app.main import create_app
from app.pipeline.hub import EventStream
from app.pipeline.manager import StreamManager
from app.pipeline.sinks import recording
from app.pipeline.sinks.encode import H264Encoder
from app.rights import Right
from app.types import FrameMetadata, WithheldFrame

from .test_rights import token_for

pytestmark = pytest.mark.anyio
JPEG = plain()


@pytest.fixture(scope="module")
async def app(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("data"),
        auth=AuthSettings(token="x"),
        faces=FaceSettings(timeout_s=20),
        push=PushSettings(send_timeout_s=0.5, grace_s=60),
    )
    async with running(create_app(settings)) as started:
        yield started


@pytest.fixture
async def stream_id(app: Running) -> AsyncIterator[str]:
    made: str = app.state["push_streams"].open(name="Gate", analytics={}, blur="gaussian")
    yield made
    await manager(app).disconnect(made)


def manager(app: Running) -> StreamManager:
    found: StreamManager = app.state["manager"]
    return found


class Viewer(RawSocket):
    """A viewer of one stream's video, which checks every message."""

    def __init__(self, app: Running, stream_id: str, query: str = "") -> None:
        super().__init__(app, f"/api/streams/{stream_id}/video", query)
        self.data = b""

    async def next(self) -> dict[str, Any]:
        """The next text message, and the segment that follows it."""
        message = await self.raw()
        assert message["type"] == "websocket.send", message
        VideoSocketMessage.model_validate_json(message["text"])
        said: dict[str, Any] = json.loads(message["text"])
        if said["type"] in ("video", "frame"):
            self.data += (await self.raw())["bytes"]
        return said

    async def closed(self) -> int:
        """The code that the server closes the socket with."""
        while (message := await self.raw())["type"] != "websocket.close":
            pass
        return int(message["code"])

    def pictures(self) -> list[np.ndarray[Any, Any]]:
        """What a player shows, BGR."""
        with av.open(io.BytesIO(self.data), "r") as file:
            return [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]


@asynccontextmanager
async def pushing(
    app: Running, stream_id: str, jpeg: bytes = JPEG
) -> AsyncIterator[list[FrameMetadata]]:
    """Push the same picture ten times a second; the results of the frames so far."""
    handle = manager(app).stream(stream_id)
    results: list[FrameMetadata] = []

    async def push() -> None:
        number = 0
        with suppress(NoPicture, StreamNotFound):  # it has ended
            while True:
                number += 1
                handle.push(jpeg, number)
                await asyncio.sleep(0.1)

    async def note() -> None:
        with handle.outcomes(1000) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, FrameMetadata):
                    results.append(outcome)

    tasks = [asyncio.create_task(push()), asyncio.create_task(note())]
    yield results
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def metric(app: Running, name: str) -> float:
    async with app.client() as client:
        text = (await client.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return next(s.value for family in families for s in family.samples if s.name == name)


async def test_a_viewer_gets_the_kind_of_video_and_then_each_frame(
    app: Running, stream_id: str
) -> None:
    async with pushing(app, stream_id) as results, Viewer(app, stream_id) as viewer:
        kind = await viewer.next()
        assert (kind["type"], kind["width"], kind["height"]) == ("video", 320, 240)
        assert kind["codec"].startswith("avc1.")
        assert kind["encoded_for"] == "viewers"
        frames = [await viewer.next() for _ in range(12)]
        assert await metric(app, "watchpost_video_viewers") == 1
        assert await metric(app, "watchpost_video_bytes_total") > len(viewer.data)
    assert frames[0]["keyframe"]
    assert frames[0]["time"] == 0
    known = {one.number: one for one in results}
    for frame in frames:
        assert known[frame["frame"]].captured_at == pytest.approx(
            frame["ts"] - time.time() + time.monotonic(), abs=0.01
        )
        passed_s = (frame["time"] - frames[0]["time"]) / kind["timescale"]
        assert passed_s == pytest.approx(frame["ts"] - frames[0]["ts"], abs=0.002)
    assert len(viewer.pictures()) == 12
    assert await metric(app, "watchpost_video_viewers") == 0


async def test_faces_are_covered_and_boxes_are_those_of_the_frame(
    app: Running, stream_id: str
) -> None:
    picture = portrait(480)
    assert count_faces(picture) == 1
    async with (
        pushing(app, stream_id, encode(picture)) as results,
        Viewer(app, stream_id) as viewer,
    ):
        await viewer.next()
        frames = [await viewer.next() for _ in range(8)]
    shown = viewer.pictures()
    assert len(shown) == 8
    assert [count_faces(one) for one in shown] == [0] * 8
    known = {one.number: one for one in results}
    with_boxes = [frame for frame in frames if frame["detections"]]
    assert with_boxes
    for frame in with_boxes:
        (face,) = frame["detections"]
        (track,) = known[frame["frame"]].tracks
        assert face["label"] == "face"
        assert face["box"] == pytest.approx(list(track.box), abs=0.06)
        assert (frame["width"], frame["height"]) == (480, 480)


async def test_two_viewers_share_an_encoder_that_ends_with_them(
    app: Running, stream_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders: list[object] = []

    class Counted(H264Encoder):
        def __init__(self, *args: Any, **options: Any) -> None:
            encoders.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(recording, "H264Encoder", Counted)
    async with pushing(app, stream_id) as results:
        while len(results) < 3:
            await asyncio.sleep(0.05)
        assert encoders == []
        async with Viewer(app, stream_id) as one, Viewer(app, stream_id) as two:
            for viewer in (one, two):
                await viewer.next()
                await viewer.next()
            numbers = [[(await v.next())["frame"] for _ in range(5)] for v in (one, two)]
            assert set(numbers[0]) & set(numbers[1])
            assert len(encoders) == 1
        sink = manager(app).stream(stream_id).running().packets
        assert sink is not None
        newest, before = sink.newest_at, len(results)
        while len(results) < before + 5:
            await asyncio.sleep(0.05)
        assert sink.newest_at == newest
        assert len(encoders) == 1


async def test_a_new_size_comes_with_a_new_header(app: Running, stream_id: str) -> None:
    async with Viewer(app, stream_id) as viewer:
        async with pushing(app, stream_id):
            assert (await viewer.next())["width"] == 320
            before = [await viewer.next() for _ in range(3)]
        async with pushing(app, stream_id, plain(640, 360)):
            while (message := await viewer.next())["type"] == "frame":
                before.append(message)
            after = await viewer.next()
    assert (message["type"], message["width"], message["height"]) == ("video", 640, 360)
    assert after["keyframe"]
    assert after["time"] > before[-1]["time"]


async def test_a_viewer_that_stops_reading_is_disconnected_and_hinders_nobody(
    app: Running, stream_id: str
) -> None:
    async with pushing(app, stream_id), Viewer(app, stream_id) as slow:
        await slow.next()
        slow.reading.clear()
        async with Viewer(app, stream_id) as other:
            await other.next()
            frames = [await other.next() for _ in range(12)]
        numbers = [frame["frame"] for frame in frames]
        assert numbers == sorted(set(numbers))
        await asyncio.wait_for(asyncio.shield(slow.served), PATIENCE_S)


async def test_the_end_of_the_stream_is_said(app: Running, stream_id: str) -> None:
    async with pushing(app, stream_id), Viewer(app, stream_id) as viewer:
        await viewer.next()
        await manager(app).disconnect(stream_id)
        while (message := await viewer.next())["type"] == "frame":
            pass
        assert message["type"] == "end"
        assert await viewer.closed() == 1000


async def test_what_cannot_be_watched_is_refused_with_its_code(
    app: Running, stream_id: str
) -> None:
    async with Viewer(app, "nobody") as viewer:
        assert (await viewer.next())["code"] == "STREAM_NOT_FOUND"
        assert await viewer.closed() == 4404
    header = token_for(app, frozenset({Right.VIEW}), "another")["Authorization"]
    async with Viewer(app, stream_id, f"token={header.split()[1]}") as viewer:
        assert (await viewer.next())["code"] == "STREAM_NOT_FOUND"
        assert await viewer.closed() == 4404
    entry = manager(app).registry[stream_id]
    assert entry.stream is not None
    entry.stream.spec = replace(entry.spec, blur="off")  # the faces are not covered now
    async with Viewer(app, stream_id) as viewer:
        assert (await viewer.next())["code"] == "NO_VIDEO"
        assert await viewer.closed() == 4409


async def test_a_token_that_is_revoked_ends_the_video(app: Running, stream_id: str) -> None:
    header = token_for(app, frozenset({Right.VIEW}), stream_id)["Authorization"]
    access = app.state["access"]
    async with (
        pushing(app, stream_id),
        Viewer(app, stream_id, f"token={header.split()[1]}") as viewer,
    ):
        await viewer.next()
        for key in [key for key in access.calls._limits if key.startswith("token")]:
            access.calls.end(key)
        assert await viewer.closed() == 1008


async def test_plain_http_is_told_to_use_a_socket(app: Running, stream_id: str) -> None:
    async with app.client() as client:
        assert (await client.get(f"/api/streams/{stream_id}/video")).status_code == 426
        assert (await client.get("/api/streams/nobody/video")).status_code == 404


async def test_results_are_found_by_frame_also_after_the_numbers_began_again() -> None:
    feed: EventStream[FrameMetadata | WithheldFrame] = EventStream(asyncio.get_running_loop())
    with feed.subscribed(1000) as outcomes:
        known = KnownResults(outcomes)

        def publish(*numbers: int) -> list[FrameMetadata]:
            made = [FrameMetadata(n, (1, 1), (), 0.0, 0.0, 0.0, 0.0) for n in numbers]
            for one in made:
                feed.publish(one)
            return made

        first = publish(7, 8, 9)
        assert known.of(3) is None  # from before the viewer came
        assert known.of(8) is first[1]
        again = publish(1, 2, 9)
        assert known.of(2) is again[1]
        assert known.of(9) is again[2]
        publish(*range(1000))
        assert known.of(0) is None
        assert len(known._known) == OUTCOMES

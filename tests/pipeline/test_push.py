"""Pushed pictures: decoding them, answering who pushed, and the timers that end a stream."""

from __future__ import annotations

import asyncio
import itertools
import queue
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from support.doubles import FaceNetwork, MemoryStore, threads_of

from app.analytics.analyzer import AnalyzerFactory
from app.config import PushSettings, StreamSettings
from app.errors import BadFrame, DetectorError, NotPushable, StreamNotFound, TooManyStreams
from app.models.orientation import orientation_of
from app.pipeline.event_log import EventLog
from app.pipeline.hub import EventStream, Subscription
from app.pipeline.manager import StreamManager
from app.pipeline.normalise import normalised
from app.pipeline.push import Answer, FrameAck, FrameRefusal, Pusher, PushStreams
from app.pipeline.sources.push import Pushed, PushSource, decode
from app.types import FrameMetadata, StreamSpec, WithheldFrame

pytestmark = pytest.mark.anyio
PATIENCE_S = 30.0
MANY_PIXELS = 50_000_000


def picture(kind: str = "jpg", width: int = 64, height: int = 48, **options: Any) -> bytes:
    image = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
    image = options.pop("change", lambda it: it)(image)
    return bytes(cv2.imencode(f".{kind}", image, options.pop("flags", []))[1])


# ── decoding ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("size", [(64, 48), (1, 1), (3, 5), (4000, 2)])
def test_the_three_formats_are_decoded(kind: str, size: tuple[int, int]) -> None:
    image = decode(picture(kind, *size), MANY_PIXELS)
    assert (image.width, image.height) == size


@pytest.mark.parametrize(
    "data",
    [
        picture(change=lambda it: it[..., 0]),
        picture(flags=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        picture("png", change=lambda it: it.astype(np.uint16) * 257),
        picture("png", change=lambda it: np.dstack([it, it[..., 0]])),
        picture("webp", flags=[cv2.IMWRITE_WEBP_QUALITY, 60]),
        picture() + b"what some cameras append",
    ],
)
def test_their_variants_are_decoded(data: bytes) -> None:
    assert decode(data, MANY_PIXELS).width == 64


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_picture_that_is_cut_is_no_picture(kind: str, share: float) -> None:
    data = picture(kind)
    with pytest.raises(BadFrame):
        decode(data[: int(len(data) * share)], MANY_PIXELS)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_too_many_pixels_are_refused(kind: str) -> None:
    assert decode(picture(kind, 50, 50), 100 * 100).width == 50
    with pytest.raises(BadFrame):
        decode(picture(kind, 200, 100), 100 * 100)


def with_orientation(jpeg: bytes, value: int, order: str = "<") -> bytes:
    """A JPEG with the mark that phones make when they are held otherwise."""
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    tiff += struct.pack(f"{order}HHHIHHI", 1, 0x0112, 3, 1, value, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(10))
def test_a_picture_is_turned_as_its_camera_says(value: int, order: str) -> None:
    """OpenCV, which does the same, is the judge."""
    image = np.zeros((40, 64, 3), np.uint8)
    image[:12, :20] = 255
    data = with_orientation(bytes(cv2.imencode(".jpg", image)[1]), value, order)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None
    frame = normalised(decode(data, MANY_PIXELS), orientation_of(data), Fraction(1))
    turned = frame.to_ndarray(format="bgr24")
    assert turned.shape == expected.shape
    assert np.abs(turned.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("cut", [4, 8, 12, 16, 20])
def test_a_broken_mark_says_nothing(cut: int) -> None:
    mark = b"Exif\0\0" + b"II*\0" + bytes([255] * cut)
    data = picture()[:2] + b"\xff\xe1" + struct.pack(">H", len(mark) + 2) + mark + picture()[2:]
    assert decode(data, MANY_PIXELS).width == 64


def test_damaged_bytes_never_do_more_than_fail() -> None:
    rng = np.random.default_rng(11)
    outcomes = set()
    for kind in ("jpg", "png", "webp"):
        good = picture(kind)
        for _ in range(150):
            data = bytearray(good)
            for at in rng.integers(12, len(data), 1 + int(rng.integers(8))):
                data[at] = int(rng.integers(256))
            try:
                decode(bytes(data), MANY_PIXELS)
                outcomes.add("decoded")
            except BadFrame:
                outcomes.add("refused")
    assert outcomes == {"decoded", "refused"}


@pytest.mark.parametrize("data", [b"", b"x", b"GIF89a", b"RIFF1234WAVE", b"\xff\xd8", b"<svg/>"])
def test_other_bytes_are_no_picture(data: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(data, MANY_PIXELS)


def test_the_source_keeps_the_newest_and_tells_what_was_lost() -> None:
    lost: queue.Queue[tuple[int, BadFrame | None]] = queue.Queue()
    source = PushSource(StreamSpec("a", "push:"), StreamSettings())

    def push(number: int, data: bytes) -> None:
        source.push(Pushed(data, number, 100.0 + number, lambda why: lost.put((number, why))))

    for number in (1, 2, 3):
        push(number, picture())
    assert [lost.get(timeout=1), lost.get(timeout=1)] == [(1, None), (2, None)]
    assert source.dropped == 2
    frames = source.frames()
    frame = next(frames)
    assert frame is not None
    assert (frame.number, frame.captured_at) == (3, 103.0)
    assert frame.taken_at > 0
    push(4, b"\xff\xd8\xff nothing")
    assert next(frames) is None
    number, why = lost.get(timeout=1)
    assert number == 4
    assert isinstance(why, BadFrame)


# ── answers ──────────────────────────────────────────────────────────────────────────────────


def report(number: int) -> FrameMetadata:
    return FrameMetadata(number, (64, 48), (), 1.0, 1.1, 1.2, 10.0)


class Stage:
    """A pusher on a feed that the test fills: 1, 3, 5 … are its frames, 2, 4, 6 … somebody's."""

    def __init__(
        self, results: Subscription[FrameMetadata | WithheldFrame], feed: EventStream[Any]
    ) -> None:
        self.feed = feed
        self.pusher = Pusher(lambda *_: None, itertools.count(1, 2), results)
        self.answers = self.pusher.answers()

    def push(self, *frames: int) -> None:
        for frame in frames:
            self.pusher.push(picture(), frame)

    def happen(self, *outcomes: FrameMetadata | WithheldFrame) -> None:
        for outcome in outcomes:
            self.feed.publish(outcome)

    async def next(self) -> Answer:
        return await asyncio.wait_for(anext(self.answers), PATIENCE_S)

    async def rest(self) -> list[Answer]:
        self.feed.close()
        return [answer async for answer in self.answers]


@pytest.fixture
async def stage() -> Any:
    feed: EventStream[FrameMetadata | WithheldFrame] = EventStream(asyncio.get_running_loop())
    with feed.subscribed(64) as results:
        yield Stage(results, feed)


async def test_each_frame_that_came_through_is_answered_under_its_own_number(
    stage: Stage,
) -> None:
    stage.push(7, 8)
    stage.happen(report(1), report(2), report(3))
    first, second = await stage.next(), await stage.next()
    assert isinstance(first, FrameAck)
    assert isinstance(second, FrameAck)
    assert [(a.frame, a.dropped, a.metadata.number) for a in (first, second)] == [
        (7, 0, 1),
        (8, 0, 3),
    ]
    assert await stage.rest() == []


async def test_replaced_frames_are_counted_in_the_next_answer(stage: Stage) -> None:
    stage.push(1, 2, 3, 4)
    stage.happen(WithheldFrame(3), WithheldFrame(5), report(1), report(7))
    first, last = await stage.next(), await stage.next()
    assert isinstance(first, FrameAck)
    assert isinstance(last, FrameAck)
    assert (first.frame, first.dropped) == (1, 2)
    assert (last.frame, last.dropped) == (4, 0)


async def test_a_frame_that_somebody_elses_replaced_is_answered_by_itself(stage: Stage) -> None:
    stage.push(1)
    stage.happen(WithheldFrame(1), report(2))
    assert await stage.next() == FrameRefusal(1)
    assert await stage.rest() == []


async def test_a_refused_picture_says_nothing_about_those_still_worked_on(stage: Stage) -> None:
    bad = BadFrame(reason="empty")
    stage.push(1, 2, 3)
    stage.happen(WithheldFrame(5, bad), WithheldFrame(3), report(1))
    assert await stage.next() == FrameRefusal(3, bad)
    answer = await stage.next()
    assert isinstance(answer, FrameAck)
    assert (answer.frame, answer.dropped) == (1, 1)


async def test_after_a_failure_what_was_replaced_before_is_answered_too(stage: Stage) -> None:
    failed = DetectorError(network="faces", reason="x")
    stage.push(1, 2)
    stage.happen(WithheldFrame(1), WithheldFrame(3, failed))
    assert [await stage.next(), await stage.next()] == [FrameRefusal(2, failed), FrameRefusal(1)]


async def test_frames_whose_outcome_was_lost_on_a_slow_client_count_as_dropped() -> None:
    feed: EventStream[FrameMetadata | WithheldFrame] = EventStream(asyncio.get_running_loop())
    with feed.subscribed(2) as results:
        stage = Stage(results, feed)
        stage.push(1, 2, 3, 4)
        stage.happen(report(1), report(3), report(5), report(7))
        first, second = await stage.next(), await stage.next()
        assert isinstance(first, FrameAck)
        assert isinstance(second, FrameAck)
        assert (first.frame, first.dropped, second.frame) == (3, 2, 4)


async def test_what_is_no_picture_is_refused_at_once_and_replaces_nothing(stage: Stage) -> None:
    with pytest.raises(BadFrame):
        stage.pusher.push(b"nothing", 1)
    stage.push(2)
    stage.happen(report(1))
    answer = await stage.next()
    assert isinstance(answer, FrameAck)
    assert answer.frame == 2


# ── whole streams ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def push_settings() -> PushSettings:
    return PushSettings(max_streams=3, grace_s=0.2, unused_s=0.6)


@pytest.fixture
async def streams(
    settings: StreamSettings, face_settings: Any, faces: Any, push_settings: PushSettings
) -> Any:
    loop = asyncio.get_running_loop()
    analyzers = AnalyzerFactory(None, {}, None)  # type: ignore[arg-type]
    manager = StreamManager(
        settings, face_settings, faces, MemoryStore(), analyzers, EventLog(loop)
    )
    yield PushStreams(manager, push_settings), manager
    await manager.close()


def open_one(pushes: PushStreams) -> str:
    return pushes.open(name=None, analytics={}, blur="gaussian")


async def gone(manager: StreamManager, stream_id: str, within: float = PATIENCE_S) -> None:
    async with asyncio.timeout(within):
        while any(status.spec.stream_id == stream_id for status in manager.all()):
            await asyncio.sleep(0.02)


async def test_a_pushed_frame_comes_back_as_its_answer(
    streams: tuple[PushStreams, StreamManager],
) -> None:
    pushes, _ = streams
    stream_id = open_one(pushes)
    with pushes.connected(stream_id), pushes.pusher(stream_id) as pusher:
        answers = pusher.answers()
        for frame in (1, 2, 3):
            pusher.push(picture(width=128), frame)
            answer = await asyncio.wait_for(anext(answers), PATIENCE_S)
            assert isinstance(answer, FrameAck)
            assert (answer.frame, answer.metadata.size) == (frame, (128, 48))
            times = answer.metadata
            assert times.captured_at <= times.taken_at <= times.finished_at


async def test_when_the_faces_are_not_known_the_pusher_gets_a_refusal(
    streams: tuple[PushStreams, StreamManager], network: FaceNetwork
) -> None:
    pushes, _ = streams
    network.fails_with = RuntimeError("broken")
    stream_id = open_one(pushes)
    with pushes.connected(stream_id), pushes.pusher(stream_id) as pusher:
        pusher.push(picture(), 1)
        answer = await asyncio.wait_for(anext(pusher.answers()), PATIENCE_S)
        assert isinstance(answer, FrameRefusal)
        assert isinstance(answer.error, DetectorError)


async def test_a_crash_on_a_frame_still_answers_it(
    streams: tuple[PushStreams, StreamManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError

    pushes, _ = streams
    stream_id = open_one(pushes)
    with pushes.connected(stream_id), pushes.pusher(stream_id) as pusher:
        answers = pusher.answers()
        with monkeypatch.context() as patched:
            patched.setattr("app.pipeline.stream.to_output", crash)
            pusher.push(picture(), 1)
            answer = await asyncio.wait_for(anext(answers), PATIENCE_S)
            assert isinstance(answer, FrameRefusal)
            assert answer.error is not None
            assert answer.error.code == "INTERNAL_ERROR"
        pusher.push(picture(), 2)
        assert isinstance(await asyncio.wait_for(anext(answers), PATIENCE_S), FrameAck)


async def test_a_burst_leaves_no_frame_without_an_answer(
    streams: tuple[PushStreams, StreamManager],
) -> None:
    pushes, _ = streams
    stream_id = open_one(pushes)
    count = 200
    with pushes.connected(stream_id), pushes.pusher(stream_id) as pusher:
        answers = pusher.answers()
        for frame in range(1, count + 1):
            pusher.push(picture(), frame)
            if frame % 20 == 0:
                await asyncio.sleep(0.01)
        answered = 0
        while answered < count:
            answer = await asyncio.wait_for(anext(answers), PATIENCE_S)
            answered += 1 + (answer.dropped if isinstance(answer, FrameAck) else 0)
        assert answered == count


async def test_nobody_came_and_it_ends(streams: tuple[PushStreams, StreamManager]) -> None:
    pushes, manager = streams
    stream_id = open_one(pushes)
    await asyncio.sleep(0.3)
    assert manager.stream(stream_id).status
    await gone(manager, stream_id)
    assert threads_of(stream_id) == []


async def test_at_the_end_of_the_server_nothing_is_left_to_do(
    streams: tuple[PushStreams, StreamManager],
) -> None:
    """A stream that ends just then has ended, and no other one ends later by itself."""
    pushes, manager = streams
    unused, left = open_one(pushes), open_one(pushes)
    with pushes.connected(left):
        async with asyncio.timeout(PATIENCE_S):
            while not pushes._tasks:
                await asyncio.sleep(0)
        assert manager.stream(unused).status
        await pushes.close()
        assert [status.spec.stream_id for status in manager.all()] == [left]
    await asyncio.sleep(1.0)  # longer than without a client
    assert [status.spec.stream_id for status in manager.all()] == [left]


async def test_it_lives_while_anybody_is_connected_and_a_grace_time_longer(
    streams: tuple[PushStreams, StreamManager],
) -> None:
    pushes, manager = streams
    stream_id = open_one(pushes)
    with pushes.connected(stream_id):
        with pushes.connected(stream_id):
            await asyncio.sleep(0.8)  # longer than the time for unused ones
        await asyncio.sleep(0.4)  # longer than the grace time
        assert manager.stream(stream_id).status
    await asyncio.sleep(0.05)
    with pushes.connected(stream_id):  # back within it
        await asyncio.sleep(0.4)
        assert manager.stream(stream_id).status
    await gone(manager, stream_id)


async def test_the_limit_counts_what_lives(streams: tuple[PushStreams, StreamManager]) -> None:
    pushes, manager = streams
    opened = [open_one(pushes) for _ in range(3)]
    assert len(set(opened)) == 3
    with pytest.raises(TooManyStreams):
        open_one(pushes)
    for stream_id in opened:
        await gone(manager, stream_id)
    assert open_one(pushes)


async def test_only_pushed_streams_take_pictures(
    streams: tuple[PushStreams, StreamManager],
) -> None:
    pushes, manager = streams
    manager.start_ephemeral(StreamSpec("demo", "demo:"))
    with pytest.raises(NotPushable), pushes.pusher("demo"):
        pass
    with pytest.raises(StreamNotFound), pushes.pusher("nope"):
        pass
    with pushes.connected("demo"), pushes.connected("nope"):
        pass
    await asyncio.sleep(0.4)
    assert manager.stream("demo").status


async def test_answers_end_with_the_stream(streams: tuple[PushStreams, StreamManager]) -> None:
    pushes, manager = streams
    stream_id = open_one(pushes)
    with pushes.connected(stream_id), pushes.pusher(stream_id) as pusher:
        ending = asyncio.create_task(manager.disconnect(stream_id))
        assert [answer async for answer in pusher.answers()] == []
        await ending


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = {thread.name for thread in threading.enumerate()}
    yield
    left = {t.name for t in threading.enumerate() if t.name.endswith(("-input", "-look"))}
    assert left <= before


def test_a_decoded_picture_is_a_frame_of_libav() -> None:
    assert isinstance(decode(picture(), MANY_PIXELS), av.VideoFrame)

"""Encoded frames for viewers: who encodes, when, and what a slow viewer misses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace

import pytest
from support.doubles import noise
from support.encoded import encoded, seconds

from app.config import StreamSettings
from app.pipeline import live_video
from app.pipeline.blur import conceal
from app.pipeline.hub import EventStream
from app.pipeline.live_video import BACKLOG, BEHIND_S, STALE_S, followed
from app.pipeline.packets import LIVE_LIMITS, PacketRing, VideoPacket
from app.pipeline.sinks.encode import H264Encoder
from app.pipeline.sinks.recording import RecordingEncoder
from app.types import ProcessedFrame, StreamSpec

pytestmark = pytest.mark.anyio
PATIENCE_S = 30.0
SPEC = StreamSpec("cam", "rtsp://192.0.2.1/cam", encoder="libx264")


async def ring(*, recorded: bool = False) -> PacketRing:
    made = PacketRing(LIVE_LIMITS, recorded=recorded)
    made.viewers = EventStream(asyncio.get_running_loop())
    return made


def add(kept: PacketRing, packets: Iterable[VideoPacket]) -> None:
    for one in packets:
        kept.add(
            one.data,
            one.captured_at,
            one.run,
            is_keyframe=one.is_keyframe,
            by_output=False,
            frame=one.number,
        )


def watch(kept: PacketRing) -> AsyncGenerator[VideoPacket]:
    assert kept.viewers is not None
    return followed(kept, kept.viewers)


async def take(packets: AsyncGenerator[VideoPacket], count: int) -> list[int]:
    """The numbers of the next frames."""
    return [(await asyncio.wait_for(anext(packets), PATIENCE_S)).frame for _ in range(count)]


def now_on(count: int) -> list[float]:
    """Times of this many frames, the last of which is now."""
    return seconds(count, begin=time.monotonic() - (count - 1) / 5)


# ── viewers ──────────────────────────────────────────────────────────────────────────────────


async def test_a_new_viewer_begins_with_the_newest_keyframe_and_misses_nothing() -> None:
    kept, packets = await ring(), list(encoded(now_on(20)))
    add(kept, packets[:14])
    viewer = watch(kept)
    assert await take(viewer, 1) == [11]  # a keyframe every ten frames
    add(kept, packets[14:])
    assert await take(viewer, 9) == list(range(12, 21))
    kept.close()
    assert [one async for one in viewer] == []


async def test_what_an_encoder_left_long_ago_is_not_shown() -> None:
    kept = await ring()
    old = time.monotonic() - STALE_S - 1
    add(kept, encoded(seconds(5, begin=old - 1)))
    viewer = watch(kept)
    first = asyncio.create_task(take(viewer, 1))
    await asyncio.sleep(0.05)
    add(kept, encoded(now_on(3), run=2, first=50))
    assert await first == [51]
    await viewer.aclose()


async def test_a_viewer_that_misses_packets_continues_with_a_keyframe() -> None:
    kept = await ring()
    packets = list(encoded(seconds(BACKLOG + 40, begin=time.monotonic(), fps=1000), fps=5))
    add(kept, packets[:1])
    viewer = watch(kept)
    assert await take(viewer, 1) == [1]
    add(kept, packets[1:])
    (shown,) = await take(viewer, 1)
    assert packets[shown - 1].is_keyframe
    assert shown > 40
    assert await take(viewer, 1) == [shown + 1]
    await viewer.aclose()


async def test_a_viewer_that_is_behind_skips_to_the_newest_keyframe() -> None:
    kept = await ring()
    packets = list(encoded(seconds(28, begin=time.monotonic())))
    assert packets[20].is_keyframe
    add(kept, packets[:3])
    viewer = watch(kept)
    assert await take(viewer, 3) == [1, 2, 3]
    add(kept, packets[3:])
    assert packets[27].captured_at - packets[3].captured_at > BEHIND_S
    assert await take(viewer, 8) == list(range(21, 29))
    await viewer.aclose()


async def test_two_viewers_get_the_same_packets_and_leave_nothing_behind() -> None:
    kept = await ring()
    add(kept, encoded(now_on(3)))
    one, two = watch(kept), watch(kept)
    assert not kept.watched
    assert await take(one, 3) == await take(two, 3) == [1, 2, 3]
    await one.aclose()
    assert kept.watched
    await two.aclose()
    assert not kept.watched


# ── the encoder ──────────────────────────────────────────────────────────────────────────────


class Encodes:
    """The small encoder of a stream, fed 15 frames a second."""

    def __init__(self, kept: PacketRing, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = 0
        self.kept = kept
        self.sink = RecordingEncoder(SPEC, StreamSettings(), kept, lambda *_: None)
        self._number = 0
        self._begun_at = time.monotonic() - 100
        image = conceal(noise(), [], "off", 0)
        self._frame = ProcessedFrame(image, (), 0.0, 0, covered=True)

        def opened(*args: object, **options: object) -> H264Encoder:
            self.opened += 1
            return H264Encoder(*args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr("app.pipeline.sinks.recording.H264Encoder", opened)

    def frames(self, count: int) -> None:
        for _ in range(count):
            self._number += 1
            at = self._begun_at + self._number / 15
            frame = replace(self._frame, captured_at=at, number=self._number)
            if self.sink.wants(frame):
                self.sink.write(frame)


async def test_nothing_is_encoded_while_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = await ring()
    camera = Encodes(kept, monkeypatch)
    camera.frames(30)
    assert (camera.opened, kept.newest_at) == (0, None)
    assert kept.viewers is not None
    with kept.viewers.subscribed(), kept.viewers.subscribed():
        camera.frames(30)
        assert camera.opened == 1
        packets = kept.between(0, time.monotonic())
        assert [one.frame for one in packets] == list(range(31, 61))
        camera.sink.idle(0.5)
        assert camera.sink._encoder is not None
    newest_at = kept.newest_at
    camera.frames(10)
    camera.sink.idle(0.5)
    assert camera.sink._encoder is None
    assert kept.newest_at == newest_at
    with kept.viewers.subscribed():
        camera.frames(1)
    assert camera.opened == 2
    assert kept.between(0, time.monotonic())[0].is_keyframe


async def test_a_viewer_between_two_frames_gets_a_keyframe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is still open from the viewer before, but frames are missing since."""
    kept = await ring()
    camera = Encodes(kept, monkeypatch)
    assert kept.viewers is not None
    with kept.viewers.subscribed():
        camera.frames(5)
    camera.frames(3)
    with kept.viewers.subscribed() as packets:
        camera.frames(1)
        (first,) = packets.take_waiting()
    assert first.is_keyframe


async def test_viewers_get_the_packets_of_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = await ring()
    camera = Encodes(kept, monkeypatch)
    assert kept.viewers is not None
    with kept.viewers.subscribed() as packets:
        kept.add(b"of the output", 1.0, kept.begin_run(), is_keyframe=True, by_output=True, frame=7)
        camera.frames(15)
        assert [one.frame for one in packets.take_waiting()] == [7]
    assert camera.opened == 0


async def test_recordings_get_the_frames_of_viewers_and_fewer_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = await ring(recorded=True)
    camera = Encodes(kept, monkeypatch)
    camera.frames(15)
    assert kept.viewers is not None
    with kept.viewers.subscribed():
        camera.frames(15)
    camera.frames(15)
    numbers = [one.frame for one in kept.between(0, time.monotonic())]
    assert numbers[:5] == [1, 4, 7, 10, 13]
    assert numbers[5:20] == list(range(16, 31))
    assert len(numbers) == 25
    assert camera.opened == 1  # the clips' encoder is that of the viewers


async def test_frames_get_as_many_bits_with_viewers_as_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []
    for watched in (False, True):
        kept = await ring(recorded=True)
        camera = Encodes(kept, monkeypatch)
        if watched:
            assert kept.viewers is not None
            with kept.viewers.subscribed():
                camera.frames(60)
        else:
            camera.frames(60)
        packets = kept.between(0, time.monotonic())
        sizes.append(sum(len(one.data) for one in packets) / len(packets))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.5)


def test_an_uncovered_stream_has_no_video() -> None:
    assert SPEC.has_video
    assert not replace(SPEC, blur="off").has_video
    assert replace(SPEC, blur="off", clear_until=5.0).has_video  # covered from then on
    assert LIVE_LIMITS.seconds > live_video.STALE_S

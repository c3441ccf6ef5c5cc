"""The ring of encoded packets, and who fills it."""

from __future__ import annotations

import time
from dataclasses import replace

import av
import numpy as np
import pytest
from support.doubles import luma, noise
from support.encoded import encoded, filled, seconds

from app.config import StreamSettings
from app.models.colours import Colours
from app.pipeline.blur import conceal
from app.pipeline.channel import Closed
from app.pipeline.draw import shrunk
from app.pipeline.packets import PacketRing, RingLimits, VideoPacket
from app.pipeline.sinks.encode import H264Encoder, Packet
from app.pipeline.sinks.recording import RecordingEncoder
from app.pipeline.sinks.ring_feed import RingFeed
from app.types import ProcessedFrame, StreamSpec

SPEC = StreamSpec("cam", "rtsp://192.0.2.1/cam", analytics={"smoking": {}}, encoder="libx264")


def ring(seconds_kept: float = 1e9, most: int = 1 << 40) -> PacketRing:
    return PacketRing(RingLimits(seconds_kept, most))


def processed(
    at: float, *, covered: bool = True, size: tuple[int, int] = (320, 192)
) -> ProcessedFrame:
    return ProcessedFrame(conceal(noise(*size), [], "off", 0), (), at, 1, covered=covered)


def decoded(found: list[VideoPacket]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for one in found for frame in decoder.decode(av.Packet(one.data))]
    return [*frames, *decoder.decode(None)]


# ── the ring ─────────────────────────────────────────────────────────────────────────────────


def test_a_period_begins_at_the_keyframe_before_it_and_can_be_decoded() -> None:
    kept = filled(encoded(seconds(60)))
    found = kept.between(1005.1, 1007.0)
    assert found[0].is_keyframe
    assert found[0].captured_at == pytest.approx(1004.0)
    assert found[-1].captured_at == pytest.approx(1007.0)
    assert len(decoded(found)) == len(found) == 16


def test_a_period_before_everything_begins_with_the_first_packet() -> None:
    kept = filled(encoded(seconds(20)))
    assert kept.between(900, 1001)[0].captured_at == 1000
    assert kept.between(900, 950) == []
    assert kept.between(2000, 2001) == []


def test_the_ring_is_bounded_in_seconds_and_in_bytes() -> None:
    by_time = filled(encoded(seconds(100)), RingLimits(5.0, 1 << 40))
    assert len(by_time.between(0, 1e9)) <= 26
    assert by_time.newest_at == pytest.approx(1019.8)
    size = sum(len(one.data) for one in encoded(seconds(100)))
    by_bytes = filled(encoded(seconds(100)), RingLimits(1e9, size // 4))
    kept = by_bytes.between(0, 1e9)
    assert 0 < sum(len(one.data) for one in kept) <= size // 4
    assert decoded(kept)


def test_packets_of_two_encoders_are_never_mixed() -> None:
    first, second = encoded(seconds(40)), encoded(seconds(15, 1008.0), run=2, first=100)
    found = filled([*first, *second]).between(1002, 1020)
    assert {one.run for one in found} == {1}  # it has more of the period
    assert {
        one.run
        for one in filled([*encoded(seconds(5)), *encoded(seconds(40, 1001.0), run=2)]).between(
            1000, 1009
        )
    } == {2}


def test_a_late_packet_of_the_encoder_before_is_left_out() -> None:
    late = replace(next(encoded([1002.0])), run=1)
    kept = filled([*encoded(seconds(5)), *encoded(seconds(5, 1001.0), run=2), late])
    assert [one.run for one in kept.between(1001.5, 1003)] == [2] * 5


def test_readers_get_every_packet_and_the_end() -> None:
    kept = ring()
    with kept.subscribed(100) as reader:
        for one in encoded(seconds(7)):
            kept.add(one.data, one.captured_at, 1, is_keyframe=one.is_keyframe, by_output=False)
        numbers = [reader.get(0) for _ in range(7)]
        assert [one.number for one in numbers if one] == [1, 2, 3, 4, 5, 6, 7]
        kept.close()
        with pytest.raises(Closed):
            reader.get(0)
    assert kept.between(0, 1e9)  # it can still be read


# ── faces ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_of_an_uncovered_frame_and_of_frames_that_need_it_is_kept() -> None:
    kept = ring()
    feed = RingFeed(kept, by_output=True)
    encoder = H264Encoder(320, 192, fps=5, encoder="libx264", threads=1, timed_keyframes=True)
    feed.begin(0.0)
    for place in range(30):
        feed.frame(place * 18_000, covered=not 5 <= place < 15)
        for packet in encoder.encode(conceal(noise(), [], "off", 0), place * 18_000):
            feed.packet(packet, encoder)
    times = [round(one.captured_at * 5) for one in kept._packets]
    assert times == [*range(5), *range(20, 30)]  # from the next keyframe on
    assert [one.is_keyframe for one in kept._packets][5]


def test_a_packet_that_the_encoder_holds_back_is_of_its_own_frame() -> None:
    kept = ring()
    feed = RingFeed(kept, by_output=True)
    encoder = H264Encoder(320, 192, fps=5, encoder="libx264", threads=1)
    feed.begin(0.0)
    feed.frame(0, covered=False)
    feed.frame(18_000, covered=True)
    feed.packet(Packet(b"of the first frame", 0, True), encoder)
    assert kept.newest_at is None
    feed.packet(Packet(b"of the second frame", 18_000, True), encoder)
    assert kept.newest_at == pytest.approx(0.2)


def test_an_output_that_connects_late_takes_over_from_the_small_encoder() -> None:
    kept = ring()
    output = RingFeed(kept, by_output=True)
    encoder = H264Encoder(320, 192, fps=5, encoder="libx264", threads=1)
    output.begin(0.0)  # it connects from now on
    first = encoder.encode(conceal(noise(), [], "off", 0), 0)
    RecordingEncoder(SPEC, StreamSettings(), kept, lambda *_: None).write(processed(0.1))
    assert not kept.fed_by_output
    for packet in first:
        output.packet(packet, encoder)
    for packet in encoder.encode(conceal(noise(), [], "off", 0), 90_000):
        output.packet(packet, encoder)
    assert kept.newest_at == pytest.approx(1.0)
    assert kept.fed_by_output


def test_the_small_encoder_takes_no_uncovered_frame() -> None:
    sink = RecordingEncoder(SPEC, StreamSettings(), ring(), lambda *_: None)
    assert not sink.wants(processed(1.0, covered=False))
    assert sink.wants(processed(1.0))
    assert not ProcessedFrame(conceal(noise(), [], "off", 0), (), 0.0, 1).covered  # fails closed


@pytest.mark.parametrize(
    ("options", "recorded"),
    [
        ({}, True),
        ({"analytics": {}}, False),
        ({"analytics": {}, "record": "continuous"}, True),
        ({"record": "off"}, False),
        ({"blur": "off"}, False),
        ({"blur": "off", "record": "continuous"}, False),
        ({"blur": "off", "clear_until": 5.0}, True),  # faces are covered from then on
        ({"source": "file:/a.mp4"}, False),  # as fast as it can be read, as jobs do
    ],
)
def test_what_is_recorded(options: dict[str, object], recorded: bool) -> None:
    assert replace(SPEC, **options).is_recorded is recorded  # type: ignore[arg-type]


# ── the small encoder ────────────────────────────────────────────────────────────────────────


def test_the_small_encoder_keeps_its_rate_size_and_keyframes() -> None:
    kept = ring()
    sink = RecordingEncoder(SPEC, StreamSettings(record_height=144), kept, lambda *_: None)
    for place in range(90):
        frame = processed(place / 15, size=(640, 384))
        if sink.wants(frame):
            sink.write(frame)
    found = kept.between(0, 10)
    assert len(found) == 30
    assert [one.is_keyframe for one in found].count(True) == 3
    frames = decoded(found)
    assert {(one.width, one.height, one.format.name) for one in frames} == {(240, 144, "yuv420p")}


def test_while_an_output_is_away_frames_have_its_size() -> None:
    kept = ring()
    spec = replace(SPEC, output="rtsp://192.0.2.1/out")
    sink = RecordingEncoder(spec, StreamSettings(record_height=144), kept, lambda *_: None)
    sink.write(processed(1.0, size=(640, 384)))
    assert {(one.width, one.height) for one in decoded(kept.between(0, 2))} == {(640, 384)}


def test_a_slow_camera_has_a_keyframe_every_two_seconds() -> None:
    kept = ring()
    sink = RecordingEncoder(SPEC, StreamSettings(), kept, lambda *_: None)
    for place in range(6):
        sink.write(processed(float(place)))
    assert [one.is_keyframe for one in kept.between(0, 10)] == [True, False] * 3


def test_the_small_encoder_rests_while_the_output_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ring()
    sink = RecordingEncoder(SPEC, StreamSettings(), kept, lambda *_: None)
    sink.write(processed(1.0))
    run = kept.begin_run()
    kept.add(b"packet", 1.1, run, is_keyframe=True, by_output=True)
    assert not sink.wants(processed(1.5))
    sink.idle(0.5)
    assert sink._encoder is None
    now = time.monotonic()
    monkeypatch.setattr("app.pipeline.packets.time.monotonic", lambda: now + 5)
    assert sink.wants(processed(2.0))
    sink.write(processed(2.0))
    assert kept.between(1.9, 3)[-1].run > run


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((1920, 1080), (1280, 720)),
        ((1080, 1920), (720, 1280)),
        ((2560, 720), (1280, 360)),
        ((640, 480), (640, 480)),
        ((2592, 1944), (960, 720)),
    ],
)
def test_frames_are_made_small_but_never_large(
    size: tuple[int, int], small: tuple[int, int]
) -> None:
    assert shrunk(conceal(noise(*size), [], "off", 0), 720).size == small


def test_full_range_becomes_limited_and_the_shared_frame_stays_as_it_was() -> None:
    planes = np.full((192 * 3 // 2, 320), 128, np.uint8)
    planes[:192] = 255
    image = av.VideoFrame.from_ndarray(planes, format="yuvj420p")
    image.color_range = av.video.reformatter.ColorRange.JPEG
    small = shrunk(conceal(image, [], "off", 0), 96).image
    assert small.format.name == "yuv420p"
    assert Colours.of(small).range == av.video.reformatter.ColorRange.MPEG
    assert abs(float(luma(small).mean()) - 235) <= 1
    assert luma(image).min() == 255

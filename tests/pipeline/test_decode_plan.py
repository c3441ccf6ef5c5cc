"""Which packets of a live video are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from app.pace import RateLimit
from app.pipeline.sources import decode_plan
from app.pipeline.sources.decode_plan import DecodePlan, Demand

FRAMES, FPS, GOP = 200, 25, 25
SIZE = (160, 90)
CAPTURED_AT_S = 1000.0  # of media time 0
CLIPS = {
    "P frames only": ("libx264", "bframes=0:scenecut=0"),
    "B-frames": ("libx264", "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0"),
    "B-frames that refer to B-frames": ("libx264", "bframes=3:b-adapt=0:scenecut=0"),
    "H.265": ("libx265", "bframes=3:b-adapt=0:scenecut=0:log-level=error"),
    "MJPEG": ("mjpeg", ""),
}


class Played(NamedTuple):
    """A clip that went through a plan.

    Attributes:
        decoded: number of packets.
        counted: frames of the source by the plan's count.
        taken: times of the frames that a stream with the same limit takes.
    """

    decoded: int
    counted: int
    taken: list[float]


@pytest.fixture(scope="module", params=CLIPS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, options = CLIPS[request.param]
    return encoded(tmp_path_factory.mktemp("clip") / "clip.mkv", codec, options)


def encoded(path: Path, codec: str, options: str, gop: int = GOP) -> Path:
    """A clip whose brightness changes slowly, so that each frame differs."""
    with av.open(str(path), "w") as container:
        named = {"x264-params": options, "x265-params": options, "preset": "ultrafast"}
        stream = container.add_stream(codec, rate=FPS, options=named if options else {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = gop
        for number in range(FRAMES):
            shade = np.full((*SIZE[::-1], 3), 40 + number // 2, np.uint8)
            shade[:, : SIZE[0] // 2] += np.uint8(number % 20)
            frame = av.VideoFrame.from_ndarray(shade, format="rgb24").reformat(
                format=stream.pix_fmt
            )
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def packets(path: Path) -> Iterator[tuple[av.VideoStream, av.Packet[av.VideoStream]]]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.thread_type = "SLICE"
        for packet in container.demux(video):
            yield video, packet


def played(path: Path, max_fps: float, demands: list[Demand], *, plan: bool = True) -> Played:
    """Play a clip; ``demands`` change in equal parts of it."""
    limit, chosen = RateLimit(max_fps), None
    decoded = counted = 0
    taken: list[float] = []
    for number, (video, packet) in enumerate(packets(path)):
        chosen = chosen or DecodePlan(video, max_fps)
        demand = demands[min(number * len(demands) // FRAMES, len(demands) - 1)]
        due = chosen.next(packet, 0.0, demand) if plan else [decode_plan.Arrived(packet, 0.0)]
        decoded += sum(bool(one.packet.size) for one in due)
        for one in due:
            images = one.packet.decode()
            if one is not due[-1]:
                chosen.skipped += len(images)
                continue
            for image in images:
                assert image.time is not None
                counted += chosen.handed_out(image.time, image.time + CAPTURED_AT_S)
                if limit.take(image.time + CAPTURED_AT_S):
                    taken.append(round(image.time, 3))
    assert chosen is not None
    return Played(decoded, counted + chosen.skipped + len(chosen.kept), taken)


def all_decoded(path: Path, max_fps: float) -> Played:
    return played(path, max_fps, [Demand.VIEWERS], plan=False)


@pytest.mark.parametrize("max_fps", [15, 5, 1, 0.5])
def test_a_viewer_gets_the_same_frames_as_if_all_were_decoded(clip: Path, max_fps: float) -> None:
    expected, got = all_decoded(clip, max_fps), played(clip, max_fps, [Demand.VIEWERS])
    assert got.taken == expected.taken
    assert got.counted == FRAMES
    assert got.decoded <= FRAMES


@pytest.mark.parametrize("max_fps", [15, 5])
def test_looks_get_the_same_frames_as_viewers(clip: Path, max_fps: float) -> None:
    """There are fewer keyframes than looks, so each is served from the frame that is due."""
    got = played(clip, max_fps, [Demand.LOOKS])
    if clip_is_intra_only(clip):
        assert len(got.taken) == pytest.approx(len(all_decoded(clip, max_fps).taken), abs=1)
    else:
        assert got.taken == all_decoded(clip, max_fps).taken
    assert got.counted == FRAMES


@pytest.mark.parametrize(
    ("name", "share"),
    [("P frames only", 1), ("B-frames", 0.45), ("H.265", 0.75), ("MJPEG", 0.22)],
)
def test_of_25_frames_for_5_only_those_that_others_need_are_decoded(
    name: str, share: float, tmp_path: Path
) -> None:
    clip = encoded(tmp_path / "clip.mkv", *CLIPS[name])
    got = played(clip, 5, [Demand.VIEWERS])
    assert got.decoded <= share * FRAMES
    assert got.decoded >= len(got.taken)


def test_keyframes_are_enough_for_a_frame_a_second(tmp_path: Path) -> None:
    clip = encoded(tmp_path / "clip.mkv", *CLIPS["P frames only"])
    got = played(clip, 1, [Demand.LOOKS])
    seconds = FRAMES / FPS
    assert got.decoded <= 0.35 * FRAMES  # the distance of keyframes is known after the second
    assert len(got.taken) >= seconds - 1
    assert all(time_s % 1 == 0 for time_s in got.taken[-5:])


def test_a_late_keyframe_makes_no_hole(tmp_path: Path) -> None:
    """From four keyframes a second to one in six: what was kept is decoded instead."""
    first = encoded(tmp_path / "first.mkv", *CLIPS["P frames only"], gop=6)
    second = encoded(tmp_path / "second.mkv", *CLIPS["P frames only"], gop=150)
    taken: list[float] = []
    plan: DecodePlan | None = None
    for part, path in enumerate((first, second)):
        for video, packet in packets(path):
            plan = plan or DecodePlan(video, 2)
            for one in plan.next(packet, 0.0, Demand.LOOKS):
                for image in one.packet.decode():
                    at = (image.time or 0.0) + part * FRAMES / FPS
                    plan.handed_out(image.time, at)
                    taken.append(at)
    steps = np.diff([0.0, *taken])
    assert steps.max() <= 1.0
    assert taken[-1] >= 2 * FRAMES / FPS - 1


def test_nothing_is_decoded_for_nobody_and_a_viewer_gets_the_next_frame(tmp_path: Path) -> None:
    clip = encoded(tmp_path / "clip.mkv", *CLIPS["P frames only"])
    got = played(clip, 25, [Demand.NOBODY, Demand.VIEWERS])
    half_s = FRAMES / FPS / 2
    # The decoder begins at the last keyframe; only frames from the middle on are handed out.
    assert got.taken[0] == pytest.approx(half_s, abs=1.01 / FPS)
    assert got.taken[-1] == pytest.approx(FRAMES / FPS - 1 / FPS)
    assert np.diff(got.taken).max() == pytest.approx(1 / FPS, abs=0.002)
    assert got.decoded <= FRAMES / 2 + GOP
    assert got.counted == FRAMES


def test_packets_are_kept_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_plan, "MAX_KEPT", 10)
    clip = encoded(tmp_path / "clip.mkv", *CLIPS["P frames only"], gop=FRAMES)
    plan: DecodePlan | None = None
    longest = 0
    for video, packet in packets(clip):
        plan = plan or DecodePlan(video, 5)
        plan.next(packet, 0.0, Demand.NOBODY)
        longest = max(longest, len(plan.kept))
    assert longest == 10


def test_packets_of_an_unknown_kind_are_decoded(tmp_path: Path) -> None:
    clip = encoded(tmp_path / "clip.mkv", "mpeg4", "")
    assert played(clip, 5, [Demand.LOOKS]).decoded == FRAMES


def clip_is_intra_only(path: Path) -> bool:
    return next(packets(path))[0].codec_context.codec.intra_only

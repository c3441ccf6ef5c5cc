"""Hardware decoding: how it is chosen, and that a failure costs no frame.

A second decoder on the CPU stands in for the hardware; what it stands in for is only its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext

from app.config import StreamSettings
from app.first_time import FirstTime
from app.pipeline.sources import hardware
from app.pipeline.sources.av import AvSource
from app.pipeline.sources.hardware import KINDS, Decoder, available_decoders, hardware_for
from app.types import StreamSpec

FRAMES, GROUP = 40, 12


class Hardware:
    """A decoder that fails from its nth packet on."""

    is_hwaccel = True

    def __init__(self, source: VideoCodecContext, fails_at: int) -> None:
        self._context = cast(VideoCodecContext, av.CodecContext.create(source.name, "r"))
        self._context.extradata = source.extradata
        self._left = fails_at

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        self._left -= 1
        if self._left < 0:
            raise av.error.ExternalError(542398533, "the device was lost")
        return self._context.decode(packet)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with B-frames, whose frames can be told apart."""
    path = tmp_path_factory.mktemp("clips") / "b-frames.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"bf": "3", "g": str(GROUP)})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(FRAMES):
            view = np.full((96, 160, 3), number * 5, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_is_new", FirstTime())


def stand_in(monkeypatch: pytest.MonkeyPatch, fails_at: int = 10**6) -> None:
    monkeypatch.setattr(hardware, "available_decoders", lambda: ("cuda",))
    monkeypatch.setattr(hardware, "_open", lambda _, source: Hardware(source, fails_at))


def decoded(video: Path, setting: str) -> tuple[list[tuple[float, float]], str]:
    """Time and brightness of each frame that the source gives, and its decoder at the end."""
    settings = StreamSettings(decoder=setting)
    source = AvSource(StreamSpec("a", f"file:{video}"), settings)
    source.open()
    frames = [frame for frame in source.frames() if frame is not None]
    decoder = source.decoder
    source.close()
    times = [float(frame.image.time or 0) for frame in frames]
    return [(at, frame.image.to_ndarray()[0, 0]) for at, frame in zip(times, frames)], decoder  # noqa: B905


def test_frames_from_hardware_are_those_of_the_cpu(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    on_cpu, name = decoded(video, "cpu")
    assert name == "cpu"
    assert len(on_cpu) == FRAMES
    assert decoded(video, "auto") == (on_cpu, "cuda")


@pytest.mark.parametrize("fails_at", [0, 1, 5, GROUP, GROUP + 1, 3 * GROUP - 1, FRAMES])
def test_hardware_that_fails_costs_no_frame(
    fails_at: int,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stand_in(monkeypatch, fails_at)
    on_cpu, _ = decoded(video, "cpu")
    with caplog.at_level("WARNING"):
        for _ in range(2):
            assert decoded(video, "auto") == (on_cpu, "cpu")
    assert len(caplog.messages) == 1
    assert "the device was lost" in caplog.text


def test_only_packets_since_a_keyframe_are_kept(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    with av.open(str(video)) as container:
        decoder = Decoder(container.streams.video[0], "cuda")
        for packet in container.demux(video=0):
            decoder.decode(packet)
            assert len(decoder._kept) <= 2 * GROUP


def test_a_format_that_hardware_does_not_decode_stays_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=15)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(160, 96, "yuvj420p")))
        container.mux(stream.encode(None))
    frames, name = decoded(path, "auto")
    assert (len(frames), name) == (3, "cpu")


def test_a_kind_that_does_not_work_here_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hardware, "available_decoders", tuple)
    with caplog.at_level("WARNING"):
        assert [hardware_for("qsv"), hardware_for("qsv")] == [None, None]
        assert (hardware_for("auto"), hardware_for("cpu")) == (None, None)
    assert len(caplog.messages) == 1
    assert "qsv" in caplog.text


def test_each_kind_is_tried_with_a_frame_on_this_machine() -> None:
    assert set(available_decoders()) <= set(KINDS)
    (packet,) = hardware._test_packets()
    assert packet.is_keyframe
    on_cpu = av.CodecContext.create("h264", "r")
    assert [*on_cpu.decode(packet), *on_cpu.decode(None)]


def test_without_hardware_its_decoders_do_not_count_as_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FFmpeg's decoder falls back to the CPU by itself, which must not count."""
    monkeypatch.setattr(hardware, "AS_DEVICE", ("drm",))
    assert hardware._is_built_in("drm") == ("drm" in av.codec.hwaccel.hwdevices_available())
    assert not hardware._decodes("drm")

"""The encoder: hardware is chosen by a test frame, and its failure costs no frame."""

from __future__ import annotations

from typing import Any

import av
import pytest

from app.errors import SinkError
from app.first_time import FirstTime
from app.pipeline.blur import conceal
from app.pipeline.sinks import encode
from app.pipeline.sinks.encode import H264Encoder
from app.types import BlurredFrame

SIZE = 160, 96
HARDWARE = "h264_nvenc"


class Failing:
    """An encoder that fails from its nth frame on; before that, libx264 does the work."""

    def __init__(self, context: Any, left: int) -> None:
        self._context, self._left = context, left

    def encode(self, image: av.VideoFrame) -> list[Any]:
        self._left -= 1
        if self._left < 0:
            raise av.error.ExternalError(542398533, "no more sessions")
        packets: list[Any] = self._context.encode(image)
        return packets


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_is_new", FirstTime())


def hardware(monkeypatch: pytest.MonkeyPatch, frames: int | None) -> None:
    """Hardware that encodes this many frames; None: it cannot even be opened."""
    open_software = encode._open

    def open_either(name: str, *given: Any) -> Any:
        if name != HARDWARE:
            return open_software(name, *given)
        if frames is None:
            raise av.error.ExternalError(542398533, "no device")
        return Failing(open_software("libx264", *given), frames)

    monkeypatch.setattr(encode, "_open", open_either)
    monkeypatch.setattr(encode, "best_encoder", lambda: HARDWARE)


def frame() -> BlurredFrame:
    image = av.VideoFrame(*SIZE, "yuv420p")
    for plane in image.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    return conceal(image, [], "off", 0)


@pytest.mark.parametrize("frames", [None, 0, 1, 7])
def test_hardware_that_fails_costs_no_frame(
    frames: int | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hardware(monkeypatch, frames)
    with caplog.at_level("WARNING"):
        for _ in range(2):
            encoder = H264Encoder(*SIZE, fps=15)
            packets = [packet for n in range(10) for packet in encoder.encode(frame(), n * 6000)]
            assert encoder.name == "libx264"
            assert [packet.pts for packet in packets] == [n * 6000 for n in range(10)]
            assert packets[frames or 0].is_keyframe  # the far end can decode from there on
    (warning,) = caplog.messages
    assert HARDWARE in warning
    decoder = av.CodecContext.create("h264", "r")
    shown = [one for p in packets for one in decoder.decode(av.Packet(p.data))]
    assert len([*shown, *decoder.decode(None)]) == 10


def test_hardware_that_was_asked_for_does_not_become_software(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hardware(monkeypatch, None)
    with pytest.raises(SinkError):
        H264Encoder(*SIZE, fps=15, encoder=HARDWARE)
    hardware(monkeypatch, 1)
    encoder = H264Encoder(*SIZE, fps=15, encoder=HARDWARE)
    encoder.encode(frame(), 0)
    with pytest.raises(av.error.FFmpegError):
        encoder.encode(frame(), 6000)

"""Small files with sound and with clocks that jump; the brightness of a frame is its number."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

FPS = 25
RATE = 48_000
FIRST_LUMA, LUMA_STEP = 24, 2
NO_B_FRAMES = {"preset": "ultrafast", "tune": "zerolatency"}

Clock = Callable[[float], float]


def own(seconds: float) -> float:
    """A clock without jumps."""
    return seconds


def write_clip(
    path: Path,
    *,
    frames: range = range(50),
    clock: Clock = own,
    sound: str | None = None,
    sound_clock: Clock = own,
    sound_from_s: float = 0.0,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    gop: int = 25,
    options: dict[str, str] | None = None,
) -> Path:
    """Write these frames of a film, each a little brighter than the one before.

    Args:
        clock, sound_clock: from the true time in the film to the timestamp in the file, seconds.
        sound: codec of the sound; None for none.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=FPS, options=options or NO_B_FRAMES)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.gop_size = gop
        video.codec_context.time_base = Fraction(1, FPS)
        packets: list[tuple[float, float, Any]] = []
        for number in range(frames.stop):
            packets += [_timed(p, clock) for p in video.encode(_picture(number, size))]
        packets += [_timed(p, clock) for p in video.encode(None)]
        packets = [one for one in packets if one[0] >= frames.start / FPS - 0.001]
        if sound is not None:
            audio = container.add_stream(sound, rate=8000 if sound.startswith("pcm") else RATE)
            assert isinstance(audio, AudioStream)
            audio.codec_context.layout = "mono"
            heard = _sound(audio, frames.stop / FPS)
            begin_s = max(sound_from_s, frames.start / FPS)
            packets += [
                _timed(p, sound_clock) for p in heard if float(p.pts * p.time_base) >= begin_s
            ]
        for _, _, packet in sorted(packets, key=lambda one: one[1]):
            container.mux(packet)
    return path


def join(path: Path, *pieces: Path) -> Path:
    """Concatenate transport streams, as the exports of recorders do."""
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    return path


def numbers(path: Path) -> list[int]:
    """The numbers of the frames in a file, from decoding it."""
    with av.open(str(path)) as container:
        lumas = [_luma(frame) for frame in container.decode(video=0)]
    return [round((luma - FIRST_LUMA) / LUMA_STEP) for luma in lumas]


def boxes(path: Path) -> list[str]:
    """The kinds of an MP4 file's boxes, in order."""
    data, at, kinds = path.read_bytes(), 0, []
    while at < len(data):
        kinds.append(data[at + 4 : at + 8].decode("ascii"))
        at += int.from_bytes(data[at : at + 4], "big")
    return kinds


def _picture(number: int, size: tuple[int, int]) -> av.VideoFrame:
    width, height = size
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = FIRST_LUMA + LUMA_STEP * (number % 100)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _luma(frame: av.VideoFrame) -> float:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return float(rows[: plane.height, : plane.width].mean())


def _sound(audio: AudioStream, seconds: float) -> list[Any]:
    packets: list[Any] = []
    rate, block = audio.codec_context.sample_rate, 1024
    for begin in range(0, int(seconds * rate), block):
        wave = np.sin(np.arange(begin, begin + block) * 440 * 2 * np.pi / rate)
        samples = (wave * 9000).astype(np.int16)[None, :]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        packets += audio.encode(frame)
    return [packet for packet in [*packets, *audio.encode(None)] if packet.pts >= 0]


def _timed(packet: Any, clock: Clock) -> tuple[float, float, Any]:
    """A packet with this clock's timestamps: its true time, its decode time in the file, itself."""
    base = packet.time_base
    true_s = float(packet.pts * base)
    packet.pts += round((clock(true_s) - true_s) / base)
    decoded_s = float(packet.dts * base)
    packet.dts += round((clock(decoded_s) - decoded_s) / base)
    return true_s, float(packet.dts * packet.time_base), packet

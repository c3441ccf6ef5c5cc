"""Decoding: what it costs to decode all frames of a camera, and only those that are needed.

Six seconds of 1080p25 are encoded as cameras do, with and without B-frames, and decoded by the
plan of a live source for streams that take 15, 5 and 1 frames a second.
"""

from __future__ import annotations

import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType

from app.pipeline.sources.decode_plan import DecodePlan, Demand
from bench import clip
from bench.table import show

SECONDS, FPS, GOP = 6, 25, 25
BIT_RATE = 4_000_000  # of 1080p
CASES = [
    (Demand.VIEWERS, 15),
    (Demand.VIEWERS, 5),
    (Demand.VIEWERS, 1),
    (Demand.LOOKS, 5),
    (Demand.LOOKS, 1),
]
X264, X265 = "bframes={}:b-adapt=0", "bframes={}:b-adapt=0:open-gop=0:log-level=error"
ENCODINGS = {
    "H.264 without B-frames": ("libx264", X264.format(0), (1920, 1080)),
    "H.264, every second a B-frame": ("libx264", X264.format(1), (1920, 1080)),
    "H.264, three of four, half of them referenced": ("libx264", X264.format(3), (1920, 1080)),
    "H.265 without B-frames": ("libx265", X265.format(0), (1920, 1080)),
    "H.265, three of four, a third referenced": ("libx265", X265.format(3), (1920, 1080)),
    "MJPEG": ("mjpeg", "", (1920, 1080)),
    "a second stream, 1280x720, H.264": ("libx264", X264.format(0), (1280, 720)),
    "a second stream, 640x360, H.264": ("libx264", X264.format(0), (640, 360)),
}
HEAD = ["encoding", "all", *[f"{fps} fps, {demand.name.lower()}" for demand, fps in CASES]]


def run() -> None:
    """Print the CPU time of a second of video in ms, and the share of its frames decoded."""
    name = next((name for name in clip.FIXED if name in clip.available()), clip.WANDERING)
    source = clip.make(SECONDS, fps=FPS, name=name)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (title, encoding) in enumerate(ENCODINGS.items()):
            path = _encoded(source, Path(folder) / f"{number}.mkv", *encoding)
            cells = [_decoded(path), *(_decoded(path, demand, fps) for demand, fps in CASES)]
            rows.append([title, *cells])
    show(f"Decoding {name} at {FPS} fps: ms of CPU time a second (frames decoded)", HEAD, rows)


def _encoded(source: Path, path: Path, codec: str, params: str, size: tuple[int, int]) -> Path:
    options = {"preset": "veryfast", "x264-params": params, "x265-params": params}
    with av.open(str(source)) as frames, av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options if params else {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if params else "yuvj420p"
        share = size[0] * size[1] / (clip.WIDTH * clip.HEIGHT)
        stream.bit_rate, stream.gop_size = round(BIT_RATE * share), GOP
        for number, frame in enumerate(frames.decode(video=0)):
            image = frame.reformat(*size, format=stream.pix_fmt)
            image.pts, image.time_base = number, Fraction(1, FPS)
            image.pict_type = PictureType.NONE
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


def _decoded(path: Path, demand: Demand | None = None, max_fps: float = FPS) -> str:
    """Decode a clip, all of it without a demand, and describe what that cost."""
    decoded, plan = 0, None
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.thread_type = "SLICE"
        plan = DecodePlan(video, max_fps)
        began = time.process_time()
        for packet in container.demux(video):
            due = [packet]
            if demand is not None:
                due = [one.packet for one in plan.next(packet, 0.0, demand)]
            decoded += sum(bool(one.size) for one in due)
            for one in due:
                for image in one.decode():
                    plan.handed_out(image.time, image.time or 0.0)
        seconds = time.process_time() - began
    return f"{seconds * 1000 / SECONDS:.0f} ({decoded / (SECONDS * FPS):.0%})"


if __name__ == "__main__":
    run()

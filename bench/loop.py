"""A 1080p file in, blurred H.264 out, as fast as it goes: ours and the usual loop, in turn.

The usual loop is what most projects of this kind run: ``cv2.VideoCapture``, a YOLOv8n through
Ultralytics on torch, ``cv2.GaussianBlur`` on the boxes, raw frames piped into ``ffmpeg``. Each
run is a process of its own, so that neither's idle threads slow the other down; only the loop is
timed, not the loading of networks.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import imageio_ffmpeg

from app.config import FaceSettings, StreamSettings
from app.models.faces import FaceDetector, load_faces
from app.pipeline.gate import ChangeGate
from app.pipeline.scale import to_rgb
from app.pipeline.sinks import SINKS
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.encode import H264Encoder
from app.pipeline.sources.av import AvSource
from app.pipeline.stream import Audience, Stream
from app.types import Result, StreamSpec, StreamState
from bench import clip
from bench.table import show

SECONDS = 6
ROUNDS = 3


class FileSink:
    """Encodes like the RTSP sink, and writes the bare H.264 to a file."""

    def __init__(self, spec: StreamSpec, settings: StreamSettings, delivered: Delivered) -> None:
        del settings
        self._delivered = delivered
        self._fps = spec.max_fps
        target = str(spec.output).removeprefix("bench:")
        self._file = Path(target).open("wb")
        self._encoder: H264Encoder | None = None

    def write(self, result: Result) -> None:
        if self._encoder is None:
            self._encoder = H264Encoder(*result.picture.size, fps=self._fps)
        for packet in self._encoder.encode(result.picture, round(result.captured_at * 90_000)):
            self._file.write(packet.data)
        self._delivered(result.captured_at, time.monotonic())

    def idle(self, seconds: float) -> None:
        """A file does not go away."""

    def close(self) -> None:
        self._file.close()


def ours(source: Path, target: Path, width: int) -> float:
    """Frames a second of the whole pipeline; faces are looked for at this width."""
    SINKS["bench"] = FileSink
    spec = StreamSpec("bench", f"file:{source}", f"bench:{target}", max_fps=clip.FPS)
    runner = load_faces()
    settings = FaceSettings(width=width, timeout_s=60)
    faces = FaceDetector(runner, min_confidence=settings.keep_confidence)
    _compile(spec, settings, faces)
    audience = Audience.on(asyncio.new_event_loop())
    stream = Stream(spec, StreamSettings(), settings, faces, audience)
    started_at = time.perf_counter()
    stream.start()
    while stream.state is not StreamState.STOPPED:
        time.sleep(0.01)
    seconds = time.perf_counter() - started_at
    stats = stream.status().stats
    assert stats.frames_published == stats.frames_in, stats
    return stats.frames_published / seconds


def _compile(spec: StreamSpec, settings: FaceSettings, faces: FaceDetector) -> None:
    """Have the network ready, for whole pictures and parts of them, on all of its threads."""
    source = AvSource(spec, StreamSettings())
    source.open()
    image = to_rgb(next(source.frames()).image, settings.width)
    source.close()
    height, across = image.shape[:2]
    for part in [(across, height), *ChangeGate(across, height).shapes]:
        for look in [faces.look(image[: part[1], : part[0]]) for _ in range(8)]:
            look.detections(60, (1, 1))


def usual(source: Path, target: Path) -> float:
    """Frames a second of the usual loop."""
    from ultralytics import YOLO

    data = os.environ.get("WATCHPOST_DATA")
    weights = Path(data or "") / "weights" / "yolov8n.pt"
    # Without the weights the network is as slow, but sees nothing, so that nothing is blurred.
    model = YOLO(str(weights) if data and weights.exists() else "yolov8n.yaml", verbose=False)
    capture = cv2.VideoCapture(str(source))
    model.predict(capture.read()[1], imgsz=640, device="cpu", verbose=False)
    pipe = _ffmpeg(target)
    assert pipe.stdin is not None
    frames = 0
    started_at = time.perf_counter()
    while (read := capture.read())[0]:
        image = read[1]
        for box in model.predict(image, imgsz=640, device="cpu", verbose=False)[0].boxes.xyxy:
            x1, y1, x2, y2 = (int(side) for side in box)
            image[y1:y2, x1:x2] = cv2.GaussianBlur(image[y1:y2, x1:x2], (51, 51), 0)
        pipe.stdin.write(image.tobytes())
        frames += 1
    pipe.stdin.close()
    pipe.wait()
    return frames / (time.perf_counter() - started_at)


def _ffmpeg(target: Path) -> subprocess.Popen[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{clip.WIDTH}x{clip.HEIGHT}"]
    command += ["-r", str(clip.FPS), "-i", "-", "-c:v", "libx264", "-preset", "ultrafast"]
    command += ["-tune", "zerolatency", "-pix_fmt", "yuv420p", "-f", "h264", str(target)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


USUAL = "the usual loop"
LOOPS: dict[str, Callable[[Path, Path], float]] = {
    f"ours, faces at {width}": functools.partial(ours, width=width) for width in (960, 640)
}
LOOPS[USUAL] = usual


def run() -> None:
    for name in clip.available():
        _compare(name, clip.make(SECONDS, name=name))


def _compare(title: str, source: Path) -> None:
    names = [name for name in LOOPS if name != USUAL or importlib.util.find_spec("ultralytics")]
    rates: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for name in names:
                command = [sys.executable, "-m", "bench.loop", name, str(source), folder]
                answer = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
                rates[name].append(float(answer.stdout.split()[-1]))
    head = ["frames/s", *(f"round {number + 1}" for number in range(ROUNDS)), "ratio (median)"]
    rows = [
        (name, *(f"{r:.1f}" for r in found), _ratio(found, rates)) for name, found in rates.items()
    ]
    show(f"1080p25 file in, blurred H.264 out: {title}", head, rows)


def _ratio(found: list[float], rates: dict[str, list[float]]) -> str:
    """How many times the usual loop, round by round."""
    if USUAL not in rates:
        return "the usual loop needs requirements.txt"
    pairs = zip(found, rates[USUAL], strict=True)
    return f"{statistics.median(ours / usual for ours, usual in pairs):.1f}"


if __name__ == "__main__":
    print(LOOPS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]) / "out.h264"))

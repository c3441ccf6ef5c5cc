"""A 1080p file in, blurred H.264 out, at full speed: Watchpost, a sketch and the usual loop.

The same job is done in three ways, in turn: by the usual loop (``usual.py``), the sketch
(``sketch.py``) and Watchpost; first with two networks, for faces and for objects, then with faces
alone. Each run is a separate process, so that idle threads of one do not slow down the other; only
the loop is timed, not the loading of networks.

All detect faces in every frame. The usual loop and the sketch detect objects in every frame, too;
Watchpost does so a few times per second of video, and tracks fill the gaps. The tables show how
often; one row has Watchpost with objects detected in every frame.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.rules import read_rule_settings
from app.config import FaceSettings, ObjectSettings, StreamSettings
from app.models.batching import Image
from app.models.detections import PendingDetections
from app.models.faces import FaceDetector, load_faces
from app.models.objects import ObjectDetector, load_objects
from app.pipeline.sinks import SINKS
from app.pipeline.sinks.base import Delivered
from app.pipeline.sinks.encode import H264Encoder
from app.pipeline.stream import Stream
from app.pipeline.subscribers import Subscribers
from app.types import ProcessedFrame, StreamSpec, StreamState
from bench import clip
from bench.clip import Pace, Stopwatch
from bench.sketch import networks, sketch
from bench.table import show
from bench.usual import usual

SECONDS = 6
ROUNDS = 3
RULE = "bags"
TIMEOUT_S = 60.0


class FileSink:
    """Encodes like the RTSP sink, but writes raw H.264 to a file."""

    def __init__(self, spec: StreamSpec, settings: StreamSettings, delivered: Delivered) -> None:
        del settings
        self._delivered = delivered
        self._fps = spec.max_fps
        target = str(spec.output).removeprefix("bench:")
        self._file = Path(target).open("wb")
        self._encoder: H264Encoder | None = None

    def write(self, result: ProcessedFrame) -> None:
        """Encode a frame and append it to the file."""
        if self._encoder is None:
            self._encoder = H264Encoder(*result.frame.size, fps=self._fps)
        for packet in self._encoder.encode(result.frame, round(result.captured_at * 90_000)):
            self._file.write(packet.data)
        self._delivered(result.captured_at, time.monotonic())

    def idle(self, seconds: float) -> None:
        """Do nothing: a file needs no keep-alive."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CountingDetector(ObjectDetector):
    """An object detector that counts its requests."""

    def __init__(self, detector: ObjectDetector) -> None:
        self.__dict__.update(detector.__dict__)
        self.requests: Counter[str] = Counter()

    def submit(self, image: Image) -> PendingDetections:
        """Count and pass on a request for a whole frame."""
        self.requests["frames"] += 1
        return super().submit(image)

    def submit_crop(self, crop: Image, side: int | None = None) -> PendingDetections:
        """Count and pass on a request for a crop."""
        self.requests["crops"] += 1
        return super().submit_crop(crop, side)


def watchpost(
    source: Path, target: Path, *, width: int, analytics: bool = False, every: bool = False
) -> Pace:
    """Measure the pace of Watchpost's whole pipeline.

    Args:
        width: longer side of the face detector's input.
        analytics: also detect objects and run the bag rule.
        every: detect objects in every frame, not only at the server's default rate.
    """
    SINKS["bench"] = FileSink
    settings = FaceSettings(width=width, timeout_s=TIMEOUT_S)
    faces = FaceDetector(load_faces(), min_confidence=settings.keep_confidence)
    rate = {"max_fps": clip.FPS, "max_wait": 1} if every else {}
    objects = ObjectSettings.model_validate({"timeout_s": TIMEOUT_S, **rate})
    detector = CountingDetector(load_objects(objects)) if analytics else None
    analyzers = AnalyzerFactory(objects, read_rule_settings(env_file=None), detector)
    spec = StreamSpec(
        "bench",
        f"file:{source}",
        f"bench:{target}",
        max_fps=clip.FPS,
        analytics={RULE: {}} if analytics else {},
    )
    _play(spec, settings, faces, analyzers)  # warm-up: compiles networks and imports modules
    requests = detector.requests if detector else Counter[str]()
    requests.clear()
    stopwatch = Stopwatch()
    frames = _play(spec, settings, faces, analyzers)
    video_s = frames / clip.FPS
    return stopwatch.pace(frames, requests["frames"] / video_s, requests["crops"] / video_s)


def _play(
    spec: StreamSpec, settings: FaceSettings, faces: FaceDetector, analyzers: AnalyzerFactory
) -> int:
    """Run a stream from its first to its last frame; return the number of frames."""
    subscribers = Subscribers.on(asyncio.new_event_loop())
    stream = Stream(
        spec, StreamSettings(), settings, faces, subscribers, analyzer=analyzers.create(spec)
    )
    stream.start()
    while stream.supervisor.state is not StreamState.STOPPED:
        time.sleep(0.01)
    stats = stream.status().stats
    assert stats.frames_published == stats.frames_in, stats
    return stats.frames_published


Loop = Callable[[Path, Path], Pace]
USUAL_TWO, USUAL_ONE = "the usual loop, two networks", "the usual loop, one network"
SKETCH = "the sketch"
TWO: dict[str, Loop] = {
    "Watchpost, faces at 640": functools.partial(watchpost, width=640, analytics=True),
    "Watchpost, faces at 960 (default)": functools.partial(watchpost, width=960, analytics=True),
    "Watchpost, faces at 640, objects in every frame": functools.partial(
        watchpost, width=640, analytics=True, every=True
    ),
    SKETCH: sketch,
    USUAL_TWO: functools.partial(usual, objects=True),
}
ONE: dict[str, Loop] = {
    "Watchpost, only faces, at 640": functools.partial(watchpost, width=640),
    "Watchpost, only faces, at 960": functools.partial(watchpost, width=960),
    USUAL_ONE: functools.partial(usual, objects=False),
}
LOOPS = TWO | ONE


def run(names: Sequence[str] = (), rounds: int = ROUNDS) -> None:
    """Print the tables of these clips; of all available clips if none is named."""
    for name in names or clip.available():
        _compare(name, clip.make(SECONDS, name=name), rounds)


def _compare(title: str, source: Path, rounds: int) -> None:
    torch = importlib.util.find_spec("ultralytics") is not None
    names = [name for name in LOOPS if torch or name not in (USUAL_TWO, USUAL_ONE)]
    paces: dict[str, list[Pace]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name in names:
                paces[name].append(_child(name, source, folder))
    task = "1080p25 file in, blurred H.264 out, frames/s"
    _table(f"{task}: {title}; the sketch runs {networks()}", paces, TWO, USUAL_TWO)
    _table(f"{task}, only faces: {title}", paces, ONE, USUAL_ONE)


def _child(name: str, source: Path, folder: str) -> Pace:
    command = [sys.executable, "-m", "bench.loop", "--one", name, str(source), folder]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return Pace(*json.loads(answer.stdout.splitlines()[-1]))


def _table(title: str, paces: dict[str, list[Pace]], loops: dict[str, Loop], base: str) -> None:
    found = {name: paces[name] for name in loops if name in paces}
    rounds = range(len(next(iter(found.values()))))
    others = [other for other in (base, SKETCH) if other in found]
    head = ["", *(f"round {number + 1}" for number in rounds)]
    head += [f"× {other} (median)" for other in others]
    head += ["CPU ms/frame (lowest)", "object inferences per second of video, frames + crops"]
    rows = []
    for name, runs in found.items():
        ratios = [_ratio(runs, found[other]) for other in others]
        inferences = f"{statistics.mean(p.inferences for p in runs):.1f}"
        inferences += f" + {statistics.mean(p.crops for p in runs):.1f}"
        cpu = f"{min(pace.cpu_ms for pace in runs):.0f}"
        rows.append([name, *(f"{pace.rate:.1f}" for pace in runs), *ratios, cpu, inferences])
    show(title, head, rows)


def _ratio(runs: list[Pace], others: list[Pace]) -> str:
    """Return the median speed-up over the rounds."""
    pairs = zip(runs, others, strict=True)
    return f"{statistics.median(one.rate / other.rate for one, other in pairs):.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("LOOP", "SOURCE", "FOLDER"))
    parser.add_argument("--clip", action="append", default=[], help="default: all")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    flags = parser.parse_args()
    if flags.one is None:
        run(flags.clip, flags.rounds)
    else:
        loop, source, folder = flags.one
        print(json.dumps(LOOPS[loop](Path(source), Path(folder) / "out.h264")))

"""The cost of each step of a 1080p frame's path, alone, one frame at a time."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import av

from app.analytics.face_tracker import FaceTracker
from app.config import FaceSettings
from app.models.faces import FaceDetector, load_faces
from app.pipeline.blur import conceal
from app.pipeline.scale import to_output, to_rgb
from app.pipeline.sinks.encode import H264Encoder
from app.pipeline.sinks.jpeg import encode_jpeg
from app.types import Box
from bench import clip
from bench.table import show

FRAMES = 60
FACES = [Box(400, 200, 620, 480), Box(1200, 300, 1380, 520)]

In = TypeVar("In")
Out = TypeVar("Out")


class StepTimes:
    """Times steps over many inputs.

    Attributes:
        rows: name of each step and its median time in milliseconds.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def measure(self, name: str, step: Callable[[In], Out], inputs: Iterable[In]) -> list[Out]:
        """Run a step on each input and return the outputs."""
        outputs, times = [], []
        for item in inputs:
            started_at = time.perf_counter()
            outputs.append(step(item))
            times.append((time.perf_counter() - started_at) * 1000)
        self.rows.append((name, f"{statistics.median(times):.2f}"))
        return outputs


def run() -> None:
    """Print the time of each step."""
    runner = load_faces()
    settings = FaceSettings()
    faces = FaceDetector(runner, min_confidence=settings.keep_confidence)
    tracker = FaceTracker(start_confidence=settings.min_confidence, hold_s=settings.hold_s)
    encoder = H264Encoder(clip.WIDTH, clip.HEIGHT, fps=25, encoder="libx264")
    numbers = itertools.count()
    costs = StepTimes()
    with av.open(str(clip.make(8))) as container:
        container.streams.video[0].thread_type = "SLICE"
        decoded = container.decode(video=0)
        images = costs.measure("decode H.264", lambda _: next(decoded), range(FRAMES))
    small = costs.measure(
        f"resize to RGB, {settings.width} wide", lambda i: to_rgb(i, settings.width), images
    )
    size = (clip.WIDTH, clip.HEIGHT)
    found = costs.measure("faces (one core)", lambda s: faces.submit(s).detections(60, size), small)
    costs.measure("track", lambda f: tracker.update(f, next(numbers) / 25), found)
    costs.measure(
        "blur two faces (including the copy)",
        lambda i: conceal(to_output(i, 1.0), FACES, "gaussian", 0.25),
        images,
    )
    frames = [conceal(image, [], "off", 0) for image in images]
    costs.measure("encode H.264", lambda f: encoder.encode(f, next(numbers) * 3600), frames)
    costs.measure("encode JPEG (only with viewers)", encode_jpeg, frames)
    runner.close()
    show("One 1080p frame, step by step", ["step", "ms (median)"], costs.rows)

"""What analytics cost in front of a fixed camera where nothing happens.

The frames of such a camera, with the noise of a sensor and of a codec, run through a stream's
detection and rules at their own times, as fast as the machine can. The share of a core is the CPU
time of all threads divided by the length of the video, without decoding, encoding and delivery.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import av

from app.analytics.analyzer import AnalyzerFactory
from app.analytics.face_scanner import FaceScanner
from app.analytics.rules import FramePixels, read_rule_settings
from app.config import FaceSettings, ObjectSettings
from app.models.batching import BatchingRunner
from app.models.faces import FaceDetector, load_faces
from app.models.objects import load_objects
from app.pipeline.scale import ScaledFrame, part_to_rgb, to_rgb
from app.types import StreamSpec
from bench import clip
from bench.table import show

FPS, SECONDS, WARM_UP_S = 15, 40, 10
TIMEOUT_S = 60.0
EVERY = ", every frame analysed"
RULES = (("bags",), ("smoking",), ("bags", "smoking"))

Step = Callable[[av.VideoFrame, float], int]
"""Processes a frame and returns the number of its inferences."""


def run() -> None:
    """Print the share of a core that each part takes."""
    rows = []
    for recheck_s in (0.0, FaceSettings().recheck_s):
        name = "faces to blur" + EVERY * (not recheck_s)
        rows.append([name, *_measured(_faces, FaceSettings(recheck_s=recheck_s))])
    for recheck_s in (0.0, ObjectSettings().recheck_s):
        settings = ObjectSettings(recheck_s=recheck_s, timeout_s=TIMEOUT_S, max_wait=1)
        for rules in RULES:
            name = ", ".join(rules) + EVERY * (not recheck_s)
            rows.append([name, *_measured(_analytics, settings, rules)])
    head = [f"{clip.WIDTH}x{clip.HEIGHT} at {FPS} fps", "% of a core", "inferences a second"]
    show("A fixed camera where nothing happens", head, rows)


def _measured(make: Callable[..., AbstractContextManager[Step]], *options: object) -> list[str]:
    """Return the share of a core that a step takes, in percent, and its inferences a second."""
    used_s, inferences = 0.0, 0
    source = clip.make(WARM_UP_S + SECONDS, fps=FPS, name=clip.STILL)
    with make(*options) as step, av.open(str(source)) as container:
        container.streams.video[0].thread_count = 1
        for number, image in enumerate(container.decode(video=0)):
            began_s = time.process_time()
            count = step(image, number / FPS)
            if number >= WARM_UP_S * FPS:
                used_s += time.process_time() - began_s
                inferences += count
    return [f"{100 * used_s / SECONDS:.1f}", f"{inferences / SECONDS:.2f}"]


@contextmanager
def _faces(settings: FaceSettings) -> Iterator[Step]:
    runner = load_faces()
    scanner = FaceScanner(FaceDetector(runner, min_confidence=settings.keep_confidence), settings)

    def step(image: av.VideoFrame, at: float) -> int:
        pending = scanner.submit(ScaledFrame(image, settings.width), at)
        pending.detections(TIMEOUT_S, (image.width, image.height))
        return len(pending.inferences)

    yield step
    runner.close()


@contextmanager
def _analytics(settings: ObjectSettings, rules: Sequence[str]) -> Iterator[Step]:
    objects = load_objects(settings)
    analyzers = AnalyzerFactory(settings, read_rule_settings(env_file=None), objects)
    analysis = analyzers.create(StreamSpec("idle", "file:", analytics={name: {} for name in rules}))
    assert analysis is not None

    def step(image: av.VideoFrame, at: float) -> int:
        before = _answered(objects.runner)
        size = image.width, image.height
        resized = functools.partial(to_rgb, image)
        pixels = FramePixels(size, functools.partial(part_to_rgb, image), resized, at)
        analysis.process(analysis.submit(at, resized), [], pixels, size)
        return _answered(objects.runner) - before

    yield step
    objects.close()


def _answered(runner: BatchingRunner) -> int:
    """Return the number of inferences so far."""
    (counted,) = runner.metrics.outcomes.collect()
    return int(sum(s.value for s in counted.samples if s.name.endswith("_total")))

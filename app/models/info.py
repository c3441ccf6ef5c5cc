"""What is loaded, where it runs, and how fast: ``python -m app.models info``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import numpy as np

from app.config import Settings
from app.models.batching import BatchingRunner
from app.models.faces import load_faces
from app.models.letterbox import Size, canvas_for
from app.models.objects import load_objects

WIDE = (9, 16)
WARM_UP, ALONE, TOGETHER = 8, 15, 32
PATIENCE_S = 120.0


def info(settings: Settings) -> Iterator[str]:
    """Line by line what is known of each network, with times measured now.

    Raises:
        SetupError: when a network cannot be loaded.
    """
    data_dir = settings.data_dir if settings.data_dir.is_dir() else None
    faces = load_faces("auto", data_dir / "cache" if data_dir else None)
    objects = load_objects(settings.objects, settings.device, data_dir)
    try:
        yield from _about("faces to blur", faces)
        yield f"  labels      face, from {settings.faces.min_confidence:.2f}"
        yield _speed("frame", faces, canvas_for(WIDE, settings.faces.width))
        yield ""
        yield from _about("objects", objects.runner)
        known = zip(objects.card.labels, objects.thresholds, strict=True)
        yield "  labels      " + ", ".join(f"{label} from {least:.2f}" for label, least in known)
        close = objects.close_size, objects.close_size
        yield _speed(
            "frame", objects.runner, objects.fixed_size or canvas_for(WIDE, objects.longest)
        )
        yield _speed("close look", objects.runner, objects.fixed_size or close)
    finally:
        faces.close()
        objects.close()


def _about(what: str, runner: BatchingRunner) -> Iterator[str]:
    network = runner.network
    yield what
    yield f"  file        {network.path}"
    yield f"  weights     {network.precision}"
    yield f"  runs on     {network.device}"


def _speed(what: str, runner: BatchingRunner, size: Size) -> str:
    """Milliseconds of one picture alone, and pictures a second when many wait."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for answer in [runner.submit(image) for _ in range(WARM_UP)]:
        answer.result(PATIENCE_S)
    times = []
    for _ in range(ALONE):
        started_at = time.perf_counter()
        runner.submit(image).result(PATIENCE_S)
        times.append(time.perf_counter() - started_at)
    started_at = time.perf_counter()
    for answer in [runner.submit(image) for _ in range(TOGETHER)]:
        answer.result(PATIENCE_S)
    rate = TOGETHER / (time.perf_counter() - started_at)
    shape = f"{size[1]} x {size[0]}"
    alone = statistics.median(times) * 1000
    return f"  {what:<11} {shape}: {alone:.1f} ms alone, {rate:.0f} a second together"

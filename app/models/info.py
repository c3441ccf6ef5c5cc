"""Loaded networks, their device and their speed: ``python -m app.models info``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np

from app.config import Settings
from app.models.batching import BatchingRunner
from app.models.devices import DEVICES, missing
from app.models.faces import load_faces
from app.models.letterbox import Size, canvas_for
from app.models.objects import load_objects
from app.models.plates.networks import load_plates

WIDESCREEN = (9, 16)
PHOTO_SIZE, LINE_SIZE = (640, 640), (48, 320)
"""Typical sizes of what the networks for plates get; they take others, too."""
WARM_UP_RUNS, SINGLE_RUNS, CONCURRENT_RUNS = 8, 15, 32
TIMEOUT_S = 120.0


def info(settings: Settings) -> Iterator[str]:
    """Yield lines that describe each network, with times measured now.

    Raises:
        SetupError: when a network cannot be loaded.
    """
    data_dir = settings.writable_data_dir()
    cache_dir = data_dir / "cache" if data_dir else None
    with ExitStack() as loaded:
        faces = load_faces(settings.device, cache_dir)
        loaded.callback(faces.close)
        objects = load_objects(settings.objects, settings.device, data_dir)
        loaded.callback(objects.close)
        plates = load_plates(settings.device, cache_dir)
        loaded.callback(plates.close)
        yield from _describe("faces to blur", faces)
        yield f"  labels      face, from {settings.faces.min_confidence:.2f}"
        yield _speed("frame", faces, canvas_for(WIDESCREEN, settings.faces.width))
        yield ""
        yield from _describe("objects", objects.runner)
        labels = zip(objects.metadata.labels, objects.thresholds, strict=True)
        yield "  labels      " + ", ".join(f"{label} from {least:.2f}" for label, least in labels)
        frame = objects.fixed_size or canvas_for(WIDESCREEN, objects.longest)
        yield _speed("frame", objects.runner, frame)
        crop = objects.fixed_size or (objects.crop_size, objects.crop_size)
        yield _speed("crop", objects.runner, crop)
        yield ""
        yield from _describe("text lines of plates", plates.lines)
        yield _speed("photo", plates.lines, PHOTO_SIZE)
        yield ""
        yield from _describe("text of plates", plates.text)
        yield _speed("line", plates.text, LINE_SIZE)
        yield ""
        yield from _accelerators()


def _describe(title: str, runner: BatchingRunner) -> Iterator[str]:
    network = runner.network
    yield title
    yield f"  file        {network.path}"
    yield f"  weights     {network.precision}"
    yield f"  device      {network.device}"


def _accelerators() -> Iterator[str]:
    yield "accelerators"
    for device in DEVICES:
        tried = "" if device.was_tried else "; not tried by the developers on real hardware"
        yield f"  {device.name:<11} {device.hardware}: {missing(device) or 'found'}{tried}"


def _speed(title: str, runner: BatchingRunner, size: Size) -> str:
    """Measure the latency of single images, and the throughput of many at once."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for answer in [runner.submit(image) for _ in range(WARM_UP_RUNS)]:
        answer.result(TIMEOUT_S)
    times = []
    for _ in range(SINGLE_RUNS):
        started_at = time.perf_counter()
        runner.submit(image).result(TIMEOUT_S)
        times.append(time.perf_counter() - started_at)
    started_at = time.perf_counter()
    for answer in [runner.submit(image) for _ in range(CONCURRENT_RUNS)]:
        answer.result(TIMEOUT_S)
    throughput = CONCURRENT_RUNS / (time.perf_counter() - started_at)
    shape = f"{size[1]} x {size[0]}"
    latency = statistics.median(times) * 1000
    return f"  {title:<11} {shape}: {latency:.1f} ms latency, {throughput:.0f} images/s throughput"

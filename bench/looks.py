"""What further looks at a still picture cost: one look, people enlarged, and the careful look."""

from __future__ import annotations

import importlib.resources
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from app.config import ObjectSettings
from app.models.crop_refiner import CropRefiner
from app.models.letterbox import Image
from app.models.objects import load_objects
from app.models.tta import detect_with_tta
from bench.table import show

ROUNDS, WARM_UP = 12, 2
PATIENCE_S = 60


def run() -> None:
    """Each way in turn, so that whatever else the machine does is shared by all."""
    image = _picture()
    height, width = image.shape[:2]
    objects = load_objects(ObjectSettings(), "cpu")

    def once() -> object:
        return objects.submit(image).detections(PATIENCE_S, (width, height))

    def again() -> object:
        whole = objects.submit(image).detections(PATIENCE_S, (width, height))
        second = CropRefiner(objects, most=None)
        cut = second.submit(whole, (width, height), lambda p: image[p.y1 : p.y2, p.x1 : p.x2])
        return cut.detections(PATIENCE_S)

    ways: dict[str, Callable[[], object]] = {
        "one look": once,
        "people enlarged, as in streams": again,
        "the careful look (detect --crops)": lambda: detect_with_tta(objects, image, PATIENCE_S),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(WARM_UP + ROUNDS):
        for name, way in ways.items():
            started_at = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - started_at) * 1000)
    objects.close()
    medians = {name: statistics.median(found[WARM_UP:]) for name, found in times.items()}
    rows = [[name, f"{ms:.0f}", f"{ms / medians['one look']:.1f}"] for name, ms in medians.items()]
    show("looks at one picture with three people", ["", "ms", "times one look"], rows)


def _picture() -> Image:
    file = importlib.resources.files("ultralytics") / "assets" / "bus.jpg"
    with importlib.resources.as_file(file) as path:
        image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(file)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

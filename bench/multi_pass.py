"""The cost of further detection passes over a still image: one pass, crops, and augmentation."""

from __future__ import annotations

import importlib.resources
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from app.config import ObjectSettings
from app.models.crop_refiner import PERSON, CropRefiner
from app.models.letterbox import Image
from app.models.objects import load_objects
from app.models.tta import detect_with_tta
from bench.table import show

ROUNDS, WARM_UP = 12, 2
SINGLE = "one pass"
TIMEOUT_S = 60


def run() -> None:
    """Time the methods in turn, so that other load on the machine affects all of them alike."""
    image = _image()
    height, width = image.shape[:2]
    objects = load_objects(ObjectSettings(), "cpu")

    def single() -> object:
        return objects.submit(image).detections(TIMEOUT_S, (width, height))

    def with_crops() -> object:
        people = objects.for_labels({PERSON})
        first_pass = people.submit(image).detections(TIMEOUT_S, (width, height))
        refiner = CropRefiner(objects, max_crops=None, first_labels=people.labels)
        pending = refiner.submit(
            first_pass,
            (width, height),
            lambda p: image[p.y1 : p.y2, p.x1 : p.x2],
            lambda _: image,
        )
        return pending.detections(TIMEOUT_S)

    methods: dict[str, Callable[[], object]] = {
        SINGLE: single,
        "second pass on crops, as in streams": with_crops,
        "test-time augmentation (detect --crops)": lambda: detect_with_tta(
            objects, image, TIMEOUT_S
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(WARM_UP + ROUNDS):
        for name, method in methods.items():
            started_at = time.perf_counter()
            method()
            times[name].append((time.perf_counter() - started_at) * 1000)
    objects.close()
    medians = {name: statistics.median(found[WARM_UP:]) for name, found in times.items()}
    rows = [[name, f"{ms:.0f}", f"{ms / medians[SINGLE]:.1f}"] for name, ms in medians.items()]
    show("Detection passes over one image with three people", ["", "ms", "× one pass"], rows)


def _image() -> Image:
    file = importlib.resources.files("ultralytics") / "assets" / "bus.jpg"
    with importlib.resources.as_file(file) as path:
        image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(file)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

"""One network for all labels against the separate networks that it replaces, on the same frames.

The separate networks are what is publicly available: a YOLOv8n for the COCO classes, another one
for cigarettes, and YuNet for faces. (Plates would need a third network of that size.) Each
combination runs in a separate process, in turn; a time is that of one frame, from RGB to boxes,
on whatever the machine has free.
"""

from __future__ import annotations

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

import av
import psutil

from app.config import ObjectSettings
from app.errors import SetupError
from app.models.batching import Image
from app.models.detections import PendingDetections
from app.models.faces import FaceDetector, load_faces
from app.models.objects import load_objects
from app.models.weights_file import shipped
from app.pipeline.scale import to_rgb
from bench import clip
from bench.table import show

FRAMES, WARM_UP, ROUNDS = 40, 6, 3
LONGEST = 640
TIMEOUT_S = 60
PARTS = {"coco": "yolov8n.pt", "cigarettes": "first_recipe.pt"}

Pass = Callable[[Image], PendingDetections]


def objects(weights: str | None) -> Pass:
    """Load an object detector; the shipped one if None."""
    return load_objects(ObjectSettings(weights=weights, width=LONGEST), "cpu").submit


def faces() -> Pass:
    """Load the face network."""
    return FaceDetector(load_faces("cpu"), min_confidence=0.15).submit


def converted(folder: Path, name: str) -> Pass:
    """Load a separate network on OpenVINO."""
    return objects(str(folder / f"{name}.xml"))


def torch(name: str) -> Pass:
    """Load a separate network on torch."""
    return objects(str(_data() / PARTS[name]))


ONE = "one network"
WAYS: dict[str, list[Callable[[Path], Pass]]] = {
    ONE: [lambda _: objects(None)],
    "one network and YuNet": [lambda _: objects(None), lambda _: faces()],
    "COCO, cigarettes, YuNet, all on OpenVINO": [
        functools.partial(converted, name="coco"),
        functools.partial(converted, name="cigarettes"),
        lambda _: faces(),
    ],
    "COCO and cigarettes on torch, YuNet": [
        lambda _: torch("coco"),
        lambda _: torch("cigarettes"),
        lambda _: faces(),
    ],
}


def run() -> None:
    """Print the times and the memory of each combination."""
    reason = _missing()
    if reason:
        print(f"\nnetworks are not compared: {reason}")
        return
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        _child("convert", folder)
        for _ in range(ROUNDS):
            for name, found in results.items():
                answer = _child(name, folder).split()
                found.append((float(answer[-2]), float(answer[-1])))
    rounds = [f"ms, round {number + 1}" for number in range(ROUNDS)]
    head = ["one frame, 640 wide", *rounds, "× one network (median)", "MiB"]
    rows = []
    for name, found in results.items():
        pairs = zip(found, results[ONE], strict=True)
        ratio = statistics.median(mine[0] / one[0] for mine, one in pairs)
        memory = statistics.median(mebibytes for _, mebibytes in found)
        times = [f"{milliseconds:.1f}" for milliseconds, _ in found]
        rows.append([name, *times, f"{ratio:.1f}", f"{memory:.0f}"])
    show(f"{shipped().stem}, and the networks that it replaces", head, rows)


def _missing() -> str | None:
    """Return what is missing for the comparison; None if nothing is."""
    try:
        shipped()
    except SetupError as error:
        return str(error)
    if importlib.util.find_spec("ultralytics") is None:
        return "ultralytics is not installed (requirements.txt)"
    if "WATCHPOST_DATA" not in os.environ:
        return "WATCHPOST_DATA names no folder with weights/ of the separate networks"
    missing = [name for name in PARTS.values() if not (_data() / name).exists()]
    return f"{', '.join(missing)} not found in {_data()}" if missing else None


def _data() -> Path:
    return Path(os.environ["WATCHPOST_DATA"]) / "weights"


def _child(name: str, folder: str) -> str:
    command = [sys.executable, "-m", "bench.networks", name, folder]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def measure(name: str, folder: Path) -> tuple[float, float]:
    """Return the median milliseconds per frame, and the MiB that the networks take."""
    images = _images()
    before = psutil.Process().memory_info().rss
    passes = [load(folder) for load in WAYS[name]]
    times = []
    for number in range(WARM_UP + FRAMES):
        started_at = time.perf_counter()
        requests = [submit(images[number % len(images)]) for submit in passes]
        for pending in requests:
            pending.detections(TIMEOUT_S, (clip.WIDTH, clip.HEIGHT))
        times.append((time.perf_counter() - started_at) * 1000)
    memory = (psutil.Process().memory_info().rss - before) / 2**20
    return statistics.median(times[WARM_UP:]), memory


def _images() -> list[Image]:
    with av.open(str(clip.make(8))) as container:
        frames = [frame for _, frame in zip(range(24), container.decode(video=0), strict=False)]
    return [to_rgb(frame, LONGEST) for frame in frames]


def convert(folder: Path) -> None:
    """Convert the separate networks to OpenVINO, so that all use the same runtime."""
    import openvino as ov

    from training.network import convert as trace

    for name, file in PARTS.items():
        ov.save_model(trace(_data() / file)[0], folder / f"{name}.xml")


if __name__ == "__main__":
    if sys.argv[1] == "convert":
        convert(Path(sys.argv[2]))
    else:
        print(*measure(sys.argv[1], Path(sys.argv[2])))

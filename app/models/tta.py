"""Test-time augmentation for cigarettes in one still image: several passes, fused into one result.

A stream gets a second chance with its next frame; a still image does not. So the network runs on
the image and its mirror image, and likewise on an enlarged crop around each person's head, arms
and hands. False detections differ from pass to pass; real cigarettes do not.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from app.models.crop_refiner import CIGARETTE, MIN_PERSON, PERSON, CropWindow, upper_body
from app.models.letterbox import padded
from app.models.nms import weighted_boxes_fusion
from app.types import Box, Detection

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.models.detections import PendingDetections
    from app.models.letterbox import Image
    from app.models.objects import ObjectDetector

MIN_PASS_CONFIDENCE = 0.01
"""Minimum confidence of a box in a single pass: several weak boxes support a strong one."""
CROP_SIDE = 0.8
"""Side of the square that a crop is resized to, as a share of the longer side of the network's
input for the whole image: 512 pixels if that is 640."""
MIN_RELATIVE_SCALE = 0.5
"""A pass does not vote on an object if its scale there is below this share of the largest one."""


class PartDetections(NamedTuple):
    """The detections of one pass over a part of the image.

    Attributes:
        scale: pixels of the network's input per pixel of the image.
        found: detections in pixels of the image.
    """

    part: CropWindow
    scale: float
    found: Sequence[Detection]


def detect_with_tta(objects: ObjectDetector, image: Image, timeout_s: float) -> list[Detection]:
    """Return all detections in an (H, W, 3) RGB image, with cigarettes fused from all passes.

    There are two passes over the image and two smaller ones for each person.

    Raises:
        DetectorError: when the network fails, is overloaded or times out.
    """
    height, width = image.shape[:2]
    whole = CropWindow(0, 0, width, height)
    if CIGARETTE not in objects.labels:
        return objects.submit(image).detections(timeout_s, whole.size)
    sensitive = objects.with_threshold(CIGARETTE, MIN_PASS_CONFIDENCE)
    first, mirrored = _plain_and_mirrored(sensitive.submit, image)
    detections = first.detections(timeout_s, whole.size)
    people = [d.box for d in detections if d.label == PERSON and d.confidence >= MIN_PERSON]
    parts = dict.fromkeys(upper_body(person, whole.size) for person in people)
    side = padded(CROP_SIDE * objects.longest)
    submit = functools.partial(sensitive.submit_crop, side=side)
    crops = [
        (part, _plain_and_mirrored(submit, _cut(image, part)))
        for part in parts
        if min(part.size) > 0
    ]
    scale = objects.longest / max(whole.size)
    passes = [
        PartDetections(whole, scale, _cigarettes(detections)),
        PartDetections(whole, scale, _cigarettes(_unmirrored(mirrored, whole, timeout_s))),
    ]
    for part, (plain, flipped) in crops:
        scale = side / max(part.size)
        found = [
            Detection(d.label, d.confidence, d.box.moved(part.x1, part.y1))
            for d in plain.detections(timeout_s, part.size)
        ]
        passes.append(PartDetections(part, scale, _cigarettes(found)))
        passes.append(
            PartDetections(part, scale, _cigarettes(_unmirrored(flipped, part, timeout_s)))
        )
    fused = [d for d in fuse(passes) if d.confidence >= objects.threshold(CIGARETTE)]
    return [d for d in detections if d.label != CIGARETTE] + fused


def fuse(passes: Sequence[PartDetections]) -> list[Detection]:
    """Fuse the detections of several passes into one per object.

    Its confidence is the mean over the passes in which it is large enough; a pass that did not
    detect it counts as 0.
    """
    boxes, by_pass = weighted_boxes_fusion([one_pass.found for one_pass in passes])
    fused = []
    for box, confidences in zip(boxes, by_pass, strict=True):
        x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
        in_view = [
            (one_pass.scale, confidence)
            for one_pass, confidence in zip(passes, confidences, strict=True)
            if one_pass.part.x1 <= x <= one_pass.part.x2
            and one_pass.part.y1 <= y <= one_pass.part.y2
        ]
        largest = max(scale for scale, _ in in_view)
        votes = [vote for scale, vote in in_view if scale >= MIN_RELATIVE_SCALE * largest]
        fused.append(Detection(CIGARETTE, float(np.mean(votes)), box))
    return fused


def _plain_and_mirrored(
    submit: Callable[[Image], PendingDetections], image: Image
) -> tuple[PendingDetections, PendingDetections]:
    return submit(image), submit(np.ascontiguousarray(image[:, ::-1]))


def _unmirrored(pending: PendingDetections, part: CropWindow, timeout_s: float) -> list[Detection]:
    """Convert the detections in a mirrored part to pixels of the image."""
    unmirrored = []
    for d in pending.detections(timeout_s, part.size):
        box = d.box.moved(0, part.y1)
        flipped = Box(part.x2 - box.x2, box.y1, part.x2 - box.x1, box.y2)
        unmirrored.append(Detection(d.label, d.confidence, flipped))
    return unmirrored


def _cigarettes(found: Sequence[Detection]) -> list[Detection]:
    return [d for d in found if d.label == CIGARETTE]


def _cut(image: Image, part: CropWindow) -> Image:
    return image[part.y1 : part.y2, part.x1 : part.x2]

"""Test-time augmentation for cigarettes in one still image: several passes, fused into one result.

A stream gets a second chance with its next frame; a still image has none. So the network sees it
as it is and mirrored, and likewise the enlarged part around each person's head, arms and hands.
False detections differ from pass to pass, and real cigarettes do not.
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
"""Confidence from which a box of one pass counts: several weak boxes around a strong one support
it."""
CROP_SIDE = 0.8
"""Side of the square that a crop is enlarged to, as a share of the longer side of the whole image
at the network's input: 512 pixels where that is 640."""
MIN_RELATIVE_SCALE = 0.5
"""A pass has no vote on what another one showed larger by more than this ratio."""


class PartDetections(NamedTuple):
    """What one pass detected in a part of the image.

    Attributes:
        scale: pixels of the network's input for a pixel of the image.
        found: in pixels of the image.
    """

    part: CropWindow
    scale: float
    found: Sequence[Detection]


def detect_with_tta(objects: ObjectDetector, image: Image, timeout_s: float) -> list[Detection]:
    """Everything in a (H, W, 3) RGB image, in its pixels; cigarettes as fused from all passes.

    That is two passes over the image, and two smaller ones for each person.

    Raises:
        DetectorError: when the network fails, is overloaded or too late.
    """
    height, width = image.shape[:2]
    whole = CropWindow(0, 0, width, height)
    if CIGARETTE not in objects.labels:
        return objects.submit(image).detections(timeout_s, whole.size)
    sensitive = objects.with_threshold(CIGARETTE, MIN_PASS_CONFIDENCE)
    first, mirrored = _both_ways(sensitive.submit, image)
    seen = first.detections(timeout_s, whole.size)
    people = [d.box for d in seen if d.label == PERSON and d.confidence >= MIN_PERSON]
    parts = dict.fromkeys(upper_body(person, whole.size) for person in people)
    side = padded(CROP_SIDE * objects.longest)
    submit = functools.partial(sensitive.submit_crop, side=side)
    crops = [(part, _both_ways(submit, _cut(image, part))) for part in parts if min(part.size) > 0]
    scale = objects.longest / max(whole.size)
    passes = [
        PartDetections(whole, scale, _cigarettes(seen)),
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
    sure = [d for d in fuse(passes) if d.confidence >= objects.threshold(CIGARETTE)]
    return [d for d in seen if d.label != CIGARETTE] + sure


def fuse(passes: Sequence[PartDetections]) -> list[Detection]:
    """The detections of several passes, each object once; its confidence is the mean over the
    passes that showed it large enough, of which those that did not detect it count as 0."""
    boxes, voices = weighted_boxes_fusion([one_pass.found for one_pass in passes])
    fused = []
    for box, confidences in zip(boxes, voices, strict=True):
        x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
        in_view = [
            (one_pass.scale, confidence)
            for one_pass, confidence in zip(passes, confidences, strict=True)
            if one_pass.part.x1 <= x <= one_pass.part.x2
            and one_pass.part.y1 <= y <= one_pass.part.y2
        ]
        closest = max(scale for scale, _ in in_view)
        votes = [vote for scale, vote in in_view if scale >= MIN_RELATIVE_SCALE * closest]
        fused.append(Detection(CIGARETTE, float(np.mean(votes)), box))
    return fused


def _both_ways(
    submit: Callable[[Image], PendingDetections], image: Image
) -> tuple[PendingDetections, PendingDetections]:
    return submit(image), submit(np.ascontiguousarray(image[:, ::-1]))


def _unmirrored(pending: PendingDetections, part: CropWindow, timeout_s: float) -> list[Detection]:
    """The detections in the mirror image of a part, in pixels of the image."""
    back = []
    for d in pending.detections(timeout_s, part.size):
        box = d.box.moved(0, part.y1)
        turned = Box(part.x2 - box.x2, box.y1, part.x2 - box.x1, box.y2)
        back.append(Detection(d.label, d.confidence, turned))
    return back


def _cigarettes(found: Sequence[Detection]) -> list[Detection]:
    return [d for d in found if d.label == CIGARETTE]


def _cut(image: Image, part: CropWindow) -> Image:
    return image[part.y1 : part.y2, part.x1 : part.x2]

"""A careful look at one still picture, for cigarettes: several looks, and what they agree on.

A stream's next frame is its next look. A picture has no next frame, so it is looked at as it is
and mirrored, and so is what is around each person's head, arms and hands, enlarged. What the
network is unsure of comes out differently each time, and what is there does not.
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

FAINT = 0.01
"""Confidence from which a box of one look counts: three faint ones beside a sure one say more than
silence."""
CLOSE = 0.8
"""Side of the square that a person's part is enlarged to, as a share of the whole picture's longer
side as the network sees it: 512 pixels where that is 640."""
COMPARABLE = 0.5
"""A look that showed a place less than half as large as another one did has no say about it."""


class PartDetections(NamedTuple):
    """What one look saw of a part of the picture.

    Attributes:
        scale: pixels of the network's input for a pixel of the picture.
        found: in pixels of the picture.
    """

    part: CropWindow
    scale: float
    found: Sequence[Detection]


def detect_with_tta(objects: ObjectDetector, image: Image, timeout_s: float) -> list[Detection]:
    """Everything in a (H, W, 3) RGB picture, in its pixels; cigarettes as all looks agree on them.

    That is two looks, and two smaller ones for each person.

    Raises:
        DetectorError: when the network fails, is overloaded or too late.
    """
    height, width = image.shape[:2]
    whole = CropWindow(0, 0, width, height)
    if CIGARETTE not in objects.labels:
        return objects.submit(image).detections(timeout_s, whole.size)
    faint = objects.fainter(CIGARETTE, FAINT)
    first, mirrored = _both_ways(faint.submit, image)
    seen = first.detections(timeout_s, whole.size)
    people = [d.box for d in seen if d.label == PERSON and d.confidence >= MIN_PERSON]
    parts = dict.fromkeys(upper_body(person, whole.size) for person in people)
    side = padded(CLOSE * objects.longest)
    ask = functools.partial(faint.submit_crop, side=side)
    closer = [(part, _both_ways(ask, _cut(image, part))) for part in parts if min(part.size) > 0]
    scale = objects.longest / max(whole.size)
    glances = [
        PartDetections(whole, scale, _cigarettes(seen)),
        PartDetections(whole, scale, _cigarettes(_turned_back(mirrored, whole, timeout_s))),
    ]
    for part, (plain, turned) in closer:
        scale = side / max(part.size)
        found = [
            Detection(d.label, d.confidence, d.box.moved(part.x1, part.y1))
            for d in plain.detections(timeout_s, part.size)
        ]
        glances.append(PartDetections(part, scale, _cigarettes(found)))
        glances.append(
            PartDetections(part, scale, _cigarettes(_turned_back(turned, part, timeout_s)))
        )
    sure = [d for d in agree(glances) if d.confidence >= objects.threshold(CIGARETTE)]
    return [d for d in seen if d.label != CIGARETTE] + sure


def agree(glances: Sequence[PartDetections]) -> list[Detection]:
    """What several looks saw, each thing once; its confidence is the mean over the looks that had
    it in view large enough, of which those that did not see it count as 0."""
    boxes, voices = weighted_boxes_fusion([glance.found for glance in glances])
    together = []
    for box, confidences in zip(boxes, voices, strict=True):
        x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
        in_view = [
            (glance.scale, confidence)
            for glance, confidence in zip(glances, confidences, strict=True)
            if glance.part.x1 <= x <= glance.part.x2 and glance.part.y1 <= y <= glance.part.y2
        ]
        closest = max(scale for scale, _ in in_view)
        votes = [vote for scale, vote in in_view if scale >= COMPARABLE * closest]
        together.append(Detection(CIGARETTE, float(np.mean(votes)), box))
    return together


def _both_ways(
    ask: Callable[[Image], PendingDetections], image: Image
) -> tuple[PendingDetections, PendingDetections]:
    return ask(image), ask(np.ascontiguousarray(image[:, ::-1]))


def _turned_back(look: PendingDetections, part: CropWindow, timeout_s: float) -> list[Detection]:
    """What was seen in the mirror image of a part, in pixels of the picture."""
    back = []
    for d in look.detections(timeout_s, part.size):
        box = d.box.moved(0, part.y1)
        turned = Box(part.x2 - box.x2, box.y1, part.x2 - box.x1, box.y2)
        back.append(Detection(d.label, d.confidence, turned))
    return back


def _cigarettes(found: Sequence[Detection]) -> list[Detection]:
    return [d for d in found if d.label == CIGARETTE]


def _cut(image: Image, part: CropWindow) -> Image:
    return image[part.y1 : part.y2, part.x1 : part.x2]

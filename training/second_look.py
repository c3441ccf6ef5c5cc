"""The second look at frames and the careful look at pictures, for scoring: which parts are looked
at, and what is one thing, is the server's code."""

from __future__ import annotations

import numpy as np

from app.models.crop_refiner import MIN_PERSON, CropWindow, crop_windows, upper_body
from app.models.nms import merged
from app.models.tta import PartDetections, fuse
from app.types import Box, Detection
from training.boxes import CIGARETTE, CLASSES, PERSON, Boxes
from training.network import Image, Network


def second_look(
    whole: Boxes, image: Image, frame_scale: float, close: Network, min_confidence: float
) -> Boxes:
    """Add to `whole`, the detections of a frame, the cigarettes that `close` sees in its crops.

    `frame_scale` is by how much the first look shrank the frame.
    """
    size = image.shape[1], image.shape[0]
    parts = crop_windows(
        _people(whole),
        size,
        seen_longest=round(frame_scale * max(size)),
        close_size=close.size,
    )
    found = [whole]
    for x1, y1, x2, y2 in parts:
        seen = close.detect(image[y1:y2, x1:x2], min_confidence)
        found.append(seen.only(CIGARETTE).shifted(x1, y1))
    everything = Boxes.join(*found)
    others = everything[everything.labels != CIGARETTE]
    return Boxes.join(others, _once(everything.only(CIGARETTE)))


def careful_look(
    whole: Boxes, image: Image, network: Network, close: Network, min_confidence: float
) -> Boxes:
    """The cigarettes fused from all passes: `whole`, what `network` detected, its mirror image, and
    both for the crops around people, enlarged for `close`."""
    height, width = image.shape[:2]
    size = width, height

    def both_ways(part: CropWindow, by: Network, seen: Boxes | None = None) -> list[PartDetections]:
        x1, y1, x2, y2 = part
        shown = image[y1:y2, x1:x2]
        if seen is None:
            seen = by.detect(shown, min_confidence)
        turned = by.detect(np.ascontiguousarray(shown[:, ::-1]), min_confidence)
        corners = turned.xyxy.copy()
        corners[:, [0, 2]] = (x2 - x1) - corners[:, [2, 0]]
        scale = by.size / max(part.size)
        return [
            PartDetections(part, scale, _detections(found.only(CIGARETTE).shifted(x1, y1)))
            for found in (seen, Boxes(corners, turned.labels, turned.scores))
        ]

    passes = both_ways(CropWindow(0, 0, width, height), network, whole)
    for part in dict.fromkeys(upper_body(person, size) for person in _people(whole)):
        if min(part.size) > 0:
            passes += both_ways(part, close)
    return _boxes(fuse(passes))


def _people(whole: Boxes) -> list[Box]:
    people = whole.only(PERSON)
    return [Box(*map(float, person)) for person in people[people.scores >= MIN_PERSON].xyxy]


def _once(cigarettes: Boxes) -> Boxes:
    return _boxes(merged(_detections(cigarettes)))


def _detections(cigarettes: Boxes) -> list[Detection]:
    pairs = zip(cigarettes.xyxy, cigarettes.scores, strict=True)
    return [Detection(CLASSES[CIGARETTE], float(s), Box(*map(float, box))) for box, s in pairs]


def _boxes(found: list[Detection]) -> Boxes:
    return Boxes.of([d.box for d in found], CIGARETTE, [d.confidence for d in found])

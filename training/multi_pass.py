"""The second pass on crops and test-time augmentation, for scoring.

The choice of crops and the merging of boxes are the server's code.
"""

from __future__ import annotations

import numpy as np

from app.models.crop_refiner import MIN_PERSON, CropWindow, crop_windows, upper_body
from app.models.nms import merged
from app.models.tta import PartDetections, fuse
from app.types import Box, Detection
from training.boxes import CIGARETTE, CLASSES, PERSON, Boxes
from training.network import Image, Network


def refine_crops(
    first_pass: Boxes,
    image: Image,
    frame_scale: float,
    crop_network: Network,
    min_confidence: float,
) -> Boxes:
    """Add the cigarettes that `crop_network` detects in crops of people to the first pass.

    Args:
        first_pass: detections in the whole image.
        frame_scale: factor by which the first pass resized the image.
    """
    size = image.shape[1], image.shape[0]
    windows = crop_windows(
        _people(first_pass),
        size,
        first_pass_side=round(frame_scale * max(size)),
        crop_size=crop_network.size,
    )
    found = [first_pass]
    for x1, y1, x2, y2 in windows:
        in_crop = crop_network.detect(image[y1:y2, x1:x2], min_confidence)
        found.append(in_crop.only(CIGARETTE).shifted(x1, y1))
    everything = Boxes.join(*found)
    others = everything[everything.labels != CIGARETTE]
    return Boxes.join(others, _merged(everything.only(CIGARETTE)))


def detect_with_tta(
    first_pass: Boxes, image: Image, network: Network, crop_network: Network, min_confidence: float
) -> Boxes:
    """Return the cigarettes fused from all passes.

    The passes are `first_pass`, which `network` detected, the mirror image, and both for the crops
    around people, enlarged for `crop_network`.
    """
    height, width = image.shape[:2]
    size = width, height

    def plain_and_mirrored(
        part: CropWindow, by: Network, plain: Boxes | None = None
    ) -> list[PartDetections]:
        x1, y1, x2, y2 = part
        pixels = image[y1:y2, x1:x2]
        if plain is None:
            plain = by.detect(pixels, min_confidence)
        mirrored = by.detect(np.ascontiguousarray(pixels[:, ::-1]), min_confidence)
        corners = mirrored.xyxy.copy()
        corners[:, [0, 2]] = (x2 - x1) - corners[:, [2, 0]]
        scale = by.size / max(part.size)
        return [
            PartDetections(part, scale, _detections(found.only(CIGARETTE).shifted(x1, y1)))
            for found in (plain, Boxes(corners, mirrored.labels, mirrored.scores))
        ]

    passes = plain_and_mirrored(CropWindow(0, 0, width, height), network, first_pass)
    for part in dict.fromkeys(upper_body(person, size) for person in _people(first_pass)):
        if min(part.size) > 0:
            passes += plain_and_mirrored(part, crop_network)
    return _boxes(fuse(passes))


def _people(detections: Boxes) -> list[Box]:
    people = detections.only(PERSON)
    return [Box(*map(float, person)) for person in people[people.scores >= MIN_PERSON].xyxy]


def _merged(cigarettes: Boxes) -> Boxes:
    return _boxes(merged(_detections(cigarettes)))


def _detections(cigarettes: Boxes) -> list[Detection]:
    pairs = zip(cigarettes.xyxy, cigarettes.scores, strict=True)
    return [Detection(CLASSES[CIGARETTE], float(s), Box(*map(float, box))) for box, s in pairs]


def _boxes(found: list[Detection]) -> Boxes:
    return Boxes.of([d.box for d in found], CIGARETTE, [d.confidence for d in found])

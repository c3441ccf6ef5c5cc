"""The plate reader: detects, straightens and reads the number plates in an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from app.models.batching import Image
from app.models.objects import ObjectDetector
from app.models.plates.candidates import (
    CROP_CANVAS,
    QUICK_SIDE,
    CandidateRegion,
    box_of,
    candidate_regions,
    canvas_of,
    crop_lines,
    scale_of,
)
from app.models.plates.line_candidates import LineCandidates
from app.models.plates.text_lines import TextLine, TextLineDetector
from app.models.plates.tuning import DEFAULT_TUNING, PlateReaderTuning
from app.models.plates.voting import (
    NO_DECISION,
    Decision,
    PlateLineReader,
    ReadPlate,
    Votes,
    plate_read,
    pooled,
)
from app.types import Box

LABEL = "plate"
DETECTION_TIMEOUT_S = 10.0


class SecondReader(Protocol):
    """A second opinion on plates that the networks are unsure of."""

    def review(self, plate: ReadPlate, deadline: float) -> ReadPlate:
        """Return the plate with a better reading, or unchanged."""
        ...

    def assign_plate(self, plate: ReadPlate, plate_id: int) -> None:
        """Record the id under which a reviewed plate was stored."""
        ...


class CropRead(NamedTuple):
    """The reading of a crop: votes, and the width in pixels and the box of the number."""

    votes: Votes
    width: float = 0.0
    where: Box = Box(0, 0, 0, 0)


class _Plates(NamedTuple):
    """Plates, best first, and whether one was detected and read beyond doubt."""

    all: list[ReadPlate]
    is_clear: bool


class PlateReader:
    """Finds and reads the number plates in an image.

    Args:
        objects: the object detector; without it, plates are found by their text alone.
        countries: use the formats of these only; all if empty.
    """

    def __init__(
        self,
        lines: TextLineDetector,
        reader: PlateLineReader,
        objects: ObjectDetector | None,
        countries: tuple[str, ...] = (),
        tuning: PlateReaderTuning = DEFAULT_TUNING,
    ) -> None:
        self._lines = lines
        self._reader = reader
        sees_plates = objects is not None and LABEL in objects.labels
        self._objects = objects.for_labels({LABEL}) if objects and sees_plates else None
        self._countries = countries
        self._tuning = tuning
        self._candidates = LineCandidates(reader, tuning)

    def read(self, image: Image) -> list[ReadPlate]:
        """Return the plates in an (H, W, 3) RGB image. Blocking.

        Plates in the detector's boxes come first, then those found by text alone, then those that
        could not be read; within each group large and confident ones come first. If a box of the
        detector is read with confidence on the small canvas, the large one is not searched.

        Raises:
            DetectorError: when a network fails.
        """
        if self._objects is None:
            return self._plates(image, [], self._lines.lines(image, canvas_of(image))).all
        pending = self._lines.submit(image, canvas_of(image, QUICK_SIDE))  # while the detector runs
        boxes = self._detected(image, self._objects)
        found = self._plates(image, boxes, pending(), scale_of(image, QUICK_SIDE))
        if found.is_clear or canvas_of(image, QUICK_SIDE) == canvas_of(image):
            return found.all
        return self._plates(image, boxes, self._lines.lines(image, canvas_of(image))).all

    def read_crop(self, crop: Image, *, again: bool = False) -> CropRead:
        """Return the votes on a tight crop of one plate; none if it has no text, or is cut off.

        Args:
            again: use other augmentations than the first time.
        """
        whole = Box(0, 0, crop.shape[1], crop.shape[0])
        lines = crop_lines(crop, whole, self._lines)
        vote = self._reader.more_votes if again else self._reader.first_votes
        single = self._candidates.of_lines(lines, vote(crop, lines) if lines else [])
        best = self._candidates.number_among(single)
        if (
            best is None
            or best.decision.strength < self._tuning.min_strength_in_plate
            or _is_cut(best.lines, whole, self._tuning.crop_edge_pixels)
        ):
            return CropRead({})
        width = max(line.width for line in best.lines)
        return CropRead(best.votes, width, _around(best.lines))

    def combine(self, votes: Sequence[tuple[Votes, float]]) -> Decision:
        """Combine several votes on one plate, each with its weight."""
        return self._reader.decide([(pooled(votes), 1.0)])

    def warm_ups(self) -> list[Callable[[], object]]:
        """Return calls that compile the networks for crops.

        Compiling takes seconds at the first start, in which a car may pass. The caller may stop
        between two calls.
        """
        grey = np.full((*CROP_CANVAS[::-1], 3), 127, np.uint8)
        return [lambda: self._lines.lines(grey, CROP_CANVAS), *self._reader.warm_ups()]

    def _plates(
        self,
        image: Image,
        boxes: Sequence[tuple[Box, float]],
        lines: Sequence[TextLine],
        scale: float = math.inf,
    ) -> _Plates:
        """Read the detector's boxes and the lines of text outside of them.

        Args:
            scale: scale at which the lines were searched; boxes whose lines were small at that
                scale are searched again in an enlarged crop.
        """
        confidences = dict(boxes)
        regions, beside = candidate_regions(list(confidences), lines)
        regions = [self._with_crop_lines(image, region, scale) for region in regions]
        read, unread, is_clear = self._in_regions(image, regions, confidences)
        vote = self._reader.quick_votes if is_clear else self._reader.first_votes
        single = self._candidates.of_lines(beside, vote(image, beside) if beside else [])
        tuning = self._tuning
        least = tuning.min_strength_beside_plate if read else tuning.min_strength_text_only
        size = image.shape[1], image.shape[0]
        text_only = [
            self._with_crop(image, best.decision, box_of(best.lines, size, 0.1))
            for best in self._candidates.best_per_plate(image, single, least)
        ]
        plates = [*sorted(read, key=_rank), *sorted(text_only, key=_rank), *unread]
        return _Plates(plates, is_clear)

    def _in_regions(
        self, image: Image, regions: Sequence[CandidateRegion], confidences: dict[Box, float]
    ) -> tuple[list[ReadPlate], list[ReadPlate], bool]:
        """Return read plates, confident detections without text, and whether one is certain."""
        tuning = self._tuning
        lines = [line for region in regions for line in region.lines]
        votes = iter(self._reader.first_votes(image, lines) if lines else [])
        read: list[ReadPlate] = []
        unread: list[ReadPlate] = []
        is_clear = False
        for box, own_lines in regions:
            sure = confidences[box] >= tuning.min_plate_confidence
            least = tuning.min_strength_in_plate if sure else tuning.min_strength_text_only
            single = self._candidates.of_lines(own_lines, [next(votes) for _ in own_lines])
            best = self._candidates.best_of_plate(image, single)
            if best and best.decision.strength >= least:
                read.append(self._with_crop(image, best.decision, box))
                is_clear |= sure and best.decision.strength >= tuning.min_strength_to_stop
            elif sure:
                unread.append(self._with_crop(image, NO_DECISION, box))
        return read, unread, is_clear

    def _with_crop_lines(
        self, image: Image, region: CandidateRegion, scale: float
    ) -> CandidateRegion:
        """Replace a region's lines by those of an enlarged crop if they are small."""
        tallest = max((line.height for line in region.lines), default=0.0)
        if tallest * scale >= self._tuning.min_line_pixels:
            return region
        close = tuple(crop_lines(image, region.box, self._lines))
        return region._replace(lines=close or region.lines)

    def _detected(self, image: Image, objects: ObjectDetector) -> list[tuple[Box, float]]:
        """Return the boxes and confidences of the plates that the detector finds."""
        size = image.shape[1], image.shape[0]
        found = objects.submit(image).detections(DETECTION_TIMEOUT_S, size)
        return [(each.box, each.confidence) for each in found if each.label == LABEL]

    def _with_crop(self, image: Image, decision: Decision, box: Box) -> ReadPlate:
        around = box.grown(self._tuning.crop_margin / 2)
        left, top = max(0, int(around.x1)), max(0, int(around.y1))
        crop = image[top : max(top + 2, int(around.y2)), left : max(left + 2, int(around.x2))]
        return ReadPlate(plate_read(decision, box, self._countries), np.ascontiguousarray(crop))


def _rank(plate: ReadPlate) -> float:
    """Sort key: large and confident plates first."""
    return -plate.read.confidence * plate.read.box.width


def _is_cut(lines: Sequence[TextLine], whole: Box, edge: float) -> bool:
    """Whether a line reaches the left or right edge of the crop and may be cut off."""
    points = np.concatenate([line.quad for line in lines])
    return bool(points[:, 0].min() < edge or points[:, 0].max() > whole.x2 - edge)


def _around(lines: Sequence[TextLine]) -> Box:
    points = np.concatenate([line.quad for line in lines])
    return Box(*map(float, (*points.min(axis=0), *points.max(axis=0))))


__all__ = ["CropRead", "PlateReader", "ReadPlate", "SecondReader"]

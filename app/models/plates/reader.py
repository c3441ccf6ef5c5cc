"""Number plates of an image: found, straightened, read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from app.models.batching import Image
from app.models.objects import ObjectDetector
from app.models.plates.candidates import (
    CLOSE_CANVAS,
    QUICK,
    CandidateRegion,
    box_of,
    candidate_regions,
    canvas_of,
    close_lines,
    scale_of,
)
from app.models.plates.line_candidates import LineCandidates
from app.models.plates.text_lines import TextLine, TextLineDetector
from app.models.plates.tuning import DEFAULT_TUNING, PlateReaderTuning
from app.models.plates.voting import (
    NOTHING,
    Decision,
    PlateLineReader,
    ReadPlate,
    Votes,
    plate_read,
    pooled,
)
from app.types import Box

LABEL = "plate"
DETECTION_TIMEOUT_S = 20.0


class SecondReader(Protocol):
    """A second opinion on plates that the networks are unsure of."""

    def review(self, plate: ReadPlate, deadline: float) -> ReadPlate: ...

    def was_about(self, plate: ReadPlate, plate_id: int) -> None: ...


class CropRead(NamedTuple):
    """What a crop says: votes, the width of the number in pixels, and where in it that is."""

    votes: Votes
    width: float = 0.0
    where: Box = Box(0, 0, 0, 0)


class _Plates(NamedTuple):
    """Plates, best first, and whether one was seen and read beyond doubt."""

    all: list[ReadPlate]
    is_clear: bool


class PlateReader:
    """Finds and reads the number plates of an image.

    Args:
        objects: the detector that knows plates; without it only text shows where they are.
        countries: formats of these only; all when empty.
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
        self._objects = objects if objects and LABEL in objects.labels else None
        self._countries = countries
        self._tuning = tuning
        self._candidates = LineCandidates(reader, tuning)

    def read(self, image: Image) -> list[ReadPlate]:
        """The plates of a (H, W, 3) RGB image. Blocking.

        Plates that the detector saw come first, then those that only text shows, then those that
        could not be read; near and sure ones first. Where the detector sees a plate and text on a
        smaller canvas reads like one, no larger canvas is searched.

        Raises:
            DetectorError: when a network fails.
        """
        if self._objects is None:
            return self._plates(image, [], self._lines.lines(image, canvas_of(image))).all
        pending = self._lines.submit(image, canvas_of(image, QUICK))  # while the detector runs
        boxes = self._detected(image, self._objects)
        found = self._plates(image, boxes, pending(), scale_of(image, QUICK))
        if found.is_clear or canvas_of(image, QUICK) == canvas_of(image):
            return found.all
        return self._plates(image, boxes, self._lines.lines(image, canvas_of(image))).all

    def read_crop(self, crop: Image, *, again: bool = False) -> CropRead:
        """The vote on a crop of one plate with little around it; empty without text, or where
        the crop's edge cuts it off.

        Args:
            again: by other variants than the first time.
        """
        whole = Box(0, 0, crop.shape[1], crop.shape[0])
        lines = close_lines(crop, whole, self._lines)
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
        """What several votes on one plate come to, each with its weight."""
        return self._reader.decide([(pooled(votes), 1.0)])

    def warm_ups(self) -> list[Callable[[], object]]:
        """Calls that compile what crops need. That takes seconds at the first start, in which a
        car may pass; between two of the calls the caller may stop."""
        grey = np.full((*CLOSE_CANVAS[::-1], 3), 127, np.uint8)
        return [lambda: self._lines.lines(grey, CLOSE_CANVAS), *self._reader.warm_ups()]

    def _plates(
        self,
        image: Image,
        boxes: Sequence[tuple[Box, float]],
        lines: Sequence[TextLine],
        scale: float = math.inf,
    ) -> _Plates:
        """What is read in the boxes that the detector saw and in lines of text beside them.

        Args:
            scale: at which the lines were searched for; boxes whose lines were low at that scale
                are searched again in a close crop.
        """
        confidences = dict(boxes)
        regions, beside = candidate_regions(list(confidences), lines)
        regions = [self._with_close_lines(image, region, scale) for region in regions]
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
        """Plates that were read, surely plates that were not, and whether one is beyond doubt."""
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
                unread.append(self._with_crop(image, NOTHING, box))
        return read, unread, is_clear

    def _with_close_lines(
        self, image: Image, region: CandidateRegion, scale: float
    ) -> CandidateRegion:
        """The region with the lines of a close crop, if its own are low and that has any."""
        highest = max((line.height for line in region.lines), default=0.0)
        if highest * scale >= self._tuning.min_line_pixels:
            return region
        close = tuple(close_lines(image, region.box, self._lines))
        return region._replace(lines=close or region.lines)

    def _detected(self, image: Image, objects: ObjectDetector) -> list[tuple[Box, float]]:
        """What the detector takes for plates, and how sure it is."""
        size = image.shape[1], image.shape[0]
        found = objects.submit(image).detections(DETECTION_TIMEOUT_S, size)
        return [(each.box, each.confidence) for each in found if each.label == LABEL]

    def _with_crop(self, image: Image, decision: Decision, box: Box) -> ReadPlate:
        around = box.grown(self._tuning.crop_margin / 2)
        left, top = max(0, int(around.x1)), max(0, int(around.y1))
        crop = image[top : max(top + 2, int(around.y2)), left : max(left + 2, int(around.x2))]
        return ReadPlate(plate_read(decision, box, self._countries), np.ascontiguousarray(crop))


def _rank(plate: ReadPlate) -> float:
    """Sorts near and sure plates first."""
    return -plate.read.confidence * plate.read.box.width


def _is_cut(lines: Sequence[TextLine], whole: Box, edge: float) -> bool:
    """Whether a line reaches an end of the crop, so that some of it may be outside."""
    points = np.concatenate([line.quad for line in lines])
    return bool(points[:, 0].min() < edge or points[:, 0].max() > whole.x2 - edge)


def _around(lines: Sequence[TextLine]) -> Box:
    points = np.concatenate([line.quad for line in lines])
    return Box(*map(float, (*points.min(axis=0), *points.max(axis=0))))


__all__ = ["CropRead", "PlateReader", "ReadPlate", "SecondReader"]

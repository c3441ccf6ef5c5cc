"""The plate reader: detects, straightens and reads the number plates in an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from app.models.batching import Image
from app.models.objects import ObjectDetector
from app.models.plates.candidates import (
    CROP_CANVAS,
    box_of,
    candidate_regions,
    canvas_of,
    crop_lines,
    is_cut_off,
    tall_lines,
    with_joined,
)
from app.models.plates.evidence import FoundPlate, evidence, is_clear, is_sure, ranked
from app.models.plates.light import brightened
from app.models.plates.line_candidates import LineCandidate, LineCandidates
from app.models.plates.smeared import SmearedPlates
from app.models.plates.smeared_search import Boxes, SmearedSearch
from app.models.plates.text_lines import TextLine, TextLineDetector
from app.models.plates.tuning import DEFAULT_TUNING, PlateReaderTuning
from app.models.plates.turned import SIDEWAYS, turned, turned_back
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
DETECTION_TIMEOUT_S = 20.0
CUT_OFF = 0.1


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


class PlateReader:
    """Finds and reads the number plates in an image.

    Args:
        objects: the object detector; without it, plates are found by their text alone.
        smeared: finds plates that cannot be read; without it, only the detector does.
        countries: use the formats of these only; all if empty.
    """

    def __init__(
        self,
        lines: TextLineDetector,
        reader: PlateLineReader,
        objects: ObjectDetector | None,
        smeared: SmearedSearch | None = None,
        countries: tuple[str, ...] = (),
        tuning: PlateReaderTuning = DEFAULT_TUNING,
    ) -> None:
        self._lines = lines
        self._reader = reader
        sees_plates = objects is not None and LABEL in objects.labels
        self._objects = (
            objects.for_labels({LABEL}).with_threshold(LABEL, tuning.min_detection)
            if objects and sees_plates
            else None
        )
        self._countries = countries
        self._tuning = tuning
        self._candidates = LineCandidates(reader, tuning)
        self._smeared = SmearedPlates(smeared, self._in_boxes, tuning) if smeared else None

    def read(self, image: Image) -> list[ReadPlate]:
        """Return the plates in an (H, W, 3) RGB image, the likeliest first. Blocking.

        A plate that the detector is sure of, but that cannot be read, has an empty text. The text
        outside of its boxes is read only if none of these is likely to be a plate; an image in
        which nothing is read upright is also tried on its sides and upside down.

        Raises:
            DetectorError: when a network fails.
        """
        chosen = ranked(self.find(image), (image.shape[1], image.shape[0]), self._tuning)
        return [self._with_crop(image, plate) for plate in chosen]

    def find(self, image: Image) -> list[FoundPlate]:
        """Return everything in an image that may be a plate, for ``ranked`` to choose from.

        Raises:
            DetectorError: when a network fails.
        """
        image, size = brightened(image), (image.shape[1], image.shape[0])
        (boxes,) = self._detected(image)
        found = self._in_boxes(image, boxes)
        likely = [plate for plate in found if self._is_likely(plate, size)]
        if likely:
            return self._upside_down(image, likely) or found
        found = self._everywhere(image, boxes, found)
        if any(is_sure(plate, size, self._tuning.sure_evidence) for plate in found):
            return found
        if lying := self._in_turned(image, boxes):
            return lying
        return self._smeared.added_to(image, found) if self._smeared else found

    def _is_likely(self, plate: FoundPlate, size: tuple[int, int]) -> bool:
        """Whether a box of the detector is a plate, read clearly or not. Neither the rest of the
        image nor a second look at the same lines makes its text any clearer."""
        if plate.number is None or not plate.is_whole:
            return False
        is_certain = plate.confidence >= self._tuning.certain_confidence
        if is_certain and plate.number.is_number >= self._tuning.min_certain_number:
            return True
        return evidence(plate, size) >= self._tuning.sure_evidence

    def read_crop(self, crop: Image, *, again: bool = False) -> CropRead:
        """Return the votes on a tight crop of one plate; none if it has no text, or is cut off.

        Args:
            again: use other augmentations than the first time.
        """
        whole = Box(0, 0, crop.shape[1], crop.shape[0])
        lines = crop_lines(crop, [whole], self._lines)[0]
        vote = self._reader.more_votes if again else self._reader.first_votes
        single = self._candidates.of_lines(lines, vote(crop, lines) if lines else [])
        best = self._candidates.number_among(single)
        if (
            best is None
            or best.strength < self._tuning.min_strength_in_plate
            or _is_cut(best.lines, whole, self._tuning.crop_edge_pixels)
        ):
            return CropRead({})
        width = max(line.width for line in best.lines)
        return CropRead(best.own.votes, width, _around(best.lines))

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

    def _detected(self, *images: Image) -> list[Boxes]:
        """Return the boxes and confidences of the plates that the detector finds in each image."""
        if self._objects is None:
            return [[] for _ in images]
        pending = [self._objects.submit(image) for image in images]
        found = [
            answer.detections(DETECTION_TIMEOUT_S, (image.shape[1], image.shape[0]))
            for answer, image in zip(pending, images, strict=True)
        ]
        return [
            [(each.box, each.confidence) for each in own if each.label == LABEL] for own in found
        ]

    def _in_boxes(self, image: Image, boxes: Boxes, min_share: float = 0.0) -> list[FoundPlate]:
        """Read the detector's boxes, each in an enlarged crop; those of the least certain, where
        there are many, are not read."""
        searched = [box for box, _ in boxes[: self._tuning.max_boxes]]
        lines = crop_lines(image, searched, self._lines)
        lines += [[] for _ in boxes[len(searched) :]]
        found = self._numbers(image, boxes, [tall_lines(with_joined(own)) for own in lines])
        found = [
            plate._replace(
                is_whole=plate.number is None
                or not is_cut_off(plate.number.lines, plate.box, image)
            )
            for plate in found
        ]
        return self._reread(image, found, min_share)

    def _reread(
        self, image: Image, found: Sequence[FoundPlate], min_share: float = 0.0
    ) -> list[FoundPlate]:
        """Read unclear numbers again, the likeliest plate's first.

        Not worth it is, beside a likely plate, what is not reported; text outside of the detector's
        boxes that is hardly a plate; and a text with less than ``min_share`` of the votes.
        """
        size = image.shape[1], image.shape[0]
        reread = list(found)
        has_likely = False
        for place in sorted(range(len(found)), key=lambda place: -evidence(found[place], size)):
            plate = found[place]
            if plate.number is None or plate.number.decision.share < min_share:
                continue
            least = self._tuning.min_evidence if has_likely else self._least_evidence(plate)
            if evidence(plate, size) >= least:
                number = self._candidates.reread_if_unclear(image, plate.number)
                reread[place] = plate = plate._replace(number=number)
            has_likely |= self._is_likely(plate, size)
        return reread

    def _least_evidence(self, plate: FoundPlate) -> float:
        return 0.0 if plate.confidence > 0 else self._tuning.min_lone_evidence

    def _everywhere(
        self, image: Image, boxes: Boxes, found: Sequence[FoundPlate]
    ) -> list[FoundPlate]:
        """Search the whole image for lines of text, and read those in boxes and outside."""
        lines = self._lines.lines(image, canvas_of(image, self._tuning.longest_side))
        regions, beside = candidate_regions([box for box, _ in boxes], lines)
        again = self._numbers(
            image,
            boxes,
            [
                [] if _is_read_whole(plate) else tall_lines(with_joined(region.lines))
                for plate, region in zip(found, regions, strict=True)
            ],
        )
        again = self._reread(image, again)
        inside = [max(pair, key=_preference) for pair in zip(found, again, strict=True)]
        beside = with_joined(beside[: self._tuning.max_lines])
        single = self._candidates.of_lines(
            beside, self._reader.quick_votes(image, beside) if beside else []
        )
        size = image.shape[1], image.shape[0]
        outside = [
            FoundPlate(box_of(candidate.lines, size, 0.1), 0.0, candidate)
            for candidate in self._candidates.best_per_plate(single)
        ]
        return inside + [
            plate
            for plate in self._reread(image, outside)
            if plate.number and plate.number.strength >= self._tuning.min_strength_text_only
        ]

    def _numbers(
        self, image: Image, boxes: Boxes, lines: Sequence[Sequence[TextLine]]
    ) -> list[FoundPlate]:
        """Return each box with its number, from one look at each line of text in it."""
        flat = [line for own in lines for line in own]
        votes = iter(self._reader.quick_votes(image, flat) if flat else [])
        found = []
        for (box, confidence), own in zip(boxes, lines, strict=True):
            single = self._candidates.of_lines(own, [next(votes) for _ in own])
            found.append(FoundPlate(box, confidence, self._candidates.number_among(single)))
        return found

    def _upside_down(self, image: Image, likely: Sequence[FoundPlate]) -> list[FoundPlate]:
        """Return unclear plates that are read clearly upside down; none if one is clear upright."""
        if any(map(is_clear, likely)):
            return []
        size = image.shape[1], image.shape[0]
        turned_over = [
            plate._replace(number=self._candidates.upside_down(image, plate.number), quarters=2)
            for plate in likely
            if plate.number is not None
        ]
        least = self._tuning.sure_evidence
        return [plate for plate in turned_over if is_sure(plate, size, least)]

    def _in_turned(self, image: Image, boxes: Boxes) -> list[FoundPlate]:
        """Return the plates of an image that is not upright; none if it is.

        Upside down a plate is detected as well, so that its boxes need not be searched again.
        """
        size = image.shape[1], image.shape[0]
        for quarters, other, own in self._turned_boxes(image, boxes):
            around = other.shape[1], other.shape[0]
            found = [
                plate
                for plate in self._in_boxes(other, own, self._tuning.min_turned_share)
                if plate.confidence > 0 and is_sure(plate, around, self._tuning.turned_evidence)
            ]
            if found:
                return [plate.turned_back(quarters, size) for plate in found]
        return []

    def _turned_boxes(self, image: Image, boxes: Boxes) -> Iterator[tuple[int, Image, Boxes]]:
        """Yield the quarters by which the image may have to be turned, the image turned by them,
        and the detector's boxes in it."""
        size = image.shape[1], image.shape[0]
        upside_down = turned(image, 2)
        yield (
            2,
            upside_down,
            [(turned_back(box, 2, size), sure) for box, sure in boxes]
            or self._detected(upside_down)[0],
        )
        if any(sure >= self._tuning.min_plate_confidence for _, sure in boxes):
            return
        sideways = [turned(image, quarters) for quarters in SIDEWAYS]
        yield from zip(SIDEWAYS, sideways, self._detected(*sideways), strict=True)

    def _with_crop(self, image: Image, plate: FoundPlate) -> ReadPlate:
        around = plate.box.grown(self._tuning.crop_margin / 2)
        left, top, right, bottom = around.pixels((image.shape[1], image.shape[0]))
        crop = image[top : max(top + 2, bottom), left : max(left + 2, right)]
        crop = turned(crop, plate.quarters)
        decision = plate.number.decision if plate.number else NO_DECISION
        read = plate_read(decision, plate.box, self._countries)
        return ReadPlate(read, np.ascontiguousarray(crop))


def _is_read_whole(plate: FoundPlate) -> bool:
    return plate.number is not None and plate.is_whole


def _preference(plate: FoundPlate) -> float:
    """How good the number of a box is; one that is cut off is better than none."""
    strength = plate.number.strength if plate.number else 0.0
    return strength if plate.is_whole else CUT_OFF * strength


def _is_cut(lines: Sequence[TextLine], whole: Box, edge: float) -> bool:
    """Whether a line reaches the left or right edge of the crop and may be cut off."""
    points = np.concatenate([line.quad for line in lines])
    return bool(points[:, 0].min() < edge or points[:, 0].max() > whole.x2 - edge)


def _around(lines: Sequence[TextLine]) -> Box:
    points = np.concatenate([line.quad for line in lines])
    return Box(*map(float, (*points.min(axis=0), *points.max(axis=0))))


__all__ = ["CropRead", "LineCandidate", "PlateReader", "ReadPlate", "SecondReader"]

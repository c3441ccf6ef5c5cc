"""Number plates of a picture: found, straightened, read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from app.models.batching import BatchingRunner, Image
from app.models.objects import ObjectDetector
from app.models.openvino_runtime import OpenVinoNetwork
from app.models.plates.candidates import (
    CLOSE_CANVAS,
    QUICK,
    CandidateRegion,
    box_of,
    candidate_regions,
    canvas_of,
    close_lines,
    same_plate,
    scale_of,
    two_line_pairs,
)
from app.models.plates.recogniser import Recogniser
from app.models.plates.text_lines import TextLine, TextLineDetector
from app.models.plates.voting import (
    NOTHING,
    Decision,
    PlateLineReader,
    ReadPlate,
    Votes,
    plate_read,
    pooled,
    stacked,
)
from app.types import Box

WEIGHTS = Path(__file__).parent.parent / "weights"
LABEL = "plate"
LOOK_TIMEOUT_S = 10.0
CLEAR, SURE = 4.0, 0.9
SIGN, BESIDE, PLATE = 0.3, CLEAR, 0.02
"""Strength from which writing counts as a plate: where the network saw none in the picture,
beside one that it saw, and in what it saw. Date stamps, shops and slogans are beside."""
SURELY_PLATE = 0.55
"""The network's confidence below which what it saw counts only if it reads like a plate; lamps
and tow bars stay below, other cars' plates too small to be read do not."""
WORTH_MORE = 0.05
"""A line beside that has this share of the strength it needs is worth being read more often."""
LEGIBLE = 1.0
"""Strength of a number in a plate from which nothing larger has to be looked at."""
FINE = 16.0
"""Lines lower than so many pixels on the canvas are looked for closely."""
SMALL_PRINT, SMALL_PRINT_WEIGHT = 0.55, 0.05
"""Lines of a plate lower than this share of its highest one are hardly its number."""
CROP_MARGIN = 0.25
EDGE = 1.0


class SecondReader(Protocol):
    """Who is asked about plates that the networks are unsure of."""

    def review(self, plate: ReadPlate, deadline: float) -> ReadPlate: ...

    def was_about(self, plate: ReadPlate, plate_id: int) -> None: ...


class CropRead(NamedTuple):
    """What a crop says: votes, the width of the number in pixels, and where in it that is."""

    votes: Votes
    width: float = 0.0
    where: Box = Box(0, 0, 0, 0)


class _Found(NamedTuple):
    """Plates, best first, and whether one was seen and read beyond doubt."""

    all: list[ReadPlate]
    is_clear: bool


class _Candidate(NamedTuple):
    lines: tuple[TextLine, ...]
    votes: Votes
    decision: Decision


class PlateReader:
    """Args:
    objects: the network that knows plates; None where there is none, then text alone tells.
    countries: formats of these only; all when empty.
    """

    def __init__(
        self,
        lines: TextLineDetector,
        reader: PlateLineReader,
        objects: ObjectDetector | None,
        countries: tuple[str, ...] = (),
    ) -> None:
        self._lines = lines
        self._reader = reader
        self._objects = objects if objects and LABEL in objects.labels else None
        self._countries = countries

    def read(self, image: Image) -> list[ReadPlate]:
        """The plates of a (H, W, 3) RGB picture. Blocking.

        Those that the network saw come first, then those that only text tells of, then those
        that could not be read; what is near and sure first. Where the network sees a plate and
        text on a smaller canvas reads like one, nothing is looked at on a larger.

        Raises:
            DetectorError: when a network fails.
        """
        if self._objects is None:
            return self._plates(image, [], self._lines.lines(image, canvas_of(image))).all
        asked = self._lines.ask(image, canvas_of(image, QUICK))  # while the other network looks
        boxes = self._seen(image)
        found = self._plates(image, boxes, asked(), scale_of(image, QUICK))
        if found.is_clear or canvas_of(image, QUICK) == canvas_of(image):
            return found.all
        return self._plates(image, boxes, self._lines.lines(image, canvas_of(image))).all

    def _plates(
        self,
        image: Image,
        boxes: Sequence[tuple[Box, float]],
        lines: Sequence[TextLine],
        scale: float = math.inf,
    ) -> _Found:
        """What is read in the boxes that the network saw and in lines of text beside them.

        Args:
            scale: at which the lines were looked for; those that were low then are looked for
                once more, closely.
        """
        sure = {box: confidence >= SURELY_PLATE for box, confidence in boxes}
        near, beside = self._spots(image, list(sure), lines, scale)
        votes = iter(self._first_votes(image, [line for spot in near for line in spot.lines]))
        seen: list[ReadPlate] = []
        unread: list[ReadPlate] = []
        is_clear = False
        for box, own_lines in near:
            best = self._best(image, [self._candidate((line,), next(votes)) for line in own_lines])
            if best and best.decision.strength >= (PLATE if sure[box] else SIGN):
                seen.append(self._kept(image, best.decision, box))
                is_clear |= sure[box] and best.decision.strength >= LEGIBLE
            elif sure[box]:
                unread.append(self._kept(image, NOTHING, box))
        vote = self._reader.glance_votes if is_clear else self._reader.first_votes
        other = vote(image, beside) if beside else []
        loose = [self._candidate((line,), v) for line, v in zip(beside, other, strict=True)]
        size = image.shape[1], image.shape[0]
        told = [
            self._kept(image, best.decision, box_of(best.lines, size, 0.1))
            for best in self._apart(image, loose, BESIDE if seen else SIGN)
        ]
        plates = [*sorted(seen, key=_weight), *sorted(told, key=_weight), *unread]
        return _Found(plates, is_clear)

    def _first_votes(self, image: Image, lines: Sequence[TextLine]) -> list[Votes]:
        return self._reader.first_votes(image, lines) if lines else []

    def warm_ups(self) -> list[Callable[[], object]]:
        """Calls that compile what crops need: seconds at the first start, in which a car has
        passed. One after the other they can be left off in between."""
        grey = np.full((*CLOSE_CANVAS[::-1], 3), 127, np.uint8)
        return [lambda: self._lines.lines(grey, CLOSE_CANVAS), *self._reader.warm_ups()]

    def read_crop(self, crop: Image, *, again: bool = False) -> CropRead:
        """The vote on a picture of one plate with little around it; empty without text, or where
        the crop's edge cuts it off.

        Args:
            again: by other variants than the first time.
        """
        whole = Box(0, 0, crop.shape[1], crop.shape[0])
        lines = close_lines(crop, whole, self._lines)
        vote = self._reader.more_votes if again else self._reader.first_votes
        own = [
            self._candidate((line,), votes)
            for line, votes in zip(lines, vote(crop, lines) if lines else (), strict=True)
        ]
        best = _number([*own, *self._stacked(own)])
        if best is None or best.decision.strength < PLATE or _is_cut(best.lines, whole):
            return CropRead({})
        width = max(line.width for line in best.lines)
        return CropRead(best.votes, width, _around(best.lines))

    def settle(self, votes: Sequence[tuple[Votes, float]]) -> Decision:
        """What several votes on one plate come to, each with its weight."""
        return self._reader.decide([(pooled(votes), 1.0)])

    def _spots(
        self, image: Image, boxes: Sequence[Box], lines: Sequence[TextLine], scale: float
    ) -> tuple[list[CandidateRegion], list[TextLine]]:
        """Boxes with their lines, and the lines that are in none."""
        near, beside = candidate_regions(boxes, lines)

        def is_fine(spot: CandidateRegion) -> bool:
            return max((line.height for line in spot.lines), default=0) * scale >= FINE

        closely = [
            spot if is_fine(spot) else spot._replace(lines=self._closely(image, spot))
            for spot in near
        ]
        return closely, beside

    def _closely(self, image: Image, spot: CandidateRegion) -> tuple[TextLine, ...]:
        return tuple(close_lines(image, spot.box, self._lines)) or spot.lines

    def _seen(self, image: Image) -> list[tuple[Box, float]]:
        """What the network takes for plates, and how sure it is."""
        if self._objects is None:
            return []
        size = image.shape[1], image.shape[0]
        found = self._objects.submit(image).detections(LOOK_TIMEOUT_S, size)
        return [(seen.box, seen.confidence) for seen in found if seen.label == LABEL]

    def _candidate(self, lines: tuple[TextLine, ...], votes: Votes) -> _Candidate:
        return _Candidate(lines, votes, self._reader.decide([(votes, 1.0)]))

    def _best(self, image: Image, own: list[_Candidate]) -> _Candidate | None:
        """The strongest of a plate's lines and pairs of lines, read more often if in doubt."""
        best = _number([*own, *self._stacked(own)])
        return self._surer(image, best) if best else None

    def _apart(self, image: Image, loose: list[_Candidate], least: float) -> list[_Candidate]:
        """The plates among lines that only text tells of, one for each plate.

        Args:
            least: strength from which one counts.
        """
        ranked = sorted((*loose, *self._stacked(loose)), key=lambda found: -found.decision.strength)
        kept: list[_Candidate] = []
        for candidate in ranked:
            if candidate.decision.strength < WORTH_MORE * least:
                break
            near = any(same_plate(a, b) for k in kept for a in k.lines for b in candidate.lines)
            if not near:
                kept.append(self._surer(image, candidate))
        return [found for found in kept if found.decision.strength >= least]

    def _surer(self, image: Image, found: _Candidate) -> _Candidate:
        """The same with more variants in the vote, where it was no clear case."""
        if found.decision.share >= SURE and found.decision.strength >= CLEAR:
            return found
        return self._read_more(image, found)

    def _read_more(self, image: Image, found: _Candidate) -> _Candidate:
        more = self._reader.more_votes(image, found.lines)
        other = more[0] if len(more) == 1 else stacked(more[0], more[1])
        votes = pooled([(found.votes, 2.0), (other, 1.0)])
        return self._candidate(found.lines, votes)

    def _stacked(self, own: list[_Candidate]) -> list[_Candidate]:
        """Candidates of two lines, where neither line is a plate's by itself."""
        single = {id(found.lines[0]): found for found in own if found.decision.strength < CLEAR}
        pairs = two_line_pairs([found.lines[0] for found in single.values()])
        return [
            self._candidate(
                (upper, lower), stacked(single[id(upper)].votes, single[id(lower)].votes)
            )
            for upper, lower in pairs
        ]

    def _kept(self, image: Image, decision: Decision, box: Box) -> ReadPlate:
        around = box.grown(CROP_MARGIN / 2)
        left, top = max(0, int(around.x1)), max(0, int(around.y1))
        crop = image[top : max(top + 2, int(around.y2)), left : max(left + 2, int(around.x2))]
        return ReadPlate(plate_read(decision, box, self._countries), np.ascontiguousarray(crop))


def _weight(plate: ReadPlate) -> float:
    """To sort by: what is near and sure comes first."""
    return -plate.read.confidence * plate.read.box.width


def _number(found: Sequence[_Candidate]) -> _Candidate | None:
    """Of one plate's lines and pairs of lines the one that is its number."""
    highest = max((_height(one) for one in found), default=0.0)

    def weight(one: _Candidate) -> float:
        small = _height(one) < SMALL_PRINT * highest
        return one.decision.strength * (SMALL_PRINT_WEIGHT if small else 1.0)

    return max(found, key=weight, default=None)


def _is_cut(lines: Sequence[TextLine], whole: Box) -> bool:
    """Whether a line reaches an end of the picture, so that some of it may be outside."""
    points = np.concatenate([line.quad for line in lines])
    return bool(points[:, 0].min() < EDGE or points[:, 0].max() > whole.x2 - EDGE)


def _around(lines: Sequence[TextLine]) -> Box:
    points = np.concatenate([line.quad for line in lines])
    return Box(*map(float, (*points.min(axis=0), *points.max(axis=0))))


def _height(found: _Candidate) -> float:
    return max(line.height for line in found.lines)


class PlateNetworks(NamedTuple):
    """The two text networks, loaded once."""

    lines: BatchingRunner
    text: BatchingRunner

    def close(self) -> None:
        self.lines.close()
        self.text.close()

    def reader(
        self, objects: ObjectDetector | None, countries: tuple[str, ...] = ()
    ) -> PlateReader:
        reader = PlateLineReader(Recogniser(self.text), countries)
        return PlateReader(TextLineDetector(self.lines), reader, objects, countries)


def load_plates(cache_dir: Path | None = None) -> PlateNetworks:
    """The networks for plates. Raises SetupError when their files are missing."""
    files = WEIGHTS / "text_lines.xml", WEIGHTS / "plate_text.xml"
    lines, text = (OpenVinoNetwork(file, cache_dir=cache_dir) for file in files)
    return PlateNetworks(BatchingRunner(lines), BatchingRunner(text, max_batch=4))


__all__ = [
    "CropRead",
    "PlateNetworks",
    "PlateReader",
    "ReadPlate",
    "SecondReader",
    "load_plates",
]

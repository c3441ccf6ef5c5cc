"""How likely something is a vehicle's number plate: what comes first, and what is dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from app.models.plates.line_candidates import LineCandidate
from app.models.plates.tuning import PlateReaderTuning
from app.models.plates.turned import turned_back
from app.models.plates.voting import LEAST, log_odds
from app.types import Box

CLEAR_SHARE = 0.8
"""Share of the votes of a number that is read clearly; upside down it has less than 0.6."""
ON_PLATE = 0.5
"""Share of a box that lies in another one, from which both are of the same plate."""
WEIGHTS = (-0.95, 2.787, -0.027, 0.558, 0.825)
"""Of the features in ``features``; fitted by ``training.plate_ranking``."""


class FoundPlate(NamedTuple):
    """Something that may be a plate.

    Attributes:
        confidence: the detector's; 0 for text outside of its boxes.
        number: its number; None if there is no text.
        is_whole: the number is not cut off by the crop in which it was read.
        quarters: by how many quarters the image was turned, counter-clockwise, to read it.
        is_smeared: the network for smeared plates is sure enough of it.
    """

    box: Box
    confidence: float
    number: LineCandidate | None
    is_whole: bool = True
    quarters: int = 0
    is_smeared: bool = False

    def turned_back(self, quarters: int, size: tuple[int, int]) -> FoundPlate:
        """The plate in the pixels of the original, from those of a turned image."""
        return self._replace(box=turned_back(self.box, quarters, size), quarters=quarters)


def features(plate: FoundPlate, size: tuple[int, int]) -> tuple[float, ...]:
    """Return what tells plates from signs, frames and stickers.

    These are: 1, the detector's confidence, the logarithm of the number's strength, the log-odds of
    its looks, and the logarithm of the width as a share of the image's.
    """
    width = math.log(max(plate.box.width, 1.0) / size[0])
    if plate.number is None:
        return 1.0, plate.confidence, math.log(LEAST), log_odds(LEAST), width
    strength = math.log(max(plate.number.decision.strength, LEAST))
    return 1.0, plate.confidence, strength, log_odds(plate.number.is_number), width


def evidence(plate: FoundPlate, size: tuple[int, int]) -> float:
    """Return the probability that this is a vehicle's plate."""
    pairs = zip(WEIGHTS, features(plate, size), strict=True)
    return 1 / (1 + math.exp(-sum(weight * value for weight, value in pairs)))


def _is_seen(plate: FoundPlate, tuning: PlateReaderTuning) -> bool:
    """Whether a detector is sure, and nothing but a number stands there."""
    if plate.is_smeared:
        return True
    is_other = plate.number is not None and plate.number.is_number < tuning.min_is_number
    return plate.confidence >= tuning.min_plate_confidence and not is_other


def is_clear(plate: FoundPlate) -> bool:
    """Whether the votes on a plate's number agree, as they do not if it is upside down."""
    return plate.number is not None and plate.number.decision.share >= CLEAR_SHARE


def is_sure(plate: FoundPlate, size: tuple[int, int], least: float) -> bool:
    """Whether this is a plate, with at least this probability, and it is read clearly."""
    return plate.is_whole and is_clear(plate) and evidence(plate, size) >= least


def ranked(
    found: Sequence[FoundPlate], size: tuple[int, int], tuning: PlateReaderTuning
) -> list[FoundPlate]:
    """Return what is a plate, the likeliest first.

    Of two boxes of which one lies in the other, as a sticker on a plate, the likelier is a plate.
    If nothing is likely to be one, the likeliest is reported in an image in which the detector sees
    something that may be a plate, even if it cannot be read.
    """
    by_evidence: list[FoundPlate] = []
    for plate in sorted(found, key=lambda plate: -evidence(plate, size)):
        if not any(_is_on(plate.box, other.box) for other in by_evidence):
            by_evidence.append(plate)
    kept = [
        plate
        for plate in by_evidence
        if evidence(plate, size) >= tuning.min_evidence or _is_seen(plate, tuning)
    ]
    if kept:
        return kept
    if not any(plate.confidence >= tuning.min_lone_confidence for plate in by_evidence):
        return []
    return [plate for plate in by_evidence if _may_be_lone(plate, size, tuning)][:1]


def _may_be_lone(plate: FoundPlate, size: tuple[int, int], tuning: PlateReaderTuning) -> bool:
    is_seen = plate.confidence >= tuning.min_lone_confidence
    return is_seen or evidence(plate, size) >= tuning.min_lone_evidence


def _is_on(a: Box, b: Box) -> bool:
    return a.intersection(b) > ON_PLATE * min(a.area, b.area)

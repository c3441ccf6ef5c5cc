"""Which plates count in an image in which nothing is read clearly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.models.batching import Image
from app.models.plates.evidence import FoundPlate, evidence, is_clear, ranked
from app.models.plates.smeared_search import Boxes, SmearedSearch, are_same
from app.models.plates.tuning import PlateReaderTuning
from app.models.plates.turned import SIDEWAYS, turned


class SmearedPlates:
    """Adds plates that cannot be read, and takes away what is none.

    Args:
        search: finds them.
        read: reads boxes of an image, as far as there is something to read.
    """

    def __init__(
        self,
        search: SmearedSearch,
        read: Callable[[Image, Boxes], list[FoundPlate]],
        tuning: PlateReaderTuning,
    ) -> None:
        self._search, self._read, self._tuning = search, read, tuning

    def added_to(self, image: Image, found: Sequence[FoundPlate]) -> list[FoundPlate]:
        """Return what was found before and is plausible, and the plate that is smeared.

        If that is nothing, the image may lie on its side.
        """
        boxes, tuning = self._search.boxes(image), self._tuning
        size = image.shape[1], image.shape[0]
        least = tuning.min_smeared_confidence
        if any(evidence(plate, size) >= tuning.min_evidence for plate in found):
            least = tuning.min_smeared_beside
        everything = [plate for plate in found if self._is_plausible(plate, boxes, size)]
        everything += self._likeliest(image, boxes, least)
        if ranked(everything, size, tuning):
            return everything
        for quarters in SIDEWAYS:
            other = turned(image, quarters)
            lying = self._likeliest(other, self._search.boxes(other), tuning.min_smeared_beside)
            if lying:
                return [plate.turned_back(quarters, size) for plate in lying]
        return everything

    def _likeliest(self, image: Image, boxes: Boxes, least: float) -> list[FoundPlate]:
        """The likeliest of these boxes, if it has this confidence, and the number that is read in
        it. What can be read clearly and is no number is a sign."""
        found = []
        for plate in self._read(image, [pair for pair in boxes[:1] if pair[1] >= least]):
            looks = plate.number.is_number if plate.number else 0.0
            if looks >= self._tuning.min_is_number:
                found.append(plate._replace(is_smeared=True))
            elif not is_clear(plate):
                found.append(plate._replace(is_smeared=True, number=None))
        return found

    def _is_plausible(self, plate: FoundPlate, smeared: Boxes, size: tuple[int, int]) -> bool:
        """Whether a plate has a text, or the detector is certain of it, or it is half sure and this
        search may see it, too. Lamps and stickers are what the detector is half sure of."""
        tuning = self._tuning
        return (
            evidence(plate, size) >= tuning.min_lone_evidence
            or plate.confidence >= tuning.certain_confidence
            or (
                plate.confidence >= tuning.min_plate_confidence
                and any(
                    sure >= tuning.min_smeared_agreement and are_same(plate.box, box)
                    for box, sure in smeared
                )
            )
        )

"""Lines of text, and pairs of lines, as candidates for a plate's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.models.batching import Image
from app.models.plates.candidates import same_plate, two_line_pairs
from app.models.plates.text_lines import TextLine
from app.models.plates.tuning import PlateReaderTuning
from app.models.plates.voting import Decision, PlateLineReader, Votes, pooled, two_line_votes


class LineCandidate(NamedTuple):
    """One line, or an upper and a lower one, with its votes and the decision."""

    lines: tuple[TextLine, ...]
    votes: Votes
    decision: Decision

    @property
    def height(self) -> float:
        """The height of the taller line in pixels."""
        return max(line.height for line in self.lines)


class LineCandidates:
    """Finds a plate's number among its lines of text.

    Args:
        reader: reads and weighs single lines.
    """

    def __init__(self, reader: PlateLineReader, tuning: PlateReaderTuning) -> None:
        self._reader = reader
        self._tuning = tuning

    def of_lines(self, lines: Sequence[TextLine], votes: Sequence[Votes]) -> list[LineCandidate]:
        """Return a candidate for each line, from its votes."""
        return [self._candidate((line,), own) for line, own in zip(lines, votes, strict=True)]

    def best_of_plate(self, image: Image, single: list[LineCandidate]) -> LineCandidate | None:
        """Pick the number among a plate's lines and pairs of lines; read it again if in doubt."""
        best = self.number_among(single)
        return self._reread_if_unclear(image, best) if best else None

    def number_among(self, single: list[LineCandidate]) -> LineCandidate | None:
        """Pick the number among a plate's lines and pairs of lines."""
        candidates = [*single, *self._pairs(single)]
        tallest = max((candidate.height for candidate in candidates), default=0.0)

        def weight(candidate: LineCandidate) -> float:
            small = candidate.height < self._tuning.small_print_height * tallest
            factor = self._tuning.small_print_weight if small else 1.0
            return candidate.decision.strength * factor

        return max(candidates, key=weight, default=None)

    def best_per_plate(
        self, image: Image, single: list[LineCandidate], min_strength: float
    ) -> list[LineCandidate]:
        """Return one candidate per plate among the lines outside the detector's boxes."""
        ranked = sorted(
            (*single, *self._pairs(single)), key=lambda candidate: -candidate.decision.strength
        )
        kept: list[LineCandidate] = []
        for candidate in ranked:
            if candidate.decision.strength < self._tuning.reread_share * min_strength:
                break
            if not any(_on_one_plate(candidate, other) for other in kept):
                kept.append(self._reread_if_unclear(image, candidate))
        return [candidate for candidate in kept if candidate.decision.strength >= min_strength]

    def _candidate(self, lines: tuple[TextLine, ...], votes: Votes) -> LineCandidate:
        return LineCandidate(lines, votes, self._reader.decide([(votes, 1.0)]))

    def _reread_if_unclear(self, image: Image, candidate: LineCandidate) -> LineCandidate:
        """Add the votes of more augmentations, unless the candidate is already clear."""
        decision, tuning = candidate.decision, self._tuning
        if decision.share >= tuning.clear_share and decision.strength >= tuning.clear_strength:
            return candidate
        more = self._reader.more_votes(image, candidate.lines)
        other = more[0] if len(more) == 1 else two_line_votes(more[0], more[1])
        return self._candidate(candidate.lines, pooled([(candidate.votes, 2.0), (other, 1.0)]))

    def _pairs(self, single: list[LineCandidate]) -> list[LineCandidate]:
        """Return two-line candidates in which neither line is a clear number by itself."""
        unclear = {
            id(candidate.lines[0]): candidate
            for candidate in single
            if candidate.decision.strength < self._tuning.clear_strength
        }
        pairs = two_line_pairs([candidate.lines[0] for candidate in unclear.values()])
        return [
            self._candidate(
                (upper, lower), two_line_votes(unclear[id(upper)].votes, unclear[id(lower)].votes)
            )
            for upper, lower in pairs
        ]


def _on_one_plate(candidate: LineCandidate, other: LineCandidate) -> bool:
    return any(same_plate(a, b) for a in other.lines for b in candidate.lines)

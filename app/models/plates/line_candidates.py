"""Lines of text, and pairs of lines, as candidates for a plate's number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from app.models.batching import Image
from app.models.plates.candidates import same_plate, two_line_pairs
from app.models.plates.text_lines import TextLine
from app.models.plates.tuning import PlateReaderTuning
from app.models.plates.voting import (
    LEAST,
    Decision,
    LineVotes,
    PlateLineReader,
    log_odds,
    pooled,
    two_line_votes,
)

CHOICE = (0.504, 1.337, 1.045, 1.061)
"""Weights of ``choice_features``, fitted by ``training.plate_ranking``."""


class LineCandidate(NamedTuple):
    """One line, or an upper and a lower one, with its votes and the decision."""

    lines: tuple[TextLine, ...]
    own: LineVotes
    decision: Decision

    @property
    def is_number(self) -> float:
        """Probability that it is the number of a plate, by its looks."""
        return self.own.is_number

    @property
    def height(self) -> float:
        """The height of the taller line in pixels."""
        return max(line.height for line in self.lines)

    @property
    def width(self) -> float:
        """The width of the wider line in pixels."""
        return max(line.width for line in self.lines)

    @property
    def strength(self) -> float:
        """How likely this is a number: by its text and by its looks; see ``Decision``."""
        return self.decision.strength * self.is_number


class LineCandidates:
    """Finds a plate's number among its lines of text.

    Args:
        reader: reads and weighs single lines.
    """

    def __init__(self, reader: PlateLineReader, tuning: PlateReaderTuning) -> None:
        self._reader = reader
        self._tuning = tuning

    def of_lines(
        self, lines: Sequence[TextLine], votes: Sequence[LineVotes]
    ) -> list[LineCandidate]:
        """Return a candidate for each line, from its votes."""
        return [self._candidate((line,), own) for line, own in zip(lines, votes, strict=True)]

    def with_pairs(self, single: list[LineCandidate]) -> list[LineCandidate]:
        """Return single lines, and the pairs that may be the two lines of a plate."""
        return [*single, *self._pairs(single)]

    def number_among(self, single: list[LineCandidate]) -> LineCandidate | None:
        """Pick the number among a plate's lines and pairs of lines."""
        candidates = self.with_pairs(single)
        return max(candidates, key=lambda one: choice(one, candidates), default=None)

    def best_per_plate(self, single: list[LineCandidate]) -> list[LineCandidate]:
        """Return one candidate per plate among the lines outside the detector's boxes, the
        strongest first."""
        candidates = self.with_pairs(single)

        def rank(one: LineCandidate) -> float:
            return -choice(one, [other for other in candidates if _on_one_plate(one, other)])

        kept: list[LineCandidate] = []
        for candidate in sorted(candidates, key=rank):
            if not any(_on_one_plate(candidate, other) for other in kept):
                kept.append(candidate)
        kept.sort(key=lambda candidate: -candidate.strength)
        return kept[: self._tuning.max_text_only]

    def reread_if_unclear(self, image: Image, candidate: LineCandidate) -> LineCandidate:
        """Add the votes of more augmentations until the candidate is clear."""
        for read in (self._reader.second_votes, self._reader.more_votes):
            if self._is_clear(candidate) or self._is_hopeless(candidate):
                break
            more = read(image, candidate.lines)
            other = more[0] if len(more) == 1 else _joined(more[0], more[1])
            total = candidate.own.views + other.views
            votes = pooled([(candidate.own.votes, candidate.own.views), (other.votes, other.views)])
            looks = candidate.own.views * candidate.is_number + other.views * other.is_number
            own = LineVotes(votes, looks / total, total)
            candidate = self._candidate(candidate.lines, own)
        return candidate

    def upside_down(self, image: Image, candidate: LineCandidate) -> LineCandidate:
        """Read a candidate's lines again, turned by half a circle."""
        lines = tuple(line.upside_down for line in reversed(candidate.lines))
        votes = self._reader.first_votes(image, lines)
        return self._candidate(lines, votes[0] if len(votes) == 1 else _joined(*votes))

    def _candidate(self, lines: tuple[TextLine, ...], own: LineVotes) -> LineCandidate:
        decision = self._reader.decide([(own.votes, 1.0)])
        return LineCandidate(lines, own, decision)

    def _is_clear(self, candidate: LineCandidate) -> bool:
        decision, tuning = candidate.decision, self._tuning
        fits = candidate.strength >= tuning.clear_strength
        return self._is_plain(candidate) or (fits and decision.share >= tuning.clear_share)

    def _is_plain(self, candidate: LineCandidate) -> bool:
        """Whether a text is so certain that no format has to support it."""
        decision, tuning = candidate.decision, self._tuning
        return (
            decision.share >= tuning.plain_share
            and candidate.is_number >= tuning.plain_number
            and len(decision.text) >= tuning.plain_length
        )

    def _is_hopeless(self, candidate: LineCandidate) -> bool:
        return candidate.is_number < self._tuning.min_worth_rereading

    def _pairs(self, single: list[LineCandidate]) -> list[LineCandidate]:
        """Return two-line candidates in which neither line is a clear number by itself."""
        unclear = {
            id(candidate.lines[0]): candidate
            for candidate in single
            if candidate.strength < self._tuning.clear_strength
        }
        pairs = two_line_pairs([candidate.lines[0] for candidate in unclear.values()])
        return [
            self._candidate(
                (upper, lower),
                _joined(unclear[id(upper)].own, unclear[id(lower)].own),
            )
            for upper, lower in pairs
        ]


def choice_features(one: LineCandidate, others: Sequence[LineCandidate]) -> tuple[float, ...]:
    """Return what tells a plate's number from its other lines.

    These are the logarithm of the strength of the text, the log-odds of its looks, and the
    logarithms of height and width as shares of the tallest and widest line's.
    """
    tallest = max(other.height for other in others)
    widest = max(other.width for other in others)
    strength = math.log(max(one.decision.strength, LEAST))
    height, width = math.log(one.height / tallest), math.log(one.width / widest)
    return strength, log_odds(one.is_number), height, width


def choice(one: LineCandidate, others: Sequence[LineCandidate]) -> float:
    """Return a score by which a plate's number is picked among its lines."""
    pairs = zip(CHOICE, choice_features(one, others), strict=True)
    return sum(weight * value for weight, value in pairs)


def _joined(upper: LineVotes, lower: LineVotes) -> LineVotes:
    """The votes on a two-line plate; it is a number only if both of its lines look like one."""
    votes = two_line_votes(upper.votes, lower.votes)
    return LineVotes(votes, min(upper.is_number, lower.is_number), upper.views)


def _on_one_plate(candidate: LineCandidate, other: LineCandidate) -> bool:
    return any(same_plate(a, b) for a in other.lines for b in candidate.lines)

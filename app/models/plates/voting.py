"""Voting on a plate's text: several augmentations vote, then formats weigh the candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app import plate_text
from app.models.batching import Image
from app.models.plates import ctc, formats
from app.models.plates.recogniser import Augmentation, Recogniser, StripRead, strip_of
from app.models.plates.text_lines import TextLine
from app.plates import PlateRead
from app.types import Box

AUGMENTATIONS = (
    Augmentation(vertical_margin=-0.1, horizontal_margin=0.05, stretch=1.3, blur=True),
    Augmentation(vertical_margin=-0.06, horizontal_margin=0.2, stretch=1.6),
)
"""Cropped tightly: text above and below a number would be read as part of it."""
MORE_AUGMENTATIONS = (
    Augmentation(vertical_margin=-0.06, horizontal_margin=0.05),
    Augmentation(vertical_margin=-0.1, horizontal_margin=0.05, stretch=1.6),
)
MAX_ALTERNATIVES = 3
MIN_CONFIDENCE = 0.15
"""Of a number; with less, a plate counts as unreadable."""
MIN_ALTERNATIVE_SHARE = 0.02
FORMAT_BONUS = 1.5
"""How much likelier a text is that fits a format, or only differs from one that does by O and 0 or
I and 1. With more, formats spoil more readings than they mend: see the model card."""
EDGE_MISREADS = 0.1, 0.05, 0.03
"""How likely a band, a seal or a frame is read as a letter: at the left end of a plate, where
European plates have a band, at the right end, and at both."""
UNEXPECTED = 0.2
"""Factor for corrections by formats of countries that were not chosen."""
LEAST = 1e-4
Votes = Mapping[str, float]


class LineVotes(NamedTuple):
    """The votes on a line's text, and the probability that it is the number of a plate.

    Attributes:
        views: how many augmentations voted.
    """

    votes: Votes
    is_number: float
    views: int = 1


class ReadPlate(NamedTuple):
    """A plate's reading with its crop, for storage and for a second reading."""

    read: PlateRead
    crop: Image


class Decision(NamedTuple):
    """The result of a vote.

    Attributes:
        share: share of the best text among all candidates, weighted by formats; 0 to 1.
        strength: how likely this is the text of a plate at all; above 1 if the text is clear
            and fits a format, far below 1 for other text.
    """

    text: str
    share: float
    strength: float
    ranked: tuple[tuple[str, float], ...]


NO_DECISION = Decision("", 0.0, 0.0, ())


class PlateLineReader:
    """Reads lines of text as plate numbers.

    Args:
        countries: use the formats of these only; all if empty.
    """

    def __init__(self, recogniser: Recogniser, countries: tuple[str, ...] = ()) -> None:
        self._recogniser = recogniser
        self._countries = countries

    def warm_ups(self) -> list[Callable[[], object]]:
        """Return calls that compile the recogniser; see there."""
        return self._recogniser.warm_ups()

    def quick_votes(self, image: Image, lines: Sequence[TextLine]) -> list[LineVotes]:
        """Read one augmentation of each line, to separate possible plates from other text."""
        return self._votes(image, lines, AUGMENTATIONS[:1])

    def first_votes(self, image: Image, lines: Sequence[TextLine]) -> list[LineVotes]:
        """Read two augmentations of each line."""
        return self._votes(image, lines, AUGMENTATIONS)

    def second_votes(self, image: Image, lines: Sequence[TextLine]) -> list[LineVotes]:
        """Read the other of the two augmentations of ``first_votes``."""
        return self._votes(image, lines, AUGMENTATIONS[1:])

    def more_votes(self, image: Image, lines: Sequence[TextLine]) -> list[LineVotes]:
        """Read two other augmentations of each line."""
        return self._votes(image, lines, MORE_AUGMENTATIONS)

    def decide(self, votes: Iterable[tuple[Votes, float]]) -> Decision:
        """Return the best text of several votes, each with its weight."""
        return decide(pooled(votes), self._countries)

    def _votes(
        self, image: Image, lines: Sequence[TextLine], augmentations: Sequence[Augmentation]
    ) -> list[LineVotes]:
        strips = [
            strip_of(image, line.quad, variant) for line in lines for variant in augmentations
        ]
        reads = self._recogniser.read(strips)
        size = len(augmentations)
        return [vote(reads[at : at + size]) for at in range(0, len(reads), size)]


def vote(reads: Sequence[StripRead]) -> LineVotes:
    """Return the mean probability of each text over the augmentations."""
    votes: dict[str, float] = {}
    for read in reads:
        for text, share in ctc.beam_search(read.columns).items():
            votes[text] = votes.get(text, 0.0) + share / len(reads)
    return LineVotes(votes, sum(read.is_number for read in reads) / len(reads), len(reads))


def pooled(votes: Iterable[tuple[Votes, float]]) -> Votes:
    """Return the weighted mean of several votes."""
    sums: dict[str, float] = {}
    total = 0.0
    for each, weight in votes:
        total += weight
        for text, share in each.items():
            sums[text] = sums.get(text, 0.0) + share * weight
    return {text: share / total for text, share in sums.items()} if total else {}


def two_line_votes(upper: Votes, lower: Votes) -> Votes:
    """Return the votes on a two-line plate from the votes on each line."""
    return {a + b: p * q for a, p in upper.items() for b, q in lower.items() if a and b}


def decide(votes: Votes, countries: tuple[str, ...] = ()) -> Decision:
    """Choose a text by its votes; formats decide between look-alikes, and what is almost a tie."""
    shares: dict[str, float] = {}
    texts: dict[str, dict[str, float]] = {}
    for text, share in votes.items():
        fits = formats.fits(text, countries)
        for spelling, weight in _spellings(text, share, fits, bool(countries)).items():
            own_texts = texts.setdefault(plate_text.shape(spelling), {})
            own_texts[spelling] = own_texts.get(spelling, 0.0) + weight
        shape = plate_text.shape(text)
        known = any(plate_text.shape(fit.text) == shape for fit in fits)
        inner = {} if known else _without_edges(text, share, countries)
        for own, weight in inner.items():
            alike = plate_text.shape(own)
            shares[alike] = shares.get(alike, 0.0) + weight
            texts.setdefault(alike, {}).setdefault(own, weight)
        factor = FORMAT_BONUS if known else formats.LENGTHS.get(len(text), 0.0) if inner else 1.0
        shares[shape] = shares.get(shape, 0.0) + share * factor
    shares = {s: n for s, n in shares.items() if len(s) in formats.LENGTHS}
    total = sum(shares.values())
    if total <= 0:
        return NO_DECISION
    best = {shape: max(texts[shape], key=texts[shape].__getitem__) for shape in shares}
    ranked = sorted(((best[s], n / total) for s, n in shares.items()), key=lambda item: -item[1])
    text, share = ranked[0]
    return Decision(text, share, sum(texts[plate_text.shape(text)].values()), tuple(ranked))


def _without_edges(text: str, share: float, countries: tuple[str, ...]) -> dict[str, float]:
    """Numbers that fit a format without what may be a band, a seal or a frame at their ends."""
    inner = zip((text[1:], text[:-1], text[1:-1]), EDGE_MISREADS, strict=True)
    return {
        own: share * likeness * fit.evidence * formats.LENGTHS.get(len(own), 0.0)
        for own, likeness in inner
        for fit in formats.fits(own, countries)
        if fit.text == own and fit.evidence >= formats.MAX_EVIDENCE
    }


def _spellings(
    text: str, share: float, fits: Sequence[formats.Fit], expected: bool
) -> dict[str, float]:
    """The text, and its corrections by formats, weighed by how plausible they are.

    Args:
        expected: the formats are of countries that were chosen; those of all countries together
            fit almost anything.
    """
    weights = {text: share * formats.plausibility(text)}
    length = formats.LENGTHS.get(len(text), 0.0)
    for fit in fits:
        likeness = fit.likeness if expected or fit.text == text else fit.likeness * UNEXPECTED
        more = share * likeness * fit.evidence * length
        weights[fit.text] = weights.get(fit.text, 0.0) + more
    return weights


def plate_read(decision: Decision, box: Box, countries: tuple[str, ...]) -> PlateRead:
    """Convert a decision to a ``PlateRead``, with a calibrated confidence.

    A text that is almost certainly wrong is only an alternative: nobody should be alarmed by it.
    """
    sure = confidence(decision)
    reported = decision.text if sure >= MIN_CONFIDENCE else ""
    likely = [t for t, share in decision.ranked if share >= MIN_ALTERNATIVE_SHARE]
    others = [text for text in likely if text and text != reported]
    return PlateRead(
        reported,
        sure if reported else 0.0,
        box,
        tuple(others[:MAX_ALTERNATIVES]),
        "/".join(formats.countries_of(reported, countries)) or None,
        {text: round(share, 4) for text, share in decision.ranked[:8] if share >= 0.0005},
    )


CALIBRATION = (-0.305, 0.764, 0.745)
"""Logistic regression of correctness on ``confidence_features``, fitted by
``training.plate_ranking``; the model card of ``plate_text`` has its scores."""
PASSAGE_CALIBRATION = (0.9, 1.83)
"""The same on the log-odds of the share alone, for the votes of several frames: what the frames of
a passage agree on is more certain than the same share of the votes on one photo."""


def confidence(decision: Decision) -> float:
    """Return the probability that the reading of a photo is correct."""
    if not decision.text:
        return 0.0
    values = confidence_features(decision)
    return _logistic(sum(weight * value for weight, value in zip(CALIBRATION, values, strict=True)))


def passage_confidence(decision: Decision) -> float:
    """Return the probability that the reading of a plate that passed a camera is correct."""
    if not decision.text:
        return 0.0
    offset, slope = PASSAGE_CALIBRATION
    return _logistic(offset + slope * log_odds(decision.share))


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def confidence_features(decision: Decision) -> tuple[float, ...]:
    """Return what tells right readings from wrong ones.

    These are: 1, the log-odds of the share, and the logarithm of the strength.
    """
    strength = float(np.log(min(max(decision.strength, LEAST), 1.0)))
    return 1.0, log_odds(decision.share), strength


def log_odds(probability: float) -> float:
    """Return the log-odds of a probability, within bounds."""
    bounded = min(max(probability, LEAST), 1 - LEAST)
    return float(np.log(bounded / (1 - bounded)))

"""Voting on a plate's text: several augmentations vote, then formats weigh the candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.models.batching import Image
from app.models.plates import ctc, formats
from app.models.plates.recogniser import Augmentation, Columns, Recogniser, strip_of
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
MIN_ALTERNATIVE_SHARE = 0.02
EDGE_MISREADS = 0.1, 0.05, 0.03
"""How likely a band, a seal or a frame is read as a letter: at the left end of a plate, where
European plates have a band, at the right end, and at both."""
Votes = Mapping[str, float]


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

    def quick_votes(self, image: Image, lines: Sequence[TextLine]) -> list[Votes]:
        """Read one augmentation of each line, to separate possible plates from other text."""
        return self._votes(image, lines, AUGMENTATIONS[:1])

    def first_votes(self, image: Image, lines: Sequence[TextLine]) -> list[Votes]:
        """Read two augmentations of each line."""
        return self._votes(image, lines, AUGMENTATIONS)

    def more_votes(self, image: Image, lines: Sequence[TextLine]) -> list[Votes]:
        """Read two other augmentations of each line."""
        return self._votes(image, lines, MORE_AUGMENTATIONS)

    def decide(self, votes: Iterable[tuple[Votes, float]]) -> Decision:
        """Return the best text of several votes, each with its weight."""
        return decide(pooled(votes), self._countries)

    def _votes(
        self, image: Image, lines: Sequence[TextLine], augmentations: Sequence[Augmentation]
    ) -> list[Votes]:
        strips = [
            strip_of(image, line.quad, variant) for line in lines for variant in augmentations
        ]
        columns = self._recogniser.read(strips)
        size = len(augmentations)
        return [vote(columns[at : at + size]) for at in range(0, len(columns), size)]


def vote(columns: Sequence[Columns]) -> Votes:
    """Return the mean probability of each text over the augmentations."""
    votes: dict[str, float] = {}
    for variant in columns:
        for text, share in ctc.beam_search(variant).items():
            votes[text] = votes.get(text, 0.0) + share / len(columns)
    return votes


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
    """Weigh each candidate, and its corrections by formats, by how plausible they are."""
    weights: dict[str, float] = {}
    for text, share in votes.items():
        plain = share * formats.plausibility(text)
        weights[text] = weights.get(text, 0.0) + plain
        length = formats.LENGTHS.get(len(text), 0.0)
        for fit in formats.fits(text, countries):
            more = share * fit.likeness * fit.evidence * length
            weights[fit.text] = weights.get(fit.text, 0.0) + more
        for inner, likeness in zip((text[1:], text[:-1], text[1:-1]), EDGE_MISREADS, strict=True):
            length = formats.LENGTHS.get(len(inner), 0.0)
            for fit in formats.fits(inner, countries):
                if fit.text == inner and fit.evidence >= formats.MAX_EVIDENCE:
                    more = share * likeness * fit.evidence * length
                    weights[inner] = weights.get(inner, 0.0) + more
    total = sum(weights.values())
    if total <= 0:
        return NO_DECISION
    ranked = sorted(((t, w / total) for t, w in weights.items()), key=lambda item: -item[1])
    best = ranked[0]
    return Decision(best[0], best[1], weights[best[0]], tuple(ranked))


def plate_read(decision: Decision, box: Box, countries: tuple[str, ...]) -> PlateRead:
    """Convert a decision to a ``PlateRead``, with a calibrated confidence."""
    others = [t for t, share in decision.ranked[1:] if share >= MIN_ALTERNATIVE_SHARE and t]
    return PlateRead(
        decision.text,
        confidence(decision),
        box,
        tuple(others[:MAX_ALTERNATIVES]),
        "/".join(formats.countries_of(decision.text, countries)) or None,
        {text: round(share, 4) for text, share in decision.ranked[:8] if share >= 0.0005},
    )


CALIBRATION = (1.47, 1.83)
"""Logistic regression of correctness on the log-odds of the share, fitted on the dev photos of
``bench/plates.py``; the model card of ``plate_text`` has its scores."""


def confidence(decision: Decision) -> float:
    """Return the probability that a reading like this one is correct."""
    if not decision.text:
        return 0.0
    share = min(max(decision.share, 1e-4), 1 - 1e-4)
    offset, slope = CALIBRATION
    return float(1 / (1 + np.exp(-(offset + slope * np.log(share / (1 - share))))))

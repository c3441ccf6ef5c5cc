"""What a plate says: several variants of its crop vote, then formats weigh the candidates."""

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

VOTERS = (
    Augmentation(above=-0.1, aside=0.05, stretch=1.3, smooth=True),
    Augmentation(above=-0.06, aside=0.2, stretch=1.6),
)
"""Cut close: what stands above and below a number is read into it."""
MORE_VOTERS = (
    Augmentation(above=-0.06, aside=0.05),
    Augmentation(above=-0.1, aside=0.05, stretch=1.6),
)
MOST_ALTERNATIVES = 3
LEAST_ALTERNATIVE = 0.02
AT_AN_END = 0.1, 0.05, 0.03
"""How readily a band, a seal or a frame is read as a letter: at the left end of a plate, where
Europe has its band, at the right one, and at both."""
Votes = Mapping[str, float]


class ReadPlate(NamedTuple):
    """A read plate with its crop, for storage and for a second reading."""

    read: PlateRead
    crop: Image


class Decision(NamedTuple):
    """The result of a vote.

    Attributes:
        share: of the best text among all candidates, formats weighed in; 0 to 1.
        strength: how likely it is a plate's text at all; above 1 where the text is
            clear and fits a format, far below it for other writing.
    """

    text: str
    share: float
    strength: float
    ranked: tuple[tuple[str, float], ...]


NOTHING = Decision("", 0.0, 0.0, ())


class PlateLineReader:
    """Reads lines of text as numbers of plates.

    Args:
        countries: formats of these only; all when empty.
    """

    def __init__(self, recogniser: Recogniser, countries: tuple[str, ...] = ()) -> None:
        self._recogniser = recogniser
        self._countries = countries

    def warm_ups(self) -> list[Callable[[], object]]:
        return self._recogniser.warm_ups()

    def quick_votes(self, image: Image, lines: Sequence[TextLine]) -> list[Votes]:
        """One variant of each line, to separate possible plates from other writing."""
        return self._votes(image, lines, VOTERS[:1])

    def first_votes(self, image: Image, lines: Sequence[TextLine]) -> list[Votes]:
        """Two variants of each line."""
        return self._votes(image, lines, VOTERS)

    def more_votes(self, image: Image, lines: Sequence[TextLine]) -> list[Votes]:
        """Two other variants of each line."""
        return self._votes(image, lines, MORE_VOTERS)

    def decide(self, votes: Iterable[tuple[Votes, float]]) -> Decision:
        """The best text of several votes, each with its weight."""
        return decide(pooled(votes), self._countries)

    def _votes(
        self, image: Image, lines: Sequence[TextLine], voters: Sequence[Augmentation]
    ) -> list[Votes]:
        strips = [strip_of(image, line.quad, variant) for line in lines for variant in voters]
        columns = self._recogniser.read(strips)
        size = len(voters)
        return [vote(columns[at : at + size]) for at in range(0, len(columns), size)]


def vote(columns: Sequence[Columns]) -> Votes:
    """The mean over variants of each text's probability."""
    votes: dict[str, float] = {}
    for variant in columns:
        for text, share in ctc.beam_search(variant).items():
            votes[text] = votes.get(text, 0.0) + share / len(columns)
    return votes


def pooled(votes: Iterable[tuple[Votes, float]]) -> Votes:
    """Several votes as one, by their weights."""
    whole: dict[str, float] = {}
    total = 0.0
    for each, weight in votes:
        total += weight
        for text, share in each.items():
            whole[text] = whole.get(text, 0.0) + share * weight
    return {text: share / total for text, share in whole.items()} if total else {}


def stacked(upper: Votes, lower: Votes) -> Votes:
    """The vote on a plate of two lines from the votes on each."""
    return {a + b: p * q for a, p in upper.items() for b, q in lower.items() if a and b}


def decide(votes: Votes, countries: tuple[str, ...] = ()) -> Decision:
    """Weigh each candidate, and what it becomes in each format, by how plausible that is."""
    weights: dict[str, float] = {}
    for text, share in votes.items():
        plain = share * formats.plausibility(text)
        weights[text] = weights.get(text, 0.0) + plain
        length = formats.LENGTHS.get(len(text), 0.0)
        for fit in formats.fits(text, countries):
            more = share * fit.likeness * fit.evidence * length
            weights[fit.text] = weights.get(fit.text, 0.0) + more
        for inner, likeness in zip((text[1:], text[:-1], text[1:-1]), AT_AN_END, strict=True):
            length = formats.LENGTHS.get(len(inner), 0.0)
            for fit in formats.fits(inner, countries):
                if fit.text == inner and fit.evidence >= formats.MOST_EVIDENCE:
                    more = share * likeness * fit.evidence * length
                    weights[inner] = weights.get(inner, 0.0) + more
    total = sum(weights.values())
    if total <= 0:
        return NOTHING
    ranked = sorted(((t, w / total) for t, w in weights.items()), key=lambda item: -item[1])
    best = ranked[0]
    return Decision(best[0], best[1], weights[best[0]], tuple(ranked))


def plate_read(decision: Decision, box: Box, countries: tuple[str, ...]) -> PlateRead:
    """A decision as a ``PlateRead``, with a calibrated confidence."""
    others = [t for t, share in decision.ranked[1:] if share >= LEAST_ALTERNATIVE and t]
    return PlateRead(
        decision.text,
        confidence(decision),
        box,
        tuple(others[:MOST_ALTERNATIVES]),
        "/".join(formats.countries_of(decision.text, countries)) or None,
        {text: round(share, 4) for text, share in decision.ranked[:8] if share >= 0.0005},
    )


CALIBRATION = (1.47, 1.83)
"""Logistic regression of right on the log-odds of the share, fitted on the dev photos of
``bench/plates.py``; how it fares is in the card of the weights."""


def confidence(decision: Decision) -> float:
    """How often a reading like this one is right."""
    if not decision.text:
        return 0.0
    share = min(max(decision.share, 1e-4), 1 - 1e-4)
    offset, slope = CALIBRATION
    return float(1 / (1 + np.exp(-(offset + slope * np.log(share / (1 - share))))))

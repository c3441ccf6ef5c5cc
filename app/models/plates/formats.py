"""Number plate formats by country: evidence for a reading, never a filter.

A format says which positions hold letters and which digits. If a reading fits a format except
for look-alike characters, the corrected reading is more likely; how much more depends on how
specific the format is, so a vanity plate that fits none stays unchanged.

Patterns: ``A`` is a letter, ``9`` a digit; other characters name a set in ``SETS`` or stand for
themselves. Formats follow the countries' registration rules as given in public encyclopaedias;
series for diplomats, the military and dealers are mostly covered by the generic ones.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

DIGITS = frozenset(string.digits)
LETTERS = frozenset(string.ascii_uppercase)
SETS: dict[str, frozenset[str]] = {
    "9": DIGITS,
    "A": LETTERS,
    "r": frozenset("ABEKMHOPCTYX"),  # Russian letters that Latin has too
    "b": frozenset("ABEIKMHOPCTX"),  # Belarus
    "u": frozenset("ABCEHIKMOPTX"),  # Ukraine
    "s": frozenset("BCDFGHJKLMNPRSTVWXYZ"),  # Spain: consonants
    "n": frozenset("BDFGHJKLNPRSTVXZ"),  # the Netherlands
    "i": LETTERS - frozenset("IOQU"),  # Italy
    "f": LETTERS - frozenset("IOU"),  # France
    "g": LETTERS - frozenset("IQ"),  # Great Britain
    "e": frozenset("EH"),  # Germany: electric, historic
    "0": frozenset("0123"),
}

PATTERNS: dict[str, tuple[str, ...]] = {
    "RU": (
        "r999rr99", "r999rr999", "r999rr", "rr99999", "rr999999", "rr9999999", "9999rr99",
        "9999rr999", "r999999",
    ),
    "KZ": ("999AAA99", "999AA99", "A999AAA"),
    "BY": ("9999bb9", "bb99999", "E999bb9"),
    "UA": ("uu9999uu",),
    "DE": tuple(
        "A" * district + "A" * letters + "9" * digits + suffix
        for district in (1, 2, 3)
        for letters in (1, 2)
        for digits in (2, 3, 4)
        for suffix in ("", "e")
        if 5 <= district + letters + digits + len(suffix) <= 8
    ),
    "FR": ("ff999ff",),
    "IT": ("ii999ii",),
    "ES": ("9999sss",),
    "PL": ("AA99999", "AAA9999", "AA9999A", "AAA99AA", "AAA999A", "AAA9A99", "AA999AA"),
    "CZ": ("9A99999", "9AA9999"),
    "SK": ("AA999AA",),
    "AT": ("A99999A", "AA999AA", "AA9999A", "A9999AA", "A999AA", "AA999A"),
    "CH": ("AA9999", "AA99999", "AA999999"),
    "HU": ("AAA999", "AAAA999"),
    "RO": ("AA99AAA", "B99AAA", "B999AAA"),
    "BG": ("AA9999AA", "A9999AA"),
    "NL": ("nn999n", "n999nn", "99nnn9", "9nnn99", "nnn99n", "99nn99", "nn99nn", "99nnnn"),
    "BE": ("9AAA999",),
    "PT": ("99AA99", "AA99AA", "9999AA"),
    "SE": ("AAA999", "AAA99A"),
    "DK": ("AA99999",),
    "EE": ("999AAA",),
    "LV": ("AA9999",),
    "GR": ("AAA9999",),
    "HR": ("AA999AA", "AA9999AA"),
    "RS": ("AA999AA", "AA9999AA"),
    "IE": ("999A9999", "999A99999", "99A9999"),
    "GB": ("gg09ggg", "g999ggg", "ggg999g"),
    "BR": ("AAA9999", "AAA9A99"),
    "KR": ("99A9999", "999A9999"),
    "US": (
        "AAA9999", "9AAA999", "AAA999", "999AAA", "AA9A9A", "A99999", "AA99999", "99999AA",
        "999A999", "AA9999", "9999AA", "A9A9A9",
    ),
}  # fmt: skip

LOOK_ALIKES: dict[frozenset[str], float] = {
    frozenset("O0"): 0.3,
    frozenset("I1"): 0.3,
    frozenset("Q0"): 0.03,
    frozenset("D0"): 0.01,
    frozenset("B8"): 0.012,
    frozenset("S5"): 0.012,
    frozenset("Z2"): 0.012,
    frozenset("G6"): 0.012,
    frozenset("T1"): 0.003,
    frozenset("L1"): 0.003,
    frozenset("A4"): 0.003,
    frozenset("Z7"): 0.003,
    frozenset("T7"): 0.003,
}
"""How likely the recogniser is to confuse two characters when it reports no doubt.

Except for O and 0, I and 1, which have the same shape on many plates, these are so small that no
format (``MAX_EVIDENCE``) changes a clear reading, only one that was in doubt anyway.
"""

MAX_EVIDENCE = 12.0
LENGTHS = {3: 0.02, 4: 0.15, 5: 0.4, 6: 1.0, 7: 1.0, 8: 0.7, 9: 0.3, 10: 0.05}
ONLY_LETTERS, ONLY_DIGITS = 0.15, 0.5
MIN_LENGTH, MAX_LENGTH = 3, 10


class Format(NamedTuple):
    """One pattern of one country.

    Attributes:
        positions: the characters allowed at each position.
        evidence: how much likelier a text that fits is to be the plate than one of the same
            length that fits no format: by how specific the format is, bounded.
    """

    country: str
    positions: tuple[frozenset[str], ...]
    evidence: float


class Fit(NamedTuple):
    """A text that fits a format.

    Attributes:
        likeness: how likely the replaced look-alikes are to be confused, 0 to 1; 1 if none was.
    """

    text: str
    country: str
    evidence: float
    likeness: float


def _formats() -> dict[int, tuple[Format, ...]]:
    by_length: dict[int, list[Format]] = {}
    for country, patterns in PATTERNS.items():
        for pattern in patterns:
            positions = tuple(SETS.get(c, frozenset(c)) for c in pattern)
            specificity = 1.0
            for allowed in positions:
                specificity *= 36 / len(allowed)
            found = Format(country, positions, min(MAX_EVIDENCE, specificity))
            by_length.setdefault(len(pattern), []).append(found)
    return {length: tuple(found) for length, found in by_length.items()}


FORMATS = _formats()


def plausibility(text: str) -> float:
    """Return how plausible a text is that fits no format, by length and characters, 0 to 1."""
    length = LENGTHS.get(len(text), 0.0)
    if text.isdigit():
        return length * ONLY_DIGITS
    return length * (ONLY_LETTERS if text.isalpha() else 1.0)


@lru_cache(maxsize=4096)
def fits(text: str, countries: tuple[str, ...] = ()) -> tuple[Fit, ...]:
    """Return every text that fits a format and looks like this one, itself included.

    Args:
        countries: only these; all if empty.
    """
    best: dict[str, Fit] = {}
    for form in FORMATS.get(len(text), ()):
        if countries and form.country not in countries:
            continue
        fit = _corrected(text, form)
        if fit is not None and (fit.text not in best or best[fit.text].evidence < fit.evidence):
            best[fit.text] = fit
    return tuple(best.values())


def countries_of(text: str, among: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the countries with a format that the text fits unchanged, in table order.

    Args:
        among: only these; all if empty.
    """
    found = [f.country for f in FORMATS.get(len(text), ()) if _fits(text, f)]
    return tuple(dict.fromkeys(c for c in found if not among or c in among))


def _fits(text: str, form: Format) -> bool:
    return all(c in allowed for c, allowed in zip(text, form.positions, strict=True))


def _corrected(text: str, form: Format) -> Fit | None:
    """Replace look-alikes until the text fits; None if that is not enough."""
    likeness, corrected = 1.0, []
    for character, allowed in zip(text, form.positions, strict=True):
        if character in allowed:
            corrected.append(character)
            continue
        options = [(p, other) for other, p in look_alikes_of(character) if other in allowed]
        if not options:
            return None
        p, other = max(options)
        likeness *= p
        corrected.append(other)
    return Fit("".join(corrected), form.country, form.evidence, likeness)


def look_alikes_of(character: str) -> Iterator[tuple[str, float]]:
    """Yield the characters that this one is confused with, and how likely."""
    for pair, p in LOOK_ALIKES.items():
        if character in pair:
            yield next(iter(pair - {character})), p


__all__ = [
    "FORMATS",
    "MAX_LENGTH",
    "MIN_LENGTH",
    "Fit",
    "Format",
    "countries_of",
    "fits",
    "look_alikes_of",
    "plausibility",
]

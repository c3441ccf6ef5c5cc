"""What number plates look like in which country: evidence for a reading, never a filter.

A format says which places hold letters and which digits. Where a reading fits one but for
look-alikes, the fitting twin is the better reading; how much better follows from how much a
format narrows things down, so a vanity plate that fits none stays what it is.

Patterns: ``A`` a letter, ``9`` a digit, other characters name a set in ``SETS`` or stand for
themselves. Formats are from the countries' registration rules as public encyclopaedias give them;
series for diplomats, the military and dealers are mostly left to the generic ones.
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
        "A" * places + "A" * letters + "9" * digits + tail
        for places in (1, 2, 3)
        for letters in (1, 2)
        for digits in (2, 3, 4)
        for tail in ("", "e")
        if 5 <= places + letters + digits + len(tail) <= 8
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

TWINS: dict[frozenset[str], float] = {
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
"""How readily a recogniser takes one for the other, where it saw no reason to doubt.

But for O and 0, I and 1, which are one shape on many plates, these are small enough that no
format (``MOST_EVIDENCE``) turns a clear reading into another: only one that was in doubt anyway.
"""

MOST_EVIDENCE = 12.0
LENGTHS = {3: 0.02, 4: 0.15, 5: 0.4, 6: 1.0, 7: 1.0, 8: 0.7, 9: 0.3, 10: 0.05}
ONLY_LETTERS, ONLY_DIGITS = 0.15, 0.5
MIN_LENGTH, MAX_LENGTH = 3, 10


class Format(NamedTuple):
    """One pattern of one country.

    Attributes:
        evidence: how much likelier a text that fits is to be the plate than one of the same
            length that fits nothing: by how much the format narrows things down, bounded.
    """

    country: str
    places: tuple[frozenset[str], ...]
    evidence: float


class Fit(NamedTuple):
    """A text that fits a format, and by how much its look-alikes were bent for that (0 to 1)."""

    text: str
    country: str
    evidence: float
    likeness: float


def _formats() -> dict[int, tuple[Format, ...]]:
    by_length: dict[int, list[Format]] = {}
    for country, patterns in PATTERNS.items():
        for pattern in patterns:
            places = tuple(SETS.get(c, frozenset(c)) for c in pattern)
            narrowed = 1.0
            for allowed in places:
                narrowed *= 36 / len(allowed)
            found = Format(country, places, min(MOST_EVIDENCE, narrowed))
            by_length.setdefault(len(pattern), []).append(found)
    return {length: tuple(found) for length, found in by_length.items()}


FORMATS = _formats()


def plausibility(text: str) -> float:
    """Of a text that fits no format: by its length and what it is made of, 0 to 1."""
    length = LENGTHS.get(len(text), 0.0)
    if text.isdigit():
        return length * ONLY_DIGITS
    return length * (ONLY_LETTERS if text.isalpha() else 1.0)


@lru_cache(maxsize=4096)
def fits(text: str, countries: tuple[str, ...] = ()) -> tuple[Fit, ...]:
    """Every text that fits a format and looks like this one; the text itself among them.

    Args:
        countries: these only; all when empty.
    """
    best: dict[str, Fit] = {}
    for form in FORMATS.get(len(text), ()):
        if countries and form.country not in countries:
            continue
        fit = _bend(text, form)
        if fit is not None and (fit.text not in best or best[fit.text].evidence < fit.evidence):
            best[fit.text] = fit
    return tuple(best.values())


def countries_of(text: str, among: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Countries with a format that the text fits as it is, in the order of the table.

    Args:
        among: these only; all when empty.
    """
    found = [f.country for f in FORMATS.get(len(text), ()) if _fits(text, f)]
    return tuple(dict.fromkeys(c for c in found if not among or c in among))


def _fits(text: str, form: Format) -> bool:
    return all(c in allowed for c, allowed in zip(text, form.places, strict=True))


def _bend(text: str, form: Format) -> Fit | None:
    likeness, bent = 1.0, []
    for character, allowed in zip(text, form.places, strict=True):
        if character in allowed:
            bent.append(character)
            continue
        twins = [(share, twin) for twin, share in twins_of(character) if twin in allowed]
        if not twins:
            return None
        share, twin = max(twins)
        likeness *= share
        bent.append(twin)
    return Fit("".join(bent), form.country, form.evidence, likeness)


def twins_of(character: str) -> Iterator[tuple[str, float]]:
    """What a character is taken for, and how readily."""
    for pair, share in TWINS.items():
        if character in pair:
            yield next(iter(pair - {character})), share


__all__ = [
    "FORMATS",
    "MAX_LENGTH",
    "MIN_LENGTH",
    "Fit",
    "Format",
    "countries_of",
    "fits",
    "plausibility",
    "twins_of",
]

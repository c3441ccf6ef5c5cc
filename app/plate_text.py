"""Plate numbers as text: as people write them, and keys to compare look-alikes by.

A number is kept as it was typed: ``GÖ-AB 123``, ``12가3456``, ``А123ВС77`` in Cyrillic letters.
Beside it there is a key, in which case, spaces, hyphens and the look-alikes of Latin letters in
the scripts that plates use make no difference, so that ``A123BC`` finds the Cyrillic number.
"""

from __future__ import annotations

import fnmatch
import unicodedata

GAPS = " -./_'\u00a0\u00b7\u2009\u200a\u2010\u2011\u2012\u2013\u2014\u2019\u2022\u202f\u3000\u30fb"
"""What separates parts of a number, and is not a part of it."""

_LOOK_ALIKES = {
    "A": "ÀÁÂÃÄÅĀĂĄΑА",
    "B": "ΒВ",
    "C": "ÇĆĈĊČС",
    "D": "ĎĐÐ",
    "E": "ÈÉÊËĒĖĘĚΕЕЁ",
    "G": "ĞĢĠ",
    "H": "ΗН",
    "I": "ÌÍÎÏĪĮİΙІЇ",
    "J": "Ј",
    "K": "ĶΚК",
    "L": "ŁĹĻĽ",
    "M": "ΜМ",
    "N": "ÑŃŅŇΝ",
    "O": "ÒÓÔÕÖØŌŐΟО",
    "P": "ΡР",
    "R": "ŔŘ",
    "S": "ŚŞŠȘЅ",
    "T": "ŢŤȚΤТ",
    "U": "ÙÚÛÜŪŮŰŲ",
    "X": "ΧХ",
    "Y": "ÝŸΥУ",
    "Z": "ŹŻŽΖ",
}
"""Latin letters, and the letters of plates that look like them or are written for them."""

_OTHER_CAPITALS = "БГДЖЗИЙЛПФЦЧШЩЪЫЬЭЮЯЄҐЎЂЃЌЉЊЋЏΓΔΘΛΞΠΣΦΨΩ"
_DIGITS = ("٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹")
_TWINS = {"O": "0", "Q": "0", "I": "1"}
MAX_LENGTH = 16
MAX_WRITTEN = 32


def _folding() -> dict[str, str]:
    """For each character that is folded, what stands for it in a key; for gaps, nothing."""
    found = dict.fromkeys(GAPS, "")
    found |= {c.lower(): c for c in _OTHER_CAPITALS if len(c.lower()) == 1} | {"ς": "Σ"}
    for letter in map(chr, range(ord("A"), ord("Z") + 1)):
        for alike in letter + _LOOK_ALIKES.get(letter, ""):
            found[alike] = letter
            if len(alike.lower()) == 1:
                found[alike.lower()] = letter
    for digits in _DIGITS:
        found |= {digit: str(value) for value, digit in enumerate(digits)}
    return found


FOLDING = _folding()
_FOLDED = str.maketrans(FOLDING)
_SHAPE = str.maketrans(FOLDING | {c: _TWINS.get(to, to) for c, to in FOLDING.items()})


def written(text: str) -> str:
    """A number as it is stored: as it was typed, in composed characters, without outer spaces.

    Characters of full width, as some keyboards write them, become ordinary ones.
    """
    return " ".join(unicodedata.normalize("NFKC", text).split())


def is_writable(text: str) -> bool:
    """Whether a number consists of letters, digits and what separates them."""
    return all(c in GAPS or unicodedata.category(c)[0] in "LNM" for c in text)


def folded(text: str) -> str:
    """A key that is equal for all spellings of a number: case, spaces, hyphens, scripts."""
    return unicodedata.normalize("NFKC", text).translate(_FOLDED)


def shape(text: str) -> str:
    """A key that is also equal for what cameras confuse: O, Q and 0, I and 1.

    The database computes the same for its column ``shape``: see the migration ``0081_letters``.
    """
    return unicodedata.normalize("NFKC", text).translate(_SHAPE)


def is_match(wanted: str, number: str) -> bool:
    """Whether a number is the wanted one, or matches it as a pattern: ``*`` stands for any
    characters, ``?`` for one. Look-alikes count as the same."""
    return fnmatch.fnmatchcase(shape(number), shape(wanted).replace("[", "[[]"))


def one_edit_apart(a: str, b: str) -> bool:
    """Whether the texts differ by one character: inserted, deleted or replaced."""
    if abs(len(a) - len(b)) > 1 or a == b:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    if start is None:
        return True
    if len(a) == len(b):
        return a[start + 1 :] == b[start + 1 :]
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    return longer[start + 1 :] == shorter[start:]

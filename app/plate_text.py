"""Plate numbers as text: their stored spelling, and comparison of look-alikes."""

from __future__ import annotations

import string

_ALLOWED = frozenset(string.ascii_uppercase + string.digits)
_LATIN = str.maketrans("АВЕКМНОРСТУХІЅЈавекмнорстухіѕј", "ABEKMHOPCTYXISJABEKMHOPCTYXISJ", " -.")
_TWINS = str.maketrans("OQI", "001")
MAX_LENGTH = 16


def normalised(text: str) -> str:
    """A number as it is stored: Latin capitals and digits; Cyrillic look-alikes become Latin."""
    return "".join(c for c in text.translate(_LATIN).upper() if c in _ALLOWED)


def shape(text: str) -> str:
    """A key that is equal for look-alikes: O, Q and 0, I and 1, with or without spaces.

    The database computes the same for its column ``shape``: see the migration ``0020_plates``.
    """
    return text.translate(_LATIN).upper().translate(_TWINS)


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

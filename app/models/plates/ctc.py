"""CTC decoding: from the recogniser's columns of probabilities to likely texts.

Prefix beam search for connectionist temporal classification: Graves et al. (2006); Hannun,
Maas, Jurafsky, Ng: First-Pass Large Vocabulary Continuous Speech Recognition using
Bi-Directional Recurrent DNNs (2014), without a language model.
"""

from __future__ import annotations

import string

import numpy as np
import numpy.typing as npt

ALPHABET = string.digits + string.ascii_uppercase
BLANK = 0
BEAM_WIDTH = 8
MIN_PROBABILITY = 2e-3


def beam_search(columns: npt.NDArray[np.float32], width: int = BEAM_WIDTH) -> dict[str, float]:
    """Return the ``width`` most likely texts with their probabilities.

    Args:
        columns: (T, 37): blank, then ``ALPHABET``.

    Raises:
        ValueError: if these are not probabilities.
    """
    if columns.ndim != 2 or columns.shape[1] != 1 + len(ALPHABET) or not _finite(columns):
        raise ValueError("the recogniser's output is not a list of probabilities")
    beam: dict[str, tuple[float, float]] = {"": (1.0, 0.0)}  # ends in blank, in a character
    for column in columns:
        kept = [int(i) for i in np.flatnonzero(column >= MIN_PROBABILITY)]
        kept = kept or [int(column.argmax())]
        grown: dict[str, tuple[float, float]] = {}
        for text, (in_blank, in_character) in beam.items():
            for index in kept:
                p = float(column[index])
                if index == BLANK:
                    _add(grown, text, (in_blank + in_character) * p, 0.0)
                    continue
                character = ALPHABET[index - 1]
                if text.endswith(character):
                    _add(grown, text, 0.0, in_character * p)
                    _add(grown, text + character, 0.0, in_blank * p)
                else:
                    _add(grown, text + character, 0.0, (in_blank + in_character) * p)
        best = sorted(grown.items(), key=lambda item: -sum(item[1]))
        beam = dict(best[:width])
    return {text: sum(ends) for text, ends in beam.items()}


def _add(beam: dict[str, tuple[float, float]], text: str, blank: float, character: float) -> None:
    before = beam.get(text, (0.0, 0.0))
    beam[text] = (before[0] + blank, before[1] + character)


def _finite(columns: npt.NDArray[np.float32]) -> bool:
    return bool(np.isfinite(columns).all() and columns.min(initial=0) >= 0)

"""What drawn letters are: a mask of paint, before it is on a plate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CAP = 64
"""Height of a letter in the drawing in pixels, before it is scaled down."""


class Letters(NamedTuple):
    """A mask (H, W), 1 where there is paint, and the x centres of the wider gaps."""

    mask: npt.NDArray[np.float32]
    gaps: list[float]

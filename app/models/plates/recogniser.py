"""Text recognition: from an image of a line to character probabilities, with PP-OCRv6."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from app.errors import DetectorLate
from app.models.batching import BatchingRunner, Image
from app.models.plates.text_lines import Quad

HEIGHT = 48
STEP = 64
MIN_WIDTH, MAX_WIDTH = 64, 448
TIMEOUT_S = 20.0
GREY = 127
BLUR_SIGMA = 1.2
Columns = npt.NDArray[np.float32]


class StripRead(NamedTuple):
    """What the network says about a strip.

    Attributes:
        columns: probabilities (T, 37) of blank, 0-9 and A-Z.
        is_number: probability that the line is the number of a plate, and not a slogan or a sign.
    """

    columns: Columns
    is_number: float


class Recogniser:
    """Reads straightened lines of text.

    Args:
        runner: the shared runner of the network.
    """

    def __init__(self, runner: BatchingRunner) -> None:
        self._runner = runner

    def warm_ups(self) -> list[Callable[[], object]]:
        """Return calls that run the network once per input width. They raise DetectorError."""
        widths = range(2 * MIN_WIDTH, MAX_WIDTH + 1, STEP)
        strips = [np.full((HEIGHT, width, 3), GREY, np.uint8) for width in widths]
        return [functools.partial(self.read, [strip]) for strip in strips]

    def read(self, strips: Sequence[Image]) -> list[StripRead]:
        """Read each (48, W, 3) strip; equal widths form batches.

        Raises:
            DetectorError: when the network fails.
        """
        answers = [self._runner.submit(padded_strip(strip)) for strip in strips]
        try:
            outputs = [answer.result(TIMEOUT_S) for answer in answers]
        except TimeoutError:
            raise DetectorLate("Plate reading") from None
        return [StripRead(columns, float(is_number)) for columns, is_number in outputs]


def padded_strip(strip: Image) -> Image:
    """Pad with grey to one of a few widths, since the network is compiled for each."""
    width = min(max(-(-strip.shape[1] // STEP) * STEP, MIN_WIDTH), MAX_WIDTH)
    padded = np.full((HEIGHT, width, 3), GREY, np.uint8)
    padded[:, : strip.shape[1]] = strip[:, :width]
    return padded


class Augmentation(NamedTuple):
    """How a line is cropped for the recogniser.

    Attributes:
        vertical_margin: margin above and below, as a share of the line's height; negative
            values crop tighter.
        horizontal_margin: margin at both ends, in the same unit.
        stretch: horizontal factor: letters on plates are narrower than in the training data.
        blur: blur slightly, against the stair-steps of enlarged pixels.
        equalise: convert to grey and equalise the local contrast.
    """

    vertical_margin: float = 0.0
    horizontal_margin: float = 0.0
    stretch: float = 1.0
    blur: bool = False
    equalise: bool = False


def strip_of(image: Image, quad: Quad, augmentation: Augmentation) -> Image:
    """Rectify the contents of a quadrilateral to a strip of 48 pixels height."""
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    along = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    height, width = float(np.linalg.norm(down)), float(np.linalg.norm(along))
    out = along / max(width, 1e-3) * height * augmentation.horizontal_margin
    up = down * augmentation.vertical_margin
    grown = quad + np.stack([-out - up, out - up, out + up, -out + up])
    ratio = (width + 2 * augmentation.horizontal_margin * height) / max(
        height * (1 + 2 * augmentation.vertical_margin), 1e-3
    )
    across = int(min(max(round(HEIGHT * ratio * augmentation.stretch), 16), MAX_WIDTH))
    target = np.array([[0, 0], [across, 0], [across, HEIGHT], [0, HEIGHT]], np.float32)
    turn = cv2.getPerspectiveTransform(grown.astype(np.float32), target)
    strip = cv2.warpPerspective(
        image, turn, (across, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    if augmentation.blur:
        strip = cv2.GaussianBlur(strip, (0, 0), BLUR_SIGMA)
    if augmentation.equalise:
        grey = cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY)
        strip = cv2.cvtColor(cv2.createCLAHE(2.0, (2, 4)).apply(grey), cv2.COLOR_GRAY2RGB)
    return np.asarray(strip, np.uint8)

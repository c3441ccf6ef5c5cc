"""Pending detections: requests to a network, and how its outputs become boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.errors import DetectorError, DetectorLate
from app.models.network import Outputs
from app.types import Box, Detection

TASKS = {"objects": "Object detection", "faces": "Face detection"}
"""What a network does, by its name, for people."""


class RawDetections(NamedTuple):
    """Boxes (N, 4) as x1, y1, x2, y2 in pixels of the network's input, confidences, labels."""

    boxes: npt.NDArray[np.float32]
    confidences: npt.NDArray[np.float32]
    labels: Sequence[str]


class PendingDetections:
    """The detections of one image; inference may still be running.

    Args:
        network: its name, for errors.
        answer: future of the network's outputs.
        input_size: width and height of the image in the network's input, without padding.
        read: turns outputs into boxes; raises ValueError or IndexError for invalid outputs.
    """

    def __init__(
        self,
        network: str,
        answer: Future[Outputs],
        input_size: tuple[int, int],
        read: Callable[[Outputs], RawDetections],
    ) -> None:
        self._network = network
        self._answer = answer
        self._input_size = input_size
        self._read = read

    def is_answered(self, timeout_s: float) -> bool:
        """Wait at most this long; returns whether the network has answered or failed."""
        return bool(wait([self._answer], timeout_s).done)

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        """Wait for the boxes, in pixels of the same image at this size (width, height).

        Raises:
            DetectorError: when the network fails, times out, or returns invalid outputs, which
                must never be taken for an empty scene.
        """
        try:
            outputs = self._answer.result(timeout_s)
        except FutureTimeout:
            self._answer.cancel()
            raise DetectorLate(TASKS.get(self._network, "Detection")) from None
        try:
            boxes, confidences, labels = self._read(outputs)
        except (ValueError, IndexError) as error:
            raise DetectorError(network=self._network, reason="invalid output") from error
        (width, height), (input_width, input_height) = size, self._input_size
        boxes[:, 0::2] = (boxes[:, 0::2] * (width / input_width)).clip(0, width)
        boxes[:, 1::2] = (boxes[:, 1::2] * (height / input_height)).clip(0, height)
        return [
            Detection(label, float(confidence), Box(*map(float, box)))
            for box, confidence, label in zip(boxes, confidences, labels, strict=True)
            if box[2] > box[0] and box[3] > box[1]
        ]

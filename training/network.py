"""YOLOv8 networks from `.pt` or OpenVINO `.xml`, run in the same way by all scripts."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from training.boxes import CIGARETTE, CLASSES, PLATE, Boxes, non_max

Image = NDArray[np.uint8]
PADDING = 96
"""Images are padded to this multiple, so that few shapes are compiled. OpenVINO with a fixed shape
is 1.5 (YOLOv8) to 5 (CenterFace) times faster than with dynamic height and width."""
NMS_IOU, TIGHT_NMS_IOU = 0.6, 0.3
"""Cigarettes and plates get the tight one: two boxes of one often overlap by only a third."""


def nms_iou(label: int) -> float:
    """Return the NMS threshold of a class."""
    return TIGHT_NMS_IOU if label in (CIGARETTE, PLATE) else NMS_IOU


class Compiled:
    """An OpenVINO model of dynamic height and width, compiled for each input shape."""

    def __init__(self, model: ov.Model, threads: int, shapes: int = 48) -> None:
        self.model = model
        # Unpinned: OpenVINO would pin the single threads of two processes to the same core.
        self.config = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        self.for_shape = lru_cache(shapes)(self.compile)

    def compile(self, shape: tuple[int, ...]) -> ov.CompiledModel:
        """Compile the network for one shape (B, 3, H, W)."""
        self.model.reshape(list(shape))
        return ov.Core().compile_model(self.model, "CPU", self.config)

    def __call__(self, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return all outputs for one input (B, 3, H, W)."""
        return list(self.for_shape(blob.shape)(blob).values())


class Network:
    """Detects Watchpost's classes; other classes of the network are dropped.

    Args:
        size: pixels to which the longer side of an image is resized.
    """

    def __init__(self, path: Path, size: int = 640, threads: int = 2) -> None:
        model, self.names = load(path)
        self.size = size
        self.run = Compiled(model, threads)
        self.columns = [i for i, name in self.names.items() if name in CLASSES]
        self.to_class = np.array([CLASSES.index(self.names[i]) for i in self.columns])

    def detect(self, image: Image, min_confidence: float = 0.25) -> Boxes:
        """Detect objects in `image` (H, W, 3) BGR, in its pixels."""
        blob, scale = letterbox(image, self.size)
        output = self.run(blob)[0][0]
        scores = output[4:][self.columns]
        best = scores.argmax(0)
        confidence = scores[best, np.arange(scores.shape[1])]
        anchors = np.flatnonzero(confidence >= min_confidence)
        centre, extent = output[:2, anchors].T, output[2:4, anchors].T
        corners = np.concatenate([centre - extent / 2, centre + extent / 2], 1) / scale
        limits = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
        found = Boxes(
            np.clip(corners, 0, limits).astype(np.float32),
            self.to_class[best[anchors]],
            confidence[anchors],
        )
        found = non_max(found, NMS_IOU)
        tight = np.isin(found.labels, (CIGARETTE, PLATE))
        return Boxes.join(found[~tight], non_max(found[tight], TIGHT_NMS_IOU))


def letterbox(image: Image, size: int) -> tuple[NDArray[np.float32], float]:
    """Return (1, 3, h, w) RGB in 0..1 with longer side `size`, padded, and the scale."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    new_width, new_height = round(width * scale), round(height * scale)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image, (new_width, new_height), interpolation=method)
    right, bottom = -new_width % PADDING, -new_height % PADDING
    grey = (114, 114, 114)
    padded = cv2.copyMakeBorder(resized, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=grey)
    return np.asarray(cv2.dnn.blobFromImage(padded, 1 / 255, swapRB=True), np.float32), scale


def load(path: Path) -> tuple[ov.Model, dict[int, str]]:
    """Load an OpenVINO model with 1 output (B, 4 + classes, anchors), and its class names."""
    if path.suffix == ".xml":
        model = ov.Core().read_model(path)
        return model, ast.literal_eval(model.get_rt_info(["model_info", "names"]).astype(str))
    return convert(path)


def convert(path: Path) -> tuple[ov.Model, dict[int, str]]:
    """Convert Ultralytics weights to an OpenVINO model of dynamic batch, height and width."""
    module, names = checkpoint(path)
    head = module.model[-1]
    head.export, head.dynamic, head.format = True, True, "openvino"
    return trace(module, names), names


def checkpoint(path: Path) -> tuple[Any, dict[int, str]]:
    """Load the torch module of an Ultralytics checkpoint for inference, and its class names."""
    from ultralytics.nn.tasks import load_checkpoint

    module = load_checkpoint(path)[0].float().eval().fuse(verbose=False)
    names = {
        int(i): str(name).replace("license-plate", "plate") for i, name in module.names.items()
    }
    return module, names


def trace(module: Any, names: dict[int, str]) -> ov.Model:
    """Trace a torch module to an OpenVINO model of dynamic shape, with the class names inside."""
    import torch

    with torch.no_grad():
        example = torch.zeros(2, 3, 320, 384)
        module(example)
        graph = torch.jit.trace(module, example, strict=False, check_trace=False)
    model = ov.convert_model(graph, example_input=example)
    model.reshape([-1, 3, -1, -1])
    model.set_rt_info(repr(names), ["model_info", "names"])
    return model

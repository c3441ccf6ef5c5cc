"""A minimal version of the same job: what good libraries achieve before any tuning.

PyAV decodes, one resize feeds YOLOv8n and YuNet on OpenVINO, and all frames are processed in
sequence in one thread; faces are blurred in the YUV planes, which are then encoded. There are no
tracks and no rules; OpenVINO and x264 choose their own threads.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from app.models.faces import SHIPPED, STRIDES, decode
from app.models.weights_file import shipped
from app.types import Box
from bench import clip
from bench.clip import Pace, Stopwatch
from bench.usual import OBJECTS, weights

WIDTH, HEIGHT, CANVAS = 640, 360, 384
SURE = 0.25

Plane = npt.NDArray[np.uint8]


def sketch(source: Path, target: Path) -> Pace:
    """Blur the faces in a file, and detect everything else."""
    objects, faces = _compiled(_objects_file(source.parent)), _compiled(SHIPPED)
    canvas = np.zeros((1, 3, CANVAS, WIDTH), np.float32)
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = writer.add_stream("libx264", rate=clip.FPS)
        stream.width, stream.height, stream.pix_fmt = clip.WIDTH, clip.HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        frames = 0
        stopwatch = Stopwatch()
        for image in reader.decode(video=0):
            small = image.reformat(WIDTH, HEIGHT, "rgb24").to_ndarray()
            canvas[0, :, :HEIGHT] = small.transpose(2, 0, 1)
            answer = faces(canvas)
            boxes, _ = decode([answer[level][0] for level in range(len(STRIDES))], SURE)
            _boxes(objects(canvas / 255)[0][0])
            image.make_writable()
            for box in boxes:
                _blur(image, Box(*box.tolist()).scaled(clip.WIDTH / WIDTH, clip.WIDTH / WIDTH))
            image.pict_type = 0
            writer.mux(stream.encode(image))
            frames += 1
        writer.mux(stream.encode(None))
        return stopwatch.pace(frames, clip.FPS)


def _boxes(output: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return centre and size (N, 4) of the detections, after non-maximum suppression."""
    best = output[4:].max(axis=0)
    boxes, confidences = output[:4, best > SURE].T, best[best > SURE]
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
    kept = cv2.dnn.NMSBoxes(corners.tolist(), confidences.tolist(), SURE, 0.5)
    return boxes[np.asarray(kept, np.intp).reshape(-1)]


def _blur(image: av.VideoFrame, face: Box) -> None:
    for plane, shrink in zip(image.planes, (1, 2, 2), strict=True):
        rows: Plane = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
        x1, y1, x2, y2 = (max(0, int(side) // shrink) for side in face)
        part = rows[y1 : min(y2, plane.height), x1 : min(x2, plane.width)]
        if part.size:
            part[...] = cv2.GaussianBlur(part, (51, 51), 0)


def _compiled(path: Path) -> Any:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape([1, 3, CANVAS, WIDTH])
    return core.compile_model(model, "CPU")


def _objects_file(folder: Path) -> Path:
    """Return YOLOv8n for OpenVINO, converted once; without torch or weights the shipped network."""
    if not _has_yolo():
        return shipped()
    path = folder / "watchpost-bench-yolov8n.xml"
    if not path.exists():
        import openvino as ov

        from training.network import convert

        ov.save_model(convert(weights(OBJECTS))[0], path)
    return path


def _has_yolo() -> bool:
    return importlib.util.find_spec("ultralytics") is not None and weights(OBJECTS).is_file()


def networks() -> str:
    """Describe the networks that it runs."""
    objects = "YOLOv8n" if _has_yolo() else f"the shipped {shipped().stem}"
    return f"{objects} and {SHIPPED.name}"
